//! `vibepit doctor`, the self-attack in it, and the gate that the self-attack is for a session's
//! start.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
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

/// What `doctor --json` said of a sandbox: all was tried, and all was held.
#[track_caller]
pub(crate) fn all_held(ran: &Ran, runtime: &str) -> BTreeMap<String, (String, String)> {
    let answer = json(ran);
    assert_eq!(answer["attack"]["error"], Value::Null, "{answer}");
    assert_eq!(answer["attack"]["runtime"], runtime, "{answer}");
    let findings = findings(&answer["attack"]["findings"]);
    let names: Vec<&str> = findings.keys().map(String::as_str).collect();
    assert_eq!(names, TRIES);
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
fn vibepit(bench: &Bench) -> Command {
    let mut command = bench.vibepit();
    command.env("TMPDIR", scratch(bench));
    command
}

fn scratch(bench: &Bench) -> PathBuf {
    let beside = bench.home.runtime();
    let scratch = beside.parent().expect("the base").join("tmp");
    fs::create_dir_all(&scratch).expect("a directory");
    scratch
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// The outcome and what was seen, by name.
fn findings(list: &Value) -> BTreeMap<String, (String, String)> {
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

/// BOX-019.
#[test]
fn the_first_session_on_an_engine_waits_for_the_self_attack_and_the_next_does_not() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let stamp = bench.home.state().join("vibepit/self-test.json");
    let tested = |options: &[&str], variable: Option<&str>| {
        let mut command = vibepit(&bench);
        command
            .env("VIBEPIT_NO_SELF_TEST", variable.unwrap_or_default())
            .args(["-v", "run"])
            .args(options)
            .args(["--", "true"]);
        let ran = Ran::of(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.stderr.contains("trying to get out of a sandbox")
    };
    assert!(!tested(&["--no-self-test"], None));
    assert!(!tested(&[], Some("1")));
    assert!(!stamp.exists(), "what was not tested is not known to hold");

    assert!(tested(&[], None));
    let mode = fs::metadata(&stamp)
        .expect("the stamp")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(&stamp).expect("the stamp");
    let known: Value = serde_json::from_str(&text).expect("JSON");
    let held = &known["held"][0];
    assert_eq!(
        (&known["version"], &held["runtime"]),
        (&1.into(), &"docker".into())
    );
    for field in ["engine", "kernel", "vibepit", "at"] {
        assert!(
            held[field].as_str().is_some_and(|text| !text.is_empty()),
            "{known}"
        );
    }
    assert!(!tested(&[], None));
    assert!(
        tested(&["--self-test"], Some("1")),
        "what is typed outranks the environment"
    );

    // Another kernel, and a file that is none: both are tested again.
    let kernel = held["kernel"].as_str().expect("a kernel");
    fs::write(&stamp, text.replace(kernel, "2.6.32")).expect("the stamp");
    assert!(tested(&[], None));
    fs::write(&stamp, "{").expect("the stamp");
    assert!(tested(&[], None));
    assert!(!tested(&[], None));
    bench.is_clean();
    assert_eq!(
        fs::read_dir(scratch(&bench)).expect("a directory").count(),
        0
    );
}

/// BOX-011, BOX-020: an engine that gives its usual capabilities where none are asked for.
#[test]
fn on_an_engine_that_does_not_close_its_containers_no_session_starts() {
    if !require("docker") || !require("root") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let weak = Weak::between(&bench.home.home().join("engine.sock"));
    let address = format!("unix://{}", weak.socket.display());
    let run = |options: &[&str]| {
        let mut command = vibepit(&bench);
        command
            .env("DOCKER_HOST", &address)
            .env("VIBEPIT_NO_SELF_TEST", "")
            .arg("run")
            .args(options)
            .args(["--", "echo", "it runs"]);
        Ran::of(&mut command)
    };
    let ran = run(&[]);
    assert!(weak.weakened.load(Ordering::Relaxed) > 0, "{ran:?}");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("warning: NOT HELD  capabilities"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("no session is started"), "{ran:?}");
    let stamp = bench.home.state().join("vibepit/self-test.json");
    assert!(!stamp.exists());
    bench.is_clean();

    let mut command = vibepit(&bench);
    command
        .env("DOCKER_HOST", &address)
        .args(["doctor", "--json"]);
    let ran = Ran::of(&mut command);
    let answer = json(&ran);
    assert_eq!((&answer["ok"], ran.code), (&Value::Bool(false), Some(1)));
    let findings = findings(&answer["attack"]["findings"]);
    for name in ["privileges", "raw-sockets"] {
        assert_eq!(findings[name].0, "not_held", "{name}: {:?}", findings[name]);
    }
    assert_eq!(findings["direct"].0, "held", "its network is still its own");

    let ran = run(&["--no-self-test"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "it runs\n"),
        "{ran:?}"
    );
    bench.is_clean();
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

/// An engine that drops no capability: the tests' own, with somebody between.
struct Weak {
    socket: PathBuf,
    weakened: Arc<AtomicUsize>,
}

/// As long as each other, so that the length of the request stays true.
const ASKED: &[u8] = b"\"CapDrop\":[\"ALL\"]";
const GIVEN: &[u8] = b"\"CapDrop\":[     ]";

impl Weak {
    fn between(socket: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a socket");
        let weakened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&weakened);
        thread::spawn(move || {
            for client in listener.incoming() {
                let client = client.expect("a connection");
                let engine = UnixStream::connect(engine::socket()).expect("the engine");
                let answers = (engine.try_clone(), client.try_clone());
                let (Ok(answers), Ok(to_client)) = answers else {
                    return;
                };
                thread::spawn(move || relay(answers, to_client, |_| 0));
                let count = Arc::clone(&count);
                thread::spawn(move || {
                    relay(client, engine, |piece| {
                        let weakened = weaken(piece);
                        count.fetch_add(weakened, Ordering::Relaxed)
                    });
                });
            }
        });
        Self {
            socket: socket.to_owned(),
            weakened,
        }
    }
}

fn relay(mut from: UnixStream, mut to: UnixStream, change: impl Fn(&mut [u8]) -> usize) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        change(&mut buffer[..count]);
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

fn weaken(piece: &mut [u8]) -> usize {
    let places: Vec<usize> = piece
        .windows(ASKED.len())
        .enumerate()
        .filter_map(|(at, found)| (found == ASKED).then_some(at))
        .collect();
    for at in &places {
        piece[*at..at + GIVEN.len()].copy_from_slice(GIVEN);
    }
    places.len()
}
