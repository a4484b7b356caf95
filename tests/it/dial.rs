//! From a name to a connection: which addresses are dialled, which never, and what the sandbox is
//! told when there is none.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;

use crate::support::{
    BlackHole, Message, Origin, Proxy, Ran, Resolver, Says, closed_port, ok, own_loopback, require,
};

fn proxy(resolver: &Resolver, more: &str) -> Proxy {
    Proxy::start(format!(
        "allow = [\"a.test:*\"]\n{more}{}",
        resolver.config()
    ))
}

const LOOPBACK: &str = "allow_cidr = [\"127.0.0.0/8\"]\n";

/// A resolver that knows `a.test`.
fn a_test<I: Into<IpAddr>>(addresses: impl IntoIterator<Item = I>) -> Resolver {
    Resolver::new(&[("a.test", Says::addresses(addresses))])
}

fn connect(proxy: &Proxy, target: &str) -> Message {
    let mut wire = proxy.client();
    wire.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let head = wire.head();
    if head.status() == 200 {
        return head;
    }
    // What is refused is told, and then the connection ends.
    let body = wire.to_end();
    Message { body, ..head }
}

fn at(address: Ipv4Addr, port: u16) -> Origin {
    let address = SocketAddr::from((address, port));
    Origin::answering_at(address, |request| ok(&request.start)).expect("a port")
}

/// The questions about a type.
fn asked(resolver: &Resolver, kind: RecordType) -> usize {
    let questions = resolver.questions();
    questions
        .iter()
        .filter(|question| question.kind == kind)
        .count()
}

#[test]
fn the_next_address_is_tried_where_one_refuses() {
    let [closed, open] = [own_loopback(), own_loopback()];
    let origin = at(open, 0);
    let proxy = proxy(&a_test([closed, open]), LOOPBACK);
    assert_eq!(
        connect(&proxy, &format!("a.test:{}", origin.port())).status(),
        200
    );
    assert_eq!(
        proxy
            .fetch(&format!("http://a.test:{}/", origin.port()))
            .status(),
        200
    );
    assert_eq!(origin.connections(), 2);
}

#[test]
fn the_next_address_is_tried_while_one_is_silent() {
    let [silent, open] = [own_loopback(), own_loopback()];
    let hole = BlackHole::at(silent);
    let origin = at(open, hole.port());
    let proxy = proxy(&a_test([silent, open]), LOOPBACK);
    assert_eq!(
        connect(&proxy, &format!("a.test:{}", hole.port())).status(),
        200
    );
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_name_with_both_families_is_reached_over_the_one_that_answers() {
    if !require("ipv6") {
        return;
    }
    let open = own_loopback();
    let origin = at(open, 0);
    let addresses: [IpAddr; 2] = ["::1".parse().expect("an address"), open.into()];
    let proxy = proxy(
        &a_test(addresses),
        "allow_cidr = [\"127.0.0.0/8\", \"::1/128\"]\n",
    );
    assert_eq!(
        connect(&proxy, &format!("a.test:{}", origin.port())).status(),
        200
    );
    assert_eq!(origin.connections(), 1);
}

#[test]
fn of_mixed_addresses_only_those_that_may_be_are_dialled() {
    let [screened, open] = [own_loopback(), own_loopback()];
    let forbidden = at(screened, 0);
    let origin = at(open, forbidden.port());
    let opened = format!("allow_cidr = [\"{open}/32\"]\n");
    let proxy = proxy(&a_test([screened, open, screened]), &opened);
    for _ in 0..4 {
        assert_eq!(
            connect(&proxy, &format!("a.test:{}", origin.port())).status(),
            200
        );
    }
    assert_eq!((forbidden.connections(), origin.connections()), (0, 4));
    // Where the one that may be dialled does not answer, the others are none the more.
    let nobody = closed_port();
    let lone = at(screened, nobody);
    let answer = connect(&proxy, &format!("a.test:{nobody}"));
    assert_eq!(
        (answer.status(), lone.connections()),
        (502, 0),
        "{answer:?}"
    );
}

#[test]
fn a_name_whose_every_address_is_screened_is_refused_with_one_entry() {
    let origin = Origin::plain();
    let addresses: [IpAddr; 4] = ["127.0.0.1", "10.0.0.1", "::1", "fd00:ec2::254"]
        .map(|address| address.parse().expect("an address"));
    let resolver = a_test(addresses);
    let proxy = proxy(&resolver, "");
    let target = format!("a.test:{}", origin.port());
    let answers = [
        connect(&proxy, &target),
        proxy.fetch(&format!("http://{target}/")),
    ];
    for answer in answers {
        assert_eq!(answer.status(), 403, "{answer:?}");
        assert_eq!(
            answer.field("proxy-status"),
            Some("vibepit; error=http_request_denied")
        );
        assert!(answer.reason().contains("127.0.0.1"), "{answer:?}");
        assert!(answer.text().contains("allow_cidr"), "{answer:?}");
    }
    let entries = proxy.logs(0);
    assert_eq!(entries.len(), 2, "{entries:?}");
    assert!(
        entries
            .iter()
            .all(|entry| entry["reason"] == "screened_address"),
        "{entries:?}"
    );
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_name_is_resolved_once_for_each_connection() {
    let resolver = a_test([Ipv4Addr::LOCALHOST]);
    let proxy = proxy(&resolver, LOOPBACK);
    let origin = Origin::plain();
    let target = format!("a.test:{}", origin.port());
    for times in 1..=3 {
        connect(&proxy, &target);
        assert_eq!(
            (
                asked(&resolver, RecordType::A),
                asked(&resolver, RecordType::AAAA)
            ),
            (times, times)
        );
    }
    // Requests of one connection to the same target share the connection, and the look-up.
    let mut wire = proxy.client();
    for _ in 0..3 {
        wire.send(format!(
            "GET http://{target}/ HTTP/1.1\r\nHost: a.test\r\n\r\n"
        ));
        assert_eq!(wire.answer().status(), 200);
    }
    assert_eq!(asked(&resolver, RecordType::A), 4);
}

#[test]
fn a_failure_is_told_with_its_status_its_kind_and_a_phrase() {
    let resolver = a_test([Ipv4Addr::LOCALHOST]);
    let proxy = proxy(&resolver, LOOPBACK);
    let port = closed_port();
    let cases = [
        (
            Says::addresses([Ipv4Addr::LOCALHOST]),
            "connection_refused",
            "connect_failed",
            "refuses",
        ),
        (
            Says::Fails(ResponseCode::NXDomain),
            "dns_error",
            "resolve_failed",
            "no address",
        ),
        (
            Says::Text("no address".into()),
            "dns_error",
            "resolve_failed",
            "no address",
        ),
        (
            Says::Fails(ResponseCode::ServFail),
            "dns_error",
            "resolve_failed",
            "cannot be resolved",
        ),
    ];
    for (says, error, reason, phrase) in cases {
        resolver.set("a.test", says);
        let target = format!("a.test:{port}");
        let answers = [
            connect(&proxy, &target),
            proxy.fetch(&format!("http://{target}/")),
        ];
        for answer in answers {
            assert_eq!(answer.status(), 502, "{answer:?}");
            let expected = format!("vibepit; error={error}");
            assert_eq!(answer.field("proxy-status"), Some(expected.as_str()));
            assert!(
                answer.reason().starts_with(&format!("vibepit: {target}: ")),
                "{answer:?}"
            );
            assert!(answer.reason().contains(phrase), "{answer:?}");
            assert!(
                answer.text().contains(&format!("reason: {reason}: ")),
                "{answer:?}"
            );
            let entry = proxy.logs(0).last().expect("an entry").clone();
            assert_eq!(
                (&entry["reason"], &entry["rule"]),
                (&reason.into(), &"a.test:*".into())
            );
        }
    }
}

#[test]
fn what_does_not_answer_in_time_is_a_504() {
    // The proxy's own patience: nothing but waiting shows it, so that both wait at once.
    let hole = BlackHole::at(own_loopback());
    let resolver = Resolver::new(&[("b.test", Says::Silence)]);
    resolver.set("a.test", Says::addresses([hole.address()]));
    let proxy = proxy(&resolver, LOOPBACK);
    proxy.does("/allow", &serde_json::json!({"entries": ["b.test:443"]}));
    let cases = [
        (format!("a.test:{}", hole.port()), "connection_timeout"),
        ("b.test:443".to_owned(), "dns_timeout"),
    ];
    std::thread::scope(|scope| {
        for (target, error) in cases {
            let proxy = &proxy;
            scope.spawn(move || {
                let answer = connect(proxy, &target);
                assert_eq!(answer.status(), 504, "{answer:?}");
                let expected = format!("vibepit; error={error}");
                assert_eq!(answer.field("proxy-status"), Some(expected.as_str()));
                assert!(answer.reason().contains("in time"), "{answer:?}");
            });
        }
    });
}

#[test]
fn a_refusal_names_the_destination_the_reason_and_the_way_out() {
    let resolver = Resolver::new(&[]);
    let more = "deny = [\"denied.test\"]\nallow_host_ports = [1]\n";
    let proxy = proxy(&resolver, more);
    for (target, phrase, remedy) in [
        (
            "b.test:443",
            "vibepit: b.test:443 is not allowed",
            "vibepit allow b.test:443",
        ),
        (
            "denied.test:443",
            "vibepit: denied.test:443 is denied",
            "vibepit revoke denied.test",
        ),
        (
            "10.0.0.1:443",
            "vibepit: 10.0.0.1:443: it is never asked about",
            "allow_cidr",
        ),
        (
            "host.vibepit:22",
            "vibepit: host.vibepit:22: it is never asked about",
            "allow_host_ports",
        ),
        (
            "[2606:4700::1111]:443",
            "vibepit: [2606:4700::1111]:443 is not allowed",
            "vibepit allow",
        ),
    ] {
        let answer = connect(&proxy, target);
        assert_eq!(answer.status(), 403, "{answer:?}");
        assert!(answer.reason().starts_with(phrase), "{answer:?}");
        assert_eq!(
            answer.field("proxy-status"),
            Some("vibepit; error=http_request_denied")
        );
        assert_eq!(
            answer.field("content-type"),
            Some("text/plain; charset=utf-8")
        );
        let text = answer.text();
        assert!(text.contains(target) && text.contains(remedy), "{text}");
        assert_eq!(
            answer.field("content-length"),
            Some(text.len().to_string().as_str())
        );
    }
    assert_eq!(resolver.questions(), []);
}

#[test]
fn curl_shows_a_person_what_was_refused_and_why() {
    if !require("curl") {
        return;
    }
    let proxy = proxy(&Resolver::new(&[]), "");
    let through = format!("http://{}", proxy.http());
    let curl = |arguments: &[&str]| {
        let mut command = proxy.home.command("curl");
        Ran::of(
            command
                .args(["--silent", "--show-error", "--proxy", &through])
                .args(arguments),
        )
    };
    let tunnel = curl(&["--verbose", "https://b.test/"]);
    assert_ne!(tunnel.code, Some(0), "{tunnel:?}");
    assert!(
        tunnel
            .stderr
            .contains("HTTP/1.1 403 vibepit: b.test:443 is not allowed"),
        "{tunnel:?}"
    );
    let forwarded = curl(&["http://b.test/"]).ok();
    assert!(
        forwarded.contains("outside the sandbox: vibepit allow b.test:80"),
        "{forwarded}"
    );
}

#[test]
fn an_address_is_dialled_where_a_rule_and_the_screen_let_it() {
    let origin = Origin::plain();
    let target = format!("127.0.0.1:{}", origin.port());
    let resolver = Resolver::new(&[]);
    for (rule, opened, status) in [
        ("127.0.0.1:*", LOOPBACK, 200),
        ("127.0.0.0/8:*", LOOPBACK, 200),
        ("b.test", LOOPBACK, 403),
        ("127.0.0.1:*", "", 403),
    ] {
        let config = format!("allow = [\"{rule}\"]\n{opened}{}", resolver.config());
        let proxy = Proxy::start(config);
        assert_eq!(connect(&proxy, &target).status(), status, "{rule} {opened}");
    }
    assert_eq!(resolver.questions(), []);
}

#[test]
fn the_host_is_reached_by_its_name_on_the_ports_that_are_open() {
    let [open, closed] = [Origin::plain(), Origin::plain()];
    let resolver = Resolver::new(&[]);
    let proxy = proxy(
        &resolver,
        &format!("allow_host_ports = [{}]\n", open.port()),
    );
    let target = format!("host.vibepit:{}", open.port());
    assert_eq!(
        proxy.fetch(&format!("http://{target}/x")).text(),
        "GET /x HTTP/1.1"
    );
    assert_eq!(open.request().field("host"), Some(target.as_str()));
    assert_eq!(connect(&proxy, &target).status(), 200);
    let shut = format!("host.vibepit:{}", closed.port());
    assert_eq!(connect(&proxy, &shut).status(), 403);
    // A rule does not open what the configuration keeps shut.
    proxy.does("/allow", &serde_json::json!({"entries": [shut]}));
    assert_eq!(connect(&proxy, &shut).status(), 403);
    // And a deny outranks it.
    proxy.does("/deny", &serde_json::json!({"entries": [target]}));
    assert_eq!(connect(&proxy, &target).status(), 403);
    assert_eq!((open.connections(), closed.connections()), (2, 0));
    assert_eq!(resolver.questions(), []);
}

#[test]
fn a_service_of_the_host_that_does_not_run_is_told_so() {
    let port = closed_port();
    let proxy = proxy(
        &Resolver::new(&[]),
        &format!("allow_host_ports = [{port}]\n"),
    );
    let answer = connect(&proxy, &format!("host.vibepit:{port}"));
    assert_eq!(answer.status(), 502);
    assert_eq!(
        answer.field("proxy-status"),
        Some("vibepit; error=connection_refused")
    );
}
