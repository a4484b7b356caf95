//! Sessions that outlive the terminal, and commands in them.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::Place;
use crate::cli_terminal::Terminal;
use crate::support::{Ran, Running};

fn status(place: &dyn Place) -> Value {
    serde_json::from_str(&place.cli(&["status", "--json"]).ok()).expect("JSON")
}

pub(super) fn up_exec_down(place: &dyn Place) {
    let up = place.cli(&["up", "--name", "kept"]).ok();
    let session = place.session();
    assert_eq!(
        up,
        format!("{} kept\n", session["id"].as_str().expect("an id"))
    );
    // Once more changes nothing.
    let again = place.cli(&["up"]);
    assert_eq!((again.code, &again.stdout), (Some(0), &up), "{again:?}");
    place.session();

    let ran = place.cli(&["exec", "--", "sh", "-c", "echo out; echo err >&2; exit 9"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(9), "out\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("err\n"), "{ran:?}");
    let pwd = place
        .cli(&["exec", "--env", "A=b c", "--", "sh", "-c", "pwd; echo $A"])
        .ok();
    assert_eq!(pwd, format!("{}\nb c\n", place.project().display()));
    place
        .cli(&["exec", "--", "sh", "-c", "echo stays > /tmp/file"])
        .ok();
    assert_eq!(
        place.cli(&["exec", "--", "cat", "/tmp/file"]).ok(),
        "stays\n"
    );
    let proxied = place
        .cli(&["exec", "--", "sh", "-c", "echo $https_proxy"])
        .ok();
    assert!(proxied.starts_with("http://127.86.80.1:3128"), "{proxied}");
    let walls = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status";
    let walls = place.cli(&["exec", "--", "sh", "-c", walls]).ok();
    assert_eq!(
        walls,
        "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n"
    );

    place.cli(&["down"]).ok();
    place.is_clean();
    let again = place.cli(&["down"]);
    assert_eq!(again.code, Some(0), "{again:?}");
    let none = place.cli(&["exec", "--", "true"]);
    assert_eq!(none.code, Some(3), "{none:?}");
}

pub(super) fn exec_streams_and_signals(place: &dyn Place) {
    place.cli(&["up"]).ok();
    let mut child = place
        .vibepit()
        .args(["exec", "--", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its input");
    let input: Vec<u8> = (0..3_000_000_u32).map(|at| (at % 251) as u8).collect();
    let typed = input.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&typed).expect("it is read"));
    let output = child.wait_with_output().expect("its end");
    writer.join().expect("all was read");
    assert!(output.stdout == input, "{} bytes", output.stdout.len());

    // A signal reaches it, also while it reads nothing of a full input.
    let script = "trap 'echo caught; exit 40' INT; echo ready; while :; do sleep 1; done";
    let mut command = place.vibepit();
    let mut running = Running::spawn(command.args(["exec", "--", "sh", "-c", script]));
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGINT);
    assert_eq!(running.line(), "caught");
    assert_eq!(running.wait().code(), Some(40));

    // A terminal that goes away takes its command with it.
    let mark = place.project().join("ended");
    let script = format!(
        "trap 'echo > {}; exit' HUP; echo ready; while :; do sleep 1; done",
        mark.display()
    );
    let mut command = place.vibepit();
    let mut running = Running::spawn(command.args(["exec", "--", "sh", "-c", &script]));
    assert_eq!(running.line(), "ready");
    let watch = "while ! test -e ended; do sleep 0.05; done; echo seen";
    let mut command = place.vibepit();
    let mut watching = Running::spawn(command.args(["exec", "--", "sh", "-c", watch]));
    running.signal(Signal::SIGKILL);
    running.wait();
    assert_eq!(watching.line(), "seen");
    watching.wait();
    place.bring();
    fs::remove_file(mark).expect("the mark");
    place.cli(&["down"]).ok();
}

pub(super) fn run_joins(place: &dyn Place) {
    place.cli(&["up"]).ok();
    place
        .cli(&["exec", "--", "sh", "-c", "echo there > /tmp/mark"])
        .ok();
    let joined = place.run(&["--env", "B=c"], "cat /tmp/mark; echo $B; exit 5");
    assert_eq!(
        (joined.code, joined.stdout.as_str()),
        (Some(5), "there\nc\n"),
        "{joined:?}"
    );
    assert!(
        joined.stderr.contains("stays until vibepit down"),
        "{joined:?}"
    );
    // What shapes a session cannot be had from one that is there.
    let refused = place.run(&["--allow", "a.test"], "true");
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(
        refused.stderr.contains("--allow") && refused.stderr.contains("--new"),
        "{refused:?}"
    );
    let own = place.run(
        &["--new", "--allow", "a.test"],
        "test -e /tmp/mark || echo own",
    );
    assert_eq!(own.stdout, "own\n", "{own:?}");
    place.cli(&["down"]).ok();
}

/// `vibepit connect` on a terminal.
fn connect(place: &dyn Place, terminal: &Terminal, arguments: &[&str]) -> std::process::Child {
    let mut command = place.vibepit();
    command
        .env("TERM", "xterm")
        .arg("connect")
        .args(arguments)
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio());
    command.spawn().expect("vibepit runs")
}

pub(super) fn shell_outlives_its_terminal(place: &dyn Place) {
    place.cli(&["up"]).ok();
    let mut first = Terminal::new();
    let mut client = connect(place, &first, &[]);
    first.types("a=kept; stty size; test -t 0 && echo on-a-$((40 + 2))-terminal\n");
    first.shows("on-a-42-terminal");
    assert_eq!(status(place)["shells"][0]["joined"], 1);
    // The terminal goes away.
    kill(pid(&client), Signal::SIGKILL).expect("a signal");
    client.wait().expect("its end");

    let mut second = Terminal::new();
    let mut client = connect(place, &second, &[]);
    second.types("echo $a-$((40 + 3))\n");
    second.shows("kept-43");
    // Another terminal sees the same shell, and a new one is another.
    let mut third = Terminal::new();
    let mut other = connect(place, &third, &["1"]);
    third.shows("kept-43");
    second.types("echo seen-by-$((40 + 4))\n");
    third.shows("seen-by-44");
    let mut fourth = Terminal::new();
    let mut new = connect(place, &fourth, &["--new"]);
    fourth.types("echo [$a]-$((40 + 5)); exit 7\n");
    fourth.shows("[]-45");
    assert_eq!(new.wait().expect("its end").code(), Some(7));
    assert_eq!(status(place)["shells"].as_array().map(Vec::len), Some(1));

    second.types("exit 3\n");
    for client in [&mut client, &mut other] {
        assert_eq!(client.wait().expect("its end").code(), Some(3));
    }
    let none = Ran::of(place.vibepit().args(["connect", "9"]).stdin(Stdio::null()));
    assert_eq!(none.code, Some(2), "{none:?}");
    place.cli(&["down"]).ok();
}

fn pid(child: &std::process::Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).expect("a pid"))
}

pub(super) fn killed_launcher(place: &dyn Place) {
    place.cli(&["up"]).ok();
    let launcher = place.session()["pid"].as_i64().expect("a pid");
    let launcher = Pid::from_raw(i32::try_from(launcher).expect("a pid"));
    kill(launcher, Signal::SIGKILL).expect("a signal");
    // As whoever notices: a command ends, and down and prune take the rest away.
    let _ = place.cli(&["exec", "--", "true"]);
    place.cli(&["down"]).ok();
    let pruned = Ran::of(place.vibepit().arg("prune"));
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
}
