//! The control plane, call by call: what it answers, the same on both transports, and how it
//! refuses.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vibepit::api::ROUTES;

use crate::control_curl::{WAYS, Way};
use crate::support::{Message, Proxy, Wire, require};

const CONFIG: &str = "allow = [\"config.test\", \"*.wild.test:443\"]\ndeny = [\"denied.test\"]\n";

#[test]
fn every_call_is_answered_the_same_over_the_socket_and_over_mtls() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start(CONFIG);
    let new = r#"{"entries":["new.test:443","config.test"],"scope":"session"}"#;
    // Ends with the state that it began with.
    let calls: [(&str, &str, Option<&str>); 18] = [
        ("GET", "/session", None),
        ("GET", "/rules", None),
        ("POST", "/allow", Some(new)),
        ("GET", "/rules", None),
        ("POST", "/deny", Some(new)),
        (
            "POST",
            "/allow",
            Some(r#"{"entries":["a.denied.test","denied.test"]}"#),
        ),
        ("GET", "/explain?target=new.test:443", None),
        ("GET", "/explain?target=[2001:db8::1]:443", None),
        (
            "POST",
            "/revoke",
            Some(r#"{"entries":["new.test:443","config.test"]}"#),
        ),
        (
            "POST",
            "/revoke",
            Some(r#"{"entries":["a.denied.test","denied.test"]}"#),
        ),
        ("GET", "/pending-domains?missed=1", None),
        ("GET", "/connections", None),
        ("GET", "/logs?limit=3", None),
        ("GET", "/stats", None),
        ("GET", "/metrics", None),
        ("POST", "/reload", Some("")),
        ("GET", "/healthz", None),
        ("GET", "/openapi.json", None),
    ];
    let told = |way: Way| {
        let answers = calls.iter().map(|(method, path, body)| {
            let answer = match body {
                Some(body) => way.posts(&proxy, path, body),
                None => way.asks(&proxy, method, path, &[]),
            };
            assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
            (*path, lasting(&answer))
        });
        answers.collect::<Vec<_>>()
    };
    assert_eq!(told(Way::Socket), told(Way::Port));

    let asked: BTreeSet<_> = calls
        .iter()
        .map(|(method, path, _)| (*method, path.split('?').next().expect("a path")))
        .chain([("GET", "/events")])
        // A decision cannot be made twice: see asking.rs and mtls_control.rs.
        .chain([
            ("POST", "/approve-domain/{id}"),
            ("POST", "/deny-domain/{id}"),
        ])
        .collect();
    let routes: BTreeSet<_> = ROUTES.iter().map(|r| (r.method, r.path)).collect();
    assert_eq!(asked, routes, "a call is not tried");
}

/// What an answer says, without what changes by itself.
fn lasting(answer: &Message) -> (String, Value) {
    let media_type = answer.field("content-type").unwrap_or_default().to_owned();
    let content = if media_type == "application/json" {
        let mut value = answer.json();
        forget(&mut value);
        value
    } else {
        let text = answer.text();
        let lines = text
            .lines()
            .filter(|line| !line.starts_with("vibepit_uptime"));
        lines.collect()
    };
    (media_type, content)
}

/// How long, when and by whom.
fn forget(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| {
                !["uptime_seconds", "made_at", "made_by"].contains(&name.as_str())
            });
            fields.values_mut().for_each(forget);
        }
        Value::Array(items) => items.iter_mut().for_each(forget),
        _ => {}
    }
}

#[test]
fn an_answer_ends_its_line_and_is_not_for_keeping() {
    let proxy = Proxy::start(CONFIG);
    for path in [
        "/session",
        "/rules",
        "/metrics",
        "/openapi.json",
        "/nothing",
    ] {
        let answer = proxy.get(path);
        assert!(answer.body.ends_with(b"\n"), "{path}: {:?}", answer.text());
        if answer.status() == 200 {
            assert_eq!(answer.field("cache-control"), Some("no-store"), "{path}");
        }
    }
}

#[test]
fn the_session_says_what_it_is() {
    let proxy = Proxy::start(CONFIG);
    let session = proxy.read("/session");
    let (http, dns) = (proxy.http().to_string(), proxy.dns().to_string());
    let doors = json!({
        "http": http, "socks5": null, "dns": dns, "plain": null, "tls": null, "host": [],
        "tcp": proxy.tcp().to_string(),
    });
    let expected = json!({
        "id": proxy.id(), "name": "proxy", "project": null, "runtime": "none",
        "version": env!("CARGO_PKG_VERSION"), "uptime_seconds": session["uptime_seconds"],
        "doors": doors, "mode": "reject", "can_save": true, "warnings": [],
        "counts": {
            "rules": 3, "connections": 0, "pending": 0, "waiting": 0, "allowed": 0, "refused": 0,
        },
    });
    assert_eq!(session, expected);
}

#[test]
fn an_unknown_path_is_404_and_a_wrong_method_405_that_names_the_right_one() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    for way in WAYS {
        for path in [
            "/",
            "/nothing",
            "/rules/",
            "/Rules",
            "/allow/a.test",
            "/%72ules",
        ] {
            let answer = way.get(&proxy, path);
            assert_eq!(answer.status(), 404, "{path}");
            assert!(answer.text().contains("/openapi.json"), "{path}");
        }
        for route in ROUTES {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY"] {
                if method == route.method {
                    continue;
                }
                let answer = way.asks(&proxy, method, route.path, &[]);
                assert_eq!(answer.status(), 405, "{method} {}", route.path);
                assert_eq!(answer.field("allow"), Some(route.method), "{}", route.path);
            }
        }
    }
    let mut wire = Wire::to_socket(&proxy.socket());
    wire.send("HEAD /rules HTTP/1.1\r\nHost: vibepit\r\n\r\n");
    let head = wire.head();
    assert_eq!((head.status(), head.field("allow")), (405, Some("GET")));
}

#[test]
fn a_body_that_is_not_what_the_call_takes_changes_nothing() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start(CONFIG);
    let before = proxy.read("/rules");
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        r#""a.test""#,
        r#"{"entries":"a.test"}"#,
        r#"{"entries":[]}"#,
        r#"{"entries":[1]}"#,
        r#"{"entries":[null]}"#,
        r#"{"entries":["a.test"]} and more"#,
        r#"{"entries":["a.test"]}{"entries":["b.test"]}"#,
        r#"{"entries":["a.test"],"entries":["b.test"]}"#,
        r#"{"entries":["a.test"],"scop":"session"}"#,
        r#"{"entry":["a.test"]}"#,
        r#"entries=a.test"#,
    ];
    for way in WAYS {
        for path in ["/allow", "/deny", "/revoke"] {
            for body in bodies {
                let answer = way.posts(&proxy, path, body);
                assert_eq!(answer.status(), 400, "{path} {body}: {}", answer.text());
            }
        }
        let more = [
            (r#"{"entries":["a.test"],"scope":"project"}"#, "project"),
            (r#"{"entries":["a.test"],"scope":"once"}"#, "session"),
            (
                r#"{"entries":["a.test"],"scope":"Session"}"#,
                "unknown variant",
            ),
            (r#"{"entries":["a.test"],"ttl":"10"}"#, "10m"),
            (r#"{"entries":["a.test"],"ttl":"-1s"}"#, "10m"),
            (r#"{"entries":["a.test"],"ttl":"400d"}"#, "365d"),
            (r#"{"entries":["a.test"],"ttl":600}"#, "a string"),
            (r#"{"entries":["a.test"],"force":"yes"}"#, "a boolean"),
        ];
        for path in ["/allow", "/deny"] {
            for (body, hint) in more {
                let answer = way.posts(&proxy, path, body);
                assert_eq!(answer.status(), 400, "{path} {body}");
                let detail = answer.json()["detail"].to_string();
                assert!(detail.contains(hint), "{body}: {detail}");
            }
        }
    }
    assert_eq!(proxy.read("/rules"), before);
    let not_text = proxy_body(&proxy, b"{\"entries\":[\"a\xff.test\"]}");
    assert_eq!(not_text.status(), 400, "{}", not_text.text());
    assert_eq!(proxy.read("/rules"), before);
}

fn proxy_body(proxy: &Proxy, body: &[u8]) -> Message {
    let mut wire = Wire::to_socket(&proxy.socket());
    let length = body.len();
    wire.send(format!(
        "POST /allow HTTP/1.1\r\nHost: vibepit\r\nContent-Length: {length}\r\n\r\n"
    ));
    wire.send(body);
    wire.answer()
}

#[test]
fn one_bad_entry_is_named_and_nothing_of_its_request_is_applied() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start(CONFIG);
    let before = proxy.read("/rules");
    let entries = [
        "https://x/",
        "",
        " ",
        "*",
        "**",
        "*.com",
        "**.co.uk",
        "a*.test",
        "a.test:0",
        "a.test:65536",
        "a.test:0443",
        "a.test:https",
        "a..test",
        "user@a.test",
        "a.test/path",
        "a\u{0}.test",
        "a.test\r\nX: y",
        "0177.0.0.1",
        "10.0.0.0/33",
    ];
    for way in WAYS {
        for path in ["/allow", "/deny", "/revoke"] {
            for entry in entries {
                // What is in force may be taken back, however it came in.
                if path == "/revoke" && ["*.com", "**.co.uk"].contains(&entry) {
                    continue;
                }
                let entries = ["good.test", entry, "fine.test", "https://y/"];
                let body = json!({ "entries": entries }).to_string();
                let answer = way.posts(&proxy, path, &body);
                assert_eq!(answer.status(), 400, "{path} {entry:?}");
                let problem = answer.json();
                assert_eq!(problem["entry"], *entry, "{problem}");
                let detail = problem["detail"].as_str().expect("a detail");
                assert!(!detail.is_empty() && !detail.contains('\n'), "{detail:?}");
            }
        }
    }
    assert_eq!(proxy.read("/rules"), before);
    let scheme = proxy
        .post("/allow", &json!({"entries": ["https://x/"]}))
        .json();
    let detail = scheme["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("api.example.com"),
        "it shows no entry: {detail}"
    );
}

#[test]
fn a_query_that_is_not_the_calls_is_refused() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    for way in WAYS {
        for path in [
            "/explain",
            "/explain?target=",
            "/explain?target=a.test",
            "/explain?target=a.test:0",
            "/explain?target=https://a.test/",
            "/explain?target=a.test:443&target=b.test:443",
            "/explain?target=a%ff.test:443",
            "/explain?target=%",
            "/logs?after=-1",
            "/logs?after=",
            "/logs?limit=1&limit=2",
            "/logs?limit=18446744073709551616",
            "/logs?last=3",
            "/rules?x",
            "/events?after=x",
        ] {
            let answer = way.get(&proxy, path);
            assert_eq!(answer.status(), 400, "{path}: {}", answer.text());
        }
        for id in ["x", "-1", "1.0", "0x1"] {
            let header = format!("Last-Event-ID: {id}");
            let answer = way.asks(&proxy, "GET", "/events", &["--header", &header]);
            assert_eq!(answer.status(), 400, "{id}");
        }
    }
}

#[test]
fn what_comes_from_a_browser_is_refused_whatever_it_asks() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    let before = proxy.read("/rules");
    let body = ["--data-raw", r#"{"entries":["a.test"]}"#];
    for way in WAYS {
        for header in [
            "Origin: https://evil.test",
            "Origin: null",
            "Origin: http://127.0.0.1:3128",
            "Referer: https://evil.test/page",
            "Host: evil.test",
            "Host: evil.test:80",
            "Host: vibepit.evil.test",
            "Host: localhost.evil.test:80",
            "Host: [::1]:80",
        ] {
            let header = ["--header", header];
            let posted = way.asks(&proxy, "POST", "/allow", &[&header[..], &body].concat());
            assert_eq!(posted.status(), 403, "{header:?}");
            for (method, path) in [
                ("GET", "/session"),
                ("GET", "/events"),
                ("OPTIONS", "/allow"),
            ] {
                let answer = way.asks(&proxy, method, path, &header);
                assert_eq!(answer.status(), 403, "{method} {path} {header:?}");
            }
        }
        for host in [
            "vibepit",
            "vibepit:80",
            "localhost",
            "127.0.0.1",
            "127.0.0.1:3129",
        ] {
            let header = format!("Host: {host}");
            let answer = way.asks(&proxy, "GET", "/healthz", &["--header", &header]);
            assert_eq!(answer.status(), 200, "{host}");
        }
    }
    assert_eq!(proxy.read("/rules"), before);
}

#[test]
fn one_connection_takes_request_after_request() {
    let proxy = Proxy::start("");
    let mut wire = Wire::to_socket(&proxy.socket());
    for path in ["/healthz", "/nothing", "/rules", "/explain", "/session"] {
        wire.send(format!("GET {path} HTTP/1.1\r\nHost: vibepit\r\n\r\n"));
        assert!(!wire.answer().body.is_empty(), "{path}");
    }
}
