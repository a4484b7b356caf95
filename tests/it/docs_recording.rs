//! What the README shows of vibepit at work is what this very binary does, and shows nothing else.

use std::fs;
use std::process::Command;

use crate::docs::{can_be_typed, commands, read, root};
use crate::support::{Home, Ran, binary, require};

const MADE: [&str; 4] = ["session.txt", "session.svg", "monitor.svg", "ui.png"];
const TEXTS: [&str; 3] = ["session.txt", "session.svg", "monitor.svg"];

#[test]
fn what_is_typed_in_the_recording_can_be_typed() {
    let typed = read("contrib/docs/session.txt");
    let typed: Vec<&str> = typed
        .lines()
        .filter(|line| line.starts_with("$ "))
        .collect();
    let commands = commands(&typed.join("\n"));
    assert_eq!(commands.len(), typed.len(), "{typed:?}");
    assert!(commands.len() > 4, "{typed:?}");
    can_be_typed(&commands);
}

#[test]
fn the_pictures_are_small_and_show_nothing_of_a_machine() {
    for name in MADE {
        let file = fs::metadata(root().join("contrib/docs").join(name)).expect(name);
        assert!((1..150_000).contains(&file.len()), "{name}: {}", file.len());
    }
    for name in TEXTS {
        let text = read(format!("contrib/docs/{name}"));
        let words = text.split(|c: char| c.is_whitespace() || "<>\u{a0}".contains(c));
        for word in words {
            let path =
                word.starts_with("/home/") || word.starts_with("/tmp") || word.starts_with("/root");
            assert!(!path || word.starts_with("/home/you/"), "{name}: {word}");
            let host = word.strip_prefix("http://");
            assert!(
                host.is_none_or(|host| host.ends_with(".example.test")),
                "{name}: {word}"
            );
        }
    }
}

#[test]
fn the_recording_is_what_happens_when_it_is_made_anew() {
    let tools = [
        "user-namespaces",
        "bash",
        "tmux",
        "python3",
        "curl",
        "jq",
        "ip",
        "setpriv",
        "unshare",
        "chromium",
        "chromedriver",
    ];
    if !tools.into_iter().all(require) {
        return;
    }
    let home = Home::new();
    let made = home.home().join("made");
    fs::create_dir(&made).expect("a directory");
    // In the environment of whoever runs the tests: it makes its own.
    let mut record = Command::new(root().join("contrib/docs/record"));
    Ran::of(record.arg(binary()).arg(&made)).ok();
    let anew = fs::read_to_string(made.join("session.txt")).expect("the recording");
    assert_eq!(lasting(&anew), lasting(&read("contrib/docs/session.txt")));
    for name in MADE {
        assert!(made.join(name).exists(), "{name}");
    }
}

/// A recording without what is another one each time: numbers, times, and ids of requests.
fn lasting(recording: &str) -> Vec<String> {
    let word = |word: &str| {
        if word.len() == 12 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return "ID".to_owned();
        }
        let masked = word.replace(|c: char| c.is_ascii_digit(), "0");
        match masked.starts_with("0000-00-00T") {
            true => "TIME".to_owned(),
            false => masked,
        }
    };
    recording
        .lines()
        .map(|line| {
            line.split_whitespace()
                .map(word)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect()
}
