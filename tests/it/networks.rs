//! Tunnels over bad networks, and to peers that are killed, reset or vanish: no byte is lost of one
//! that ends cleanly, and none hangs that cannot.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::signal::Signal;

use crate::support::network::{Cable, FAR};
use crate::support::{Home, Launch, Origin, Proxy, Running, Wire, bulk};

/// A proxy at the near end of a cable.
struct Bench {
    cable: Cable,
    proxy: Proxy,
}

impl Bench {
    fn new() -> Option<Self> {
        let home = Home::new();
        let cable = Cable::new(&home)?;
        let config = format!(
            "allow = [\"{FAR}:*\"]\nallow_cidr = [\"{FAR}/32\"]\n{}",
            crate::docker::NO_NAMES
        );
        let proxy = cable
            .near
            .within(|| Launch::new(config).home(&home).start());
        Some(Self { cable, proxy })
    }

    /// An origin at the far end.
    fn origin(&self, serve: impl Fn(Wire) + Send + Sync + 'static) -> Origin {
        let address = format!("{FAR}:0").parse().expect("an address");
        self.cable.far.within(|| Origin::serving_at(address, serve))
    }

    /// A tunnel to a port of the far end.
    fn tunnel(&self, port: u16) -> Wire {
        let target = format!("{FAR}:{port}");
        let proxy = &self.proxy;
        self.cable.near.within(|| proxy.tunnel(&target))
    }
}

/// An origin that takes what comes, and says when a connection of its has ended.
fn listening(bench: &Bench) -> (Origin, Receiver<()>) {
    let (tell, ended) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = bench.origin(move |mut wire| {
        wire.to_end();
        tell.lock().expect("a lock").send(()).expect("a listener");
    });
    (origin, ended)
}

/// Each way.
const MUCH: usize = 64 * 1024 * 1024;

#[test]
fn a_tunnel_over_a_bad_network_loses_no_byte() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let origin = bench.origin(|mut wire| {
        let mut writing = wire.again();
        let sending = thread::spawn(move || bulk::send(&mut writing, MUCH));
        bulk::receive(&mut wire, MUCH);
        let sent = sending.join().expect("a thread");
        sent.expect("the data is taken");
        wire.end_writing();
        wire.ends();
    });
    bench.cable.loses(0.05);
    let mut tunnel = bench.tunnel(origin.port());
    let mut writing = tunnel.again();
    let sending = thread::spawn(move || bulk::send(&mut writing, MUCH));
    bulk::receive(&mut tunnel, MUCH);
    let sent = sending.join().expect("a thread");
    sent.expect("the data is taken");
    tunnel.end_writing();
    tunnel.ends();
    bench.proxy.settles();
    let audit = bench.proxy.audit();
    let line = audit.iter().find(|line| line["event"] == "connect");
    let line = line.expect("its line");
    assert_eq!(
        (&line["bytes_up"], &line["bytes_down"]),
        (&MUCH.into(), &MUCH.into())
    );
}

#[test]
fn a_reset_crosses_the_tunnel_from_either_side() {
    let Some(bench) = Bench::new() else { return };
    let origin = bench.origin(|mut wire| {
        wire.exactly(5);
        wire.reset();
    });
    let mut tunnel = bench.tunnel(origin.port());
    tunnel.send("hello");
    tunnel.ends();

    let (origin, ended) = listening(&bench);
    let mut tunnel = bench.tunnel(origin.port());
    tunnel.send("hello");
    tunnel.reset();
    ended.recv().expect("its end");
    bench.proxy.settles();
}

#[test]
fn a_reset_that_is_lost_comes_again_when_something_is_sent() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let (lost, is_lost) = mpsc::channel();
    let (tell, resets) = mpsc::channel();
    let both = Mutex::new((is_lost, tell));
    let origin = bench.origin(move |mut wire| {
        wire.exactly(5);
        wire.send("hello");
        let (is_lost, tell) = &*both.lock().expect("a lock");
        is_lost.recv().expect("the word");
        wire.reset();
        tell.send(()).expect("a listener");
    });
    let mut tunnel = bench.tunnel(origin.port());
    tunnel.send("hello");
    tunnel.exactly(5);
    bench.cable.loses(1.0);
    lost.send(()).expect("an origin");
    resets.recv().expect("its reset");
    bench.cable.loses(0.0);
    tunnel.send("is anybody there?");
    tunnel.ends();
    bench.proxy.settles();
}

#[test]
fn a_peer_that_only_has_something_to_say_is_asked_for_signs_of_life() {
    let Some(bench) = Bench::new() else { return };
    let (origin, _ended) = listening(&bench);
    let tunnel = bench.tunnel(origin.port());
    // What the kernel waits for next on the proxy's connection: 2 is keepalive
    // (Documentation/networking/proc_net_tcp.rst).
    let sockets = bench
        .cable
        .near
        .within(|| fs::read_to_string("/proc/thread-self/net/tcp").expect("the sockets"));
    let port = format!(":{:04X}", origin.port());
    let mut lines = sockets.lines().map(|line| line.split_whitespace());
    let timer = lines.find_map(|mut fields| {
        let there = fields.nth(2).is_some_and(|peer| peer.ends_with(&port));
        there.then(|| fields.nth(2)).flatten()
    });
    assert!(
        timer.is_some_and(|timer| timer.starts_with("02:")),
        "{sockets}"
    );
    drop(tunnel);
}

/// A server that takes one connection, says so, and reads nothing of it.
const DEAF: &str = "import socket, sys; server = socket.create_server((sys.argv[1], 0)); \
    print(server.getsockname()[1], flush=True); taken = server.accept(); \
    print('taken', flush=True); sys.stdin.read()";

#[test]
fn a_server_that_is_killed_ends_its_tunnels() {
    let Some(bench) = Bench::new() else { return };
    // With something unread, for which its kernel sends a reset, and without.
    for sent in ["hello", ""] {
        let mut command = bench.proxy.home.command("python3");
        command.args(["-c", DEAF, FAR]);
        let mut server = bench.cable.far.within(|| Running::spawn(&mut command));
        let port = server.line().parse().expect("a port");
        let mut tunnel = bench.tunnel(port);
        assert_eq!(server.line(), "taken");
        tunnel.send(sent);
        server.signal(Signal::SIGKILL);
        server.wait();
        tunnel.ends();
        // What is still sent meets nobody.
        while tunnel.try_send("is anybody there?").is_ok() {}
        bench.proxy.settles();
    }
}

#[test]
fn a_peer_that_vanishes_ends_its_tunnel_when_what_is_sent_is_given_up() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    bench.cable.near.gives_up_after(2);
    let (origin, _ended) = listening(&bench);
    let mut tunnel = bench.tunnel(origin.port());
    tunnel.send("hello");
    bench.cable.cut();
    tunnel.send("is anybody there?");
    tunnel.ends();
    bench.proxy.settles();
}

#[test]
fn a_host_that_has_vanished_is_told_to_whoever_asks_for_it() {
    let Some(mut bench) = Bench::new() else {
        return;
    };
    let (origin, _ended) = listening(&bench);
    bench.cable.cut();
    let proxy = &bench.proxy;
    let mut client = bench.cable.near.within(|| proxy.client());
    let target = format!("{FAR}:{}", origin.port());
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let answer = client.answer();
    assert_eq!(answer.status(), 504, "{answer:?}");
    client.ends();
}
