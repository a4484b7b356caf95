//! What a sandbox reaches, and who reaches its control plane.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Place;
use crate::host_ports::{reaches, service};
use crate::support::Shell;
use crate::support::probe::WHATEVER_SPEAKS;

pub(super) fn refused_and_allowed(place: &dyn Place) {
    let mut shell = place.shell(&["--reject"]);
    let ask = "curl -sS -o /dev/null -w '%{http_code}\\n' -m 50 http://unlisted.test/";
    assert_eq!(shell.ask(ask), "403\n");
    place.cli(&["allow", "unlisted.test:80"]).ok();
    // No resolver knows it here: but it was let through to be looked for.
    let answer = shell.ask(ask);
    assert!(["502\n", "504\n"].contains(&answer.as_str()), "{answer}");
    place.cli(&["allow", "--tcp", "other.test:80"]).ok();
    let rules: Value = serde_json::from_str(&place.cli(&["rules", "--json"]).ok()).expect("JSON");
    let entries: Vec<_> = rules["rules"]
        .as_array()
        .expect("rules")
        .iter()
        .map(|rule| rule["entry"].as_str().expect("an entry"))
        .collect();
    assert_eq!(entries, ["unlisted.test:80", "other.test:80"]);
    let metadata = shell
        .ask("curl -sS -o /dev/null -w '%{http_code}\\n' -m 50 http://169.254.169.254/latest/");
    assert_eq!(metadata, "403\n");
    assert_eq!(shell.end().0, Some(0));
}

pub(super) fn without_a_proxy(place: &dyn Place) {
    let mut shell = place.shell(&["--reject"]);
    let fetch = |how: &str| {
        format!(
            "unset ALL_PROXY all_proxy HTTP_PROXY http_proxy HTTPS_PROXY https_proxy; \
             curl -sS -o /dev/null -w '%{{http_code}} %{{errormsg}}\\n' -m 50 {how} 2>/dev/null"
        )
    };
    let unknown = shell.ask(&fetch("http://known.test/"));
    assert!(unknown.contains("Could not resolve host"), "{unknown}");
    let socks = fetch("--proxy socks5h://127.86.80.1 http://known.test/");
    let refused = shell.ask(&socks);
    assert!(
        refused.contains("(2)") || refused.contains("not allowed"),
        "{refused}"
    );
    place.cli(&["allow", "known.test"]).ok();
    // It goes as far as to where no resolver knows it.
    let plain = shell.ask(&fetch("http://known.test/"));
    assert!(
        plain.starts_with("502") || plain.starts_with("504"),
        "{plain}"
    );
    let tls = shell.ask(&fetch("-k https://known.test/"));
    assert!(tls.contains("internal error"), "{tls}");
    let socks = shell.ask(&socks);
    assert!(
        socks.contains("(4)") || socks.contains("unreachable"),
        "{socks}"
    );
    let other = shell.ask(&fetch("-H 'Host: other.test' http://known.test/"));
    assert!(other.starts_with("403"), "{other}");
    assert_eq!(shell.end().0, Some(0));
}

pub(super) fn ports_of_the_host(place: &dyn Place) {
    let open = service();
    place.person(&format!(
        "mkdir -p ~/ports/vibepit && \
         echo 'allow_host_ports = [{}]' > ~/ports/vibepit/config.toml",
        open.port()
    ));
    let mut command = place.vibepit();
    command.env("XDG_CONFIG_HOME", place.home().join("ports"));
    let mut shell = Shell::spawn(command.args(["run", "--", "sh"]));
    assert_eq!(shell.ask("echo here"), "here\n");
    reaches(&mut shell, &open, &|entry| place.cli(&["deny", entry]));
    assert_eq!(shell.end().0, Some(0));
}

pub(super) fn control_plane(place: &dyn Place) {
    let mut shell = place.shell(&[]);
    let session = place.session();
    assert_eq!(session["runtime"], place.runtime());
    let status: Value = serde_json::from_str(&place.cli(&["status", "--json"]).ok()).expect("JSON");
    assert_eq!(status["runtime"], place.runtime());
    let socket = session["control"]["socket"].as_str();
    assert_eq!(socket.is_some(), place.has_socket(), "{session}");
    if let Some(socket) = socket {
        let seen = shell.ask(&format!("ls {socket} 2>/dev/null; true"));
        assert_eq!(seen, "");
        let above = Path::new(socket).parent().expect("a directory").display();
        let seen = shell.ask(&format!("ls -A {above} 2>/dev/null; true"));
        assert_eq!(seen, "");
        // As another user: root is one, and somebody else is one for root.
        let other = Command::new("setpriv")
            .args([
                "--reuid",
                "54321",
                "--regid",
                "54321",
                "--clear-groups",
                "curl",
                "-sS",
            ])
            .args(["--unix-socket", socket, "http://vibepit/session"])
            .output()
            .expect("setpriv runs");
        assert!(!other.status.success(), "{other:?}");
        assert!(other.stdout.is_empty(), "{other:?}");
    }
    let sockets = shell.ask(WHATEVER_SPEAKS);
    assert_eq!(sockets, "");
    assert_eq!(shell.end().0, Some(0));
}
