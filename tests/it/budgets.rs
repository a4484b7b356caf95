//! `--max-upload`: how much may be sent under a rule, on whatever way, and what happens then.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::{Value, json};

use crate::support::dns::{ask, question};
use crate::support::{Origin, Proxy, Resolver, Says, Wire, bulk, hello};

const CONFIG: &str =
    "allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"";

fn proxy(config: &str) -> Proxy {
    let names = ["a.test", "b.test", "x.w.test", "y.w.test"];
    let resolver = Resolver::at_loopback(&names);
    Proxy::start(format!("{CONFIG}\n{config}\n{}", resolver.config()))
}

/// An origin that tells what each of its connections brought, when that ends.
fn sink() -> (Origin, Receiver<Vec<u8>>) {
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = Origin::serving(move |mut wire| {
        let heard = wire.to_end();
        let tell = tell.lock().expect("a lock");
        tell.send(heard).expect("somebody listens");
    });
    (origin, told)
}

fn target(origin: &Origin) -> String {
    format!("a.test:{}", origin.port())
}

fn allow(proxy: &Proxy, entry: &str, size: &str) -> Value {
    proxy.does("/allow", &json!({"entries": [entry], "max_upload": size}))
}

/// What is left under each rule that has a budget.
fn left(proxy: &Proxy) -> Vec<u64> {
    let rules = proxy.read("/rules");
    let rules = rules["rules"].as_array().expect("rules").iter();
    rules
        .filter_map(|rule| rule["upload_left"].as_u64())
        .collect()
}

/// The answer to a CONNECT.
fn connect(proxy: &Proxy, target: &str) -> u16 {
    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    client.head().status()
}

fn last(proxy: &Proxy) -> Value {
    proxy.logs(0).pop().expect("a line")
}

#[test]
fn a_tunnel_sends_what_its_rule_may_to_the_byte_and_both_of_its_ends_are_closed() {
    let proxy = proxy("");
    // The second is bulk, which goes from socket to socket where nothing is counted.
    for (size, bytes) in [("10B", 10), ("5MB", 5_000_000)] {
        let (origin, told) = sink();
        let target = target(&origin);
        allow(&proxy, &target, size);
        let mut tunnel = proxy.tunnel(&target);
        // Before it is all out, the tunnel may be gone.
        let _ = bulk::send(&mut tunnel, 4 * bytes);
        tunnel.ends();
        let heard = told.recv().expect("what came");
        assert_eq!(heard.len(), bytes, "{size}");

        let logged = last(&proxy);
        assert_eq!(logged["reason"], "over_budget", "{logged}");
        assert_eq!(logged["rule"], target.as_str(), "{logged}");
        let remedy = format!("vibepit allow {target} --max-upload {size}");
        assert_eq!(logged["remedy"], remedy, "{logged}");
        let detail = logged["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(size), "{logged}");
        proxy.settles();
        let closed = proxy.audit().pop().expect("a line");
        assert_eq!(closed["bytes_up"], bytes, "{closed}");
    }
    assert_eq!(left(&proxy), [0, 0]);
}

#[test]
fn what_is_used_up_admits_nothing_more_and_nobody_is_asked() {
    let proxy = proxy("");
    let (origin, told) = sink();
    let target = target(&origin);
    allow(&proxy, &target, "10B");
    let mut tunnel = proxy.tunnel(&target);
    tunnel.send("0123456789");
    tunnel.end_writing();
    assert_eq!(told.recv().expect("what came"), b"0123456789");
    tunnel.ends();
    // Its line is written before those that are looked at.
    proxy.settles();

    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let refused = client.answer();
    assert_eq!(refused.status(), 403);
    assert!(refused.reason().contains("10B"), "{refused:?}");
    let remedy = format!("vibepit allow {target} --max-upload 10B");
    assert!(refused.text().contains(&remedy), "{}", refused.text());
    let refused = proxy.fetch(&format!("http://{target}/"));
    assert_eq!(refused.status(), 403);
    assert_eq!(last(&proxy)["reason"], "over_budget");
    assert_eq!(proxy.read("/pending-domains")["pending"], json!([]));
    let audited = proxy.audit().pop().expect("a line");
    assert_eq!(
        (&audited["verdict"], &audited["reason"]),
        (&json!("deny"), &json!("over_budget"))
    );

    let explained = proxy.read(&format!("/explain?target={target}"));
    assert_eq!(explained["admission"], "deny", "{explained}");
    assert_eq!(explained["reason"], "over_budget", "{explained}");
    assert_eq!(explained["remedy"], remedy, "{explained}");
}

#[test]
fn all_connections_of_a_rule_share_its_budget_the_later_ones_too() {
    let proxy = proxy("");
    let echo = Origin::echo();
    allow(&proxy, "**.w.test:*", "100B");
    let at = |name: &str| format!("{name}.w.test:{}", echo.port());
    let mut one = proxy.tunnel(&at("x"));
    let mut other = proxy.tunnel(&at("y"));
    // The names themselves went to a resolver, and the sandbox chose them.
    let names = 2 * "x.w.test".len() as u64;
    for tunnel in [&mut one, &mut other] {
        tunnel.send([b'.'; 30]);
        assert_eq!(tunnel.exactly(30), [b'.'; 30]);
    }
    assert_eq!(left(&proxy), [40 - names]);
    drop((one, other));
    let (origin, told) = sink();
    let mut later = proxy.tunnel(&format!("x.w.test:{}", origin.port()));
    let _ = later.try_send([b'.'; 100]);
    let heard = told.recv().expect("what came").len() as u64;
    assert_eq!(heard, 40 - names - names / 2);
    assert_eq!(connect(&proxy, &at("y")), 403);
}

#[test]
fn a_request_whose_head_or_content_does_not_fit_is_answered_with_the_reason() {
    let proxy = proxy("");
    let origin = Origin::plain();
    let target = target(&origin);
    let request = |path: &str, content: usize| {
        let content = "c".repeat(content);
        let length = content.len();
        format!(
            "POST http://{target}/{path} HTTP/1.1\r\nHost: {target}\r\n\
             Content-Length: {length}\r\n\r\n{content}"
        )
    };
    for (path, content) in [("p".repeat(3000), 1), (String::new(), 3000)] {
        allow(&proxy, &target, "2kB");
        let mut client = proxy.client();
        client.send(request("", 10));
        assert_eq!(client.answer().status(), 200);
        // The same connection of the client and of the origin.
        client.send(request(&path, content));
        let refused = client.answer();
        assert_eq!(refused.status(), 403, "{refused:?}");
        assert!(refused.reason().contains("2kB"), "{refused:?}");
        assert_eq!(last(&proxy)["reason"], "over_budget");
        assert_eq!(left(&proxy), [0]);
    }
    // None of them was whole.
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn what_a_connection_was_upgraded_to_is_counted_too() {
    let proxy = proxy("");
    let (tell, told) = mpsc::channel();
    let tell = Mutex::new(tell);
    let origin = Origin::serving(move |mut wire| {
        wire.head();
        wire.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
        let tell = tell.lock().expect("a lock");
        tell.send(wire.to_end().len()).expect("somebody listens");
    });
    let target = target(&origin);
    allow(&proxy, &target, "1kB");
    let mut client = proxy.client();
    client.send(format!(
        "GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\nConnection: Upgrade\r\n\
         Upgrade: x\r\n\r\n"
    ));
    assert_eq!(client.head().status(), 101);
    let [left_now] = left(&proxy)[..] else {
        panic!("a budget")
    };
    assert!(left_now < 1000, "the head was not counted");
    let _ = client.try_send([b'.'; 2000]);
    client.ends();
    assert_eq!(told.recv().expect("its end") as u64, left_now);
}

#[test]
fn the_same_entry_again_counts_anew_for_what_is_open_and_without_a_limit_it_is_lifted() {
    let proxy = proxy("");
    let echo = Origin::echo();
    let target = target(&echo);
    let says = |wire: &mut Wire, bytes: usize| {
        wire.send(vec![b'.'; bytes]);
        assert_eq!(wire.exactly(bytes).len(), bytes);
    };
    allow(&proxy, &target, "10B");
    let mut tunnel = proxy.tunnel(&target);
    says(&mut tunnel, 9);
    let again = allow(&proxy, &target, "20B");
    assert_eq!(
        (&again["added"], &again["closed"]),
        (&json!([target]), &json!(0))
    );
    assert_eq!(left(&proxy), [20]);
    says(&mut tunnel, 15);
    assert_eq!(left(&proxy), [5]);
    proxy.does("/allow", &json!({"entries": [target]}));
    assert_eq!(left(&proxy), [] as [u64; 0]);
    says(&mut tunnel, 5000);

    // That tunnel, and one without any limit from its start, are not counted: they are closed.
    let mut free = proxy.tunnel(&target);
    says(&mut free, 1);
    let limited = allow(&proxy, &target, "10B");
    assert_eq!(limited["closed"], 2, "{limited}");
    free.ends();
    tunnel.ends();
}

#[test]
fn a_connection_to_an_origin_that_is_kept_is_not_used_past_a_new_limit() {
    let proxy = proxy("");
    let origin = Origin::plain();
    let target = target(&origin);
    let get = format!("GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n");
    proxy.does("/allow", &json!({"entries": [target]}));
    let mut client = proxy.client();
    client.send(&get);
    assert_eq!(client.answer().status(), 200);
    proxy.settles();
    allow(&proxy, &target, "50B");
    client.send(&get);
    assert_eq!(client.answer().status(), 403);
    assert_eq!(left(&proxy), [0]);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_rule_that_decides_is_charged_and_no_other_stands_in_for_it() {
    let proxy = proxy("allow = [\"a.test:*\", \"**.w.test:*\"]");
    let (origin, told) = sink();
    let of = |host: &str| format!("{host}:{}", origin.port());
    // What was said live decides before what a file holds.
    allow(&proxy, &of("a.test"), "5B");
    let mut tunnel = proxy.tunnel(&of("a.test"));
    let _ = tunnel.try_send("0123456789");
    assert_eq!(told.recv().expect("what came"), b"01234");
    assert_eq!(connect(&proxy, &of("a.test")), 403);

    // Of what was said live the most specific: the answer tells of one that goes without.
    proxy.does("/allow", &json!({"entries": [of("x.w.test")]}));
    let answer = allow(&proxy, "**.w.test:*", "5B");
    let warning = answer["warnings"][0].as_str().unwrap_or_default();
    let remedy = format!("vibepit revoke {}", of("x.w.test"));
    assert!(warning.contains(&remedy), "{answer}");
    let mut tunnel = proxy.tunnel(&of("x.w.test"));
    tunnel.send("0123456789");
    tunnel.end_writing();
    assert_eq!(told.recv().expect("what came"), b"0123456789");
    // This one's name is longer than all that may be sent.
    assert_eq!(connect(&proxy, &of("y.w.test")), 403);
}

#[test]
fn a_limit_is_for_what_is_allowed_in_a_session_and_for_no_port_of_the_host() {
    let proxy = proxy("");
    for (path, body, part) in [
        (
            "/deny",
            json!({"entries": ["a.test"], "max_upload": "1MB"}),
            "denial",
        ),
        (
            "/allow",
            json!({"entries": ["a.test"], "max_upload": "1MB", "scope": "global"}),
            "scope global",
        ),
        (
            "/allow",
            json!({"entries": ["a.test"], "max_upload": "0MB"}),
            "such as 10MB",
        ),
        (
            "/allow",
            json!({"entries": ["host.vibepit:5432"], "max_upload": "1MB"}),
            "allow_host_ports",
        ),
    ] {
        let answer = proxy.post(path, &body);
        assert_eq!(answer.status(), 400, "{body}");
        assert!(answer.text().contains(part), "{}", answer.text());
    }
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
}

#[test]
fn tls_in_a_tunnel_does_not_go_round_the_limit_of_the_name_it_is_for() {
    let proxy = proxy("allow = [\"a.test:*\"]");
    let echo = Origin::echo();
    allow(&proxy, "b.test:*", "1MB");
    let mut tunnel = proxy.tunnel(&target(&echo));
    tunnel.send(hello("b.test"));
    assert_eq!(tunnel.to_end(), b"\x15\x03\x03\0\x02\x02\x70");
    let logged = last(&proxy);
    assert_eq!(logged["reason"], "sni_mismatch", "{logged}");
    assert_eq!(left(&proxy), [1_000_000]);
}

#[test]
fn no_question_that_would_leave_the_machine_goes_round_a_limit() {
    let resolver = Resolver::new(&[("a.test", Says::Text("hello".into()))]);
    let proxy = Proxy::start(format!("{CONFIG}\n{}", resolver.config()));
    allow(&proxy, "a.test:*", "1MB");
    let answer = ask(proxy.dns(), &question("a.test", RecordType::A));
    assert_eq!(answer.answers.len(), 1);
    let answer = ask(proxy.dns(), &question("a.test", RecordType::TXT));
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(last(&proxy)["reason"], "over_budget");
    assert_eq!(resolver.questions(), []);
}

#[test]
fn the_commands_say_how_much_may_be_sent_and_how_much_is_left() {
    let proxy = proxy("");
    let ran = proxy.cli(&["allow", "a.test", "--max-upload", "10MB"]);
    let said = "allowed a.test until the session ends, 10MB to send from now on\n";
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), said), "{ran:?}");
    let rules = proxy.cli(&["rules"]);
    assert!(rules.stdout.contains("10.0MB of 10MB"), "{rules:?}");
    let explained = proxy.cli(&["explain", "a.test:443"]);
    assert!(
        explained
            .stdout
            .contains("10.0MB of 10MB may still be sent"),
        "{explained:?}"
    );
    for wrong in [
        &["allow", "a.test", "--max-upload", "10"][..],
        &[
            "allow",
            "a.test",
            "--max-upload",
            "1MB",
            "--scope",
            "global",
        ],
        &["allow", "a.test", "--max-upload", "1MB", "--save"],
    ] {
        let ran = proxy.cli(wrong);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.contains("--max-upload"), "{ran:?}");
    }
}
