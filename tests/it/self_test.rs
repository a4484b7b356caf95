//! The self-attack before a session starts: when it is made, and what comes of a sandbox that does not
//! hold.

use std::fs;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::docker::NO_NAMES;
use crate::doctor::{findings, json, scratch, vibepit};
use crate::support::{Bench, Ran, engine, require};

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
