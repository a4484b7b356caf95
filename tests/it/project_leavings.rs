//! What a session leaves that runs on the host by itself is pointed out at its end: a real git, a
//! real sandbox, on every runtime there is.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::docker::NO_NAMES;
use crate::project::{Runtime, runtimes};
use crate::support::{Bench, Ran, require};

/// A project that is a repository, with one commit and a hook of the person's.
fn repository() -> Bench {
    let bench = Bench::new(NO_NAMES);
    fs::write(bench.project().join("file"), "text\n").expect("a file");
    fs::write(bench.project().join(".envrc"), "use nix\n").expect("a file");
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["config", "user.name", "somebody"],
        &["config", "user.email", "somebody@example.com"],
        &["add", "."],
        &["commit", "-q", "-m", "first"],
    ] {
        git(&bench, arguments).ok();
    }
    let hook = bench.project().join(".git/hooks/commit-msg");
    fs::write(hook, "#!/bin/sh\nexit 0\n").expect("a hook");
    bench
}

fn git(bench: &Bench, arguments: &[&str]) -> Ran {
    let mut git: Command = bench.home.command("git");
    Ran::of(git.current_dir(bench.project()).args(arguments))
}

/// What is said at the end of a session, of what it left.
fn left(bench: &Bench, runtime: &Runtime, script: &str) -> Vec<String> {
    let options = [runtime.options, &["--quiet"]].concat();
    let ran = bench.run(&options, script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains('\x1b'), "{ran:?}");
    let said = ran.stderr.lines().map(str::to_owned);
    said.filter(|line| line.starts_with("warning:")).collect()
}

#[test]
fn nothing_is_said_of_a_session_that_worked_as_one_does() {
    for runtime in runtimes() {
        if !require("git") {
            return;
        }
        let bench = repository();
        let script = "set -e; echo more >> file; git commit -qam second; git checkout -qb topic; \
                      git branch -q --set-upstream-to main; git gc -q; git stash list; \
                      mkdir src; echo x > src/Makefile; git add src; git commit -qm third";
        assert_eq!(left(&bench, runtime, script), [""; 0]);
        let follows = git(&bench, &["config", "branch.topic.merge"]).ok();
        assert_eq!(follows, "refs/heads/main\n");
        let log = git(&bench, &["log", "--format=%s"]).ok();
        assert_eq!(log, "third\nsecond\nfirst\n");
        bench.is_clean();
    }
}

/// BOX-017.
#[test]
fn hooks_and_settings_that_a_session_changed_are_pointed_out_a_line_each() {
    for runtime in runtimes() {
        if !require("git") {
            return;
        }
        let bench = repository();
        let script = r#"set -e
            evil='touch /tmp/evil-was-here'
            printf '#!/bin/sh\n%s\n' "$evil" > .git/hooks/pre-commit
            chmod +x .git/hooks/pre-commit .git/hooks/commit-msg
            git config core.fsmonitor "$evil"
            git config core.hooksPath .evil
            git config core.sshCommand "$evil"
            echo '* filter=evil' > .git/info/attributes
            echo "$evil" >> .envrc
            mkdir .vscode .vibepit; echo '{}' > .vscode/tasks.json
            touch "$(printf '.git/hooks/\033]0;owned\007')"
            rm -f file"#;
        let said = left(&bench, runtime, script);
        let at = bench.project().display().to_string();
        for (begins, ends) in [
            (
                ".git/config changed while the session ran (core.fsmonitor, core.hookspath, \
                 core.sshcommand), and git",
                format!("cat -v {at}/.git/config"),
            ),
            (
                ".git/hooks/pre-commit is a new file",
                format!("cat -v {at}/.git/hooks/pre-commit"),
            ),
            (
                ".git/hooks/commit-msg changed",
                format!("cat -v {at}/.git/hooks/commit-msg"),
            ),
            (
                ".git/info/attributes is a new file",
                format!("cat -v {at}/.git/info/attributes"),
            ),
            // Not by git diff, which would run the monitor.
            (".envrc changed", format!("cat -v {at}/.envrc")),
            (
                ".vscode/tasks.json is a new file",
                format!("cat -v {at}/.vscode/tasks.json"),
            ),
            (
                ".vibepit is a new directory",
                format!("ls -la {at}/.vibepit"),
            ),
            (
                r".git/hooks/\u{1b}]0;owned\u{7} is a new file",
                format!(r"cat -v $'{at}/.git/hooks/\x1b]0;owned\x07'"),
            ),
        ] {
            let begins = format!("warning: {begins}");
            let fits = |line: &&String| line.starts_with(&begins) && line.ends_with(&ends);
            assert_eq!(said.iter().filter(fits).count(), 1, "{begins}: {said:#?}");
        }
        assert_eq!(said.len(), 8, "{said:#?}");
        // What is said is said once: the next session begins with what is there. What this one
        // made is hidden from that.
        let script = "for way in 'touch .vibepit/x' 'mv .vibepit away' 'rmdir .vibepit'; do \
                      $way 2>/dev/null || echo closed; done";
        let tried = bench.run(runtime.options, script).ok();
        assert_eq!(tried, "closed\nclosed\nclosed\n");
        assert_eq!(left(&bench, runtime, "true"), [""; 0]);
        bench.is_clean();
    }
}

#[test]
fn hooks_that_became_a_link_and_a_repository_that_was_put_elsewhere_are_pointed_out() {
    for runtime in runtimes() {
        if !require("git") {
            return;
        }
        let bench = repository();
        let said = left(
            &bench,
            runtime,
            "mv .git/hooks more; ln -s ../more .git/hooks",
        );
        assert_eq!(said.len(), 1, "{said:#?}");
        let link = "warning: .git/hooks became a link to ../more while the session ran";
        assert!(said[0].starts_with(link), "{said:#?}");

        let script = "mv .git store; echo gitdir: store > .git";
        let said = left(&bench, runtime, script);
        assert_eq!(said.len(), 1, "{said:#?}");
        let moved = "warning: .git became a file while the session ran";
        assert!(said[0].starts_with(moved), "{said:#?}");
        // From now on that is where git looks.
        let said = left(&bench, runtime, "git config core.pager evil");
        assert_eq!(said.len(), 1, "{said:#?}");
        let pager = "warning: store/config changed while the session ran (core.pager)";
        assert!(said[0].starts_with(pager), "{said:#?}");
        bench.is_clean();
    }
}

#[test]
fn a_session_that_a_signal_ends_points_it_out_too() {
    for runtime in runtimes() {
        let bench = repository();
        for (signal, code) in [
            (Signal::SIGINT, 130),
            (Signal::SIGTERM, 143),
            (Signal::SIGHUP, 129),
        ] {
            let script = format!("echo {signal} > .git/hooks/pre-push; echo runs; exec sleep 1000");
            let mut session = bench.start(runtime.options, &["sh", "-c", &script]);
            assert_eq!(session.line(), "runs");
            session.signal(signal);
            session.warns(|line| line.starts_with("warning: .git/hooks/pre-push "));
            assert_eq!(session.wait().code(), Some(code), "{signal}");
            bench.is_clean();
        }
    }
}

#[test]
fn who_ends_a_session_that_stays_is_told_what_it_left() {
    for runtime in runtimes() {
        let bench = repository();
        bench.cli(&[&["up"], runtime.options].concat()).ok();
        let script = "echo evil > .git/hooks/pre-push";
        bench.cli(&["exec", "--", "sh", "-c", script]).ok();
        let ran = bench.cli(&["--quiet", "down"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let hook = "warning: .git/hooks/pre-push is a new file";
        assert!(ran.stderr.starts_with(hook), "{ran:?}");
        bench.is_clean();
        bench.cli(&[&["up"], runtime.options].concat()).ok();
        let ran = bench.cli(&["--quiet", "down"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    }
}

#[test]
fn what_was_done_in_vain_is_pointed_out_when_the_command_fails() {
    for runtime in runtimes() {
        let bench = repository();
        let ran = bench.run(runtime.options, "rm .git/hooks/commit-msg; exit 7");
        assert_eq!(ran.code, Some(7), "{ran:?}");
        let gone = "warning: .git/hooks/commit-msg was taken away";
        assert!(ran.stderr.contains(gone), "{ran:?}");
        bench.is_clean();
    }
}
