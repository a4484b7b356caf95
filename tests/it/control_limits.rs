//! How much of the control plane one caller can take: sizes, times, places.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

use serde_json::json;

use crate::control_curl::{WAYS, Way};
use crate::support::{Events, Proxy, Wire, require};

const MIB: usize = 1024 * 1024;

/// A request for /allow whose body has so many bytes.
fn body_of(entry: &str, length: usize) -> String {
    let body = json!({ "entries": [entry] }).to_string();
    let room = length - body.len();
    format!("{body}{}", " ".repeat(room))
}

#[test]
fn a_body_may_have_a_mebibyte_and_not_a_byte_more() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    let write = |name: &str, body: String| {
        let path = proxy.home.home().join(name);
        std::fs::write(&path, body).expect("a body");
        format!("@{}", path.display())
    };
    let fits = write("fits", body_of("fits.test", MIB));
    let over = [
        write("over", body_of("over.test", MIB + 1)),
        write("far-over", body_of("far.test", 8 * MIB)),
    ];
    // curl asks first, sends at once, or does not say how much it has.
    let ways_to_send = [
        "Expect: 100-continue",
        "Expect:",
        "Transfer-Encoding: chunked",
    ];
    for way in WAYS {
        for header in ways_to_send {
            let send = |body: &str| {
                let more = ["--header", header, "--data-binary", body];
                way.asks(&proxy, "POST", "/allow", &more)
            };
            let answer = send(&fits);
            assert_eq!(answer.status(), 200, "{way:?} {header}: {}", answer.text());
            for over in &over {
                let answer = send(over);
                assert_eq!(answer.status(), 413, "{way:?} {header}: {}", answer.text());
            }
        }
    }
    let rules = proxy.read("/rules");
    assert_eq!(
        rules["rules"].as_array().expect("rules").len(),
        1,
        "{rules}"
    );
    assert_eq!(rules["rules"][0]["entry"], "fits.test");
}

#[test]
fn a_head_may_have_64_kib() {
    let proxy = Proxy::start("");
    let status = |length: usize| {
        let mut wire = Wire::to_socket(&proxy.socket());
        let request = "GET /rules HTTP/1.1\r\nHost: vibepit\r\nX: ";
        let more = "y".repeat(length - request.len() - 4);
        // It may be answered, and closed, before all of it is sent.
        let _ = wire.try_send(format!("{request}{more}\r\n\r\n"));
        wire.head().status()
    };
    assert_eq!(status(60 * 1024), 200);
    for length in [66 * 1024, 100 * 1024, 200 * 1024, MIB] {
        assert_eq!(status(length), 431, "{length}");
    }
    // As many small fields as fit are too many all the same.
    let mut wire = Wire::to_socket(&proxy.socket());
    let fields = "a: b\r\n".repeat(1000);
    wire.send(format!(
        "GET /rules HTTP/1.1\r\nHost: vibepit\r\n{fields}\r\n"
    ));
    assert_eq!(wire.head().status(), 431);
}

#[test]
fn whoever_does_not_finish_a_request_is_cut_off() {
    let proxy = Proxy::start("");
    let socket = proxy.socket();
    let silent_after = |bytes: &'static str| {
        let mut wire = Wire::to_socket(&socket);
        wire.send(bytes);
        // Ends when the proxy closes; a test's patience is six times as long as the proxy's.
        move || wire.to_end()
    };
    let nothing = silent_after("");
    let half_a_line = silent_after("GET /ru");
    let half_a_head = silent_after("GET /rules HTTP/1.1\r\nHost: vibepit\r\n");
    let half_a_body = silent_after(
        "POST /allow HTTP/1.1\r\nHost: vibepit\r\nContent-Length: 50\r\n\r\n{\"entries\":",
    );
    let after_an_answer = silent_after("GET /healthz HTTP/1.1\r\nHost: vibepit\r\n\r\nGET /ru");
    let mut no_handshake = Wire::over(TcpStream::connect(proxy.tcp()).expect("a connection"));
    thread::scope(|scope| {
        let nothing = scope.spawn(nothing);
        let half_a_line = scope.spawn(half_a_line);
        let half_a_head = scope.spawn(half_a_head);
        let half_a_body = scope.spawn(half_a_body);
        let after_an_answer = scope.spawn(after_an_answer);
        let no_handshake = scope.spawn(move || no_handshake.to_end());
        assert_eq!(nothing.join().expect("its end"), b"");
        for cut in [half_a_line, half_a_head] {
            let said = cut.join().expect("its end");
            assert!(!said.starts_with(b"HTTP/1.1 200"), "{said:?}");
        }
        let said = half_a_body.join().expect("its end");
        assert!(said.starts_with(b"HTTP/1.1 408 "), "{said:?}");
        let said = after_an_answer.join().expect("its end");
        assert!(said.starts_with(b"HTTP/1.1 200 "), "{said:?}");
        assert_eq!(no_handshake.join().expect("its end"), b"");
    });
    assert_eq!(proxy.read("/rules"), json!({"rules": []}));
}

#[test]
fn the_257th_connection_waits_for_a_place_and_gets_one() {
    let proxy = Proxy::start("");
    let mut streams: Vec<Events> = (0..256).map(|_| proxy.events(None)).collect();
    let mut late = Wire::to_socket(&proxy.socket());
    let body = json!({"entries": ["late.test"]}).to_string();
    let length = body.len();
    late.send(format!(
        "POST /allow HTTP/1.1\r\nHost: vibepit\r\nContent-Length: {length}\r\n\r\n{body}"
    ));
    // What the sandbox does goes on meanwhile, and is told to those who are in.
    assert_eq!(proxy.fetch("http://first.test/").status(), 403);
    assert_eq!(streams[0].next().expect("an event").1, "log");
    // One goes, which has been told as well. The proxy learns it with the next event that it sends
    // there.
    let mut one = streams.pop().expect("the last");
    assert_eq!(one.next().expect("an event").1, "log");
    drop(one);
    assert_eq!(proxy.fetch("http://second.test/").status(), 403);
    assert_eq!(late.answer().status(), 200);
    let names: Vec<_> = (0..2)
        .map(|_| streams[0].next().expect("an event").1)
        .collect();
    assert_eq!(names, ["log", "rule-added"]);
}

#[test]
fn handshakes_that_do_not_end_keep_nobody_from_the_socket() {
    let proxy = Proxy::start("");
    // More than there are places.
    let strangers: Vec<_> = (0..300)
        .map(|_| {
            let mut stranger = TcpStream::connect(proxy.tcp()).expect("a connection");
            stranger
                .write_all(b"\x16\x03\x01")
                .expect("three bytes are taken");
            stranger
        })
        .collect();
    assert_eq!(proxy.get("/healthz").status(), 200);
    // That was not because one of them had to go.
    for stranger in &strangers {
        stranger.set_nonblocking(true).expect("a mode");
        let still_open = stranger.peek(&mut [0]).expect_err("nothing is said to it");
        assert_eq!(still_open.kind(), std::io::ErrorKind::WouldBlock);
    }
    drop(strangers);
    if require("curl") {
        assert_eq!(Way::Port.get(&proxy, "/healthz").status(), 200);
    }
}
