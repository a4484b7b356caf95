//! Sessions that are not brought to their end: a launcher, a proxy or an engine's helper that is
//! killed. The sandbox reaches nothing then, and nothing of it stays for ever.

use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::docker::{NO_NAMES, origin, reachable};
use crate::support::engine::{self, Happenings};
use crate::support::{Bench, START, Shell, require};

/// `vibepit prune`, and nothing is left; it says what it removed.
#[track_caller]
fn prune(bench: &Bench) -> String {
    let said = bench.cli(&["prune"]).ok();
    bench.is_clean();
    said
}

/// Waits until a container is gone or has stopped: what happened before the call counts.
#[track_caller]
fn stopped(name: &str) {
    let answer = engine::call("POST", &format!("/containers/{name}/wait"), b"");
    assert!([200, 404].contains(&answer.status()), "{}", answer.text());
}

/// The process id of a container's first process.
fn pid_of(container: &str) -> Pid {
    let pid = engine::inspect(container)["State"]["Pid"].as_i64();
    Pid::from_raw(i32::try_from(pid.expect("a pid")).expect("a pid"))
}

fn parent_of(pid: Pid) -> Pid {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"));
    Pid::from_raw(parent.expect("a parent").trim().parse().expect("a pid"))
}

#[test]
fn a_launcher_that_is_killed_while_it_starts_leaves_what_prune_finds() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    for (what, role) in START {
        let mut happenings = Happenings::of(&bench.label());
        let mut session = bench.start(&[], &["sh", "-c", "read forever"]);
        happenings.until(what, role);
        session.signal(Signal::SIGKILL);
        session.wait();
        assert!(!bench.left().is_empty(), "{what} {role}");
        let said = prune(&bench);
        for thing in ["container vibepit-", "session "] {
            assert!(said.contains(thing), "{what} {role}: {said}");
        }
    }
}

#[test]
fn a_launcher_that_is_killed_takes_the_proxy_along_and_the_sandbox_has_no_way_out() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&config);
    let origin = origin();
    let target = format!("origin.test:{}", origin.port());
    // It goes on until it is refused, and writes down how.
    let script = format!(
        "trap '' HUP; curl -sS http://{target}/first && echo; cat >/dev/null; \
         while curl -sS -m 50 http://{target}/again; do :; done >out 2>&1; mv out done"
    );
    let mut happenings = Happenings::of(&bench.label());
    let mut session = bench.start(&["--allow", &target], &["sh", "-c", &script]);
    assert_eq!(session.line(), "GET /first HTTP/1.1");
    let proxy = format!("vibepit-{}-proxy", bench.session());
    session.signal(Signal::SIGKILL);
    session.wait();
    stopped(&proxy);
    happenings.until("die", "sandbox");
    let said = fs::read_to_string(bench.project().join("done")).expect("how it was refused");
    assert!(said.contains("curl: ("), "{said}");
    assert!(bench.sessions().is_empty(), "a dead session is not listed");
    prune(&bench);
}

#[test]
fn the_next_run_takes_away_what_a_killed_launcher_left() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    // It does not end by itself.
    let mut session = bench.start(&[], &["sh", "-c", "echo runs; exec sleep 1000"]);
    assert_eq!(session.line(), "runs");
    let dead = bench.session();
    session.signal(Signal::SIGKILL);
    session.wait();
    stopped(&format!("vibepit-{dead}-proxy"));
    assert!(engine::containers(&bench.label()).contains(&format!("vibepit-{dead}-sandbox")));
    assert_eq!(bench.run(&[], "echo next").ok(), "next\n");
    bench.is_clean();
}

#[test]
fn prune_leaves_sessions_that_run_alone() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let mut shell = bench.shell(&[]);
    let before = bench.left();
    assert_eq!(bench.cli(&["prune", "--json"]).code, Some(0));
    assert_eq!(bench.left(), before);
    assert_eq!(shell.ask("echo still here"), "still here\n");
    assert_eq!(shell.end().0, Some(0));
    bench.is_clean();
}

#[test]
fn when_the_proxy_dies_the_person_is_told_and_the_sandbox_reaches_nothing() {
    if !require("docker") || !require("root") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&config);
    let origin = origin();
    let target = format!("origin.test:{}", origin.port());
    let mut shell = bench.shell(&["--allow", &target]);
    let fetch = format!("curl -sS -m 50 http://{target}/; echo \" $?\"");
    assert_eq!(shell.ask(&fetch), "GET / HTTP/1.1 0\n");
    let proxy = format!("vibepit-{}-proxy", bench.session());
    kill(pid_of(&proxy), Signal::SIGKILL).expect("a signal");
    shell.warns(|line| line.contains("the proxy ended"));
    let refused = shell.ask(&fetch);
    assert!(refused.starts_with("curl: ("), "{refused}");
    assert_eq!(origin.requests().len(), 1);
    assert_eq!(shell.end().0, Some(0));
    bench.is_clean();
}

#[test]
fn a_sandbox_that_is_killed_ends_the_session() {
    if !require("docker") || !require("root") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    for victim in [|first: Pid| first, parent_of] {
        let mut session = bench.start(&[], &["sh", "-c", "echo runs; exec sleep 1000"]);
        assert_eq!(session.line(), "runs");
        let first = pid_of(&format!("vibepit-{}-sandbox", bench.session()));
        // The container's first process, then the engine's process that watches over it.
        kill(victim(first), Signal::SIGKILL).expect("a signal");
        let status = session.wait();
        assert!(status.code().is_some_and(|code| code != 0), "{status}");
        bench.is_clean();
    }
}

#[test]
fn without_the_engine_a_running_session_is_still_commanded() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let shell = bench.shell(&[]);
    let socket = Path::new("/nonexistent/docker.sock");
    let cut_off = |arguments: &[&str]| {
        let mut vibepit = bench.vibepit();
        vibepit
            .env("DOCKER_HOST", format!("unix://{}", socket.display()))
            .args(arguments);
        crate::support::Ran::of(&mut vibepit)
    };
    assert!(cut_off(&["sessions"]).ok().contains("docker"));
    cut_off(&["allow", "allowed.example"]).ok();
    assert!(cut_off(&["rules"]).ok().contains("allowed.example"));
    for command in ["logs", "status", "connections"] {
        cut_off(&[command]).ok();
    }
    let ran = cut_off(&["run", "--new", "--", "true"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in ["/nonexistent/docker.sock", "DOCKER_HOST", "start Docker"] {
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    // Prune does what it can, and says what it could not look at.
    let pruned = cut_off(&["prune"]);
    assert!(
        pruned.stderr.contains("/nonexistent/docker.sock"),
        "{pruned:?}"
    );
    let rules: Value =
        serde_json::from_str(&bench.cli(&["rules", "--json"]).ok()).expect("still commanded");
    assert!(rules.to_string().contains("allowed.example"), "{rules}");
    let ended: Shell = shell;
    assert_eq!(ended.end().0, Some(0));
    bench.is_clean();
}
