//! The stream of events: what comes, in which order, and that nothing is lost or told twice,
//! however a reader comes back.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::control_curl::Way;
use crate::openapi_schema::Described;
use crate::support::{PATIENCE, Proxy, Wire, require};

/// Reads a stream line by line, and holds each event against the description.
struct Stream {
    described: Described,
    lines: Box<dyn BufRead + Send>,
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    id: u64,
    name: String,
    data: Value,
}

impl Stream {
    /// Over the socket. HTTP/1.0 has no chunks to take apart.
    fn over_socket(proxy: &Proxy, query: &str, header: &str) -> Self {
        let mut socket = UnixStream::connect(proxy.socket()).expect("a connection");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let request = format!("GET /events{query} HTTP/1.0\r\nHost: vibepit\r\n{header}\r\n");
        socket.write_all(request.as_bytes()).expect("a request");
        let mut stream = Self::of(socket);
        assert!(stream.line().expect("a head").contains(" 200 "));
        while !stream.line().expect("a head").is_empty() {}
        stream.begins();
        stream
    }

    /// Over mTLS.
    fn over_port(proxy: &Proxy, query: &str) -> Self {
        let mut curl = Way::Port.curl(proxy, &format!("/events{query}"));
        let mut curl = curl.arg("--no-buffer").spawn().expect("curl runs");
        let mut stream = Self::of(curl.stdout.take().expect("its output"));
        thread::spawn(move || curl.wait());
        stream.begins();
        stream
    }

    fn of(stream: impl Read + Send + 'static) -> Self {
        Self {
            described: Described::api(),
            lines: Box::new(BufReader::new(stream)),
        }
    }

    fn after(proxy: &Proxy, id: u64) -> Self {
        Self::over_socket(proxy, &format!("?after={id}"), "")
    }

    /// A comment comes at once: a reader that has it misses nothing from there on.
    fn begins(&mut self) {
        let comment = self.line().expect("a comment");
        assert!(comment.starts_with(':'), "{comment:?}");
        assert_eq!(self.line().as_deref(), Some(""));
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = self.lines.read_line(&mut line).expect("a line, or the end");
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event; `None` at the end of the stream.
    fn next(&mut self) -> Option<Told> {
        let mut field = |name: &str| {
            let line = self.line()?;
            let value = line
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(": "));
            Some(
                value
                    .unwrap_or_else(|| panic!("{line:?} is no {name}"))
                    .to_owned(),
            )
        };
        let id = field("id")?.parse().expect("a number");
        let name = field("event").expect("a name");
        let data = field("data").expect("data");
        let data = serde_json::from_str(&data).expect("JSON on one line");
        assert_eq!(self.line().as_deref(), Some(""));
        self.described.holds_event(&name, &data);
        Some(Told { id, name, data })
    }

    #[track_caller]
    fn takes(&mut self, count: usize) -> Vec<Told> {
        (0..count).map(|_| self.next().expect("an event")).collect()
    }
}

fn allow(proxy: &Proxy, entry: &str) {
    proxy.does("/allow", &json!({ "entries": [entry] }));
}

fn ids(told: &[Told]) -> Vec<u64> {
    told.iter().map(|told| told.id).collect()
}

#[test]
fn what_happens_is_told_in_order_on_both_transports() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    let mut streams = [
        Stream::over_socket(&proxy, "", ""),
        Stream::over_port(&proxy, ""),
    ];
    allow(&proxy, "a.test:443");
    proxy.fetch("http://b.test/");
    proxy.does("/revoke", &json!({"entries": ["a.test:443"]}));
    let told = streams[0].takes(3);
    assert_eq!(told, streams[1].takes(3));
    let names: Vec<_> = told.iter().map(|told| told.name.as_str()).collect();
    assert_eq!(names, ["rule-added", "log", "rule-removed"]);
    assert_eq!(ids(&told), [1, 2, 3]);
    assert_eq!(told[0].data["rule"]["entry"], "a.test:443");
    assert_eq!(told[0].data["actor"], Way::Socket.actor());
    // The event is the log's entry itself.
    assert_eq!(proxy.logs(0), [told[1].data.clone()]);
}

#[test]
fn a_reader_comes_back_where_it_left() {
    let proxy = Proxy::start("");
    for number in 0..10 {
        allow(&proxy, &format!("a{number}.test"));
    }
    let all = Stream::after(&proxy, 0).takes(10);
    assert_eq!(ids(&all), (1..=10).collect::<Vec<_>>());
    assert_eq!(Stream::after(&proxy, 7).takes(3), all[7..]);
    let by_header = |header: &str| Stream::over_socket(&proxy, "", header);
    assert_eq!(by_header("Last-Event-ID: 4\r\n").takes(6), all[4..]);
    // A browser's reader keeps its query and adds the header: the header is newer.
    let mut both = Stream::over_socket(&proxy, "?after=2", "Last-Event-ID: 9\r\n");
    assert_eq!(both.takes(1), all[9..]);
    // With nothing missed, the next one is the next.
    let mut current = Stream::after(&proxy, 10);
    let mut from_now = Stream::over_socket(&proxy, "", "");
    allow(&proxy, "b.test");
    assert_eq!(ids(&current.takes(1)), [11]);
    assert_eq!(ids(&from_now.takes(1)), [11]);
}

#[test]
fn nothing_is_lost_or_told_twice_while_events_come_and_readers_go() {
    let proxy = Proxy::start("");
    const COUNT: u64 = 1000;
    let mut wire = Wire::to_socket(&proxy.socket());
    let changes = thread::spawn(move || {
        for number in 0..COUNT {
            let body = json!({ "entries": [format!("a{number}.test")] }).to_string();
            let length = body.len();
            wire.send(format!(
                "POST /allow HTTP/1.1\r\nHost: vibepit\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
            assert_eq!(wire.answer().status(), 200);
        }
    });
    let (mut last, mut step) = (0, 1);
    while last < COUNT {
        let mut stream = Stream::after(&proxy, last);
        // Some leave soon, some later.
        for _ in 0..step.min(COUNT - last) {
            let told = stream.next().expect("an event");
            assert_eq!(told.id, last + 1);
            assert_eq!(told.data["rule"]["entry"], format!("a{last}.test"));
            last = told.id;
        }
        step = step * 2 % 97 + 1;
    }
    changes.join().expect("its end");
}

#[test]
fn a_reader_that_was_away_too_long_is_told_to_begin_anew() {
    let proxy = Proxy::start("");
    let many: Vec<_> = (0..5000).map(|n| format!("a{n}.test")).collect();
    proxy.does("/allow", &json!({ "entries": many }));
    // 4096 are kept: 905 to 5000.
    assert_eq!(
        ids(&Stream::after(&proxy, 904).takes(4096)),
        (905..=5000).collect::<Vec<_>>()
    );
    let mut stream = Stream::after(&proxy, 903);
    let told = stream.next().expect("an event");
    assert_eq!((told.name.as_str(), told.id), ("reset", 5000));
    assert_eq!(told.data, json!({"next": 5000}));
    // And goes on from there.
    allow(&proxy, "b.test");
    let told = stream.next().expect("an event");
    assert_eq!((told.name.as_str(), told.id), ("rule-added", 5001));
    assert_eq!(Stream::after(&proxy, 0).next().expect("an event").id, 5001);
}

#[test]
fn a_number_of_another_life_is_told_to_begin_anew() {
    let proxy = Proxy::start("");
    allow(&proxy, "a.test");
    for after in [2, 4096, u64::MAX] {
        let told = Stream::after(&proxy, after).next().expect("an event");
        assert_eq!((told.name.as_str(), told.id), ("reset", 1), "{after}");
    }
    let fresh = Proxy::start("");
    let told = Stream::after(&fresh, 3).next().expect("an event");
    assert_eq!((told.name.as_str(), told.id), ("reset", 0));
}

#[test]
fn the_last_event_says_that_the_session_ends_and_the_stream_ends_with_it() {
    if !require("curl") {
        return;
    }
    for (signal, named) in [(Signal::SIGTERM, "SIGTERM"), (Signal::SIGINT, "SIGINT")] {
        let mut proxy = Proxy::start("");
        let mut streams = [
            Stream::over_socket(&proxy, "", ""),
            Stream::over_port(&proxy, ""),
        ];
        // An idle connection must not hold it up.
        let _idle = UnixStream::connect(proxy.socket()).expect("a connection");
        allow(&proxy, "a.test");
        proxy.signal(signal);
        for stream in &mut streams {
            assert_eq!(stream.next().expect("an event").name, "rule-added");
            let told = stream.next().expect("an event");
            assert_eq!(told.name, "session-ending");
            let why = told.data["ending"].as_str().expect("why");
            assert!(why.contains(named), "{why}");
            assert_eq!(stream.next(), None);
        }
        assert_eq!(proxy.wait().code(), Some(0));
        assert!(!proxy.session_dir().exists());
        let audit = proxy.audit_so_far();
        assert_eq!(audit.last().expect("a line")["event"], "session_end");
    }
}

#[test]
fn a_rule_that_ends_by_itself_is_told_as_nobodys_doing() {
    let proxy = Proxy::start("");
    let mut stream = Stream::over_socket(&proxy, "", "");
    proxy.does("/allow", &json!({"entries": ["a.test"], "ttl": "1s"}));
    let told = stream.takes(2);
    assert_eq!(
        (told[0].name.as_str(), told[1].name.as_str()),
        ("rule-added", "rule-removed")
    );
    assert_eq!(told[1].data["actor"], "vibepit");
    assert_eq!(told[0].data["rule"], told[1].data["rule"]);
}

#[test]
fn every_event_is_described_and_every_description_is_an_event() {
    use vibepit::api::Event;
    let described = Described::api();
    let names = [
        "domain-request-added",
        "domain-request-removed",
        "domain-request-updated",
        "log",
        "reset",
        "rule-added",
        "rule-removed",
        "session-ending",
    ];
    assert_eq!(described.events().into_iter().collect::<Vec<_>>(), names);
    // The client knows each of them by its name.
    for name in names {
        assert!(Event::parse(name, "{}").is_some(), "{name}");
    }
    assert!(Event::parse("domain-request-renamed", "{}").is_none());
}
