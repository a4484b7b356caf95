//! Rows about where a message ends, and about who may say what before that.

use crate::support::{Origin, Proxy, Resolver, unescaped};

use super::bench::{Bench, Expect};
use super::rows;

const POST: &str = "POST http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n";

#[test]
pub(super) fn pipelined_requests_are_judged_one_by_one_and_answered_in_order() {
    let bench = Bench::open();
    let mut wire = bench.proxy.client();
    wire.send(
        "GET http://allowed.example/a HTTP/1.1\r\nHost: allowed.example\r\n\r\n\
         GET http://attacker.example/b HTTP/1.1\r\nHost: allowed.example\r\n\r\n\
         GET http://allowed.example/c HTTP/1.1\r\nHost: allowed.example\r\n\r\n",
    );
    let statuses = [(); 3].map(|()| wire.answer().status());
    let let_through = if bench.origins.is_some() { 200 } else { 502 };
    assert_eq!(statuses, [let_through, 403, let_through]);
    let domains: Vec<_> = bench
        .proxy
        .logs(0)
        .iter()
        .map(|e| e["domain"].clone())
        .collect();
    assert_eq!(
        domains,
        ["allowed.example", "attacker.example", "allowed.example"]
    );
    assert!(
        bench
            .resolver
            .questions()
            .iter()
            .all(|q| q.name == "allowed.example")
    );
}

#[test]
pub(super) fn what_can_be_read_in_two_ways_is_refused() {
    let bench = Bench::open();
    let both = "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG";
    for (id, bytes) in [
        ("SMUG-004", format!("{POST}{both}")),
        ("SMUG-014", format!("{POST}Content-Length: +5\r\n\r\nhello")),
        ("SMUG-020", format!("{POST}Host: attacker.example\r\n\r\n")),
        ("SMUG-022", "GET http://allowed.example/\r\n\r\n".to_owned()),
        (
            "SMUG-023",
            "GET http://allowed.example/ HTTP/1.10\r\nHost: allowed.example\r\n\r\n".to_owned(),
        ),
        (
            "SMUG-026",
            "CONNECT allowed.example:443 HTTP/1.1\r\nHost: allowed.example\r\n\
             Content-Length: 5\r\n\r\nhello"
                .to_owned(),
        ),
        ("SMUG-033", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
    ] {
        bench.sends(id, bytes.as_bytes(), Expect::Malformed);
    }
}

#[test]
pub(super) fn only_the_plain_chunked_coding_is_taken() {
    let bench = Bench::open();
    let rows = rows();
    for row in rows.iter().filter(|row| row.vector == "TE obfuscation") {
        let mut bytes = unescaped(&row.input);
        bytes.extend(b"0\r\n\r\n");
        bench.sends(&row.id, &bytes, Expect::Malformed);
    }
}

#[test]
pub(super) fn a_chunk_size_that_overflows_ends_the_connection() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let origin = Origin::plain();
    let proxy = Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let mut wire = proxy.client();
    wire.send(format!(
        "POST http://a.test:{}/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
         FFFFFFFFFFFFFFFF0\r\nGET http://a.test/ HTTP/1.1\r\n\r\n",
        origin.port()
    ));
    assert_eq!(wire.answer().status(), 400);
    wire.ends();
    // The head may be at the origin by then; a whole request is not.
    assert_eq!(origin.requests().len(), 0);
    let entries = proxy.logs(0);
    let malformed = entries
        .iter()
        .filter(|entry| entry["reason"] == "malformed");
    assert_eq!(malformed.count(), 1, "{entries:?}");
}

#[test]
pub(super) fn lines_end_with_cr_lf() {
    let bench = Bench::open();
    for bytes in [
        "GET http://allowed.example/ HTTP/1.1\nHost: allowed.example\n\n",
        "GET http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\n\r\n",
        "GET http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\rX: y\r\n\r\n",
        "CONNECT allowed.example:443 HTTP/1.1\n\n",
    ] {
        bench.sends("SMUG-018", bytes.as_bytes(), Expect::Malformed);
    }
}

#[test]
pub(super) fn nothing_is_sent_before_the_decision() {
    let bench = Bench::open();
    let bytes = b"POST http://unknown.example/ HTTP/1.1\r\nHost: unknown.example\r\n\
                  Content-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    // The first status is the last one: no 100 came before it.
    let (answer, _) = bench.sends("SMUG-028", bytes, Expect::Denied);
    assert_eq!(answer.status(), 403);
}

#[test]
pub(super) fn trace_is_answered_here_and_reflects_nothing() {
    let bench = Bench::open();
    let bytes = b"TRACE http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n\
                  Max-Forwards: 0\r\nX-Secret: hunter2\r\n\r\n";
    let (answer, _) = bench.sends("SMUG-029", bytes, Expect::Malformed);
    assert_eq!(answer.status(), 405);
    assert!(!answer.text().contains("hunter2"), "{}", answer.text());
}

#[test]
pub(super) fn a_switch_of_protocols_that_nobody_asked_for_is_a_502() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello"
            .to_vec()
    });
    let proxy = Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let mut wire = proxy.client();
    let port = origin.port();
    wire.send(format!(
        "GET http://a.test:{port}/ HTTP/1.1\r\nHost: a.test\r\n\r\n"
    ));
    let answer = wire.answer();
    assert_eq!(answer.status(), 502, "{answer:?}");
    assert!(!answer.text().contains("hello"), "{}", answer.text());
    assert_eq!(
        proxy.logs(0).last().expect("an entry")["reason"],
        "connect_failed"
    );
}
