//! The monitor on a real terminal, and line by line, with real sessions.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;

use crate::asking::{asking, held, id, waiting};
use crate::support::{Home, Launch, Origin, Running, Tmux, binary, closed_port, require};

/// The monitor on a screen of its own.
#[track_caller]
fn monitor(home: &Home, name: &str, size: (u16, u16)) -> Tmux {
    let command = format!("exec {} monitor", binary().display());
    Tmux::start(home, name, size, &command)
}

/// Presses a key that decides until it does: what has just come takes no answer, and neither do
/// keys that follow each other faster than a person types. A second by the countdown is between.
#[track_caller]
fn decides(screen: &mut Tmux, key: &str, until: &str) -> String {
    loop {
        screen.press(&[key]);
        let refuses = ["only just come", "just gone", "none of them decides"];
        let seen = screen
            .shows(|seen| seen.contains(until) || refuses.iter().any(|words| seen.contains(words)));
        if seen.contains(until) {
            return seen;
        }
        screen.shows(|now| now != seen);
    }
}

#[test]
fn one_key_lets_a_held_request_go_on_and_another_takes_that_back() {
    if !require("tmux") {
        return;
    }
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    // What is said of its end is written behind it, and not by tmux, which tells nobody of that.
    let command = format!("{} monitor; echo ended with $?", binary().display());
    let mut screen = Tmux::start(&proxy.home, "tmux", (80, 24), &command);
    screen.shows(|seen| seen.contains("nothing waits for you"));
    let (mut client, _) = held(&proxy, &target);
    screen.shows(|seen| seen.contains(&target) && seen.contains("1 waits"));
    let seen = decides(&mut screen, "a", "allowed until the session ends");
    assert!(seen.contains("u takes it back"), "{seen}");
    assert_eq!(client.head().status(), 200);
    proxy.tunnel(&target);
    screen.shows(|seen| seen.contains("2 times"));
    // Keys that follow each other faster than a person types decide nothing, and nothing on the
    // screen moves by which they could be kept apart: looking at it takes long enough.
    let taken_back = (0..20).any(|_| {
        let looked = (0..10).any(|_| screen.screen().contains("is taken back"));
        if !looked {
            screen.press(&["u"]);
        }
        looked
    });
    assert!(taken_back, "{}", screen.screen());
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
    let (_client, _) = held(&proxy, &target);
    decides(&mut screen, "d", "denied once");
    screen.press(&["2"]);
    screen.shows(|seen| seen.contains("denied_by_person"));
    screen.press(&["q"]);
    screen.shows(|seen| seen.contains("ended with 0") || seen.contains("Pane is dead (status 0"));
}

#[test]
fn sessions_go_and_come_on_the_screen_by_themselves() {
    if !require("tmux") {
        return;
    }
    let (mut proxy, _resolver) = asking("");
    let mut screen = monitor(&proxy.home, "tmux", (120, 40));
    let name = proxy.read("/session")["name"]
        .as_str()
        .expect("a name")
        .to_owned();
    held(&proxy, "one.test:443");
    screen.shows(|seen| seen.contains(&name) && seen.contains("one.test:443"));
    screen.press(&["2", "/", "t", "w", "o", "Enter"]);
    screen.shows(|seen| seen.contains("only what has \"two\""));
    proxy.signal(Signal::SIGKILL);
    proxy.wait();
    screen.shows(|seen| seen.contains("no session runs") && seen.contains("nothing waits"));
    let config = "unlisted_domain_behavior = \"request_approval\"\n";
    let next = Launch::new(config).home(&proxy.home).start();
    held(&next, "two.test:443");
    let seen = screen.shows(|seen| seen.contains("two.test:443"));
    assert!(seen.contains("[2 Log]"), "what is looked at stays: {seen}");
    assert!(seen.contains("only what has \"two\""), "{seen}");
}

#[test]
fn of_three_who_decide_at_once_one_wins_and_all_agree() {
    if !require("tmux") {
        return;
    }
    let (proxy, _resolver) = asking("");
    let target = format!("one.test:{}", closed_port());
    let mut one = monitor(&proxy.home, "tmux-1", (100, 24));
    let mut other = monitor(&proxy.home, "tmux-2", (100, 24));
    for screen in [&mut one, &mut other] {
        screen.shows(|seen| seen.contains("nothing waits for you"));
    }
    let mut events = proxy.events(None);
    let (_client, request) = held(&proxy, &target);
    for screen in [&mut one, &mut other] {
        screen.shows(|seen| seen.contains(&target));
    }
    let decided = std::thread::scope(|scope| {
        scope.spawn(|| decides(&mut one, "a", "nothing waits for you"));
        scope.spawn(|| decides(&mut other, "D", "nothing waits for you"));
        proxy.cli(&["approve", "--scope", "once", id(&request)])
    });
    let settled = events.until("domain-request-removed");
    assert_eq!(settled["id"], request["id"]);
    let rules = proxy.read("/rules")["rules"]
        .as_array()
        .expect("rules")
        .len();
    let by_cli = decided.code == Some(0);
    assert_eq!(rules, usize::from(!by_cli), "{decided:?}");
    assert!(waiting(&proxy).is_empty());
    let audit = proxy.audit();
    let decisions = audit
        .iter()
        .filter(|line| line["event"] == "domain_approve" || line["event"] == "domain_deny");
    assert_eq!(decisions.count(), 1, "{audit:?}");
}

#[test]
fn a_tiny_screen_and_pasted_text_do_no_harm() {
    if !require("tmux") {
        return;
    }
    let (proxy, _resolver) = asking("");
    let mut screen = monitor(&proxy.home, "tmux", (80, 24));
    let (_client, _) = held(&proxy, "one.test:443");
    screen.shows(|seen| seen.contains("one.test:443"));
    screen.does(&["resize-window", "-x", "20", "-y", "5"]);
    screen.shows(|seen| seen.contains("one.test:443") && seen.lines().count() <= 5);
    screen.does(&["resize-window", "-x", "100", "-y", "30"]);
    screen.shows(|seen| seen.contains("Log (UTC)"));
    screen.does(&["set-buffer", "aaaaappgoodDDty1\ny\rq"]);
    // As a terminal that marks what is pasted, and as one that does not.
    screen.does(&["paste-buffer", "-p"]);
    screen.shows(|seen| seen.contains("pasted text does nothing"));
    screen.does(&["set-buffer", "aaaaappgoodDDty1\ny\r"]);
    screen.does(&["paste-buffer"]);
    screen.shows(|seen| seen.contains("none of them decides"));
    assert_eq!(waiting(&proxy).len(), 1);
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
}

#[test]
fn however_it_ends_the_terminal_is_as_it_was() {
    if !require("tmux") {
        return;
    }
    let home = Home::new();
    let command = format!(
        "sh -c 'echo $$ >pid; exec {} monitor'; echo \"ended with $?\"; stty -a; exec cat",
        binary().display()
    );
    for (signal, code) in [
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
        (Signal::SIGINT, 130),
    ] {
        let mut screen = Tmux::start(&home, signal.as_str(), (80, 24), &command);
        screen.shows(|seen| seen.contains("no session runs"));
        assert_eq!(is_alternate(&screen), "1");
        let pid = std::fs::read_to_string(home.home().join("pid")).expect("its id");
        let pid = Pid::from_raw(pid.trim().parse().expect("a number"));
        kill(pid, signal).expect("a signal");
        let seen = screen.shows(|seen| seen.contains("ended with") && seen.contains("echoke"));
        assert!(seen.contains(&format!("ended with {code}")), "{seen}");
        for setting in ["icanon", "isig", "echo"] {
            let is_on = seen.split_whitespace().any(|word| word == setting);
            assert!(is_on, "{setting}: {seen}");
        }
        assert_eq!(is_alternate(&screen), "0");
    }
}

/// Whether a program has the terminal's other screen.
fn is_alternate(screen: &Tmux) -> String {
    let said = screen.does(&["list-panes", "-F", "#{alternate_on}"]);
    said.trim().to_owned()
}

#[test]
fn a_shell_gets_its_terminal_back_for_as_long_as_the_monitor_is_stopped() {
    if !require("tmux") || !require("bash") {
        return;
    }
    let home = Home::new();
    let mut screen = Tmux::start(&home, "tmux", (80, 24), "exec bash --norc --noprofile -i");
    let begin = format!("PS1='$? ready '; {} monitor", binary().display());
    screen.shows(|seen| seen.contains('$') || seen.contains('#'));
    screen.does(&["send-keys", "-l", &begin]);
    screen.press(&["Enter"]);
    screen.shows(|seen| seen.contains("no session runs"));
    screen.press(&["C-z"]);
    screen.shows(|seen| seen.contains("Stopped") && seen.contains("148 ready"));
    assert_eq!(is_alternate(&screen), "0");
    screen.does(&["send-keys", "-l", "clear; fg"]);
    screen.press(&["Enter"]);
    screen.shows(|seen| seen.contains("no session runs") && !seen.contains("ready"));
    screen.press(&["C-l", "2"]);
    screen.shows(|seen| seen.contains("[2 Log]"));
    screen.press(&["C-c"]);
    screen.shows(|seen| seen.contains("0 ready"));
}

#[test]
fn line_by_line_the_same_is_told_and_decided() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let mut monitor = Running::spawn(proxy.home.vibepit().args(["monitor", "--plain"]));
    assert!(monitor.line().contains("type help"));
    let session = monitor.line();
    assert!(
        session.starts_with("session ") && session.contains(" is there"),
        "{session}"
    );
    let (mut client, _) = held(&proxy, &target);
    let line = monitor.line();
    assert!(
        line.starts_with(&format!("request 1: {target}, of one.test")),
        "{line}"
    );
    monitor.tell("list");
    assert_eq!(monitor.line(), "1 request waits");
    monitor.line();
    monitor.tell("a 1");
    let mut said = vec![monitor.line(), monitor.line()];
    said.sort();
    assert_eq!(client.head().status(), 200);
    assert!(
        said[0].starts_with(&format!("{target}: allowed until the session ends")),
        "{said:?}"
    );
    assert!(
        said[1].starts_with(&format!("request 1: {target} approved by uid:")),
        "{said:?}"
    );
    monitor.tell("undo");
    assert!(monitor.line().contains("is taken back"));
    monitor.tell("quit");
    assert_eq!(monitor.wait().code(), Some(0));
}

#[test]
fn off_a_terminal_it_says_what_to_do_instead() {
    let home = Home::new();
    let ran = home.cli(&["monitor"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    for way in ["vibepit monitor --plain", "vibepit pending --watch"] {
        assert!(ran.stderr.contains(way), "{}", ran.stderr);
    }
    assert_eq!(home.cli(&["monitor", "--plain", "--json"]).code, Some(2));
    assert_eq!(home.cli(&["monitor", "--session", "x"]).code, Some(2));
}
