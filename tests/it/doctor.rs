//! `vibepit doctor`, and the self-attack in it.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::docker::NO_NAMES;
use crate::support::{Bench, Home, Ran, engine, require};

/// What is tried, by the names that scripts know. None may go missing.
const TRIES: [&str; 52] = [
    "abstract-sockets",
    "arrivals",
    "beside-the-doors",
    "bpf",
    "device-nodes",
    "devices",
    "direct",
    "dns-elsewhere",
    "dns-unlisted",
    "engine-ports",
    "environment",
    "gateways",
    "home",
    "host-loopback",
    "host-processes",
    "host-sockets",
    "io-uring",
    "ipv6",
    "joining-namespaces",
    "kernel-memory",
    "kernel-settings",
    "keyrings",
    "links",
    "metadata",
    "modules",
    "mounts",
    "multicast",
    "namespaces",
    "new-namespaces",
    "open-files",
    "other-homes",
    "other-sessions",
    "packet-sockets",
    "perf",
    "privileges",
    "proc-roots",
    "project-settings",
    "proxy-outside",
    "proxy-to-control",
    "proxy-to-host",
    "proxy-to-itself",
    "proxy-to-metadata",
    "raw-sockets",
    "roots-files",
    "routes",
    "setuid",
    "sockets-anywhere",
    "system-files",
    "this-machine",
    "userfaultfd",
    "vibepit-files",
    "vsock",
];

/// The lines that are about nothing on some machines and on some runtimes.
const MAY_NOT_APPLY: [&str; 6] = [
    "gateways",
    "home",
    "other-homes",
    "other-sessions",
    "proxy-outside",
    "setuid",
];

/// The lines that are about what of this machine is mounted, and say nothing where nothing is.
pub(crate) const ABOUT_MOUNTS: [&str; 4] =
    ["home", "other-homes", "project-settings", "vibepit-files"];

/// What `doctor --json` said of a sandbox: all was tried, and all was held.
#[track_caller]
pub(crate) fn all_held(ran: &Ran, runtime: &str) -> BTreeMap<String, (String, String)> {
    all_held_but(ran, runtime, &[])
}

/// The same without some of the lines, which are not tried there.
#[track_caller]
pub(crate) fn all_held_but(
    ran: &Ran,
    runtime: &str,
    left_out: &[&str],
) -> BTreeMap<String, (String, String)> {
    let answer = json(ran);
    assert_eq!(answer["attack"]["error"], Value::Null, "{answer}");
    assert_eq!(answer["attack"]["runtime"], runtime, "{answer}");
    let findings = findings(&answer["attack"]["findings"]);
    let names: Vec<&str> = findings.keys().map(String::as_str).collect();
    let mut tries = TRIES.to_vec();
    tries.retain(|name| !left_out.contains(name));
    assert_eq!(names, tries);
    let fits = |name: &str, outcome: &str| {
        outcome == "held" || outcome == "not_applicable" && MAY_NOT_APPLY.contains(&name)
    };
    let open = findings
        .iter()
        .filter(|(name, (outcome, _))| !fits(name, outcome));
    let open: Vec<String> = open.map(|line| format!("{line:?}")).collect();
    assert!(open.is_empty(), "{}", open.join("\n"));
    assert_eq!((&answer["ok"], ran.code), (&Value::Bool(true), Some(0)));
    findings
}

/// The binary with a temporary directory of the bench's own, so that what is left in it shows.
pub(crate) fn vibepit(bench: &Bench) -> Command {
    let mut command = bench.vibepit();
    command.env("TMPDIR", scratch(bench));
    command
}

pub(crate) fn scratch(bench: &Bench) -> PathBuf {
    let beside = bench.home.runtime();
    let scratch = beside.parent().expect("the base").join("tmp");
    fs::create_dir_all(&scratch).expect("a directory");
    scratch
}

pub(crate) fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The outcome and what was seen, by name.
pub(crate) fn findings(list: &Value) -> BTreeMap<String, (String, String)> {
    let text = |finding: &Value, field: &str| {
        let text = finding[field].as_str().map(str::to_owned);
        text.unwrap_or_else(|| panic!("{field} of {finding}"))
    };
    let list = list.as_array().expect("findings").iter();
    list.map(|finding| {
        (
            text(finding, "name"),
            (text(finding, "outcome"), text(finding, "seen")),
        )
    })
    .collect()
}

/// PIV-010, PIV-014, PIV-015, CTL-002, CTL-003, CTL-006, CTL-007, CTL-010, CTL-013, UDS-002,
/// UDS-010, BOX-011, BOX-012.
#[test]
fn a_sandbox_on_docker_holds_whatever_is_tried_and_nothing_of_the_trial_stays() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    // Somebody else's session, which the sandbox is not to reach either.
    let other = bench.shell(&["--name", "other"]);
    let ran = Ran::of(vibepit(&bench).args(["doctor", "--json", "--runtime", "docker"]));
    let findings = all_held(&ran, "docker");
    for name in ["other-sessions", "gateways", "proxy-outside"] {
        assert_eq!(findings[name].0, "held", "{name}");
    }

    assert_eq!(other.end().0, Some(0));
    bench.is_clean();
    assert_eq!(
        fs::read_dir(scratch(&bench)).expect("a directory").count(),
        0
    );
    let scratch = scratch(&bench).display().to_string();
    let volumes = engine::get("/volumes").to_string();
    assert!(!volumes.contains(&scratch), "{volumes}");
    // Nor does it leave a trace among what the person decided and did.
    let state = bench.home.state_files();
    assert!(!state.contains("self-test.json"), "{state:?}");
    assert_eq!(
        state.iter().filter(|file| file.ends_with(".jsonl")).count(),
        2,
        "{state:?}"
    );
}

#[test]
fn doctor_says_each_thing_on_a_line_and_what_to_do_below_it() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let said = Ran::of(vibepit(&bench).args(["doctor", "--runtime", "docker"])).ok();
    for begins in [
        "engine\n",
        "\nkernel\n",
        "\ndirectories\n",
        "\nsessions\n",
        "\nself-attack, docker\n",
    ] {
        assert!(said.contains(begins), "{begins:?}: {said}");
    }
    let held = said.lines().filter(|line| line.starts_with("  held      "));
    assert!(held.count() >= TRIES.len() - MAY_NOT_APPLY.len(), "{said}");
    assert!(!said.contains("NOT HELD"), "{said}");
    assert!(
        said.contains("  ok        Docker ") || said.contains("  ok        rootless "),
        "{said}"
    );
    assert!(said.contains("no session runs"), "{said}");
    bench.is_clean();
}

#[test]
fn the_checks_are_data_with_names_that_stay() {
    let home = Home::new();
    let ran = Ran::of(home.vibepit().args(["doctor", "--no-attack", "--json"]));
    let answer = json(&ran);
    assert_eq!(answer["attack"], Value::Null);
    assert_eq!(answer["ok"].as_bool(), Some(ran.code == Some(0)), "{ran:?}");
    let checks = answer["checks"].as_array().expect("checks");
    let states = ["ok", "warning", "problem", "not_applicable"];
    for check in checks {
        assert!(
            states.contains(&check["state"].as_str().expect("a state")),
            "{check}"
        );
        assert!(
            check["says"].is_string() && check["group"].is_string(),
            "{check}"
        );
        let must_say = ["warning", "problem"].contains(&check["state"].as_str().expect("a state"));
        assert!(check["todo"].is_string() || !must_say, "{check}");
    }
    for name in [
        "engine",
        "user-namespaces",
        "cgroups",
        "landlock",
        "seccomp",
        "rootless-helpers",
        "runtime-directory",
        "state-directory",
        "configuration",
        "clock",
        "sessions",
    ] {
        assert!(
            checks.iter().any(|check| check["name"] == name),
            "{name}: {answer}"
        );
    }
}

#[test]
fn without_an_engine_doctor_fails_for_containers_and_names_the_next_step() {
    let home = Home::new();
    let mut command = home.vibepit();
    command
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .args(["doctor", "--runtime", "docker"]);
    let ran = Ran::of(&mut command);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let problem = ran.stdout.lines().find(|line| line.contains("problem"));
    assert!(
        problem.is_some_and(|line| line.contains("/nowhere/docker.sock")),
        "{ran:?}"
    );
    assert!(!ran.stdout.contains("self-attack"), "{ran:?}");
}

/// FS-001, FS-002.
#[test]
fn directories_that_others_get_into_are_problems_with_the_command_that_mends_them() {
    let home = Home::new();
    let place = |base: PathBuf| {
        let directory = base.join("vibepit");
        fs::create_dir_all(&directory).expect("a directory");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o755)).expect("its mode");
        directory
    };
    let (runtime, state) = (place(home.runtime()), place(home.state()));
    let ran = Ran::of(home.vibepit().args(["doctor", "--no-attack", "--json"]));
    let answer = json(&ran);
    for (name, directory) in [("runtime-directory", runtime), ("state-directory", state)] {
        let checks = answer["checks"].as_array().expect("checks");
        let check = checks
            .iter()
            .find(|check| check["name"] == name)
            .expect("a check");
        assert_eq!(check["state"], "problem", "{check}");
        let mends = format!("chmod 700 {}", directory.display());
        assert!(check.to_string().contains(&mends), "{check}");
    }
}

#[test]
fn a_session_that_runs_answers_doctor() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let shell = bench.shell(&["--name", "here"]);
    let said = bench.cli(&["doctor", "--no-attack"]).ok();
    assert!(
        said.contains("ok        session here (") && said.contains("answers on its control socket"),
        "{said}"
    );
    assert_eq!(shell.end().0, Some(0));
}

/// CTL-010, over TCP: an engine that is reached by its port is somebody else's machine.
#[test]
fn a_sandbox_on_an_engine_elsewhere_is_attacked_too_with_nothing_of_this_machine() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", port.local_addr().expect("its address"));
    thread::spawn(move || {
        for caller in port.incoming() {
            let caller = caller.expect("a caller");
            let engine = UnixStream::connect(engine::socket()).expect("the engine");
            let (mut from, mut to) = (
                caller.try_clone().expect("it"),
                engine.try_clone().expect("it"),
            );
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
            let (mut from, mut to) = (engine, caller);
            thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    let mut command = vibepit(&bench);
    command
        .env("DOCKER_HOST", address)
        .args(["doctor", "--json"]);
    let ran = Ran::of(&mut command);
    let answer = json(&ran);
    assert_eq!(answer["attack"]["error"], Value::Null, "{answer}");
    let findings = findings(&answer["attack"]["findings"]);
    for (name, (outcome, seen)) in &findings {
        assert_ne!(outcome, "not_held", "{name}: {seen}");
    }
    for name in [
        "direct",
        "gateways",
        "proxy-outside",
        "proxy-to-control",
        "privileges",
        "vsock",
        "proc-roots",
        "arrivals",
    ] {
        assert_eq!(findings[name].0, "held", "{name}");
    }
    assert!(!findings.contains_key("home"));
    assert_eq!(ran.code, Some(0));
    bench.is_clean();
    assert_eq!(
        fs::read_dir(scratch(&bench)).expect("a directory").count(),
        0
    );
}
