//! CONNECT: a tunnel carries whatever it is given, keeps half-closes, and ends with its ends.

use std::sync::mpsc;
use std::thread;

use crate::support::{Origin, Proxy, Resolver, bulk, closed_port};

fn proxy() -> Proxy {
    let resolver = Resolver::at_loopback(&["a.test"]);
    Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ))
}

fn target(origin: &Origin) -> String {
    format!("a.test:{}", origin.port())
}

fn connect(origin: &Origin) -> String {
    let target = target(origin);
    format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n")
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let (proxy, origin) = (proxy(), Origin::echo());
    let mut tunnel = proxy.tunnel(&target(&origin));
    // Every byte there is, a few at a time.
    let bytes: Vec<u8> = (0..=255).collect();
    for part in bytes.chunks(7) {
        tunnel.send(part);
        assert_eq!(tunnel.exactly(part.len()), part);
    }
    tunnel.end_writing();
    tunnel.ends();
}

#[test]
fn what_is_sent_without_waiting_for_the_answer_arrives() {
    let (proxy, origin) = (proxy(), Origin::echo());
    let mut client = proxy.client();
    client.send(format!("{}hello", connect(&origin)));
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.exactly(5), b"hello");
    client.send(" there");
    assert_eq!(client.exactly(6), b" there");
}

#[test]
fn an_origin_that_speaks_first_is_heard() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        wire.send("220 ready\r\n");
        wire.ends();
    });
    let mut tunnel = proxy.tunnel(&target(&origin));
    assert_eq!(tunnel.line(), "220 ready");
    tunnel.end_writing();
    tunnel.ends();
}

#[test]
fn a_tunnel_begins_behind_plain_requests_of_the_same_connection() {
    let (proxy, plain, echo) = (proxy(), Origin::plain(), Origin::echo());
    let get = format!(
        "GET http://a.test:{}/ HTTP/1.1\r\nHost: a.test\r\n\r\n",
        plain.port()
    );
    let mut client = proxy.client();
    client.send(&get);
    assert_eq!(client.answer().status(), 200);
    // Two more of them, a CONNECT and what goes through it, all at once.
    client.send(format!("{get}{get}{}hello", connect(&echo)));
    assert_eq!(
        [client.answer().status(), client.answer().status()],
        [200, 200]
    );
    assert_eq!(client.head().status(), 200);
    assert_eq!(client.exactly(5), b"hello");
    client.end_writing();
    client.ends();
}

#[test]
fn a_tunnel_is_refused_behind_plain_requests_as_it_is_without_them() {
    let (proxy, plain) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    client.send(format!(
        "GET http://a.test:{}/ HTTP/1.1\r\nHost: a.test\r\n\r\n\
         CONNECT b.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\nhello",
        plain.port()
    ));
    assert_eq!(client.answer().status(), 200);
    assert_eq!(client.answer().status(), 403);
    client.ends();
}

#[test]
fn a_side_that_ended_still_hears_the_other_one() {
    let proxy = proxy();
    // The client ends first: the origin sees the end, and answers after it.
    let origin = Origin::serving(|mut wire| {
        let heard = wire.to_end();
        wire.send([&b"heard: "[..], &heard].concat());
    });
    let mut tunnel = proxy.tunnel(&target(&origin));
    tunnel.send("hello");
    tunnel.end_writing();
    assert_eq!(tunnel.to_end(), b"heard: hello");

    // The origin ends first: the client sees the end, and is heard after it.
    let (send, heard) = mpsc::channel();
    let send = std::sync::Mutex::new(send);
    let origin = Origin::serving(move |mut wire| {
        wire.send("bye");
        wire.end_writing();
        send.lock()
            .expect("a lock")
            .send(wire.to_end())
            .expect("a listener");
    });
    let mut tunnel = proxy.tunnel(&target(&origin));
    assert_eq!(tunnel.to_end(), b"bye");
    tunnel.send("and now");
    tunnel.end_writing();
    assert_eq!(heard.recv().expect("it heard"), b"and now");
}

#[test]
fn a_side_that_breaks_ends_the_other_one() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        wire.exactly(5);
        wire.reset();
    });
    let mut tunnel = proxy.tunnel(&target(&origin));
    tunnel.send("hello");
    tunnel.ends();

    let (send, heard) = mpsc::channel();
    let send = std::sync::Mutex::new(send);
    let origin = Origin::serving(move |mut wire| {
        send.lock()
            .expect("a lock")
            .send(wire.to_end())
            .expect("a listener");
    });
    let mut tunnel = proxy.tunnel(&target(&origin));
    tunnel.send("hello");
    tunnel.reset();
    heard.recv().expect("its end");
    proxy.settles();
}

const MUCH: usize = 64 * 1024 * 1024;

#[test]
fn much_passes_both_ways_at_once_as_it_was_sent() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        let mut writing = wire.again();
        let sending = thread::spawn(move || bulk::send(&mut writing, MUCH));
        bulk::receive(&mut wire, MUCH);
        sending
            .join()
            .expect("a thread")
            .expect("the data is taken");
        wire.end_writing();
        wire.ends();
    });
    let mut tunnel = proxy.tunnel(&target(&origin));
    let mut writing = tunnel.again();
    let sending = thread::spawn(move || bulk::send(&mut writing, MUCH));
    bulk::receive(&mut tunnel, MUCH);
    sending
        .join()
        .expect("a thread")
        .expect("the data is taken");
    tunnel.end_writing();
    tunnel.ends();
    proxy.settles();
    let audit = proxy.audit();
    let line = audit
        .iter()
        .find(|line| line["event"] == "connect")
        .expect("its line");
    assert_eq!(
        (&line["bytes_up"], &line["bytes_down"]),
        (&MUCH.into(), &MUCH.into())
    );
}

#[test]
fn a_client_that_does_not_read_makes_the_origin_wait() {
    const DATA: usize = 4 * MUCH;
    let proxy = proxy();
    let (origin, stalled) = bulk::stalled_origin(DATA, |_| ());
    let mut tunnel = proxy.tunnel(&target(&origin));
    let sent = stalled.recv().expect("the origin waits");
    assert!(sent < DATA, "nobody made it wait");
    assert!(
        proxy.resident() < 64 * 1024,
        "{} KiB for {sent} bytes",
        proxy.resident()
    );
    bulk::receive(&mut tunnel, DATA);
}

#[test]
fn a_tunnel_to_nobody_is_told_before_anything_is_sent() {
    let proxy = proxy();
    let mut client = proxy.client();
    let target = format!("a.test:{}", closed_port());
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\nhello"
    ));
    let answer = client.answer();
    assert_eq!(answer.status(), 502, "{answer:?}");
    client.ends();
}

#[test]
fn many_idle_tunnels_cost_little() {
    const TUNNELS: usize = 500;
    let (proxy, origin) = (proxy(), Origin::silent());
    let target = target(&origin);
    let first: Vec<_> = (0..50).map(|_| proxy.tunnel(&target)).collect();
    let before = proxy.resident();
    let tunnels: Vec<_> = (0..TUNNELS).map(|_| proxy.tunnel(&target)).collect();
    let each = (proxy.resident() - before) / TUNNELS;
    assert!(each <= 8, "{each} KiB each");
    let open = proxy.read("/session")["counts"]["connections"].clone();
    assert_eq!(open, first.len() + tunnels.len());
}
