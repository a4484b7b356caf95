//! What a sandbox reaches, and who reaches its control plane.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::Place;
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
