//! Rules that change while a session runs: what is let through from then on, what is closed, and
//! what is told.

use std::sync::mpsc::channel;
use std::{fs, thread};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::dns::{ask, question};
use crate::support::{Launch, Origin, Proxy, Resolver, ok};

/// A proxy with some rules that finds every name of these tests on loopback.
fn proxy(rules: &str) -> Proxy {
    Launch::new(config(rules, &Resolver::at_loopback(&["a.test", "b.test"]))).start()
}

fn config(rules: &str, resolver: &Resolver) -> String {
    format!(
        "{rules}\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    )
}

fn at(name: &str, origin: &Origin) -> String {
    format!("{name}:{}", origin.port())
}

/// An origin that begins a long answer and goes on when it is told to, or its client leaves.
fn endless() -> Origin {
    Origin::serving(|mut wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
        wire.to_end();
    })
}

#[test]
fn what_is_allowed_passes_without_a_new_connection() {
    let (proxy, origin) = (proxy(""), Origin::plain());
    let target = at("a.test", &origin);
    let get = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let mut client = proxy.client();
    client.send(&get);
    assert_eq!(client.answer().status(), 403);
    let asked = question("a.test", RecordType::A);
    assert_eq!(
        ask(proxy.dns(), &asked).metadata.response_code,
        ResponseCode::NXDomain
    );

    let said = proxy.cli(&["allow", &target]).ok();
    assert!(said.contains(&format!("allowed {target}")), "{said}");
    client.send(&get);
    assert_eq!(client.answer().status(), 200);
    assert_eq!(ask(proxy.dns(), &asked).answers.len(), 1);

    proxy.cli(&["revoke", &target]).ok();
    client.send(&get);
    assert_eq!(client.answer().status(), 403);
}

#[test]
fn a_deny_closes_what_it_is_about_and_says_how_much_that_was() {
    let proxy = proxy("allow = [\"a.test:*\", \"b.test:*\"]");
    let (echo, endless) = (Origin::echo(), endless());
    let mut tunnel = proxy.tunnel(&at("a.test", &echo));
    let mut download = proxy.client();
    let target = at("a.test", &endless);
    download.send(format!(
        "GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    assert_eq!(download.head().status(), 200);
    assert_eq!(download.exactly(10), b"5\r\nhello\r\n");
    let mut other = proxy.tunnel(&at("b.test", &echo));
    assert_eq!(
        proxy.read("/connections")["connections"]
            .as_array()
            .map(Vec::len),
        Some(3)
    );

    let ran = proxy.cli(&["deny", "a.test:*"]);
    assert_eq!(
        (ran.code, ran.stderr.contains("2 connections closed")),
        (Some(0), true),
        "{ran:?}"
    );
    tunnel.ends();
    // Cut, and not ended as a whole answer ends.
    assert_eq!(download.to_end(), b"");
    other.send("hello");
    assert_eq!(other.exactly(5), b"hello");

    let audit = proxy.audit();
    let closed: Vec<_> = audit
        .iter()
        .filter(|line| line["event"] == "connect")
        .collect();
    assert_eq!(closed.len(), 2, "{closed:?}");
    assert!(
        closed.iter().all(|line| line["domain"] == "a.test"),
        "{closed:?}"
    );
    let answer = proxy.does("/deny", &json!({"entries": ["a.test:*"]}));
    assert_eq!(answer["closed"], 0, "{answer}");
}

#[test]
fn an_upload_and_an_upgraded_connection_are_closed_too() {
    let proxy = proxy("allow = [\"a.test:*\"]");
    let (send, cut) = channel();
    let send = std::sync::Mutex::new(send);
    let origin = Origin::serving(move |mut wire| {
        let head = wire.head();
        if head.field("upgrade").is_some() {
            wire.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
            );
        }
        let send = send.lock().expect("a lock").clone();
        send.send(wire.exactly(5)).expect("a listener");
        send.send(wire.to_end()).expect("a listener");
    });
    let target = at("a.test", &origin);
    let mut upload = proxy.client();
    upload.send(format!(
        "PUT http://{target}/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000\r\n\r\nhello"
    ));
    assert_eq!(cut.recv().expect("the beginning"), b"hello");
    let mut upgraded = proxy.client();
    upgraded.send(format!(
        "GET http://{target}/ HTTP/1.1\r\nHost: a.test\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    ));
    assert_eq!(upgraded.head().status(), 101);
    upgraded.send("hello");
    assert_eq!(cut.recv().expect("the beginning"), b"hello");
    assert_eq!(
        proxy.does("/deny", &json!({"entries": ["a.test:*"]}))["closed"],
        2
    );
    upload.ends();
    upgraded.ends();
    for _ in 0..2 {
        assert_eq!(cut.recv().expect("the end"), b"");
    }
}

#[test]
fn a_revoked_rule_closes_what_no_other_rule_lets_through() {
    let proxy = proxy("");
    let echo = Origin::echo();
    let (a, b) = (at("a.test", &echo), at("b.test", &echo));
    proxy.does("/allow", &json!({"entries": [a, b, "a.test:*"]}));
    let (mut one, mut other) = (proxy.tunnel(&a), proxy.tunnel(&b));
    // Another rule covers it still.
    let answer = proxy.does("/revoke", &json!({"entries": [a]}));
    assert_eq!(
        (&answer["removed"], &answer["closed"]),
        (&json!([a]), &json!(0)),
        "{answer}"
    );
    one.send("hello");
    assert_eq!(one.exactly(5), b"hello");
    let answer = proxy.does("/revoke", &json!({"entries": ["a.test:*", "c.test:443"]}));
    assert_eq!(
        (&answer["missing"], &answer["closed"]),
        (&json!(["c.test:443"]), &json!(1))
    );
    one.ends();
    other.send("hello");
    assert_eq!(other.exactly(5), b"hello");
    let ran = proxy.cli(&["revoke", &b]);
    assert!(ran.stderr.contains("1 connection closed"), "{ran:?}");
    other.ends();
}

#[test]
fn a_connection_that_carries_nothing_is_not_closed_for_what_it_carried() {
    let proxy = proxy("");
    let (one, other) = (Origin::plain(), Origin::plain());
    let (a, b) = (at("a.test", &one), at("b.test", &other));
    proxy.does("/allow", &json!({"entries": [a, b]}));
    let mut client = proxy.client();
    let get = |target: &str| format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n");
    client.send(get(&a));
    assert_eq!(client.answer().status(), 200);
    proxy.settles();
    assert_eq!(proxy.does("/revoke", &json!({"entries": [a]}))["closed"], 0);
    // Its next request is judged by the rules that hold then.
    for (target, status) in [(&a, 403), (&b, 200)] {
        client.send(get(target));
        assert_eq!(client.answer().status(), status);
    }
    assert_eq!(one.requests().len(), 1);
}

#[test]
fn a_rule_with_a_time_limit_ends_and_closes_its_tunnel() {
    let (proxy, echo) = (proxy(""), Origin::echo());
    let target = at("a.test", &echo);
    let mut events = proxy.events(None);
    proxy.cli(&["allow", "--for", "1s", &target]).ok();
    assert!(events.until("rule-added")["rule"]["expires_at"].is_string());
    let mut tunnel = proxy.tunnel(&target);
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    let removed = events.until("rule-removed");
    assert_eq!(
        (&removed["rule"]["entry"], &removed["actor"]),
        (&json!(target), &json!("vibepit"))
    );
    tunnel.ends();
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    assert_eq!(client.answer().status(), 403);
    let audit = proxy.audit();
    let revoked = audit.iter().filter(|line| line["event"] == "rule_revoke");
    assert_eq!(revoked.count(), 1);
}

#[test]
fn a_later_decision_replaces_the_earlier_one() {
    let (proxy, echo) = (proxy(""), Origin::echo());
    let target = at("a.test", &echo);
    let body = json!({"entries": [target]});
    let mut events = proxy.events(None);
    proxy.does("/allow", &json!({"entries": [target], "ttl": "1s"}));
    // Without a limit now: the limit of the first one has no effect any more.
    assert_eq!(proxy.does("/allow", &body)["added"], json!([target]));
    let rule = proxy.read("/rules")["rules"].clone();
    assert_eq!(
        (rule.as_array().map(Vec::len), &rule[0]["expires_at"]),
        (Some(1), &json!(null))
    );
    let mut tunnel = proxy.tunnel(&target);
    // A second one with a limit shows when the first limit is over.
    proxy.does("/allow", &json!({"entries": ["other.test:1"], "ttl": "1s"}));
    while events.until("rule-removed")["rule"]["entry"] != "other.test:1" {}
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    // The opposite one replaces it, and back.
    assert_eq!(proxy.does("/deny", &body)["closed"], 1);
    tunnel.ends();
    assert_eq!(
        proxy.read("/rules")["rules"].as_array().map(Vec::len),
        Some(1)
    );
    assert_eq!(proxy.does("/allow", &body)["shadowed"], json!(null));
    proxy.tunnel(&target);
}

#[test]
fn an_allow_that_a_deny_outranks_says_so() {
    let proxy = proxy("deny = [\"**.a.test\"]");
    let ran = proxy.cli(&["allow", "x.a.test:443"]);
    assert_eq!(ran.code, Some(0));
    assert!(
        ran.stderr.contains("x.a.test:443 does not take effect"),
        "{ran:?}"
    );
    let mut client = proxy.client();
    client.send("CONNECT x.a.test:443 HTTP/1.1\r\nHost: x.a.test\r\n\r\n");
    assert_eq!(client.answer().status(), 403);
    // And what a file says is taken out there.
    let ran = proxy.cli(&["revoke", "**.a.test"]);
    assert!(ran.stderr.contains("a file holds it"), "{ran:?}");
}

#[test]
fn a_reload_puts_what_the_file_says_now_in_the_place_of_what_it_said() {
    let resolver = Resolver::at_loopback(&["a.test", "b.test", "c.test"]);
    let rules = |allow: &str| config(&format!("allow = [{allow}]"), &resolver);
    let echo = Origin::echo();
    let [a, b, c] = ["a.test", "b.test", "c.test"].map(|name| at(name, &echo));
    let proxy = Launch::new(rules(&format!("\"{a}\", \"{b}\"")))
        .argument("--allow")
        .argument(&c);
    let proxy = proxy.start();
    let (mut kept, mut dropped, mut by_flag) =
        (proxy.tunnel(&a), proxy.tunnel(&b), proxy.tunnel(&c));
    fs::write(&proxy.config, rules(&format!("\"{a}\", \"d.test\""))).expect("the configuration");
    let answer = proxy.does("/reload", &json!({}));
    assert_eq!(
        (&answer["rules"], &answer["closed"]),
        (&json!(2), &json!(1)),
        "{answer}"
    );
    dropped.ends();
    for tunnel in [&mut kept, &mut by_flag] {
        tunnel.send("hello");
        assert_eq!(tunnel.exactly(5), b"hello");
    }
    let explain = |target: &str| proxy.read(&format!("/explain?target={target}"))["reason"].clone();
    assert_eq!(
        (explain("d.test:443"), explain(&b)),
        (json!("allowed"), json!("unlisted"))
    );

    // By signal as by call.
    fs::write(&proxy.config, rules(&format!("\"{b}\""))).expect("the configuration");
    proxy.signal(Signal::SIGHUP);
    proxy.says(|line| line.contains("read again"));
    assert_eq!(
        (explain(&a), explain(&b), explain(&c)),
        (json!("unlisted"), json!("allowed"), json!("allowed"))
    );
    kept.ends();
    let audit = proxy.audit();
    let actors: Vec<_> = audit
        .iter()
        .filter(|line| line["event"] == "reload")
        .map(|line| &line["actor"])
        .collect();
    assert_eq!(actors.len(), 2, "{actors:?}");
    assert_eq!(*actors[1], "vibepit");
}

#[test]
fn a_file_that_cannot_be_used_leaves_everything_as_it_was_and_warns() {
    let (resolver, echo) = (Resolver::at_loopback(&["a.test"]), Origin::echo());
    let good = config("allow = [\"a.test:*\"]\ndeny = [\"b.test\"]", &resolver);
    let proxy = Launch::new(&good).start();
    let mut tunnel = proxy.tunnel(&at("a.test", &echo));
    for bad in [
        "allow = [\"a.test:*\", \"https://x/\"]\n",
        "no TOML",
        "alow = []\n",
    ] {
        fs::write(&proxy.config, bad).expect("the configuration");
        let answer = proxy.post("/reload", &json!({}));
        assert_eq!(answer.status(), 500, "{}", answer.text());
        let warnings = proxy.read("/session")["warnings"].clone();
        assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{warnings}");
        assert!(
            warnings[0].as_str().is_some_and(|w| w.contains(".toml:1:")),
            "{warnings}"
        );
    }
    fs::remove_file(&proxy.config).expect("the configuration");
    proxy.signal(Signal::SIGHUP);
    proxy.says(|line| line.contains("cannot read"));
    let ran = proxy.cli(&["status"]);
    assert!(ran.stderr.contains("cannot read"), "{ran:?}");
    assert_eq!(
        proxy.read("/explain?target=b.test:443")["reason"],
        "denied_by_rule"
    );
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    fs::write(&proxy.config, good).expect("the configuration");
    proxy.does("/reload", &json!({}));
    assert_eq!(proxy.read("/session")["warnings"], json!([]));
}

#[test]
fn a_reload_brings_other_resolvers_and_another_screen() {
    let (before, after) = (Resolver::new(&[]), Resolver::at_loopback(&["a.test"]));
    let origin = Origin::plain();
    let rules = "allow = [\"a.test:*\", \"127.0.0.1:*\"]";
    let proxy = Launch::new(config(rules, &before)).start();
    let url = format!("http://{}/", at("a.test", &origin));
    assert_eq!(proxy.fetch(&url).status(), 502);
    fs::write(&proxy.config, config(rules, &after)).expect("the configuration");
    proxy.does("/reload", &json!({}));
    assert_eq!(proxy.fetch(&url).status(), 200);
    let mut tunnel = proxy.tunnel(&origin.address().to_string());
    // Closed again: no new connection, and no open one to an address that is screened now.
    fs::write(&proxy.config, format!("{rules}\n{}", after.config())).expect("the configuration");
    assert_eq!(proxy.does("/reload", &json!({}))["closed"], 1);
    tunnel.ends();
    assert_eq!(proxy.fetch(&url).status(), 403);
}

#[test]
fn changes_while_connections_are_made_leave_none_that_no_rule_lets_through() {
    let (proxy, origin) = (proxy(""), Origin::answering(|request| ok(&request.start)));
    let target = at("a.test", &origin);
    let body = json!({"entries": [target]});
    let (stop, stopped) = channel::<()>();
    thread::scope(|scope| {
        for _ in 0..4 {
            let (proxy, target) = (&proxy, &target);
            let stop = stop.clone();
            scope.spawn(move || {
                let mut open = Vec::new();
                for _ in 0..100 {
                    let mut client = proxy.client();
                    client.send(format!(
                        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
                    ));
                    // It may be closed with the answer on its way.
                    client.try_head();
                    open.push(client);
                }
                drop(stop);
                // Whatever was let through is closed by the last change.
                open.iter_mut().for_each(|client| drop(client.to_end()));
            });
        }
        drop(stop);
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            proxy.does("/allow", &body);
            proxy.does("/deny", &body);
        }
    });
    proxy.settles();
    assert_eq!(proxy.read("/rules")["rules"][0]["verdict"], "deny");
}

#[test]
fn the_end_of_a_session_ends_its_connections_and_its_books() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let echo = Origin::echo();
    let mut proxy = Launch::new(config("allow = [\"a.test:*\"]", &resolver)).start();
    let mut tunnel = proxy.tunnel(&at("a.test", &echo));
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    let mut events = proxy.events(None);
    proxy.signal(Signal::SIGTERM);
    let ending = events.until("session-ending");
    assert!(
        ending["ending"]
            .as_str()
            .is_some_and(|why| why.contains("SIGTERM")),
        "{ending}"
    );
    assert!(events.next().is_none());
    tunnel.ends();
    assert_eq!(proxy.wait().code(), Some(0));
    assert!(!proxy.session_dir().exists());
    let lines = proxy.audit_so_far();
    let events: Vec<_> = lines
        .iter()
        .map(|line| line["event"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(events.first(), Some(&"session_start"));
    assert!(events.contains(&"session_end"), "{events:?}");
    let connect = lines
        .iter()
        .find(|line| line["event"] == "connect")
        .expect("its line");
    assert_eq!(
        (&connect["bytes_up"], &connect["bytes_down"]),
        (&json!(5), &json!(5))
    );
}
