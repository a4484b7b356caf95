//! What the control plane tells of the past: the log, page by page, the counters, the metrics.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::control_curl::Way;
use crate::support::{Origin, Proxy, Resolver, Wire, require};

/// Has so many requests refused, for n0.test, n1.test, and so on.
fn refused(proxy: &Proxy, count: usize) {
    let mut wire = proxy.client();
    for number in 0..count {
        wire.send(format!(
            "GET http://n{number}.test/ HTTP/1.1\r\nHost: x.test\r\n\r\n"
        ));
        let answer = wire.answer();
        assert_eq!(answer.status(), 403, "{answer:?}");
        if answer.field("connection") == Some("close") {
            wire = proxy.client();
        }
    }
}

fn ids(logs: &Value) -> Vec<u64> {
    let entries = logs["entries"].as_array().expect("entries").iter();
    entries
        .map(|entry| entry["id"].as_u64().expect("a number"))
        .collect()
}

#[test]
fn the_log_is_read_page_by_page_without_gap_or_overlap() {
    let proxy = Proxy::start("");
    refused(&proxy, 25);
    let page = |query: &str| {
        let logs = proxy.read(&format!("/logs{query}"));
        (ids(&logs), logs["next"].as_u64().expect("a number"))
    };
    // The newest, oldest first.
    assert_eq!(page(""), ((1..=25).collect(), 25));
    assert_eq!(page("?limit=10"), ((16..=25).collect(), 25));
    assert_eq!(page("?limit=0"), (vec![], 25));
    assert_eq!(page("?limit=99999999"), ((1..=25).collect(), 25));
    // From a place on.
    let (mut seen, mut after) = (Vec::new(), 0);
    loop {
        let (ids, next) = page(&format!("?after={after}&limit=10"));
        if ids.is_empty() {
            assert_eq!(next, after);
            break;
        }
        seen.extend(ids);
        after = next;
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    // Nothing new, and then something.
    assert_eq!(page("?after=25"), (vec![], 25));
    refused(&proxy, 1);
    assert_eq!(page("?after=25"), (vec![26], 26));
    assert_eq!(page("?after=1000"), (vec![], 1000));
}

#[test]
fn the_log_keeps_its_last_ten_thousand_entries() {
    let proxy = Proxy::start("");
    refused(&proxy, 10_050);
    let all = proxy.read("/logs?limit=20000");
    assert_eq!(ids(&all), (51..=10_050).collect::<Vec<_>>());
    assert_eq!(
        ids(&proxy.read("/logs")),
        (9_051..=10_050).collect::<Vec<_>>()
    );
    // What is gone cannot come again; the numbers show that there was more.
    assert_eq!(ids(&proxy.read("/logs?after=3&limit=2")), [51, 52]);
    // The counters of that many destinations are bounded too, and the newest are there.
    let stats = proxy.read("/stats");
    let destinations = stats["destinations"].as_array().expect("destinations");
    assert!(
        (512..=1024).contains(&destinations.len()),
        "{}",
        destinations.len()
    );
    assert_eq!(destinations[0]["target"], "n10049.test:80");
    assert_eq!(proxy.read("/session")["counts"]["refused"], 10_050);
}

#[test]
fn counters_tell_what_went_where() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = Proxy::start(format!(
        "allow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let origin = Origin::echo();
    let target = format!("a.test:{}", origin.port());
    assert_eq!(proxy.fetch(&format!("http://{target}/")).status(), 403);
    proxy.does("/allow", &json!({ "entries": [target] }));
    let mut tunnel = proxy.tunnel(&target);
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    let open = &proxy.read("/connections")["connections"][0];
    assert_eq!(
        (&open["target"], &open["door"], &open["rule"]),
        (&json!(target), &json!("connect"), &json!(target))
    );
    assert_eq!(
        (&open["bytes_up"], &open["bytes_down"]),
        (&json!(5), &json!(5))
    );
    tunnel.end_writing();
    tunnel.ends();
    // The end of a tunnel is entered after its last byte.
    let closed = || proxy.audit().into_iter().find(|line| line["bytes_up"] == 5);
    let closed = std::iter::repeat_with(closed)
        .flatten()
        .next()
        .expect("a line");
    assert_eq!(
        (&closed["bytes_down"], &closed["rule"]),
        (&json!(5), &json!(target))
    );
    let stats = proxy.read("/stats");
    let destination = &stats["destinations"][0];
    let last = &destination["last"];
    let expected = json!({
        "target": target, "allowed": 1, "refused": 1, "bytes_up": 5, "bytes_down": 5, "last": last,
    });
    assert_eq!(*destination, expected);
    let rule = &proxy.read("/rules")["rules"][0];
    assert_eq!(rule["hits"], 1);
    assert_eq!(proxy.read("/connections"), json!({"connections": []}));
}

#[test]
fn the_answers_of_a_busy_session_are_as_described() {
    if !require("curl") {
        return;
    }
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = Proxy::start(format!(
        "allow = [\"a.test:*\"]\ndeny = [\"no.test\"]\nallow_cidr = [\"127.0.0.0/8\"]\n\
         allow_host_ports = [1]\n{}",
        resolver.config()
    ));
    let origin = Origin::echo();
    let _tunnel = proxy.tunnel(&format!("a.test:{}", origin.port()));
    for url in [
        "http://no.test/",
        "http://x.test/",
        "http://[::1]:1/",
        "http://host.vibepit:1/",
    ] {
        proxy.fetch(url);
    }
    for bytes in [
        "nonsense\r\n\r\n",
        "GET http://a\x1b[2J.test/ HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut wire = proxy.client();
        wire.send(bytes);
        wire.to_end();
    }
    proxy.does(
        "/allow",
        &json!({"entries": ["no.test", "t.test"], "ttl": "1h"}),
    );
    for path in ["/session", "/rules", "/connections", "/logs", "/stats"] {
        Way::Socket.reads(&proxy, path);
    }
    let shadowed = json!({"entries": ["no.test:443"]});
    Way::Socket.does(&proxy, "/allow", &shadowed);
    Way::Socket.does(
        &proxy,
        "/revoke",
        &json!({"entries": ["no.test", "a.test:*"]}),
    );
    for target in [
        "a.test:1",
        "no.test:80",
        "x.test:1",
        "127.0.0.1:1",
        "host.vibepit:1",
    ] {
        Way::Socket.reads(&proxy, &format!("/explain?target={target}"));
    }
    let reasons: BTreeSet<_> = proxy
        .logs(0)
        .iter()
        .map(|entry| entry["reason"].as_str().expect("a reason").to_owned())
        .collect();
    for reason in [
        "allowed",
        "denied_by_rule",
        "unlisted",
        "malformed",
        "connect_failed",
    ] {
        assert!(reasons.contains(reason), "{reason} is not in {reasons:?}");
    }
}

#[test]
fn metrics_are_openmetrics_and_count() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let origin = Origin::plain();
    let before = samples(&proxy.get("/metrics").text());
    assert_eq!(before["vibepit_requests_total{verdict=\"deny\"}"], 0.0);
    refused(&proxy, 3);
    assert_eq!(
        proxy
            .fetch(&format!("http://a.test:{}/", origin.port()))
            .status(),
        200
    );
    let mut wire = Wire::over(std::net::TcpStream::connect(proxy.http()).expect("a connection"));
    // A label with what a sandbox chose would let it make as many series as it likes.
    wire.send("GET http://evil\"} 1\n/ HTTP/1.1\r\nHost: x\r\n\r\n");
    wire.to_end();
    let after = samples(&proxy.get("/metrics").text());
    assert_eq!(after["vibepit_requests_total{verdict=\"deny\"}"], 4.0);
    assert_eq!(after["vibepit_requests_total{verdict=\"allow\"}"], 1.0);
    assert_eq!(after["vibepit_rules"], 1.0);
    assert_eq!(
        after.keys().collect::<Vec<_>>(),
        before.keys().collect::<Vec<_>>()
    );
}

/// The samples of an exposition, by name and labels, held against OpenMetrics 1.0 as far as this
/// exposition goes: families in one piece, TYPE and HELP before the samples, `_total` on counters,
/// no sample twice, `# EOF` and nothing behind it.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let body = text.strip_suffix("# EOF\n").expect("# EOF at the end");
    assert!(!body.contains('\r') && !body.contains("\n\n"), "{text:?}");
    let mut families = BTreeSet::new();
    let mut family: Option<(String, String)> = None;
    let mut helped = false;
    let mut samples = BTreeMap::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a name and a type");
            assert!(matches!(kind, "counter" | "gauge"), "{line}");
            assert!(is_name(name) && !name.ends_with("_total"), "{line}");
            assert!(
                families.insert(name.to_owned()),
                "{name} comes in two pieces"
            );
            family = Some((name.to_owned(), kind.to_owned()));
            helped = false;
            continue;
        }
        let (name, kind) = family.as_ref().expect("a type first");
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (helped_name, help) = rest.split_once(' ').expect("a name and a text");
            assert!(helped_name == name && !help.is_empty() && !helped, "{line}");
            helped = true;
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a sample");
        let (sample, labels) = series.split_once('{').unwrap_or((series, "}"));
        let suffix = if kind == "counter" { "_total" } else { "" };
        assert_eq!(sample, format!("{name}{suffix}"), "{line}");
        assert!(helped, "no help before {line}");
        let labels = labels.strip_suffix('}').expect("closed labels");
        for label in labels.split(',').filter(|label| !label.is_empty()) {
            let (label, quoted) = label.split_once('=').expect("a label");
            let value = quoted
                .strip_prefix('"')
                .and_then(|value| value.strip_suffix('"'));
            let value = value.expect("a quoted value");
            assert!(is_name(label) && !value.contains(['"', '\\']), "{line}");
        }
        let value = value.parse().expect("a number");
        assert!(
            samples.insert(series.to_owned(), value).is_none(),
            "{series} twice"
        );
    }
    samples
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}
