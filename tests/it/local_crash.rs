//! Sessions without an engine that are not brought to their end: whatever is killed, nothing of the
//! sandbox goes on.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::docker::NO_NAMES;
use crate::support::local::{Local, Process, each};
use crate::support::{Shell, require};

/// A command in a sandbox that does not end by itself, and every process of its session.
fn begin(bench: &Local) -> (Shell, Vec<Process>) {
    let script =
        "trap '' HUP TERM INT; setsid sleep 1000 & sleep 1000 & echo runs; cat; sleep 1000";
    let mut session = bench.start(&[], &["sh", "-c", script]);
    assert_eq!(session.line(), "runs");
    let mut launcher = session.pid().as_raw();
    // setpriv has become vibepit by now; a launcher has children, at least the proxy.
    let processes = Process::below(launcher);
    if processes.is_empty() {
        launcher = 0;
    }
    assert_ne!(launcher, 0, "the session has processes");
    (session, processes)
}

#[track_caller]
fn one<'a>(processes: &'a [Process], what: &str) -> &'a Process {
    let found = processes
        .iter()
        .find(|process| process.line.ends_with(what));
    found.unwrap_or_else(|| panic!("no {what}"))
}

fn kill_hard(process: &Process) {
    kill(Pid::from_raw(process.pid), Signal::SIGKILL).expect("a signal");
}

#[test]
fn a_launcher_that_is_killed_takes_everything_with_it() {
    each(NO_NAMES, |bench| {
        let (mut session, processes) = begin(bench);
        assert!(processes.len() >= 6, "{}", processes.len());
        session.signal(Signal::SIGKILL);
        session.wait();
        for process in &processes {
            process.ends();
        }
        assert!(bench.sessions().is_empty(), "a dead session is not listed");
        bench.cli(&["prune"]).ok();
        bench.is_clean();
    });
}

#[test]
fn a_launcher_that_is_killed_while_it_starts_leaves_nothing_running() {
    each(NO_NAMES, |bench| {
        // From the first process on, and as soon as each of the others is there.
        for step in ["", "inside enclosure", "inside init", "proxy --stdin"] {
            let mut session = bench.start(&[], &["sh", "-c", "exec sleep 1000"]);
            let launcher = session.pid().as_raw();
            while !Process::below(launcher)
                .iter()
                .any(|process| process.line.ends_with(step))
            {}
            // Nothing is started between the look and the end.
            session.signal(Signal::SIGSTOP);
            let processes = Process::below(launcher);
            session.signal(Signal::SIGKILL);
            session.wait();
            for process in &processes {
                process.ends();
            }
        }
        bench.cli(&["prune"]).ok();
        bench.is_clean();
    });
}

#[test]
fn an_enclosure_or_an_init_that_is_killed_ends_the_session() {
    each(NO_NAMES, |bench| {
        for victim in ["inside enclosure", "inside init"] {
            let (mut session, processes) = begin(bench);
            kill_hard(one(&processes, victim));
            assert_eq!(session.wait().code(), Some(137), "{victim}");
            for process in &processes {
                process.ends();
            }
            bench.is_clean();
        }
    });
}

#[test]
fn when_the_proxy_dies_the_person_is_told_and_the_sandbox_reaches_nothing() {
    if !require("curl") {
        return;
    }
    each(NO_NAMES, |bench| {
        let mut shell = bench.shell(&[]);
        let fetch = "curl -sS -m 50 http://vibepit.internal/ >/dev/null; echo $?";
        assert_eq!(shell.ask(fetch), "0\n");
        let processes = Process::below(shell.pid().as_raw());
        let proxy = one(&processes, "proxy --stdin");
        kill_hard(proxy);
        proxy.ends();
        shell.warns(|line| line.contains("the proxy ended"));
        let refused = shell.ask(fetch);
        assert!(refused.ends_with("7\n"), "{refused}");
        assert_eq!(shell.end().0, Some(0));
        bench.is_clean();
    });
}

#[test]
fn a_start_that_is_called_off_leaves_nothing() {
    each(NO_NAMES, |bench| {
        // As early as can be, and a little later each time.
        for lines in 0..3 {
            let mut session = bench.start(&[], &["sh", "-c", "exec sleep 1000"]);
            if lines > 0 {
                session.warns(|line| line.contains("local"));
            }
            session.signal(Signal::SIGTERM);
            let status = session.wait();
            // Before it listens for signals it ends by them.
            assert!(matches!(status.code(), None | Some(143)), "{status}");
            if status.code().is_some() {
                bench.is_clean();
            }
        }
        bench.cli(&["prune"]).ok();
        bench.is_clean();
    });
}

#[test]
fn a_session_that_ends_leaves_its_audit_log_and_its_home_and_nothing_else() {
    each(NO_NAMES, |bench| {
        bench.run(&[], "echo kept > ~/kept").ok();
        bench.is_clean();
        let files = bench.home.state_files();
        assert!(
            files
                .iter()
                .any(|file| file.starts_with("homes/") && file.ends_with("/kept"))
        );
        let others = files.iter().filter(|file| !file.starts_with("homes/"));
        let others: Vec<_> = others.filter(|file| !file.starts_with("audit/")).collect();
        assert!(
            others.iter().all(|file| *file == "decisions/.lock"),
            "{others:?}"
        );
    });
}
