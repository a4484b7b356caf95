//! A command in a sandbox: its streams, its code, what it sees.

use std::fs;
use std::io::Write;
use std::process::Stdio;

use nix::sys::signal::Signal;

use super::Place;

pub(super) fn exit_code_and_streams(place: &dyn Place) {
    for code in [0, 7, 255] {
        let ran = place.run(&[], &format!("echo out; echo err >&2; exit {code}"));
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert_eq!(ran.stdout, "out\n");
        assert!(ran.stderr.contains("err\n"), "{ran:?}");
    }
    let mut child = place
        .vibepit()
        .args([
            "run",
            "--quiet",
            "--",
            "sh",
            "-c",
            "cat; echo \"$1\"",
            "sh",
            "a  b",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its input");
    let input = vec![b'i'; 1_000_000];
    let writer = std::thread::spawn(move || stdin.write_all(&input).expect("it is read"));
    let output = child.wait_with_output().expect("its end");
    writer.join().expect("all was read");
    let expected = [&vec![b'i'; 1_000_000][..], b"a  b\n"].concat();
    assert!(output.stdout == expected, "{} bytes", output.stdout.len());
}

pub(super) fn hears_of_children(place: &dyn Place) {
    // Before the shell has started anything: what it blocks then is what it was started with. (An
    // engine's init may block those of terminals.)
    let blocked = "while read -r field mask; do case $field in SigBlk:) echo $mask;; esac; done \
                   < /proc/$$/status";
    let blocked = place.run(&[], blocked).ok();
    let blocked = u64::from_str_radix(blocked.trim_end(), 16).expect("a mask");
    assert_eq!(
        blocked & (1 << (Signal::SIGCHLD as u32 - 1)),
        0,
        "{blocked:x}"
    );
    // It would wait for ever.
    let waits = "sleep 0.1 & wait; echo waited";
    assert_eq!(place.run(&[], waits).ok(), "waited\n");
}

pub(super) fn no_such_command(place: &dyn Place) {
    fs::write(place.project().join("plain"), "no program").expect("a file");
    let told = |way: &str| {
        for (command, code, why) in [
            ("no-such-program", 127, "there is no such program"),
            ("/no/such", 127, "there is no such program"),
            ("./plain", 126, "it is not executable"),
        ] {
            let ran = place.cli(&[way, "--", command]);
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{ran:?}");
            let sentence = format!("error: {command:?} cannot be run in the sandbox: {why}\n");
            assert!(ran.stderr.contains(&sentence), "{ran:?}");
        }
    };
    told("run");
    place.is_clean();
    place.cli(&["up"]).ok();
    told("exec");
    // A program's own code is nothing but that.
    for code in [126, 127] {
        let ran = place.cli(&["exec", "--", "sh", "-c", &format!("exit {code}")]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(!ran.stderr.contains("cannot be run"), "{ran:?}");
    }
    place.cli(&["down"]).ok();
}

pub(super) fn project_and_home(place: &dyn Place) {
    let project = place.project();
    fs::write(project.join("source"), "text\n").expect("a file");
    fs::create_dir_all(project.join(".vibepit")).expect("a directory");
    fs::write(project.join(".vibepit/secret"), "hidden").expect("a file");
    fs::write(place.home().join("private"), "mine").expect("a file");
    let mut shell = place.shell(&[]);
    let project = project.display();
    assert_eq!(shell.ask("pwd; cat source"), format!("{project}\ntext\n"));
    assert_eq!(shell.ask("echo inside > made; cat made"), "inside\n");
    assert_eq!(shell.ask("ls -A .vibepit 2>/dev/null; true"), "");
    let closed = shell.ask("touch .vibepit/x 2>/dev/null || echo closed");
    assert_eq!(closed, "closed\n");
    let private = shell.ask(&format!(
        "cat {}/private 2>/dev/null; true",
        place.home().display()
    ));
    assert_eq!(private, "");
    let status = shell.ask("grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status");
    let expected = "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n\
                    Seccomp:\t2\n";
    assert_eq!(status, expected);
    assert_eq!(shell.ask("echo kept > ~/kept; cat ~/kept"), "kept\n");
    let at_once = place.project().join("made").exists();
    assert_eq!(at_once, place.project_is_mounted());
    assert_eq!(shell.end().0, Some(0));
    place.bring();
    let made = fs::read_to_string(place.project().join("made")).expect("the file");
    assert_eq!(made, "inside\n");
    assert_eq!(place.run(&[], "cat ~/kept").ok(), "kept\n");
    fs::remove_dir_all(place.project().join(".vibepit")).expect("it goes");
}

pub(super) fn signal(place: &dyn Place) {
    let mut shell = place.shell(&[]);
    shell.signal(Signal::SIGTERM);
    assert_eq!(shell.wait().code(), Some(143));
}
