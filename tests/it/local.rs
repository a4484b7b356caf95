//! `vibepit run` without an engine, as root and as an ordinary user: the command's streams and exit
//! code, its terminal, and what it sees of the machine.

use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};

use crate::docker::NO_NAMES;
use crate::support::local::{Local, each};
use crate::support::{Message, Origin, Ran, Shell, ok, require};

#[test]
fn the_exit_code_is_the_commands_own() {
    each(NO_NAMES, |bench| {
        for code in [0, 7, 125, 126, 127, 255] {
            let ran = bench.run(&[], &format!("exit {code}"));
            assert_eq!(ran.code, Some(code), "{ran:?}");
        }
        let killed = bench.run(&[], "kill -TERM $$");
        assert_eq!(killed.code, Some(143), "{killed:?}");
        bench.is_clean();
    });
}

#[test]
fn a_command_that_cannot_be_run_is_told_and_has_the_code_a_shell_gives_it() {
    each(NO_NAMES, |bench| {
        fs::write(bench.project().join("plain"), "no program").expect("a file");
        for (command, code) in [("no-such-program", 127), ("./plain", 126)] {
            let ran = Ran::of(bench.vibepit(&[]).args(["--", command]));
            assert_eq!(ran.code, Some(code), "{ran:?}");
            assert!(ran.stderr.contains(command), "{ran:?}");
            bench.is_clean();
        }
    });
}

#[test]
fn input_goes_through_and_the_two_outputs_stay_apart() {
    each(NO_NAMES, |bench| {
        let mut child = bench
            .vibepit(&["--quiet"])
            .args(["--", "sh", "-c", "cat; echo to stderr >&2; echo to stdout"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdin = child.stdin.take().expect("its input");
        let input = vec![b'i'; 200_000];
        let writer = std::thread::spawn(move || stdin.write_all(&input).expect("it is read"));
        let output = child.wait_with_output().expect("its end");
        writer.join().expect("all was read");
        let stdout = [&vec![b'i'; 200_000][..], b"to stdout\n"].concat();
        assert!(output.stdout == stdout, "{} bytes", output.stdout.len());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "to stderr\n");
    });
}

#[test]
fn a_large_output_arrives_whole() {
    each(NO_NAMES, |bench| {
        let script =
            "head -c 10485760 /dev/urandom >/tmp/big; sha256sum </tmp/big >&2; cat /tmp/big";
        let output = bench
            .vibepit(&["--quiet"])
            .args(["--", "sh", "-c", script])
            .output()
            .expect("the binary starts");
        let hash: String = Sha256::digest(&output.stdout)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(output.stdout.len(), 10_485_760);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(said, format!("{hash}  -\n"));
    });
}

#[test]
fn a_process_that_is_left_behind_holds_nothing_up_and_ends_with_the_sandbox() {
    each(NO_NAMES, |bench| {
        // Whoever has lost its parent is waited for by the first process.
        let orphan = "(setsid sleep 0.01 &); until [ -z \"$(ps -o stat= -C sleep)\" ]; do :; done";
        assert_eq!(bench.run(&[], orphan).code, Some(0));
        let ran = bench.run(&[], "sleep 1000 & setsid sleep 1000 & echo done");
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "done\n"));
        bench.is_clean();
    });
}

#[test]
fn the_sandbox_has_the_project_and_its_own_home_and_nothing_else_of_the_persons() {
    each(NO_NAMES, |bench| {
        let project = bench.project().display();
        fs::write(bench.home.home().join("private"), "mine").expect("a file");
        let settings = bench.project().join(".vibepit");
        fs::create_dir(&settings).expect("a directory");
        fs::write(settings.join("secret"), "hidden").expect("a file");
        fs::write(bench.project().join("source"), "text").expect("a file");
        bench.give(&bench.home.home());
        let mut shell = bench.shell(&[]);

        assert_eq!(shell.ask("pwd; cat source"), format!("{project}\ntext"));
        shell.ask("mkdir -p made/below && echo inside > made/file && mv made/file made/below/file");
        let made = bench.project().join("made/below/file");
        assert_eq!(fs::read_to_string(&made).expect("the file"), "inside\n");
        assert_eq!(fs::metadata(&made).expect("the file").uid(), bench.uid());
        assert_eq!(
            shell.ask("ls -A .vibepit; touch .vibepit/x || echo closed; rmdir .vibepit 2>/dev/null || echo held"),
            "touch: cannot touch '.vibepit/x': Read-only file system\nclosed\nheld\n"
        );
        let home = bench.home.home();
        let seen = shell.ask(&format!("ls -A {}; cat {0}/private", home.display()));
        assert!(seen.starts_with("project\ncat: "), "{seen}");
        assert_ne!(shell.ask("echo $HOME"), format!("{}\n", home.display()));
        assert_eq!(shell.ask("echo kept > ~/kept; cat ~/kept"), "kept\n");
        let tools = shell.ask("git --version; /usr/bin/python3 -c 'print(6*7)'; curl --version");
        assert!(
            tools.starts_with("git version") && tools.contains("\n42\ncurl "),
            "{tools}"
        );
        assert_eq!(shell.ask("hostname; getent hosts vibepit"), {
            "vibepit\n127.0.0.1       vibepit\n"
        });
        assert_eq!(shell.end().0, Some(0));

        // The home is the project's: the next session finds it, that of another project does not.
        assert_eq!(bench.run(&[], "cat ~/kept").ok(), "kept\n");
        let another = bench.home.home().join("another");
        fs::create_dir(&another).expect("another project");
        bench.give(&another);
        let mut elsewhere = bench.vibepit(&[]);
        elsewhere.arg(another).args(["--", "sh", "-c"]);
        elsewhere.arg("test -e ~/kept || echo empty");
        assert_eq!(Ran::of(&mut elsewhere).ok(), "empty\n");
        bench.is_clean();
    });
}

#[test]
fn variables_and_volumes_are_those_the_person_names() {
    each(NO_NAMES, |bench| {
        let home = bench.home.home();
        for name in ["one", "other"] {
            fs::create_dir(home.join(name)).expect("a directory");
            fs::write(home.join(name).join("file"), "outside\n").expect("a file");
        }
        bench.give(&home);
        let (ro, rw) = (
            format!("{}:/srv/ro:ro", home.join("one").display()),
            format!("{}:/srv/rw", home.join("other").display()),
        );
        let ran = Ran::of(
            bench
                .vibepit(&["--env", "SET=a b=c", "--env", "PASSED"])
                .env("PASSED", "on")
                .env("NOT_PASSED", "secret")
                .args(["--volume", &ro, "--volume", &rw, "--", "sh", "-c"])
                .arg(
                    "echo $SET/$PASSED/$NOT_PASSED; cat /srv/ro/file; echo in >/srv/rw/file; \
                     echo in >/srv/ro/file || echo closed",
                ),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_eq!(ran.stdout, "a b=c/on/\noutside\nclosed\n");
        let read = |name| fs::read_to_string(home.join(name).join("file")).expect("a file");
        assert_eq!((read("one").as_str(), read("other").as_str()), {
            ("outside\n", "in\n")
        });
    });
}

#[test]
fn what_is_mounted_below_a_read_only_volume_is_read_only_too() {
    if !require("user-namespaces") || !require("root") || !require("unshare") {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    let data = bench.home.home().join("data");
    fs::create_dir_all(data.join("below")).expect("a directory");
    // A mount of this test's own, which nobody else sees.
    let script = format!(
        "mount -t tmpfs none {0}/below && touch {0}/below/there && exec {1} run --quiet \
         --runtime local --volume {0}:/srv/data:ro -- sh -c 'ls /srv/data/below; \
         touch /srv/data/below/x 2>/dev/null || echo closed'",
        data.display(),
        crate::support::binary().display()
    );
    let mut unshared = bench.command("unshare");
    unshared.args(["--mount", "sh", "-c", &script]);
    assert_eq!(Ran::of(&mut unshared).ok(), "there\nclosed\n");
}

/// BOX-001, BOX-002, UDS-002.
#[test]
fn a_volume_that_holds_an_engines_socket_or_vibepits_own_files_is_refused() {
    each(NO_NAMES, |bench| {
        let run = bench.home.home().join("run");
        fs::create_dir(&run).expect("a directory");
        let _listener = UnixListener::bind(run.join("docker.sock")).expect("a socket");
        let link = bench.home.home().join("link");
        symlink(&run, &link).expect("a link");
        bench.give(&run);
        for (source, named) in [
            (run, "docker.sock"),
            (link, "docker.sock"),
            (bench.home.runtime(), "vibepit"),
            (bench.home.state(), "vibepit"),
        ] {
            let volume = format!("{}:/srv/r:ro", source.display());
            let ran = bench.run(&["--volume", &volume], "echo started");
            assert_ne!(ran.code, Some(0), "{ran:?}");
            assert_eq!(ran.stdout, "");
            assert!(ran.stderr.contains(named), "{ran:?}");
            bench.is_clean();
        }
    });
}

#[test]
fn a_project_whose_path_is_no_text_is_refused_by_name() {
    each(NO_NAMES, |bench| {
        let name = std::ffi::OsString::from_vec(b"odd\xff".to_vec());
        let odd = bench.home.home().join(name);
        fs::create_dir(&odd).expect("a directory");
        bench.give(&odd);
        let ran = Ran::of(bench.vibepit(&[]).arg(&odd).args(["--", "true"]));
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(
            ran.stderr.contains("not UTF-8") && ran.stderr.contains("odd"),
            "{ran:?}"
        );
        bench.is_clean();
    });
}

#[test]
fn a_signal_ends_the_command_and_takes_everything_away() {
    each(NO_NAMES, |bench| {
        for (signal, code) in [
            (Signal::SIGINT, 130),
            (Signal::SIGTERM, 143),
            (Signal::SIGHUP, 129),
        ] {
            let mut session = bench.start(&[], &["sh", "-c", "echo runs; exec sleep 1000"]);
            assert_eq!(session.line(), "runs");
            session.signal(signal);
            assert_eq!(session.wait().code(), Some(code), "{signal}");
            bench.is_clean();
        }
    });
}

#[test]
fn on_a_terminal_the_command_has_one_and_it_follows_the_size() {
    if !require("script") {
        return;
    }
    each(NO_NAMES, |bench| {
        let inside = "tty; until [ \"$(stty size)\" = '31 97' ]; do :; done; echo first size; \
                      until [ \"$(stty size)\" = '40 120' ]; do :; done; echo second size; exit 9";
        let mut session = at_terminal(bench, inside);
        let terminal = session.line();
        assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
        assert_eq!(session.line(), "/dev/pts/0", "one of the sandbox's own");
        assert_eq!(session.line(), "first size");
        let resized = Command::new("stty")
            .args(["-F", &terminal, "rows", "40", "cols", "120"])
            .status();
        assert!(resized.expect("stty runs").success());
        assert_eq!(session.line(), "second size");
        assert_eq!(session.end().0, Some(9));
        bench.is_clean();
    });
}

#[test]
fn keys_make_signals_and_jobs_are_controlled_at_a_terminal() {
    if !require("script") {
        return;
    }
    each(NO_NAMES, |bench| {
        // A job in the foreground has the keys, and the shell has them back when it ends.
        let inside = "set -m; trap : INT; sh -c \"echo ready; exec cat\"; echo it got $?; \
                      while read line; do [ \"$line\" = typed ] && break; done; echo heard";
        let mut session = at_terminal(bench, inside);
        session.line();
        assert_eq!(session.line(), "ready");
        session.tell("\u{3}");
        // What the terminal echoes of the key may stand before it, in the same line.
        while !session.line().ends_with("it got 130") {}
        session.tell("typed");
        while !session.line().ends_with("heard") {}
        assert_eq!(session.end().0, Some(0));
        bench.is_clean();
    });
}

/// A script at a terminal of 31 rows and 97 columns. The first line names that.
fn at_terminal(bench: &Local, inside: &str) -> Shell {
    let outside = format!(
        "tty; stty rows 31 cols 97; exec {} run --quiet --runtime local -- sh -c '{}'",
        crate::support::binary().display(),
        inside.replace('\'', "'\\''")
    );
    let mut command = bench.command("script");
    command
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .args(["-qec", &outside, "/dev/null"]);
    Shell::spawn(&mut command)
}

#[test]
fn what_the_launcher_has_open_is_not_open_in_the_sandbox() {
    each(NO_NAMES, |bench| {
        let secret = bench.home.home().join("secret");
        fs::write(&secret, "s3cret").expect("a file");
        bench.give(&secret);
        let script = format!(
            "exec 7<{} 8>/dev/null; exec {} run --quiet --runtime local -- ls /proc/self/fd",
            secret.display(),
            crate::support::binary().display()
        );
        let ran = Ran::of(bench.command("sh").args(["-c", &script]));
        // The fourth is the list itself.
        assert_eq!(ran.ok(), "0\n1\n2\n3\n");
    });
}

#[test]
fn a_session_is_commanded_from_outside_and_its_sandbox_reaches_what_is_let_through() {
    if !require("curl") {
        return;
    }
    let origin = Origin::answering_at(([127, 0, 0, 1], 0).into(), |request: &Message| {
        ok(&request.start)
    });
    let origin = origin.expect("a port of the loopback");
    let port = origin.port();
    each(
        &format!("{NO_NAMES}allow_host_ports = [{port}]\n"),
        |bench| {
            let mut shell = bench.shell(&[]);
            let sessions = bench.sessions();
            assert_eq!(sessions[0]["runtime"], "local", "{sessions:?}");
            let fetch = format!("curl -sS -m 50 http://host.vibepit:{port}/x");
            assert_eq!(shell.ask(&fetch), "GET /x HTTP/1.1");
            let refused = shell.ask("curl -sSi -m 50 http://unlisted.example/ | head -n 1");
            assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
            bench.cli(&["allow", "allowed.example"]).ok();
            bench.cli(&["allow", "--tcp", "also.example"]).ok();
            let rules = bench.cli(&["rules"]).ok();
            assert!(rules.contains("also.example"), "{rules}");
            // Allowed by now, and unreachable for want of a name server.
            let allowed = shell.ask("curl -sSi -m 50 http://allowed.example/ | head -n 1");
            assert!(!allowed.starts_with("HTTP/1.1 403 "), "{allowed}");
            assert_eq!(shell.end().0, Some(0));
            bench.is_clean();
        },
    );
}

#[test]
fn a_command_joins_the_session_of_its_project() {
    each(NO_NAMES, |bench| {
        let mut shell = bench.shell(&[]);
        shell.ask("echo seen > /tmp/mark");
        // What it is made with is the session's affair.
        let mut joins = bench.command(crate::support::binary());
        joins.args(["run", "--", "sh", "-c", "cat /tmp/mark; exit 3"]);
        let joined = Ran::of(&mut joins);
        assert_eq!(
            (joined.code, joined.stdout.as_str()),
            (Some(3), "seen\n"),
            "{joined:?}"
        );
        assert_eq!(shell.end().0, Some(0));
        bench.is_clean();
    });
}
