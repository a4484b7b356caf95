//! What the HTTP door carries, and how: requests in absolute form, tunnels, and what lies between
//! the two.

use crate::support::{Origin, Proxy, Resolver};

/// A proxy that lets `a.test` through, on every port, and finds it on loopback.
fn proxy(resolver: &Resolver, more: &str) -> Proxy {
    Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}{more}",
        resolver.config()
    ))
}

#[test]
fn a_request_reaches_the_origin_that_its_url_names() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = proxy(&resolver, "");
    let origin = Origin::plain();
    let answer = proxy.fetch(&format!("http://a.test:{}/path?query", origin.port()));
    assert_eq!(
        (answer.status(), answer.text().as_str()),
        (200, "GET /path?query HTTP/1.1")
    );
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_tunnel_carries_bytes_both_ways() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = proxy(&resolver, "");
    let origin = Origin::echo();
    let mut tunnel = proxy.tunnel(&format!("a.test:{}", origin.port()));
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    tunnel.end_writing();
    tunnel.ends();
}

#[test]
fn what_no_rule_allows_is_refused_and_logged_once() {
    let resolver = Resolver::at_loopback(&["b.test"]);
    let proxy = proxy(&resolver, "");
    let mut events = proxy.events(None);
    let answer = proxy.fetch("http://b.test/");
    assert_eq!(answer.status(), 403, "{answer:?}");
    assert_eq!(events.until("log")["domain"], "b.test");
    assert_eq!(proxy.logs(0).len(), 1);
    assert_eq!(resolver.questions(), []);
    let lines = proxy.audit();
    assert_eq!(
        lines
            .iter()
            .filter(|line| line["event"] == "connect")
            .count(),
        1
    );
    assert_eq!(proxy.cli(&["rules"]).code, Some(0));
    let added = proxy.does("/allow", &serde_json::json!({"entries": ["b.test:80"]}));
    assert_eq!(added["added"], serde_json::json!(["b.test:80"]));
}
