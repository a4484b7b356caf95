//! `host.vibepit` of programs that know no proxy: what connects by itself reaches the host's ports
//! in `allow_host_ports`, and no other.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::json;

use crate::docker::NO_NAMES;
use crate::support::local::each;
use crate::support::{Bench, Launch, Origin, Ran, Shell, Wire, own_loopback, require};

/// A service of the host that speaks first, hears to the end and answers then.
pub(crate) fn service() -> Origin {
    Origin::serving(|mut wire| {
        wire.send("ready\n");
        let heard = wire.to_end();
        wire.send([&b"heard "[..], &heard].concat());
    })
}

fn conversation(mut wire: Wire) {
    assert_eq!(wire.exactly(6), b"ready\n");
    wire.send("hello");
    wire.end_writing();
    assert_eq!(wire.to_end(), b"heard hello");
}

#[test]
fn the_port_at_which_a_client_arrives_is_the_one_of_the_host_if_it_is_open() {
    let (open, shut) = (service(), service());
    let at: Ipv4Addr = own_loopback();
    let door = |origin: &Origin| SocketAddr::from((at, origin.port()));
    let mut launch = Launch::new(format!("allow_host_ports = [{}]", open.port()));
    for origin in [&open, &shut] {
        launch = launch.argument("--host").argument(door(origin).to_string());
    }
    let proxy = launch.start();
    let doors = proxy.read("/session")["doors"].clone();
    let listening = [&open, &shut].map(|origin| door(origin).to_string());
    assert_eq!(doors["host"], json!(listening), "{doors}");

    let mut tunnel = Wire::to(door(&open));
    assert_eq!(tunnel.exactly(6), b"ready\n");
    let connections = proxy.read("/connections");
    let target = format!("host.vibepit:{}", open.port());
    assert_eq!(connections["connections"][0]["target"], target.as_str());
    assert_eq!(connections["connections"][0]["door"], "host");
    drop(tunnel);
    conversation(Wire::to(door(&open)));

    let before = open.connections();
    for (origin, reason) in [(&shut, "screened_address"), (&open, "denied_by_rule")] {
        proxy.does("/deny", &json!({"entries": [target]}));
        Wire::to(door(origin)).ends();
        let logged = proxy.logs(0).pop().expect("a line");
        assert_eq!(logged["reason"], reason, "{logged}");
        assert_eq!(logged["door"], "host", "{logged}");
        assert_eq!(logged["port"], origin.port(), "{logged}");
    }
    assert_eq!((shut.connections(), open.connections()), (0, before));
}

/// What a program says of a connection to a port of the host, that it makes by itself.
fn says(shell: &mut Shell, port: u16) -> String {
    shell.ask(&format!(
        "/usr/bin/python3 -c '\
         import socket; s = socket.create_connection((\"host.vibepit\", {port})); \
         f = s.makefile(\"r\"); print(f.readline().strip()); s.sendall(b\"hello\"); \
         s.shutdown(socket.SHUT_WR); print(f.read())' 2>&1 | tail -n 2"
    ))
}

/// A sandbox reaches this service by itself until it is denied, and no other one.
pub(crate) fn reaches(shell: &mut Shell, open: &Origin, deny: &dyn Fn(&str) -> Ran) {
    let (other, before) = (Origin::plain(), open.connections());
    assert_eq!(says(shell, open.port()), "ready\nheard hello\n");
    // Nothing listens there, in a network that has nothing but the doors.
    let refused = says(shell, other.port());
    assert!(refused.contains("ConnectionRefusedError"), "{refused}");
    deny(&format!("host.vibepit:{}", open.port())).ok();
    let denied = says(shell, open.port());
    assert!(!denied.contains("ready"), "{denied}");
    assert_eq!((open.connections(), other.connections()), (before + 1, 0));
}

fn config(open: &Origin) -> String {
    // The second is a door's already, and the session starts all the same.
    format!("{NO_NAMES}allow_host_ports = [{}, 3128]\n", open.port())
}

#[test]
fn without_an_engine_a_program_that_knows_no_proxy_reaches_the_ports_that_are_named() {
    let open = service();
    each(&config(&open), |bench| {
        let mut shell = bench.shell(&[]);
        reaches(&mut shell, &open, &|entry| bench.cli(&["deny", entry]));
        assert_eq!(shell.end().0, Some(0));
        bench.is_clean();
    });
}

#[test]
fn on_an_engine_a_program_that_knows_no_proxy_reaches_the_ports_that_are_named() {
    if !require("docker") {
        return;
    }
    let open = service();
    let bench = Bench::new(&config(&open));
    let told = bench.run(&[], "true");
    let warning = "allow_host_ports: 3128 of host.vibepit can be reached through the proxy alone";
    assert!(told.stderr.contains(warning), "{told:?}");
    let mut shell = bench.shell(&[]);
    reaches(&mut shell, &open, &|entry| bench.cli(&["deny", entry]));
    assert_eq!(shell.end().0, Some(0));
    bench.is_clean();
}
