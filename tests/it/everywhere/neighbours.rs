//! Rows of the table of attacks about what a sandbox reaches: the control plane, the machine, other
//! sessions; and about what a project says for itself.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::Place;
use crate::docker::own_addresses;
use crate::support::Shell;
use crate::support::probe::{all, attempt};

/// BOX-007, CTL-002, CTL-003, CTL-010.
pub(super) fn doors_and_no_other_address(place: &dyn Place) {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let mut shell = place.shell(&[]);
    let session = place.session();

    // BOX-007: its network is nobody else's, the proxy's least of all.
    let proxys = format!("/proc/{}/ns/net", super::proxy_of(&session));
    let proxys = fs::read_link(proxys).expect("the proxy's network");
    let own = shell.ask("readlink /proc/self/ns/net");
    assert_ne!(own.trim_end(), proxys.display().to_string());
    let interfaces = shell.ask("tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '");
    assert_eq!(interfaces, "lo\n");

    let mut attempts = vec![
        ("outside", "tcp", json!(["198.51.100.7", 443])),
        ("outside, by UDP", "udp", json!(["198.51.100.7", 53])),
        ("cloud metadata", "tcp", json!(["169.254.169.254", 80])),
    ];
    for (_, ip) in own_addresses() {
        if ip.is_ipv4() && !ip.is_loopback() {
            attempts.push(("this machine", "tcp", json!([ip, port])));
            attempts.push(("CTL-010: the engine", "tcp", json!([ip, 2375])));
        }
    }
    let outcomes = attempt(place.project(), &mut shell, &attempts);
    all(&outcomes, &["ENETUNREACH"]);

    let (door, control) = (door(&session), control(&session));
    let doors = [("the door", "tcp", json!([door.ip(), door.port()]))];
    let outcomes = attempt(place.project(), &mut shell, &doors);
    all(&outcomes, &["connected"]);
    let mut attempts = Vec::new();
    for port in [control.port(), 3129, 9997, 9999, 22, 2375, port] {
        attempts.push(("CTL-002, CTL-003", "tcp", json!([door.ip(), port])));
        attempts.push(("on the loopback", "tcp", json!(["127.0.0.1", port])));
    }
    let outcomes = attempt(place.project(), &mut shell, &attempts);
    all(&outcomes, &["ECONNREFUSED"]);
    listener.set_nonblocking(true).expect("a mode");
    assert!(listener.accept().is_err(), "somebody connected");
    assert_eq!(shell.end().0, Some(0));
}

fn door(session: &Value) -> SocketAddr {
    serde_json::from_value(session["proxy"]["http"].clone()).expect("the HTTP door")
}

fn control(session: &Value) -> SocketAddr {
    serde_json::from_value(session["control"]["tcp"].clone()).expect("the control port")
}

/// CTL-006, CTL-007.
pub(super) fn the_proxy_is_no_way_to_itself(place: &dyn Place) {
    // Somebody could be asked, and is not.
    place.person(
        "mkdir -p ~/asks/vibepit && \
         echo 'unlisted_domain_behavior = \"request_approval\"' > ~/asks/vibepit/config.toml",
    );
    let mut command = place.vibepit();
    command.env("XDG_CONFIG_HOME", place.home().join("asks"));
    let mut shell = Shell::spawn(command.args(["run", "--", "sh"]));
    assert_eq!(shell.ask("echo here"), "here\n");
    let session = place.session();
    let (door, control) = (door(&session), control(&session));
    for target in [
        control.to_string(),
        door.to_string(),
        "127.0.0.1:2375".to_owned(),
    ] {
        let connect = shell.ask(&format!(
            "curl -s -o /dev/null -w '%{{http_connect}}\\n' -m 50 --noproxy '' -p -x \"$http_proxy\" \
             http://{target}/; true"
        ));
        assert_eq!(connect, "403\n", "CTL-006: {target}");
        let get = shell.ask(&format!(
            "curl -s -o /dev/null -w '%{{http_code}}\\n' -m 50 --noproxy '' -x \"$http_proxy\" \
             http://{target}/; true"
        ));
        assert_eq!(get, "403\n", "CTL-007: {target}");
    }
    let pending = place.cli(&["pending", "--json"]).ok();
    let pending: Value = serde_json::from_str(&pending).expect("JSON");
    assert_eq!(
        pending["pending"].as_array().map(Vec::len),
        Some(0),
        "{pending}"
    );
    assert_eq!(shell.end().0, Some(0));
}

/// CTL-012, CTL-013.
pub(super) fn sessions_are_no_neighbours(place: &dyn Place) {
    let mut shell = place.shell(&["--reject"]);
    let mut other = place.shell(&["--reject", "--new", "--name", "other"]);
    let network = "readlink /proc/self/ns/net";
    assert_ne!(shell.ask(network), other.ask(network));
    // CTL-012: somebody serves there.
    let served = other.ask(
        "/usr/bin/python3 -m http.server 2222 --bind 0.0.0.0 >/dev/null 2>&1 & \
         until curl -sS --noproxy '*' -o /dev/null http://127.0.0.1:2222/ 2>/dev/null; do :; done; \
         echo served",
    );
    assert_eq!(served, "served\n");
    let attempts = [("CTL-012", "tcp", json!(["127.0.0.1", 2222]))];
    let outcomes = attempt(place.project(), &mut shell, &attempts);
    all(&outcomes, &["ECONNREFUSED"]);

    // CTL-013: what is allowed there is allowed there alone.
    place
        .cli(&["--session", "other", "allow", "unlisted.test:80"])
        .ok();
    let ask = "curl -s -o /dev/null -w '%{http_code}\\n' -m 50 http://unlisted.test/";
    assert_eq!(shell.ask(ask), "403\n");
    let there = other.ask(ask);
    assert!(["502\n", "504\n"].contains(&there.as_str()), "{there}");
    other.ask("kill %1 2>/dev/null || kill $!; true");
    assert_eq!((shell.end().0, other.end().0), (Some(0), Some(0)));
}

/// CTL-017, CTL-018.
pub(super) fn a_project_allows_itself_nothing(place: &dyn Place) {
    place.person(
        "mkdir .vibepit && echo 'allow-http: [\"**:*\"]' > .vibepit/network.yaml && \
         echo 'allow = [\"unlisted.test\"]' > .vibepit/config.toml",
    );
    let ask = "curl -s -o /dev/null -w '%{http_code}' -m 50 http://unlisted.test/";
    let ran = place.run(&["--reject"], ask);
    assert_eq!(ran.stdout, "403", "CTL-017: {ran:?}");
    fs::remove_dir_all(place.project().join(".vibepit")).expect("it goes");

    let own = place.directory("XDG_CONFIG_HOME").join("vibepit");
    let before = fs::read_dir(&own).expect("its entries").count();
    let link = place.project().join(".vibepit");
    symlink(&own, &link).expect("a link");
    let ran = place.run(&[], "echo started; touch .vibepit/made");
    fs::remove_file(link).expect("it goes");
    assert_eq!(ran.stdout, "", "CTL-018: {ran:?}");
    assert!(ran.stderr.contains("symbolic link"), "{ran:?}");
    assert_eq!(fs::read_dir(&own).expect("its entries").count(), before);
}
