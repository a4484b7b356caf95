//! Very many requests that wait, and many who decide.

use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::asking::{asking, held, id, waiting};

/// Design 6: under 16 KiB for each connection that waits.
#[test]
fn ten_thousand_held_connections_on_500_hosts_are_small_and_one_word_answers_one_host() {
    const HOSTS: usize = 500;
    const EACH: usize = 20;
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    assert!(hard > 12_000, "this test needs 12,000 descriptors");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the whole of it");
    let (proxy, _resolver) = asking("approval_timeout = \"1h\"\n");
    let before = proxy.resident();
    let mut clients = Vec::new();
    for client in 0..HOSTS * EACH {
        let target = format!("h{0}.d{0}.test:443", client % HOSTS);
        let mut wire = proxy.client();
        wire.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ));
        clients.push(wire);
    }
    let mut events = proxy.events(Some(0));
    while proxy.read("/session")["counts"]["waiting"] != HOSTS * EACH {
        events.next().expect("an event");
    }
    let listed = waiting(&proxy);
    assert_eq!(listed.len(), HOSTS);
    assert!(listed.iter().all(|request| request["waiting"] == EACH));
    let each = (proxy.resident() - before) * 1024 / (HOSTS * EACH);
    assert!(each < 16 * 1024, "{each} bytes for each");

    let decided = proxy.does(&format!("/deny-domain/{}", id(&listed[7])), &json!({}));
    assert_eq!(decided["released"], EACH);
    let host = decided["domain"].as_str().expect("a host");
    let number: usize = host[1..]
        .split('.')
        .next()
        .expect("a label")
        .parse()
        .expect("a number");
    for wire in clients.iter_mut().skip(number).step_by(HOSTS) {
        assert_eq!(wire.answer().status(), 403);
    }
    assert_eq!(
        proxy.read("/session")["counts"]["waiting"],
        (HOSTS - 1) * EACH
    );
}

/// APP-001.
#[test]
fn a_flood_of_made_up_names_is_bounded_and_told_once() {
    let (proxy, _resolver) = asking("");
    let ask = |made_up: usize| {
        // Of one owner, and of many.
        let target = match made_up % 2 {
            0 => format!("x{made_up}.flood.test:443"),
            _ => format!("x{made_up}.test:443"),
        };
        let mut wire = proxy.client();
        wire.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ));
        wire
    };
    let mut events = proxy.events(None);
    let _first: Vec<_> = (0..1000).map(ask).collect();
    while proxy.read("/session")["counts"]["pending"] != 512 {
        events.next().expect("an event");
    }
    for made_up in 1000..5000 {
        let answer = ask(made_up).answer();
        assert_eq!(answer.status(), 503, "{made_up}");
        assert_eq!(answer.field("retry-after"), Some("5"));
    }
    assert_eq!(proxy.read("/session")["counts"]["pending"], 512);
    let of_one = waiting(&proxy)
        .iter()
        .filter(|request| request["group"] == "flood.test")
        .count();
    assert!(
        of_one <= 128,
        "{of_one}: one owner's names leave room for others'"
    );
    let told = proxy.logs(0);
    let told = told
        .iter()
        .filter(|entry| entry["reason"] == "queue_full")
        .count();
    assert!(
        (1..100).contains(&told),
        "{told} lines for thousands of refusals"
    );
}

#[test]
fn of_two_who_decide_at_once_one_wins_and_the_other_learns_who() {
    const ROUNDS: usize = 1000;
    let (proxy, _resolver) = asking("");
    for round in 0..ROUNDS {
        let target = format!("one.test:{}", 10_000 + round);
        let (_client, request) = held(&proxy, &target);
        let (approve, deny) = thread::scope(|scope| {
            let approve = scope.spawn(|| {
                proxy.post(
                    &format!("/approve-domain/{}", id(&request)),
                    &json!({"scope": "once"}),
                )
            });
            let deny =
                scope.spawn(|| proxy.post(&format!("/deny-domain/{}", id(&request)), &json!({})));
            (
                approve.join().expect("an answer"),
                deny.join().expect("an answer"),
            )
        });
        let (won, lost) = match approve.status() {
            200 => (approve, deny),
            _ => (deny, approve),
        };
        assert_eq!((won.status(), lost.status()), (200, 409), "{target}");
        let detail = lost.json()["detail"]
            .as_str()
            .expect("a sentence")
            .to_owned();
        let uid = format!("uid:{}", nix::unistd::Uid::effective());
        assert!(
            detail.contains(&target) && detail.contains(&uid),
            "{detail}"
        );
    }
    let approvals = proxy.audit();
    let decisions = approvals
        .iter()
        .filter(|line| line["event"] == "domain_approve" || line["event"] == "domain_deny");
    assert_eq!(decisions.count(), ROUNDS, "one line for each");
}
