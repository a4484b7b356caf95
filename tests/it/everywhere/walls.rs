//! Rows of the table of attacks about the sandbox itself: what it is made of, what it has, and what
//! becomes of a start that could not make it whole.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use serde_json::{Value, json};

use super::Place;
use crate::support::probe::{VARIABLES, all, attempt, variables};
use crate::support::{Ran, Shell, require};

/// BOX-001, BOX-002.
pub(super) fn engines_socket_is_no_volume(place: &dyn Place) {
    let directory = place.home().join("holds-a-socket");
    fs::create_dir(&directory).expect("a directory");
    let _listener = UnixListener::bind(directory.join("docker.sock")).expect("a socket");
    let link = place.home().join("link");
    symlink(&directory, &link).expect("a link");
    let own = place.directory("XDG_RUNTIME_DIR");
    for (source, named) in [
        (directory.join("docker.sock"), "docker.sock"),
        (directory.clone(), "docker.sock"),
        (link.clone(), "docker.sock"),
        (own, "vibepit"),
    ] {
        let volume = format!("{}:/srv/r:ro", source.display());
        let ran = place.run(&["--volume", &volume], "echo started");
        assert_eq!(ran.stdout, "", "{volume}: {ran:?}");
        assert_ne!(ran.code, Some(0), "{volume}: {ran:?}");
        assert!(ran.stderr.contains(named), "{volume}: {ran:?}");
    }
    fs::remove_file(link).expect("it goes");
    fs::remove_dir_all(directory).expect("it goes");
}

/// BOX-004, BOX-005. Which versions are known for what is a table with tests of its own; that an
/// engine's parts are held against it is told by doctor.
pub(super) fn known_ways_out_are_looked_up(place: &dyn Place) {
    if place.runtime() == "local" {
        // Both come by an image, or by the program that starts one.
        let ran = place.run(&["--image", "localhost/hostile:1"], "echo started");
        assert_eq!(ran.stdout, "", "{ran:?}");
        assert!(ran.stderr.contains("a container engine"), "{ran:?}");
        return;
    }
    let ran = place.cli(&["doctor", "--no-attack", "--json"]);
    let answer: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    let checks = answer["checks"].as_array().expect("checks").iter();
    let text = |check: &Value, field: &str| check[field].as_str().expect("a text").to_owned();
    let checks: BTreeMap<_, _> = checks
        .map(|check| (text(check, "name"), text(check, "says")))
        .collect();
    let runtime = ["runc", "crun"].iter().find_map(|name| checks.get(*name));
    let says = runtime.unwrap_or_else(|| panic!("no runtime: {checks:?}"));
    assert!(
        says.contains("has no known way out") || says.contains("CVE-"),
        "{says}"
    );
}

/// BOX-011.
pub(super) fn no_privilege(place: &dyn Place) {
    let mut shell = place.shell(&[]);
    let status = shell.ask("cat /proc/self/status");
    let fields: BTreeMap<_, _> = status
        .lines()
        .filter_map(|line| line.split_once(":\t"))
        .collect();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert_eq!(fields[set], "0000000000000000", "{set}");
    }
    assert_eq!((fields["NoNewPrivs"], fields["Seccomp"]), ("1", "2"));
    let (v4, packet, raw) = (2, 17, 3);
    // unshare(2) of a user or a network namespace (CLONE_NEWUSER, CLONE_NEWNET).
    let attempts = [
        ("ICMP, raw", "kind", json!([v4, raw, 1])),
        ("packets", "kind", json!([packet, raw, 0x0300])),
        ("a user namespace", "call", json!([272, 0x1000_0000])),
        ("a network namespace", "call", json!([272, 0x4000_0000])),
        ("mount", "mount", json!([])),
    ];
    let outcomes = attempt(place.project(), &mut shell, &attempts);
    all(&outcomes, &["EPERM", "EACCES", "EAFNOSUPPORT", "ENOSYS"]);
    assert_eq!(shell.end().0, Some(0));
}

/// BOX-012.
pub(super) fn no_variable_that_nobody_named(place: &dyn Place) {
    let mut command = place.vibepit();
    command
        .env("AWS_SECRET_ACCESS_KEY", "s3cret")
        .env("SSH_AUTH_SOCK", "/tmp/agent")
        .env("DOCKER_CERT_PATH", "/s3cret")
        .env("HTTPS_PROXY", "http://user:s3cret@proxy.example:8080")
        .args(["run", "--", "sh"]);
    let mut shell = Shell::spawn(&mut command);
    let environment = shell.ask("tr '\\0' '\\n' < /proc/$$/environ");
    assert_eq!(variables(&environment), VARIABLES);
    assert!(!environment.contains("s3cret"), "{environment}");
    assert_eq!(shell.end().0, Some(0));
}

/// BOX-013.
pub(super) fn the_proxy_shows_no_key(place: &dyn Place) {
    let shell = place.shell(&[]);
    let session = place.session();
    let proxy = super::proxy_of(&session);
    for file in ["environ", "cmdline"] {
        let text = fs::read(format!("/proc/{proxy}/{file}")).expect("of the proxy");
        let text = String::from_utf8_lossy(&text).into_owned();
        for secret in ["PRIVATE", "BEGIN", "VIBEPIT_PROXY_TLS", "token"] {
            assert!(!text.contains(secret), "{file}: {text}");
        }
    }
    // What an engine keeps of a container is what it was started with.
    let line = fs::read_to_string(format!("/proc/{proxy}/cmdline")).expect("its line");
    assert!(line.contains("proxy\0--stdin"), "{line:?}");
    assert_eq!(shell.end().0, Some(0));
}

/// BOX-017.
pub(super) fn a_hook_is_told(place: &dyn Place) {
    place.person("mkdir -p .git/hooks && echo 'ref: refs/heads/main' > .git/HEAD");
    let script = "printf '#!/bin/sh\\ntrue\\n' > .git/hooks/pre-commit; chmod +x .git/hooks/*";
    let ran = place.run(&[], script);
    let line = ran
        .stderr
        .lines()
        .find(|line| line.contains(".git/hooks/pre-commit"));
    let line = line.unwrap_or_else(|| panic!("nothing of the hook: {ran:?}"));
    assert!(line.contains("look at it first: cat -v"), "{line}");
    fs::remove_dir_all(place.project().join(".git")).expect("it goes");
}

/// BOX-019.
pub(super) fn the_first_command_finds_the_proxy(place: &dyn Place) {
    let ask = "curl -s -o /dev/null -w '%{http_code}' -m 50 http://vibepit.internal/";
    assert_eq!(place.run(&[], ask).ok(), "200");
}

/// BOX-020: what is to be kept out cannot be read, so nothing starts that it would be kept from.
pub(super) fn without_its_rules_nothing_starts(place: &dyn Place) {
    place.person(
        "umask 077; d=$XDG_STATE_HOME/vibepit/decisions; mkdir -p $d; echo 'deny = [' > $d/global.toml",
    );
    let ran = place.run(&["--allow", "unlisted.test"], "echo started");
    assert_eq!(ran.stdout, "", "{ran:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("global.toml"), "{ran:?}");
    place.person("rm $XDG_STATE_HOME/vibepit/decisions/global.toml");
}

/// BOX-021: where there is neither an engine nor a kernel that parts anything off, nothing starts.
pub(super) fn nothing_starts_that_is_not_parted_off(place: &dyn Place) {
    if !require("unshare") {
        return;
    }
    let run = format!(
        "echo 0 > /proc/sys/user/max_user_namespaces && exec {} run -- echo ran",
        crate::support::binary().display()
    );
    for (runtime, named) in [
        ("auto", "/nonexistent/docker.sock"),
        ("local", "user.max_user_namespaces"),
    ] {
        let mut forbidding = place.command("unshare".as_ref());
        forbidding
            .env("VIBEPIT_RUNTIME", runtime)
            .env("DOCKER_HOST", "unix:///nonexistent/docker.sock")
            .args(["--user", "--map-root-user", "sh", "-c", &run]);
        let ran = Ran::of(&mut forbidding);
        assert_eq!(
            (ran.code, &*ran.stdout),
            (Some(1), ""),
            "{runtime}: {ran:?}"
        );
        assert!(ran.stderr.contains(named), "{runtime}: {ran:?}");
    }
}
