//! Rows that are requests: authorities, hosts, addresses, ports, lengths, fields.

use crate::support::{Launch, unescaped};

use super::bench::{Bench, Expect};
use super::rows;

#[test]
fn requests_that_are_sent_as_they_stand_come_out_as_the_table_says() {
    let (open, closed) = (Bench::open(), Bench::closed());
    let mut sent = 0;
    for row in rows() {
        let Some(expect) = row.as_it_stands() else {
            continue;
        };
        // What has to be screened is sent where nothing is opened.
        let bench = if expect == Expect::Screened {
            &closed
        } else {
            &open
        };
        let expect = match row.id.as_str() {
            // A name of one label belongs to this machine's network, and is nobody's to allow.
            "WILD-013" | "WILD-014" => Expect::Screened,
            _ => expect,
        };
        let (_, entry) = bench.sends(&row.id, &unescaped(&row.input), expect);
        match row.id.as_str() {
            "CASE-001" | "DOT-002" | "CASE-006" => {
                assert_eq!(entry["domain"], "allowed.example", "{}", row.id);
            }
            "DOT-001" => assert_eq!(entry["rule"], "denied.example:443"),
            // The table's deny rule is for port 443 alone, so that no rule can be named here:
            // the design refuses it as unlisted.
            "DOT-008" => assert_eq!(entry["reason"], "unlisted"),
            _ => {}
        }
        sent += 1;
    }
    assert!(sent > 100, "{sent}");
}

#[test]
pub(super) fn the_proxy_is_not_reached_through_itself() {
    let bench = Bench::closed();
    let (http, control) = (bench.proxy.http(), bench.proxy.tcp());
    let connect = format!("CONNECT {control} HTTP/1.1\r\nHost: {control}\r\n\r\n");
    bench.sends("CTL-006", connect.as_bytes(), Expect::Screened);
    let get = format!("GET http://{http}/ HTTP/1.1\r\nHost: {http}\r\n\r\n");
    bench.sends("CTL-007", get.as_bytes(), Expect::Screened);
}

#[test]
pub(super) fn what_was_sent_is_shown_escaped() {
    let bench = Bench::open();
    for (id, head) in [
        (
            "DISP-001",
            &b"CONNECT a\x1b]0;pwned\x07.example:443 HTTP/1.1\r\n\r\n"[..],
        ),
        ("DISP-001", b"CONNECT a\x1b[2J.example:443 HTTP/1.1\r\n\r\n"),
        ("DISP-009", b"CONNECT a\".example:443 HTTP/1.1\r\n\r\n"),
        ("DISP-009", b"CONNECT a\n.example:443 HTTP/1.1\r\n\r\n"),
        (
            "DISP-010",
            b"CONNECT a.example:443\r\n2026-01-01 ALLOW github.com\r\n\r\n",
        ),
        (
            "WEB-007",
            b"CONNECT <img src=x onerror=alert(1)>.example:443 HTTP/1.1\r\n\r\n",
        ),
    ] {
        let (answer, _) = bench.sends(id, head, Expect::Malformed);
        let shown = [answer.head, answer.body].concat();
        assert!(!shown.contains(&0x1b) && !shown.contains(&0x07), "{id}");
    }
    let printed = bench.proxy.cli(&["logs"]).ok();
    assert!(!printed.contains(['\x1b', '\x07']), "{printed:?}");
    let lines: Vec<_> = printed
        .lines()
        .filter(|line| line.contains("ALLOW"))
        .collect();
    assert_eq!(lines, [""; 0], "a line of its own making");
    for line in bench.proxy.cli(&["logs", "--json"]).ok().lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert_eq!(entry["reason"], "malformed");
    }
}

#[test]
pub(super) fn the_name_of_a_session_is_shown_escaped() {
    // The table speaks of a process's name; the one name of that kind here is the session's.
    let name = "a\u{202e}b\x1b[2J";
    let proxy = Launch::new("").argument("--name").argument(name).start();
    for arguments in [&["sessions"][..], &["status"]] {
        let printed = proxy.cli(arguments).ok();
        assert!(!printed.contains(['\u{202e}', '\x1b']), "{printed:?}");
        assert!(printed.contains("\\u{202e}"), "{printed:?}");
    }
}

#[test]
pub(super) fn a_name_is_decided_about_and_logged_as_a_lower_case_a_label() {
    let bench = Bench::open();
    let bytes = b"CONNECT XN--80AK6AA92E.com:443 HTTP/1.1\r\nHost: XN--80AK6AA92E.com:443\r\n\r\n";
    let (_, entry) = bench.sends("IDN-014", bytes, Expect::Denied);
    assert_eq!(entry["domain"], "xn--80ak6aa92e.com");
}

#[test]
pub(super) fn no_name_rule_covers_an_address() {
    let bench = Bench::closed();
    for (id, target, expect) in [
        ("IP4-030", "8.8.8.8:443", Expect::Denied),
        // NAT64 of a public address is judged as itself: no rule covers it.
        ("IP6-028", "[64:ff9b::808:808]:443", Expect::Denied),
        ("IP6-029", "[2002:c000:201::1]:443", Expect::Screened),
    ] {
        let connect = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        bench.sends(id, connect.as_bytes(), expect);
    }
}

#[test]
pub(super) fn what_is_too_long_is_refused_before_it_is_whole() {
    let bench = Bench::open();
    // Longer than the row, which fits the limit of a request line and is no name: both are said.
    let connect = |length| format!("CONNECT {}:443 HTTP/1.1\r\n\r\n", "a".repeat(length));
    let (answer, _) = bench.sends("LEN-005", connect(8193).as_bytes(), Expect::Malformed);
    assert_eq!(answer.status(), 400);
    let (answer, _) = bench.sends("LEN-005", connect(20_000).as_bytes(), Expect::Malformed);
    assert_eq!(answer.status(), 414);
    let start = "GET http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n";
    let lines = format!("{start}{}\r\n", "X: y\r\n".repeat(1000));
    let (answer, _) = bench.sends("LEN-006", lines.as_bytes(), Expect::Malformed);
    assert_eq!(answer.status(), 431);
    let large = format!("{start}X: {}\r\n\r\n", "y".repeat(64 * 1024));
    let (answer, _) = bench.sends("LEN-006", large.as_bytes(), Expect::Malformed);
    assert_eq!(answer.status(), 431);
}

#[test]
pub(super) fn the_target_decides_and_no_field_does() {
    let bench = Bench::open();
    // The table would log that Host differs; the design rewrites it and says no more.
    let get = b"GET http://allowed.example/x HTTP/1.1\r\nHost: attacker.example\r\n\r\n";
    bench.sends("MIS-001", get, Expect::Allowed);
    let connect = b"CONNECT allowed.example:443 HTTP/1.1\r\nHost: attacker.example:443\r\n\r\n";
    bench.sends("MIS-002", connect, Expect::Allowed);
    let forwarded = b"GET http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n\
                      X-Forwarded-Host: attacker.example\r\n\r\n";
    bench.sends("MIS-023", forwarded, Expect::Allowed);
    for row in [
        "GET http://attacker.example/",
        "CONNECT attacker.example:443",
    ] {
        let bytes = format!("{row} HTTP/1.1\r\nHost: allowed.example\r\n\r\n");
        bench.sends(row, bytes.as_bytes(), Expect::Denied);
    }
    if let Some([http, _]) = &bench.origins {
        let hosts: Vec<_> = http
            .requests()
            .iter()
            .map(|r| r.field("host").map(str::to_owned))
            .collect();
        assert_eq!(
            hosts,
            [
                Some("allowed.example".to_owned()),
                Some("allowed.example".to_owned())
            ]
        );
    }
}

#[test]
pub(super) fn only_http_in_absolute_form_is_a_request() {
    let bench = Bench::open();
    for (id, start, fields) in [
        (
            "MIS-021",
            "GET /.well-known/masque/udp/attacker.example/443/ HTTP/1.1",
            "Connection: upgrade\r\nUpgrade: connect-udp\r\n",
        ),
        ("MIS-025", "GET file:///etc/passwd HTTP/1.1", ""),
        ("PORT-022", "GET https://api.example/ HTTP/1.1", ""),
        ("PORT-022", "GET https://allowed.example:443/ HTTP/1.1", ""),
    ] {
        let bytes = format!("{start}\r\nHost: allowed.example\r\n{fields}\r\n");
        bench.sends(id, bytes.as_bytes(), Expect::Malformed);
    }
}

#[test]
pub(super) fn http2_is_never_switched_to() {
    let bench = Bench::open();
    let bytes = b"GET http://allowed.example/ HTTP/1.1\r\nHost: allowed.example\r\n\
                  Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                  HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n";
    bench.sends("MIS-022", bytes, Expect::Allowed);
    if let Some([http, _]) = &bench.origins {
        let request = http.request();
        assert_eq!(
            (request.field("upgrade"), request.field("http2-settings")),
            (None, None)
        );
    }
}

#[test]
pub(super) fn a_rule_for_443_covers_plain_http_to_that_port() {
    // The table would have the rule name a scheme. The design's rules name host and port: the
    // request goes to the port that the rule opens, and to no other one.
    let bench = Bench::open();
    let bytes = b"GET http://allowed.example:443/ HTTP/1.1\r\nHost: allowed.example:443\r\n\r\n";
    bench.sends("PORT-021", bytes, Expect::Allowed);
    let bytes = b"GET http://api.example/ HTTP/1.1\r\nHost: api.example\r\n\r\n";
    bench.sends("PORT-021", bytes, Expect::Denied);
}
