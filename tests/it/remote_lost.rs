//! What becomes of a session on another machine when the connection there is lost, and what reaches
//! it from this one.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::thread::yield_now;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::cli_terminal::Terminal;
use crate::remote::{Far, ssh_of};
use crate::support::{Ran, Running, Shell, engine};

/// Ends the connection of a launcher, and waits until its `ssh` has noticed.
fn lose(far: &Far, launcher: i32) {
    let ssh = ssh_of(launcher);
    far.sshd.hang_up();
    while Path::new(&format!("/proc/{ssh}")).exists() {
        yield_now();
    }
}

fn on(terminal: &Terminal, mut command: Command) -> Child {
    command
        .env("TERM", "xterm")
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio());
    command.spawn().expect("vibepit runs")
}

#[test]
fn the_command_of_a_terminal_is_the_same_one_after_the_connection_was_lost() {
    let Some(far) = Far::new() else { return };
    let mut terminal = Terminal::new();
    let mut command = far.vibepit();
    command.args(["run", "--image", &far.image.0, "--", "sh"]);
    let mut run = on(&terminal, command);
    terminal.types("a=kept; sh -c 'until [ -e /tmp/go ]; do sleep 0.1; done' &\n");
    terminal.types("echo is-$((40 + 2))\n");
    terminal.shows("is-42");
    // Three times: it is not one new connection that it has.
    for at in 3..6 {
        lose(&far, i32::try_from(run.id()).expect("a pid"));
        // Typed while there is no connection.
        terminal.types(&format!("echo $a-$((40 + {at}))\n"));
        terminal.shows(&format!("kept-4{at}"));
    }
    // What it had begun goes on, too.
    terminal.types("echo > /tmp/go; wait; echo waited-$((40 + 6)); exit 7\n");
    terminal.shows("waited-46");
    assert_eq!(run.wait().expect("its end").code(), Some(7));
    far.cli(&["pull"]).ok();
    far.bench.is_clean();
}

#[test]
fn a_command_whose_connection_is_lost_is_ended_and_says_so_and_its_session_goes_on() {
    let Some(far) = Far::new() else { return };
    far.cli(&["up", "--image", &far.image.0]).ok();
    let launcher = far.launcher();
    let script = "trap 'echo > /tmp/hung-up; exit' HUP; echo begun; while :; do sleep 0.1; done";
    let mut command = far.vibepit();
    let mut running = Running::spawn(command.args(["exec", "--", "sh", "-c", script]));
    assert_eq!(running.line(), "begun");
    lose(&far, launcher);
    let (code, said) = running.end();
    assert_eq!(code, Some(1), "{said}");
    for part in [
        "the connection to the engine was lost",
        "SIGHUP",
        "start it again",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let seen = "until [ -e /tmp/hung-up ]; do sleep 0.1; done; echo seen";
    assert_eq!(far.cli(&["exec", "--", "sh", "-c", seen]).ok(), "seen\n");

    // A shell that others could join is over as well, and a new one is there at once.
    let connect = || {
        let mut command = far.vibepit();
        command.arg("connect");
        command
    };
    let mut terminal = Terminal::new();
    let mut shell = on(&terminal, connect());
    terminal.types("echo is-$((40 + 2))\n");
    terminal.shows("is-42");
    lose(&far, launcher);
    terminal.shows("the connection to the engine was lost");
    assert_eq!(shell.wait().expect("its end").code(), Some(1));
    let told: Value = serde_json::from_str(&far.cli(&["status", "--json"]).ok()).expect("JSON");
    assert_eq!(told["shells"], serde_json::json!([]), "{told}");
    let mut terminal = Terminal::new();
    let mut shell = on(&terminal, connect());
    terminal.types("cat /tmp/hung-up; echo is-$((40 + 3)); exit 5\n");
    terminal.shows("is-43");
    assert_eq!(shell.wait().expect("its end").code(), Some(5));
    far.cli(&["down"]).ok();
    far.cli(&["pull"]).ok();
    far.bench.is_clean();
}

#[test]
fn what_others_save_on_this_machine_holds_over_there_at_once() {
    let Some(far) = Far::new() else { return };
    far.cli(&["up", "--image", &far.image.0]).ok();
    let launcher = far.launcher();
    let rules = || far.cli(&["rules"]).ok();
    let until = |holds: &dyn Fn(&str) -> bool| {
        while !holds(&rules()) {
            yield_now();
        }
    };

    // By a session of another project.
    let another = far.bench.another_project();
    let mut vibepit = far.vibepit();
    vibepit.current_dir(&another);
    vibepit.args(["run", "--image", &far.image.0, "--", "sh"]);
    let mut other = Shell::spawn(&mut vibepit);
    assert_eq!(other.ask("echo here"), "here\n");
    let save = |arguments: &[&str]| {
        let mut vibepit = far.vibepit();
        Ran::of(vibepit.current_dir(&another).args(arguments)).ok()
    };
    save(&["allow", "--scope", "global", "everywhere.example"]);
    save(&["allow", "--scope", "project", "theirs.example"]);
    until(&|rules| rules.contains("everywhere.example"));
    assert!(!rules().contains("theirs.example"));
    save(&["revoke", "everywhere.example"]);
    until(&|rules| !rules.contains("everywhere.example"));
    assert_eq!(other.end().0, Some(0));

    // While there is no connection.
    lose(&far, launcher);
    let file = far.bench.home.state().join("vibepit/decisions/global.toml");
    let write = |text: &str| {
        let new = file.with_extension("new");
        fs::write(&new, text).expect("a file");
        fs::rename(new, &file).expect("its name");
    };
    write("allow = [\"meanwhile.example\"]\n");
    until(&|rules| rules.contains("meanwhile.example"));

    // What cannot be read changes nothing, and is told.
    write("allow = 7\n");
    let warned = |said: &str| said.contains("global.toml") && said.contains("former ones hold");
    let status = || {
        let ran = far.cli(&["status"]);
        format!("{}{}", ran.stdout, ran.stderr)
    };
    while !warned(&status()) {
        yield_now();
    }
    assert!(rules().contains("meanwhile.example"));
    fs::remove_file(&file).expect("the file");
    far.cli(&["down"]).ok();
    for project in [far.bench.project(), &another] {
        let mut vibepit = far.vibepit();
        Ran::of(vibepit.current_dir(project).arg("pull")).ok();
    }
    far.bench.is_clean();
}

#[test]
fn ports_of_this_machine_are_said_not_to_be_reached_from_another_one() {
    let Some(far) = Far::with("allow_host_ports = [5432, 6379]\n") else {
        return;
    };
    let ran = far.cli(&["run", "--image", &far.image.0, "--", "ls"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines = ran.stderr.lines();
    let told = lines.filter(|line| line.contains("allow_host_ports (5432, 6379)"));
    assert_eq!(told.count(), 1, "{ran:?}");
    far.cli(&["pull"]).ok();
    far.bench.is_clean();
}

#[test]
fn down_takes_away_at_once_what_a_killed_launcher_left_over_there() {
    let Some(far) = Far::new() else { return };
    far.cli(&["up", "--image", &far.image.0]).ok();
    kill(Pid::from_raw(far.launcher()), Signal::SIGKILL).expect("a signal");
    let mut left = engine::containers(&far.bench.label());
    left.retain(|name| name.ends_with("-proxy"));
    assert_eq!(left.len(), 1, "it waits for its launcher");
    far.cli(&["down"]).ok();
    far.bench.is_clean();
    far.cli(&["pull"]).ok();
}
