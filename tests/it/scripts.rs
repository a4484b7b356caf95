//! The scripts in contrib and the gate: they do what they say, and a linter finds nothing.

use std::env;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;

use crate::support::{Origin, Proxy, Ran, Resolver, require};

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A script in a proxy's environment, with the binary under test on its PATH.
fn script(proxy: &Proxy, name: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_vibepit"));
    let mut directories = OsString::from(binary.parent().expect("a directory"));
    directories.push(":");
    directories.push(env::var_os("PATH").unwrap_or_default());
    let mut command = proxy.home.command(path("contrib/scripts").join(name));
    command.env("PATH", directories);
    command
}

fn tools() -> bool {
    ["bash", "curl", "jq"].into_iter().all(require)
}

#[test]
fn what_was_refused_is_listed_with_a_command_that_lets_it_through() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("deny = [\"denied.test\"]");
    for url in [
        "http://a.test/",
        "http://a.test/again",
        "http://a.test:8080/",
        "http://denied.test/",
        "http://127.0.0.1/",
    ] {
        assert_eq!(proxy.fetch(url).status(), 403);
    }
    let listed = Ran::of(&mut script(&proxy, "vibepit-refused")).ok();
    let lines: Vec<&str> = listed.lines().collect();
    let [loopback, _, denied, why, a, first, second] = lines[..] else {
        panic!("{listed}");
    };
    assert!(loopback.starts_with("127.0.0.1  (1 times"), "{listed}");
    assert!(denied.starts_with("denied.test  (1 times"), "{listed}");
    assert!(why.contains("denied.test:80: "), "{listed}");
    assert!(a.starts_with("a.test  (3 times"), "{listed}");
    assert_eq!(first, "    vibepit allow 'a.test:80'");
    assert_eq!(second, "    vibepit allow 'a.test:8080'");

    proxy.cli(&["allow", "a.test:80"]).ok();
    let explained = proxy.read("/explain?target=a.test:80");
    assert_eq!(explained["admission"], "allow");
}

#[test]
fn nothing_that_a_sandbox_sends_steers_the_terminal_or_the_shell() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("");
    for target in ["a\x1b[31m.test:443", "$(id).test:443", "a';id;'.test:443"] {
        let mut wire = proxy.client();
        wire.send(format!("CONNECT {target} HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert_eq!(wire.answer().status(), 400);
    }
    let listed = Ran::of(&mut script(&proxy, "vibepit-refused")).ok();
    assert_eq!(listed.lines().count(), 6, "{listed}");
    assert!(!listed.contains("vibepit allow"), "{listed}");
    let plain = |c: char| c == '\n' || c == ' ' || c.is_ascii_graphic();
    assert!(listed.chars().all(plain), "{listed:?}");
}

#[test]
fn without_a_refusal_the_list_says_so() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("");
    let listed = Ran::of(script(&proxy, "vibepit-refused").arg("proxy")).ok();
    assert_eq!(listed, "nothing was refused\n");
}

#[test]
fn a_script_fails_with_the_words_of_vibepit_where_there_is_no_such_session() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("");
    for name in ["vibepit-refused", "vibepit-top"] {
        let ran = Ran::of(script(&proxy, name).arg("nobody"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
        assert!(ran.stderr.contains("nobody"), "{ran:?}");
    }
}

#[test]
fn open_connections_are_shown_with_those_that_moved_most_first() {
    if !tools() {
        return;
    }
    let resolver = Resolver::at_loopback(&["much.test", "little.test"]);
    let proxy = Proxy::start(format!(
        "allow = [\"much.test:*\", \"little.test:*\"]\n\
         allow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let origin = Origin::echo();
    let mut open = Vec::new();
    for (name, bytes) in [("little", 3), ("much", 20_000)] {
        let mut tunnel = proxy.tunnel(&format!("{name}.test:{}", origin.port()));
        tunnel.send(vec![b'x'; bytes]);
        assert_eq!(tunnel.exactly(bytes).len(), bytes);
        open.push(tunnel);
    }
    let shown = Ran::of(script(&proxy, "vibepit-top").arg("--once")).ok();
    let rows: Vec<Vec<&str>> = shown
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0], ["UP", "DOWN", "AGE", "DOOR", "TARGET"]);
    let moved = |row: &[&str]| row[..4].join(" ");
    assert_eq!(moved(&rows[1]), "20 kB 20 kB", "{shown}");
    assert_eq!(moved(&rows[2]), "3 B 3 B", "{shown}");
    assert!(rows[1][7].starts_with("much.test:"), "{shown}");
    assert_eq!(rows.len(), 3, "{shown}");
}

#[test]
fn the_live_view_ends_with_its_session() {
    if !tools() {
        return;
    }
    let mut proxy = Proxy::start("");
    let mut top = script(&proxy, "vibepit-top")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the script starts");
    let mut first = [0];
    std::io::Read::read_exact(top.stdout.as_mut().expect("its output"), &mut first)
        .expect("a first picture");
    proxy.signal(Signal::SIGTERM);
    assert!(proxy.wait().success());
    let ended = top.wait_with_output().expect("its end");
    assert!(ended.status.success(), "{ended:?}");
    assert_eq!(ended.stderr, b"the session has ended\n");
}

#[test]
fn the_linter_finds_nothing_in_a_shell_script() {
    if !require("shellcheck") {
        return;
    }
    for name in [
        ".ci/run",
        "contrib/bench/run",
        "contrib/docs/record",
        "contrib/scripts/vibepit-choose",
        "contrib/scripts/vibepit-notify",
        "contrib/scripts/vibepit-pending-count",
        "contrib/scripts/vibepit-refused",
        "contrib/scripts/vibepit-top",
    ] {
        let ran = Ran::of(Command::new("shellcheck").arg(path(name)));
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stdout);
    }
}

#[test]
fn what_waits_is_counted_and_chosen_with_the_scripts() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("unlisted_domain_behavior = \"request_approval\"");
    let count = || Ran::of(&mut script(&proxy, "vibepit-pending-count")).ok();
    assert_eq!(count(), "");
    let mut events = proxy.events(None);
    let mut clients = Vec::new();
    for target in ["one.test:443", "two.test:22"] {
        let mut client = proxy.client();
        client.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ));
        events.until("domain-request-added");
        clients.push(client);
    }
    assert_eq!(count(), "vibepit: 2 waiting\n");
    let mut choose = script(&proxy, "vibepit-choose");
    choose
        .args([proxy.id(), "once"])
        .env("CHOOSER", "grep one.test");
    assert_eq!(Ran::of(&mut choose).ok(), "approved one.test (once)\n");
    assert_eq!(count(), "vibepit: 1 waiting\n");
}

#[test]
fn the_button_of_a_notification_answers_what_it_is_about() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("unlisted_domain_behavior = \"request_approval\"");
    // In the place of a desktop: it shows what it was told, and presses a button.
    let desktop = proxy.home.home().join("desktop");
    std::fs::create_dir(&desktop).expect("a directory");
    let program = desktop.join("notify-send");
    let presses = "#!/bin/sh\nprintf '%s\\n' \"$@\" >\"$SHOWN\"\necho deny\n";
    std::fs::write(&program, presses).expect("a program");
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("its mode");
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    client.send("CONNECT one.test:443 HTTP/1.1\r\nHost: one.test:443\r\n\r\n");
    let request = events.until("domain-request-added");

    let mut notify = script(&proxy, "vibepit-notify");
    let mut directories = OsString::from(&desktop);
    for (name, value) in notify.get_envs() {
        if name == "PATH" {
            directories.push(":");
            directories.push(value.unwrap_or_default());
        }
    }
    let shown = desktop.join("shown");
    notify
        .env("PATH", directories)
        .env("SHOWN", &shown)
        .env("VIBEPIT_SESSION", proxy.id())
        .env("VIBEPIT_SESSION_NAME", "a <b>name</b>")
        .env("VIBEPIT_REQUEST", request["id"].as_str().expect("an id"))
        .env("VIBEPIT_DOMAIN", "one.test")
        .env("VIBEPIT_PORT", "443");
    let said = Ran::of(&mut notify).ok();
    assert!(said.contains("denied one.test:443 once"), "{said}");
    assert_eq!(client.answer().status(), 403);
    let shown = std::fs::read_to_string(shown).expect("what was shown");
    assert!(shown.contains("one.test:443 waits"), "{shown}");
    assert!(!shown.contains('<'), "{shown}");
}
