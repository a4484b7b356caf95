//! The doors beside the HTTP proxy: SOCKS5, and those for programs that know no proxy; and what is
//! found in a tunnel, whichever door it came through.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

use crate::support::{
    Authority, Launch, Origin, Proxy, Resolver, Says, Wire, hello, ok, own_loopback, require,
};

/// A proxy with every door, for names that are all at one address of this machine.
struct Doors {
    proxy: Proxy,
    listening: Value,
    ip: Ipv4Addr,
    resolver: Resolver,
}

impl Doors {
    /// With names at an address that is this test's own, for origins on the ports of the web.
    fn apart(config: &str) -> Self {
        Self::open(own_loopback(), config)
    }

    /// With names where origins usually are.
    fn here(config: &str) -> Self {
        Self::open(Ipv4Addr::LOCALHOST, config)
    }

    fn open(ip: Ipv4Addr, config: &str) -> Self {
        let resolver = Resolver::otherwise(Says::addresses([ip]));
        let config = format!(
            "allow_cidr = [\"127.0.0.0/8\"]\n{config}\n{}",
            resolver.config()
        );
        let mut launch = Launch::new(config);
        for door in ["--socks5", "--plain", "--tls"] {
            launch = launch.argument(door).argument("127.0.0.1:0");
        }
        let proxy = launch.start();
        let listening = proxy.read("/session")["doors"].clone();
        Self {
            proxy,
            listening,
            ip,
            resolver,
        }
    }

    fn at(&self, door: &str) -> SocketAddr {
        let address = self.listening[door].as_str().expect(door);
        address.parse().expect("an address")
    }

    /// An origin of plain HTTP that says what Host it was asked for.
    fn plain_origin(&self, port: u16) -> Origin {
        let address = SocketAddr::from((self.ip, port));
        Origin::answering_at(address, |request| {
            ok(request.field("host").unwrap_or_default())
        })
        .expect("a port")
    }

    fn socks(&self, target: &str, port: u16) -> Wire {
        let mut wire = Wire::to(self.at("socks5"));
        wire.send(b"\x05\x01\x00");
        assert_eq!(wire.exactly(2), b"\x05\x00");
        let length = u8::try_from(target.len()).expect("a name");
        wire.send(
            [
                b"\x05\x01\x00\x03",
                &[length][..],
                target.as_bytes(),
                &port.to_be_bytes(),
            ]
            .concat(),
        );
        wire
    }

    /// The last line of the log.
    fn last(&self) -> Value {
        self.proxy.logs(0).pop().expect("a line")
    }
}

fn curl(arguments: &[&str]) -> Output {
    Command::new("curl")
        .env_clear()
        .args(["-sS", "-m", "60"])
        .args(arguments)
        .output()
        .expect("curl runs")
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn socks5_takes_names_and_addresses_where_the_rules_let_it() {
    let doors = Doors::here("allow = [\"a.test:*\", \"127.0.0.0/8:*\"]");
    let echo = Origin::echo();
    for target in ["127.0.0.1", "A.Test."] {
        let mut wire = doors.socks(target, echo.port());
        assert_eq!(wire.exactly(10), b"\x05\x00\x00\x01\0\0\0\0\0\0");
        wire.send("hello");
        assert_eq!(wire.exactly(5), b"hello");
        wire.end_writing();
        wire.ends();
    }
    let mut denied = doors.socks("b.test", 443);
    assert_eq!(denied.exactly(10)[1], 2);
    denied.ends();
    let last = doors.last();
    assert_eq!(
        (&last["door"], &last["reason"]),
        (&json!("socks5"), &json!("unlisted"))
    );
    let closed = crate::support::closed_port();
    assert_eq!(doors.socks("127.0.0.1", closed).exactly(10)[1], 5);
}

/// NUL-004, SOCK-001, SOCK-004, SOCK-006, SOCK-007, SOCK-008, SOCK-009, SOCK-012.
#[test]
fn what_socks5_does_not_serve_is_told_so_and_leaves_one_line() {
    let doors = Doors::here("allow = [\"allowed.example\"]");
    let rows: [(&str, &[u8], &[u8]); 8] = [
        (
            "SOCK-004",
            b"\x05\x01\x00\x05\x03\x00\x03\x070.0.0.0\x00\x00",
            b"\x05\x00\x05\x07\0\x01\0\0\0\0\0\0",
        ),
        (
            "SOCK-006",
            b"\x05\x01\x00\x05\xf0\x00\x03\x0fallowed.example\x01\xbb",
            b"\x05\x00\x05\x07\0\x01\0\0\0\0\0\0",
        ),
        (
            "SOCK-007",
            b"\x05\x01\x00\x05\x01\x00\x05\x00\x01\xbb",
            b"\x05\x00\x05\x08\0\x01\0\0\0\0\0\0",
        ),
        ("SOCK-008", b"\x04\x01\x01\xbb\x7f\x00\x00\x01u\x00", b""),
        (
            "SOCK-009",
            b"GET http://allowed.example/ HTTP/1.1\r\n\r\n",
            b"",
        ),
        (
            "NUL-004",
            b"\x04\x01\x01\xbb\x00\x00\x00\x01u\x00attacker.example\x00.wild.example\x00",
            b"",
        ),
        (
            "SOCK-012",
            b"\x05\x01\x00\x05\x01\x00\x03\x0fallowed.example\x00\x00",
            b"\x05\x00\x05\x02\0\x01\0\0\0\0\0\0",
        ),
        ("a password alone", b"\x05\x01\x02", b"\x05\xff"),
    ];
    for (row, sent, answer) in rows {
        let before = doors.proxy.logged();
        let mut wire = Wire::to(doors.at("socks5"));
        wire.send(sent);
        assert_eq!(wire.to_end(), answer, "{row}");
        let logged = doors.proxy.logs(before);
        assert_eq!(logged.len(), 1, "{row}: {logged:?}");
        assert_eq!(logged[0]["reason"], "malformed", "{row}");
    }
    let mut both = Wire::to(doors.at("socks5"));
    both.send(b"\x05\x02\x00\x02");
    assert_eq!(both.exactly(2), b"\x05\x00", "SOCK-001");
}

/// DOT-009, IP4-032, IP4-033, IP4-034, NUL-003.
#[test]
fn a_target_of_socks5_is_judged_as_every_other_one() {
    let doors = Doors::here(
        "deny = [\"denied.example:443\"]\nallow = [\"allowed.example\", \"denied.example\"]",
    );
    let rows: [(&str, &[u8], &str); 5] = [
        (
            "DOT-009",
            b"\x03\x0fdenied.example.\x01\xbb",
            "denied_by_rule",
        ),
        ("IP4-032", b"\x01\x7f\x00\x00\x01\x01\xbb", "unlisted"),
        ("IP4-033", b"\x01\x08\x08\x08\x08\x00\x35", "unlisted"),
        ("IP4-034", b"\x03\x0a2130706433\x01\xbb", "malformed"),
        (
            "NUL-003",
            b"\x03\x10\x00allowed.example\x01\xbb",
            "malformed",
        ),
    ];
    for (row, target, reason) in rows {
        let before = doors.proxy.logged();
        let mut wire = Wire::to(doors.at("socks5"));
        wire.send([&b"\x05\x01\x00\x05\x01\x00"[..], target].concat());
        assert_eq!(&wire.to_end()[..4], b"\x05\x00\x05\x02", "{row}");
        let logged = doors.proxy.logs(before);
        assert_eq!(logged.len(), 1, "{row}: {logged:?}");
        assert_eq!(logged[0]["reason"], reason, "{row}");
    }
    assert_eq!(doors.resolver.questions(), []);
}

#[test]
fn a_request_over_socks5_is_held_and_goes_on_once_it_is_approved() {
    let doors = Doors::here("unlisted_domain_behavior = \"request_approval\"");
    let origin = doors.plain_origin(0);
    let mut events = doors.proxy.events(None);
    let mut wire = doors.socks("a.test", origin.port());
    let added = events.until("domain-request-added");
    assert_eq!(added["doors"], json!(["socks5"]));
    let id = added["id"].as_str().expect("an id");
    doors
        .proxy
        .does(&format!("/approve-domain/{id}"), &json!({}));
    assert_eq!(wire.exactly(10)[1], 0);
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!(wire.answer().status(), 200);
}

#[test]
fn plain_http_of_a_program_that_knows_no_proxy_goes_where_its_host_says() {
    if !require("low-ports") {
        return;
    }
    let doors = Doors::apart("allow = [\"a.test\", \"b.test\"]");
    let origin = doors.plain_origin(80);
    let mut wire = Wire::to(doors.at("plain"));
    for host in ["a.test", "B.test.", "a.test:80"] {
        wire.send(format!("GET /x?y HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = wire.answer();
        assert_eq!((answer.status(), answer.body.len()), (200, 6), "{host}");
    }
    assert_eq!(origin.requests()[0].start, "GET /x?y HTTP/1.1");
    wire.send("GET / HTTP/1.1\r\nHost: c.test\r\n\r\n");
    let refused = wire.answer();
    assert_eq!(refused.status(), 403);
    assert!(String::from_utf8_lossy(&refused.body).contains("vibepit allow c.test:80"));
    for bad in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a.test/x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a@b.test\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut wire = Wire::to(doors.at("plain"));
        wire.send(bad);
        assert!((400..=405).contains(&wire.answer().status()), "{bad:?}");
        assert_eq!(doors.last()["door"], "plain", "{bad:?}");
    }
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn tls_of_a_program_that_knows_no_proxy_goes_where_its_name_says() {
    if !require("curl") || !require("low-ports") {
        return;
    }
    let doors = Doors::apart("allow = [\"a.test\"]");
    let authority = Authority::new();
    let address = SocketAddr::from((doors.ip, 443));
    let origin = Origin::answering_over_tls_at(address, authority.server("a.test"), |_| ok("in"));
    let origin = origin.expect("a port");
    let ca = doors.proxy.home.home().join("ca.pem");
    std::fs::write(&ca, authority.pem()).expect("a file");
    let to = format!("::{}", doors.at("tls"));
    let ca = ca.display().to_string();
    let fetched = curl(&["--connect-to", &to, "--cacert", &ca, "https://a.test/"]);
    assert_eq!(said(&fetched), "in");
    assert_eq!(origin.connections(), 1);
    doors.proxy.settles();
    assert_eq!(doors.proxy.audit().pop().expect("a line")["carries"], "tls");
    let refused = curl(&["--connect-to", &to, "--cacert", &ca, "https://b.test/"]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("access denied"), "{error}");
    let last = doors.last();
    assert_eq!(
        (&last["door"], &last["domain"]),
        (&json!("tls"), &json!("b.test"))
    );

    let nameless = curl(&["-k", &format!("https://{}/", doors.at("tls"))]);
    let error = String::from_utf8_lossy(&nameless.stderr);
    assert!(error.contains("unrecognized name"), "{error}");
    let mut wire = Wire::to(doors.at("tls"));
    wire.send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
    wire.ends();
    assert_eq!(doors.last()["reason"], "malformed");
    assert_eq!(origin.connections(), 1);
}

/// MIS-004, MIS-006, MIS-010, SOCK-013.
#[test]
fn tls_to_another_host_than_the_tunnels_is_cut_unless_that_one_is_allowed() {
    let doors = Doors::here("allow = [\"allowed.example:*\", \"other.example:*\"]");
    let origin = Origin::echo();
    let target = format!("allowed.example:{}", origin.port());
    for own in ["allowed.example", "other.example"] {
        let sent = hello(own);
        let mut tunnel = doors.proxy.tunnel(&target);
        // In two pieces, so that a part alone is not taken for the whole.
        tunnel.send(&sent[..9]);
        tunnel.send(&sent[9..]);
        assert_eq!(tunnel.exactly(sent.len()), sent, "{own}");
    }
    let mut socks = doors.socks("allowed.example", origin.port());
    assert_eq!(socks.exactly(10)[1], 0);
    for (mut tunnel, row) in [
        (doors.proxy.tunnel(&target), "MIS-004"),
        (socks, "SOCK-013"),
    ] {
        let before = doors.proxy.logged();
        tunnel.send(hello("attacker.example"));
        // unrecognized_name (RFC 8446, section 6.2), and not a byte of the origin.
        assert_eq!(tunnel.to_end(), b"\x15\x03\x03\0\x02\x02\x70", "{row}");
        let logged = doors.proxy.logs(before);
        assert_eq!(logged.len(), 1, "{row}: {logged:?}");
        assert_eq!(logged[0]["reason"], "sni_mismatch", "{row}");
        let detail = logged[0]["detail"].as_str().unwrap_or_default();
        assert!(detail.contains("attacker.example"), "{row}: {detail}");
    }
}

#[test]
fn what_a_tunnel_carries_is_named_and_a_server_that_speaks_first_does_not_wait() {
    let doors = Doors::here("allow = [\"a.test:*\"]");
    let origin = Origin::serving(|mut wire| {
        wire.send("SSH-2.0-server\r\n");
        wire.ends();
    });
    let mut tunnel = doors.proxy.tunnel(&format!("a.test:{}", origin.port()));
    assert_eq!(tunnel.line(), "SSH-2.0-server");
    tunnel.send("SSH-2.0-client\r\n");
    tunnel.end_writing();
    tunnel.ends();
    doors.proxy.settles();
    assert_eq!(doors.proxy.audit().pop().expect("a line")["carries"], "ssh");
}

/// MIS-012, MIS-013.
#[test]
fn http_in_a_tunnel_is_held_to_its_host_request_by_request() {
    let doors = Doors::here("allow = [\"allowed.example:*\", \"other.example:*\"]");
    let origin = doors.plain_origin(0);
    let target = format!("allowed.example:{}", origin.port());
    let mut tunnel = doors.proxy.tunnel(&target);
    for host in ["allowed.example", "other.example", "allowed.example"] {
        tunnel.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        let answer = tunnel.answer();
        let host = format!("{host}:{}", origin.port());
        assert_eq!((answer.status(), &answer.body[..]), (200, host.as_bytes()));
    }
    let asked = origin.requests().len();
    tunnel.send("GET / HTTP/1.1\r\nHost: attacker.example\r\n\r\n");
    let refused = tunnel.answer();
    assert_eq!(refused.status(), 403);
    assert_eq!(doors.last()["reason"], "sni_mismatch");
    assert_eq!(origin.requests().len(), asked);
    // What cannot be judged goes nowhere, however it is spelled.
    for sent in [
        "GET / HTTP/1.1\nHost: allowed.example\n\n",
        "\r\nGET / HTTP/1.1\r\nHost: allowed.example\r\nHost: attacker.example\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut tunnel = doors.proxy.tunnel(&target);
        tunnel.send(sent);
        assert_eq!(tunnel.answer().status(), 400, "{sent:?}");
    }
    assert_eq!(origin.requests().len(), asked);
}

#[test]
fn without_the_check_nobody_looks_and_with_log_it_is_only_told() {
    for (check, lines) in [("off", 0), ("log", 1)] {
        let doors = Doors::here(&format!("sni_check = \"{check}\"\nallow = [\"a.test:*\"]"));
        let origin = Origin::echo();
        let before = doors.proxy.logged();
        let mut tunnel = doors.proxy.tunnel(&format!("a.test:{}", origin.port()));
        let sent = hello("attacker.example");
        tunnel.send(&sent);
        assert_eq!(tunnel.exactly(sent.len()), sent);
        let logged = doors.proxy.logs(before);
        let told = logged
            .iter()
            .filter(|line| line["reason"] == "sni_mismatch");
        assert_eq!(told.count(), lines, "{check}");
    }
}

#[test]
fn a_hello_that_never_ends_is_cut() {
    let doors = Doors::here("allow = [\"a.test:*\"]");
    let origin = Origin::echo();
    let mut tunnel = doors.proxy.tunnel(&format!("a.test:{}", origin.port()));
    let feeding = thread::spawn({
        let mut again = tunnel.again();
        move || {
            // Records of one byte, for a hello of nearly 64 KiB.
            let _ = again.try_send(b"\x16\x03\x01\0\x04\x01\0\xff\0");
            while again.try_send(b"\x16\x03\x01\0\x01\x03").is_ok() {}
        }
    });
    assert_eq!(tunnel.to_end(), b"\x15\x03\x03\0\x02\x02\x70");
    drop(tunnel);
    feeding.join().expect("its end");
    assert_eq!(doors.last()["reason"], "sni_mismatch");
}
