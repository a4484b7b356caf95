//! What is closed inside a sandbox and inside its proxy's container: capabilities, files, sockets,
//! variables, keys.

use std::fs;

use serde_json::json;

use crate::docker::NO_NAMES;
use crate::docker_walls::{all, pointer, probe};
use crate::support::probe::{VARIABLES, WHATEVER_SPEAKS, variables};
use crate::support::{Bench, Shell, engine, require};

/// BOX-011, PIV-012.
#[test]
fn the_sandbox_has_no_capability_no_new_privileges_and_no_raw_socket() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let mut shell = bench.shell(&[]);
    let status = shell.ask("cat /proc/self/status");
    let field = |name: &str| {
        let line = status
            .lines()
            .find(|line| line.starts_with(&format!("{name}:")));
        line.and_then(|line| line.split_whitespace().nth(1))
            .unwrap_or_default()
            .to_owned()
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(field(set), "0000000000000000", "BOX-011: {set}");
    }
    assert_eq!(
        (field("NoNewPrivs").as_str(), field("Seccomp").as_str()),
        ("1", "2")
    );

    let (v4, v6, packet) = (libc_family::INET, libc_family::INET6, libc_family::PACKET);
    let (datagram, raw) = (2, 3);
    let sockets = [
        ("PIV-012: ICMP, raw", "kind", json!([v4, raw, 1])),
        ("raw IP", "kind", json!([v4, raw, 255])),
        ("raw IPv6", "kind", json!([v6, raw, 58])),
        ("packets", "kind", json!([packet, raw, 0x0300])),
    ];
    all(
        &probe(&bench, &mut shell, &sockets),
        &["EPERM", "EACCES", "EAFNOSUPPORT"],
    );
    // An engine may let containers ping without a capability: there is nobody to ping.
    let ping = probe(
        &bench,
        &mut shell,
        &[("ping", "kind", json!([v4, datagram, 1]))],
    );
    all(&ping, &["EACCES", "opened"]);
    // unshare(2) of a user or a network namespace (CLONE_NEWUSER, CLONE_NEWNET), mount(2).
    let calls = [
        ("a user namespace", "call", json!([272, 0x1000_0000])),
        ("a network namespace", "call", json!([272, 0x4000_0000])),
        ("mount", "mount", json!([])),
    ];
    all(&probe(&bench, &mut shell, &calls), &["EPERM", "ENOSYS"]);
    assert_eq!(
        shell.ask(
            "for d in / /usr /etc /opt /usr/bin; do touch $d/x 2>/dev/null && echo $d; done; true"
        ),
        ""
    );
    assert_eq!(shell.end().0, Some(0));
}

/// Address families by their numbers, which the probe's language takes.
mod libc_family {
    pub(super) const INET: i32 = 2;
    pub(super) const INET6: i32 = 10;
    pub(super) const PACKET: i32 = 17;
}

/// BOX-012, UDS-002.
#[test]
fn the_sandbox_sees_no_socket_of_the_host_no_key_and_no_variable_that_nobody_named() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let mut vibepit = bench.vibepit();
    vibepit
        .env("AWS_SECRET_ACCESS_KEY", "s3cret")
        .env("SSH_AUTH_SOCK", "/tmp/agent")
        .env("HTTPS_PROXY", "http://user:s3cret@proxy.example:8080")
        .args(["run", "--", "sh"]);
    let mut shell = Shell::spawn(&mut vibepit);
    let environment = shell.ask("tr '\\0' '\\n' < /proc/$$/environ");
    assert_eq!(variables(&environment), VARIABLES, "BOX-012");
    assert!(!environment.contains("s3cret"));

    let sockets = shell.ask(WHATEVER_SPEAKS);
    assert_eq!(sockets, "", "UDS-002: no socket at all");
    // Those of the holder's own signal handling have no name, so that nobody can connect to them.
    let abstract_ones = shell.ask("awk 'NR > 1 && NF > 7' /proc/net/unix");
    assert_eq!(abstract_ones, "", "not even an abstract one");
    let mounts = shell.ask("cat /proc/self/mountinfo");
    for hidden in [bench.runtime_dir(), bench.home.state(), bench.home.config()] {
        let inside = hidden.join("socket").display().to_string();
        assert!(!mounts.contains(&inside), "{mounts}");
        let seen = shell.ask(&format!("ls -A {} 2>/dev/null; true", hidden.display()));
        assert_eq!(seen, "", "{}", hidden.display());
    }
    // Neither the machine's processes nor its accounts' secrets.
    assert_eq!(
        shell
            .ask("cat /proc/1/comm; ls /etc/shadow /root 2>/dev/null; true")
            .lines()
            .next(),
        Some("docker-init")
    );
    assert_eq!(shell.ask("test -e /etc/shadow && echo there; true"), "");
    assert_eq!(shell.end().0, Some(0));
}

/// BOX-013, TLS-006, TLS-007, TLS-009.
#[test]
fn the_proxys_container_shows_no_key_and_has_three_mounts() {
    if !require("docker") || !require("root") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let shell = bench.shell(&[]);
    let id = bench.session();
    let proxy = engine::inspect(&format!("vibepit-{id}-proxy"));
    let text = proxy.to_string();
    for secret in ["PRIVATE KEY", "BEGIN", "token"] {
        assert!(!text.contains(secret), "BOX-013, TLS-006: {secret}");
    }
    let pid = proxy["State"]["Pid"].as_i64().expect("a pid");
    for file in ["environ", "cmdline"] {
        let text = fs::read(format!("/proc/{pid}/{file}")).expect("of the proxy");
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(
            !text.contains("KEY") && !text.contains("BEGIN"),
            "TLS-007: {text}"
        );
    }
    let mut mounts: Vec<_> = proxy["Mounts"]
        .as_array()
        .expect("mounts")
        .iter()
        .map(|mount| {
            (
                pointer(mount, "/Destination").to_owned(),
                pointer(mount, "/Source").to_owned(),
            )
        })
        .collect();
    mounts.sort();
    let socket = bench.runtime_dir().join(&id).join("socket");
    let audit = bench.home.state().join(format!("vibepit/audit/{id}"));
    let decisions = bench.home.state().join("vibepit/decisions");
    let expected = [
        ("/audit", audit),
        ("/decisions", decisions),
        ("/socket", socket),
    ]
    .map(|(at, from)| (at.to_owned(), from.display().to_string()));
    assert_eq!(mounts, expected);
    let ports = proxy["NetworkSettings"]["Ports"]
        .as_object()
        .expect("ports");
    for (port, bindings) in ports {
        let bindings = bindings.as_array().expect("published");
        assert_eq!((port.as_str(), bindings.len()), ("3129/tcp", 1), "TLS-009");
        assert_eq!(pointer(&bindings[0], "/HostIp"), "127.0.0.1", "TLS-009");
    }
    assert_eq!(proxy["HostConfig"]["ReadonlyRootfs"], true);
    assert_eq!(proxy["HostConfig"]["CapDrop"], json!(["ALL"]));
    assert_eq!(shell.end().0, Some(0));
}

/// BOX-019, BOX-020.
#[test]
fn without_a_proxy_that_admits_no_command_starts() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let mut happenings = engine::Happenings::of(&bench.label());
    let mut session = bench.start(&[], &["sh", "-c", "echo runs"]);
    let proxy = happenings.until("start", "proxy");
    // As early as can be: whatever the proxy was about to do.
    engine::call(
        "POST",
        &format!("/containers/{proxy}/kill?signal=KILL"),
        b"",
    );
    let status = session.wait();
    let (_, said) = session.end();
    if status.code() == Some(1) {
        assert!(said.contains("proxy"), "BOX-019, BOX-020: {said}");
    } else {
        // The proxy had admitted already, and then the session was a whole one.
        assert!(said.contains("the proxy ended"), "{status}: {said}");
    }
    bench.is_clean();
}
