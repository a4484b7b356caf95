//! A session on an engine that runs without root, for an ordinary user: whose commands are
//! answered, and whose are not.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::docker::NO_NAMES;
use crate::support::{Person, Shell, binary, require};

/// A GET by somebody, over a socket.
pub(crate) fn asks(uid: u32, socket: &Path, path: &str) -> Output {
    let uid = uid.to_string();
    Command::new("setpriv")
        .args(["--reuid", &uid, "--regid", &uid, "--clear-groups"])
        .args(["curl", "-sS", "--unix-socket"])
        .arg(socket)
        .arg(format!("http://vibepit{path}"))
        .output()
        .expect("curl runs")
}

/// UDS-006 and its neighbours on an engine whose root is the person.
#[test]
fn on_an_engine_without_root_the_owner_is_answered_and_nobody_else() {
    if !require("rootless") || !require("curl") {
        return;
    }
    owner_alone(&Person::with_docker(NO_NAMES));
}

/// A session of this person's, on an engine whose root is the person.
pub(crate) fn owner_alone(person: &Person) {
    let mut vibepit = person.command(binary());
    vibepit.args(["run", "--reject", "--", "sh"]);
    let mut shell = Shell::spawn(&mut vibepit);
    // What the sandbox makes in the project is the person's.
    assert_eq!(shell.ask("echo made > file; cat file"), "made\n");
    let file = fs::metadata(person.place("home/project/file")).expect("the file");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&file), person.uid());
    let status = shell.ask("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status");
    assert_eq!(status, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
    let refused = shell.ask("curl -sSi -m 50 http://unlisted.example/ | head -n 1");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");

    let sessions: Value =
        serde_json::from_str(&person.cli(&["sessions", "--json"]).ok()).expect("JSON");
    let record = &sessions["sessions"][0];
    let id = record["id"].as_str().expect("an id").to_owned();
    let socket = PathBuf::from(record["control"]["socket"].as_str().expect("a socket"));
    person.cli(&["allow", "allowed.example"]).ok();
    person.cli(&["allow", "--tcp", "also.example"]).ok();
    assert!(person.cli(&["rules"]).ok().contains("also.example"));

    let own = asks(person.uid(), &socket, "/session");
    assert!(own.status.success(), "{own:?}");
    assert!(
        String::from_utf8_lossy(&own.stdout).contains(&id),
        "{own:?}"
    );

    // The directories keep others away; what if they did not?
    let way = || {
        socket
            .ancestors()
            .take_while(|above| *above != person.place(""))
    };
    for step in way() {
        fs::set_permissions(step, Permissions::from_mode(0o777)).expect("a mode");
    }
    let refusals = || {
        let audit = person.place(&format!("state/vibepit/audit/{id}.jsonl"));
        let audit = fs::read_to_string(audit).expect("the audit file");
        audit
            .lines()
            .filter(|line| line.contains("\"peer_refused\""))
            .count()
    };
    for (uid, lines) in [(0, 1), (65_534, 2)] {
        let other = asks(uid, &socket, "/session");
        assert!(!other.status.success(), "{uid}: {other:?}");
        assert!(other.stdout.is_empty(), "{uid}: {other:?}");
        // The log's answer to the owner means that the books are up to date.
        let own = asks(person.uid(), &socket, "/logs");
        assert!(own.status.success(), "{own:?}");
        assert_eq!(refusals(), lines, "{uid}");
    }
    for step in way() {
        fs::set_permissions(step, Permissions::from_mode(0o700)).expect("a mode");
    }
    assert_eq!(shell.end().0, Some(0));
    let pruned = person.cli(&["prune"]);
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
    assert!(!pruned.stdout.contains("container"), "{pruned:?}");
}
