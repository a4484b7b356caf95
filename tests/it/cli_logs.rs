//! `vibepit logs`: what was, and what comes, each line once.

use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Proxy, Running};

/// Has requests refused, for hosts that are numbered.
fn refused(proxy: &Proxy, numbers: std::ops::Range<usize>) {
    let mut wire = proxy.client();
    for number in numbers {
        wire.send(format!(
            "GET http://n{number}.test/ HTTP/1.1\r\nHost: x.test\r\n\r\n"
        ));
        let answer = wire.answer();
        if answer.field("connection") == Some("close") {
            wire = proxy.client();
        }
    }
}

/// `vibepit logs --follow --json`, line by line.
struct Following(Running);

impl Following {
    fn start(proxy: &Proxy, more: &[&str]) -> Self {
        let mut command = proxy.home.vibepit();
        command.args(["logs", "--follow", "--json"]).args(more);
        Self(Running::spawn(&mut command))
    }

    /// The numbers of the next entries.
    #[track_caller]
    fn takes(&mut self, count: usize) -> Vec<u64> {
        let mut next = || {
            let entry: Value = serde_json::from_str(&self.0.line()).expect("JSON on one line");
            entry["id"].as_u64().expect("a number")
        };
        (0..count).map(|_| next()).collect()
    }

    /// Waits for its end: nothing more comes, and this is what it says.
    #[track_caller]
    fn ends(mut self) -> String {
        self.0.is_silent();
        let (code, said) = self.0.end();
        assert_eq!(code, Some(0), "{said}");
        said
    }
}

#[test]
fn the_newest_entries_are_shown_oldest_first() {
    let proxy = Proxy::start("");
    refused(&proxy, 0..30);
    let hosts = |arguments: &[&str]| {
        let text = proxy.cli(&[&["logs"], arguments].concat()).ok();
        let host = |line: &str| line.split_whitespace().nth(2).expect("a target").to_owned();
        text.lines().map(host).collect::<Vec<_>>()
    };
    let expected = |numbers: std::ops::Range<u32>| {
        numbers
            .map(|number| format!("n{number}.test:80"))
            .collect::<Vec<_>>()
    };
    assert_eq!(hosts(&[]), expected(0..30));
    assert_eq!(hosts(&["-n", "3"]), expected(27..30));
    assert_eq!(hosts(&["--after", "5", "-n", "3"]), expected(5..8));
    assert_eq!(hosts(&["--after", "30"]), expected(0..0));
    assert_eq!(hosts(&["-n", "0"]), expected(0..0));
    let line = proxy.cli(&["logs", "-n", "1"]).ok();
    for part in [
        "deny",
        "n29.test:80",
        "http",
        "unlisted",
        "no rule allows it",
    ] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// What a line of `logs` ends with, and what the sandbox was told, is the same.
#[test]
fn a_refusal_ends_with_what_would_let_it_through_if_anything_does() {
    let proxy = Proxy::start("deny = [\"*.no.test\"]\n");
    let remedy = |request: &str| {
        let mut wire = proxy.client();
        wire.send(format!("{request}\r\nHost: x.test\r\n\r\n"));
        let told = wire.answer().text();
        let line = proxy.cli(&["logs", "-n", "1"]).ok();
        let remedy = line.split_once("to let it through: ");
        let remedy = remedy.map(|(_, remedy)| remedy.trim_end().to_owned());
        if let Some(remedy) = &remedy {
            assert!(told.contains(remedy), "{told}");
        }
        remedy
    };
    for (request, expected) in [
        ("CONNECT a.test:443 HTTP/1.1", "vibepit allow a.test:443"),
        (
            "GET http://[2606:4700::1]/ HTTP/1.1",
            "vibepit allow '[2606:4700::1]:80'",
        ),
        (
            "GET http://a.no.test/ HTTP/1.1",
            "vibepit revoke '*.no.test'",
        ),
        (
            "GET http://10.0.0.1/ HTTP/1.1",
            "allow_cidr in config.toml, if that network is meant to be reached",
        ),
        (
            "GET http://host.vibepit:8080/ HTTP/1.1",
            "allow_host_ports = [8080] in config.toml, then vibepit run again",
        ),
    ] {
        assert_eq!(remedy(request).as_deref(), Some(expected), "{request}");
    }
    assert_eq!(remedy("GET http://a_b;.test:x/ HTTP/1.1"), None);
    // What is printed can be pasted.
    let command = remedy("GET http://[2606:4700::1]/ HTTP/1.1").expect("a command");
    let script = command.replacen("vibepit", "\"$0\"", 1);
    let mut shell = proxy.home.command("sh");
    shell.args(["-c", &script]).arg(crate::support::binary());
    let said = crate::support::Ran::of(&mut shell).ok();
    assert!(said.contains("allowed [2606:4700::1]:80"), "{said}");
}

#[test]
fn more_than_a_thousand_entries_can_be_asked_for() {
    let proxy = Proxy::start("");
    refused(&proxy, 0..1500);
    let lines = proxy.cli(&["logs", "-n", "5000", "--json"]).ok();
    assert_eq!(lines.lines().count(), 1500);
}

#[test]
fn a_follower_gets_every_entry_once_and_ends_with_the_session() {
    let mut proxy = Proxy::start("");
    refused(&proxy, 0..10);
    let mut newest = Following::start(&proxy, &["-n", "4"]);
    assert_eq!(newest.takes(4), [7, 8, 9, 10]);
    let mut from = Following::start(&proxy, &["--after", "2"]);
    assert_eq!(from.takes(8), (3..=10).collect::<Vec<_>>());
    refused(&proxy, 10..600);
    let expected: Vec<_> = (11..=600).collect();
    assert_eq!(newest.takes(590), expected);
    assert_eq!(from.takes(590), expected);
    proxy.signal(Signal::SIGTERM);
    for following in [newest, from] {
        let said = following.ends();
        assert!(said.contains("the session has ended"), "{said}");
    }
    proxy.wait();
}

#[test]
fn a_follower_that_begins_far_behind_gets_all_of_it() {
    let proxy = Proxy::start("");
    refused(&proxy, 0..2500);
    let mut following = Following::start(&proxy, &["--after", "1"]);
    assert_eq!(following.takes(2499), (2..=2500).collect::<Vec<_>>());
    refused(&proxy, 2500..2501);
    assert_eq!(following.takes(1), [2501]);
}

#[test]
fn a_follower_whose_session_is_killed_says_so() {
    let proxy = Proxy::start("");
    refused(&proxy, 0..1);
    let mut following = Following::start(&proxy, &[]);
    assert_eq!(following.takes(1), [1]);
    proxy.signal(Signal::SIGKILL);
    let said = following.ends();
    assert!(said.contains("the session has ended"), "{said}");
}

/// A way to a port that can be cut.
struct Cable {
    address: SocketAddr,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn to(port: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let ends = Arc::new(Mutex::new(Vec::new()));
        let held = Arc::clone(&ends);
        thread::spawn(move || {
            for here in listener.incoming().flatten() {
                let there = TcpStream::connect(port).expect("the port");
                let again = |stream: &TcpStream| stream.try_clone().expect("a handle");
                let mut held = held.lock().expect("the ends");
                held.extend([again(&here), again(&there)]);
                for (mut from, mut into) in [(again(&here), again(&there)), (there, here)] {
                    thread::spawn(move || {
                        let _ = std::io::copy(&mut from, &mut into);
                        let _ = into.shutdown(Shutdown::Write);
                    });
                }
            }
        });
        Self { address, ends }
    }

    /// Ends every connection in its middle.
    fn cut(&self) {
        for end in self.ends.lock().expect("the ends").drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_follower_whose_connection_breaks_misses_nothing() {
    let proxy = Proxy::start("");
    let cable = Cable::to(proxy.tcp());
    refused(&proxy, 0..1);
    let mut following = Following::start(&proxy, &["--addr", &cable.address.to_string()]);
    assert_eq!(following.takes(1), [1]);
    let mut last = 1;
    for _ in 0..3 {
        cable.cut();
        // While nobody listens, more than one page of the log.
        refused(&proxy, 0..1200);
        assert_eq!(
            following.takes(1200),
            (last + 1..=last + 1200).collect::<Vec<_>>()
        );
        last += 1200;
    }
}
