//! `run --prompt`: what waits is asked about in the terminal that the command runs in.

use std::process::{Child, Stdio};

use crate::cli_terminal::Terminal;
use crate::docker::{origin, reachable};
use crate::support::{Bench, Ran, require};

/// `vibepit run --prompt -- sh -c SCRIPT` on a terminal, its output there or elsewhere.
fn prompting(bench: &Bench, terminal: &Terminal, stdout: Stdio, script: &str) -> Child {
    let mut command = bench.vibepit();
    command
        .env("TERM", "xterm")
        .args(["run", "--prompt", "--", "sh", "-c", script])
        .stdin(terminal.stdio())
        .stdout(stdout)
        .stderr(terminal.stdio());
    command.spawn().expect("vibepit runs")
}

/// What vibepit says and what the command prints then: either may come first.
#[track_caller]
fn shows_both(terminal: &mut Terminal, said: &str, printed: &str) {
    let before = terminal.shows(said);
    if !before.contains(printed) {
        terminal.unsee(&before);
        terminal.shows(printed);
    }
}

#[test]
fn one_key_lets_a_request_go_on_and_another_one_refuses() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&config);
    let origin = origin();
    let port = origin.port();
    let script = format!(
        "curl -sS http://origin.test:{port}/x; echo; read next; \
         curl -sS -o /dev/null -w '[%{{http_code}}]' http://other.test:{port}/; \
         read typed; echo \"typed $typed\"; exit 9"
    );
    let mut terminal = Terminal::new();
    let mut command = prompting(&bench, &terminal, terminal.stdio(), &script);

    let asked = terminal.shows("s(kip) ? ");
    for part in [
        format!("origin.test:{port} is asked for and waits (http, 1 waiting, "),
        "a(llow) p(roject) g(lobal) o(nce) d(eny)".to_owned(),
    ] {
        assert!(asked.contains(&part), "{part}: {asked}");
    }
    assert_eq!(origin.requests().len(), 0);
    // No answer, and the question stays.
    terminal.types("x");
    terminal.shows("\u{7}");
    terminal.types("a");
    shows_both(
        &mut terminal,
        &format!("origin.test:{port}: allowed until the session ends"),
        "GET /x HTTP/1.1",
    );
    // Not before: what is printed waits while something is asked.
    terminal.types("next\r");

    let asked = terminal.shows("s(kip) ? ");
    assert!(asked.contains("other.test"), "{asked}");
    terminal.types("d");
    shows_both(&mut terminal, "denied once", "[403]");

    // What is typed while nothing is asked is the command's.
    terminal.types("words\r");
    terminal.shows("typed words");
    assert_eq!(command.wait().expect("its end").code(), Some(9));
    bench.is_clean();
}

#[test]
fn a_question_that_somebody_answers_elsewhere_goes_and_so_does_one_that_is_left() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&config);
    let origin = origin();
    let target = format!("origin.test:{}", origin.port());
    let script = format!("curl -sS http://{target}/one; curl -sS http://{target}/two");
    let mut terminal = Terminal::new();
    // The command has no terminal: its output goes elsewhere. The question is in ours all the same.
    let mut command = prompting(&bench, &terminal, Stdio::piped(), &script);
    terminal.shows("s(kip) ? ");
    bench
        .cli(&["approve", "origin.test", "--scope", "once"])
        .ok();
    terminal.shows(&format!("{target}: approved by uid:"));
    terminal.shows("s(kip) ? ");
    terminal.types("s");
    terminal.shows("still waits; in another terminal: vibepit approve ");
    bench.cli(&["approve", "origin.test"]).ok();
    let mut said = String::new();
    let mut stdout = command.stdout.take().expect("its output");
    std::io::Read::read_to_string(&mut stdout, &mut said).expect("text");
    assert_eq!(said, "GET /one HTTP/1.1GET /two HTTP/1.1");
    assert_eq!(command.wait().expect("its end").code(), Some(0));
    bench.is_clean();
}

#[test]
fn a_command_that_ends_leaves_no_question_behind() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&format!("{config}approval_timeout = \"24h\"\n"));
    let script = "curl -sS -m 3 http://one.test/; exit 5";
    let mut terminal = Terminal::new();
    let mut command = prompting(&bench, &terminal, terminal.stdio(), script);
    terminal.shows("s(kip) ? ");
    // Nobody answers, and curl gives up.
    assert_eq!(command.wait().expect("its end").code(), Some(5));
    bench.is_clean();
}

#[test]
fn without_a_terminal_nobody_can_be_asked_in_it() {
    let bench = Bench::new("");
    let ran = bench.cli(&["run", "--prompt", "--", "true"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("vibepit pending --watch"), "{ran:?}");
}

/// APP-030.
#[test]
fn where_nobody_can_be_asked_a_session_refuses_at_once_and_says_at_its_end_what() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new("");
    let own = bench.home.config().join("vibepit/config.toml");
    std::fs::write(own, config).expect("a configuration that does not say whether to ask");
    let script = "curl -sS -w '%{http_code} ' -o /dev/null -o /dev/null -o /dev/null http://origin.test:81/ \
                  http://origin.test:81/ http://other.test/; exit 7";
    let ran = Ran::of(
        bench
            .vibepit()
            .env("CI", "true")
            .args(["run", "--", "sh", "-c", script]),
    );
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(7), "403 403 403 "),
        "{ran:?}"
    );
    for part in [
        "origin.test:81 (2 times): run --allow 'origin.test:81' lets it through",
        "other.test:80 (1 times)",
    ] {
        assert!(ran.stderr.contains(part), "{part}: {ran:?}");
    }
    bench.is_clean();
}
