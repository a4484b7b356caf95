//! Requests that no rule covers: they wait, somebody decides, and they go on or are refused.

use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use serde_json::{Value, json};

use crate::support::{Launch, Origin, Proxy, Resolver, Wire, closed_port};

/// A proxy that asks, and a resolver that knows this machine under some names.
fn asking(further: &str) -> (Proxy, Resolver) {
    let resolver = Resolver::at_loopback(&["one.test", "two.test", "api.group.test"]);
    let config = format!(
        "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n\
         {further}",
        resolver.config()
    );
    (Proxy::start(config), resolver)
}

/// Begins a CONNECT, which is held. When this returns, it waits.
#[track_caller]
fn held(proxy: &Proxy, target: &str) -> (Wire, Value) {
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let request = events.until("domain-request-added");
    (client, request)
}

fn id(request: &Value) -> &str {
    request["id"].as_str().expect("an id")
}

#[track_caller]
fn waiting(proxy: &Proxy) -> Vec<Value> {
    let answer = proxy.read("/pending-domains");
    answer["pending"].as_array().expect("a list").clone()
}

#[test]
fn a_held_tunnel_goes_on_once_somebody_approves_it_and_hears_nothing_before() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let (mut client, request) = held(&proxy, &target);
    assert_eq!(request["domain"], "one.test");
    assert_eq!(request["doors"], json!(["connect"]));
    assert_eq!(
        (&request["waiting"], &request["attempts"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(
        origin.connections(),
        0,
        "nothing is dialled before the decision"
    );
    let path = format!("/approve-domain/{}", id(&request));
    let decided = proxy.does(&path, &json!({}));
    assert_eq!(decided["scope"], "session");
    assert_eq!(decided["released"], 1);
    assert_eq!(decided["entry"], target);
    // The first thing that is said, and so nothing was before.
    assert_eq!(client.head().status(), 200);
    client.send("hello");
    assert_eq!(client.exactly(5), b"hello");
    assert!(waiting(&proxy).is_empty());
    // The rule holds for the next one.
    proxy.tunnel(&target);
}

#[test]
fn an_approval_for_once_lets_one_request_through_and_the_next_one_asks_again() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let (mut client, request) = held(&proxy, &target);
    proxy.does(
        &format!("/approve-domain/{}", id(&request)),
        &json!({"scope": "once"}),
    );
    assert_eq!(client.head().status(), 200);
    let (_client, again) = held(&proxy, &target);
    assert_ne!(id(&again), id(&request));
    // A change of the rules does not end what was let through without one.
    proxy.does("/allow", &json!({"entries": ["else.test"]}));
    client.send("still");
    assert_eq!(client.exactly(5), b"still");
}

#[test]
fn a_denial_answers_with_the_reason_and_the_next_try_asks_again() {
    let (proxy, _resolver) = asking("");
    let target = format!("one.test:{}", closed_port());
    let (mut client, request) = held(&proxy, &target);
    let body = json!({"reason": "use the mirror"});
    let decided = proxy.does(&format!("/deny-domain/{}", id(&request)), &body);
    assert_eq!(
        (&decided["scope"], &decided["entry"]),
        (&json!("once"), &Value::Null)
    );
    let answer = client.answer();
    assert_eq!(answer.status(), 403);
    assert_eq!(answer.reason(), format!("vibepit: {target} is denied"));
    assert!(
        answer
            .text()
            .contains("denied_by_person: denied: use the mirror"),
        "{}",
        answer.text()
    );
    held(&proxy, &target);
}

#[test]
fn requests_for_the_same_host_and_port_share_an_entry_and_one_word_answers_them_all() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let (first, request) = held(&proxy, &target);
    let mut clients = vec![first];
    let mut events = proxy.events(None);
    for _ in 0..5 {
        let mut client = proxy.client();
        client.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ));
        clients.push(client);
    }
    while events.until("domain-request-updated")["waiting"] != 6 {}
    let listed = waiting(&proxy);
    assert_eq!((listed.len(), &listed[0]["id"]), (1, &request["id"]));
    let other = format!("one.test:{}", closed_port());
    held(&proxy, &other);
    assert_eq!(waiting(&proxy).len(), 2, "another port is another question");

    let decided = proxy.does(&format!("/approve-domain/{}", id(&request)), &json!({}));
    assert_eq!(decided["released"], 6);
    for client in &mut clients {
        assert_eq!(client.head().status(), 200);
    }
}

#[test]
fn a_rule_that_covers_what_waits_settles_it() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let allowed = format!("one.test:{}", origin.port());
    let (mut client, _) = held(&proxy, &allowed);
    let (mut other, _) = held(&proxy, "two.test:9");
    let mut events = proxy.events(None);
    proxy.does("/allow", &json!({"entries": [allowed]}));
    let end = events.until("domain-request-removed");
    assert_eq!(
        (&end["domain"], &end["outcome"]),
        (&json!("one.test"), &json!("approved"))
    );
    assert_eq!(client.head().status(), 200);
    proxy.does("/deny", &json!({"entries": ["two.test:*"]}));
    assert_eq!(events.until("domain-request-removed")["outcome"], "denied");
    assert_eq!(other.answer().status(), 403);
}

#[test]
fn of_two_who_decide_at_once_one_wins_and_the_other_learns_who() {
    let (proxy, _resolver) = asking("");
    for round in 0..20 {
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
    assert_eq!(decisions.count(), 20, "one line for each");
}

#[test]
fn what_nobody_decides_in_time_is_refused_and_can_be_approved_for_the_next_try() {
    let (proxy, _resolver) = asking("approval_timeout = \"1s\"\n");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let (mut client, request) = held(&proxy, &target);
    let answer = client.answer();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("timed_out"), "{}", answer.text());
    let answer = proxy.read("/pending-domains?missed=1");
    assert_eq!(answer["missed"][0]["id"], request["id"]);
    assert_eq!(answer["missed"][0]["reason"], "timed_out");
    let decided = proxy.does(
        &format!("/approve-domain/{}", id(&request)),
        &json!({"scope": "once"}),
    );
    assert_eq!(decided["released"], 0);
    proxy.tunnel(&target);
    assert_eq!(proxy.read("/pending-domains?missed=1")["missed"], json!([]));
}

#[test]
fn a_client_that_gives_up_leaves_its_entry_and_an_approval_lets_the_retry_through() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let mut events = proxy.events(None);
    let (client, request) = held(&proxy, &target);
    drop(client);
    while events.until("domain-request-updated")["waiting"] != 0 {}
    assert_eq!(waiting(&proxy)[0]["waiting"], 0);
    proxy.does(
        &format!("/approve-domain/{}", id(&request)),
        &json!({"scope": "once"}),
    );
    assert_eq!(origin.connections(), 0);
    proxy.tunnel(&target);
    held(&proxy, &target);
}

#[test]
fn a_forwarded_request_is_held_as_a_tunnel_is() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::plain();
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    let target = format!("one.test:{}", origin.port());
    client.send(format!(
        "GET http://{target}/ HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let request = events.until("domain-request-added");
    assert_eq!(request["doors"], json!(["http"]));
    proxy.does(&format!("/approve-domain/{}", id(&request)), &json!({}));
    assert_eq!(client.answer().status(), 200);
}

#[test]
fn a_pattern_has_to_cover_what_was_asked_and_a_wildcard_is_saved_only_if_it_is_meant() {
    let (proxy, _resolver) = asking("");
    let (mut client, request) = held(&proxy, "api.group.test:443");
    assert_eq!(request["suggested_pattern"], "*.group.test");
    let path = format!("/approve-domain/{}", id(&request));
    let foreign = proxy.post(&path, &json!({"pattern": "*.else.test"}));
    assert_eq!(foreign.status(), 400);
    let body = json!({"pattern": "*.group.test", "scope": "global"});
    let unmeant = proxy.post(&path, &body);
    assert_eq!(unmeant.status(), 409, "{}", unmeant.text());
    assert!(unmeant.text().contains("confirm_wildcard"));
    assert_eq!(waiting(&proxy).len(), 1, "it still waits");
    let body = json!({"pattern": "*.group.test", "scope": "global", "confirm_wildcard": true});
    let decided = proxy.does(&path, &body);
    assert_eq!(
        (&decided["entry"], &decided["scope"]),
        (&json!("*.group.test"), &json!("global"))
    );
    assert_ne!(client.head().status(), 403);
}

#[test]
fn a_global_approval_holds_in_other_sessions_at_once_and_in_later_ones() {
    let (first, resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let config = format!(
        "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n",
        resolver.config()
    );
    let second = Launch::new(config.clone()).home(&first.home).start();
    let (mut here, request) = held(&first, &target);
    let (mut there, _) = held(&second, &target);
    let decided = first.does(
        &format!("/approve-domain/{}", id(&request)),
        &json!({"scope": "global"}),
    );
    let saved = decided["saved_to"].as_str().expect("a file");
    assert!(
        std::fs::read_to_string(saved)
            .expect("the file")
            .contains(&target)
    );
    assert_eq!(here.head().status(), 200);
    assert_eq!(
        there.head().status(),
        200,
        "it settled what the other session held"
    );
    let third = Launch::new(config).home(&first.home).start();
    third.tunnel(&target);

    // And back: everywhere.
    let mut events = second.events(None);
    first.does("/revoke", &json!({"entries": [target]}));
    events.until("rule-removed");
    held(&second, &target);
}

#[test]
fn what_cannot_be_saved_holds_for_the_session_and_the_answer_says_so() {
    let (proxy, _resolver) = asking("");
    let (_client, request) = held(&proxy, "one.test:443");
    // In the place of the file there is a directory.
    let file = proxy.home.state().join("vibepit/decisions/global.toml");
    std::fs::create_dir(&file).expect("a directory");
    let ran = proxy.cli(&["approve", "one.test", "--scope", "global"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("allowed for this session only: "),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("global.toml"), "{ran:?}");
    let rule = &proxy.read("/rules")["rules"][0];
    assert_eq!(
        (&rule["entry"], &rule["scope"]),
        (&json!("one.test:443"), &json!("session"))
    );
    drop(request);
}

#[test]
fn the_commands_show_what_waits_and_answer_it() {
    let (proxy, _resolver) = asking("");
    let (mut client, request) = held(&proxy, "one.test:22");
    let shown = proxy.cli(&["pending"]).ok();
    for part in [
        id(&request),
        "one.test:22 (ssh)",
        "connect",
        "1 waiting",
        "s left",
        "vibepit approve",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let said = proxy.cli(&["deny", &id(&request)[..6]]).ok();
    assert!(said.contains("denied one.test:22 once"), "{said}");
    assert_eq!(client.answer().status(), 403);
    let ran = proxy.cli(&["approve", "one.test"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("no request for one.test waits"),
        "{ran:?}"
    );
}

#[test]
fn when_the_session_ends_what_waits_is_refused() {
    let (mut proxy, _resolver) = asking("");
    let (mut client, _) = held(&proxy, "one.test:443");
    proxy.signal(nix::sys::signal::Signal::SIGTERM);
    let said = client.to_end();
    let said = String::from_utf8_lossy(&said);
    assert!(said.is_empty() || said.contains("403"), "{said}");
    assert_eq!(proxy.wait().code(), Some(0));
}

#[test]
fn a_client_that_gives_up_a_forwarded_request_leaves_its_place() {
    let (proxy, _resolver) = asking("");
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    client.send("GET http://one.test/ HTTP/1.1\r\nHost: one.test\r\n\r\n");
    events.until("domain-request-added");
    drop(client);
    while events.until("domain-request-updated")["waiting"] != 0 {}
}

#[test]
fn what_a_client_says_while_it_waits_is_not_lost() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::plain();
    let target = format!("one.test:{}", origin.port());
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    let get = |path: &str| format!("GET http://{target}{path} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    client.send(get("/first"));
    let request = events.until("domain-request-added");
    client.send(get("/second"));
    proxy.does(&format!("/approve-domain/{}", id(&request)), &json!({}));
    for path in ["/first", "/second"] {
        let answer = client.answer();
        assert_eq!(answer.status(), 200);
        assert!(origin.request().start.contains(path));
    }
}

#[test]
fn the_command_line_says_whether_somebody_is_asked_and_for_how_long() {
    let launch = Launch::new("unlisted_domain_behavior = \"reject\"\n");
    let proxy = launch
        .argument("--ask")
        .argument("--approval-timeout=5m")
        .start();
    assert_eq!(proxy.read("/session")["mode"], "request_approval");
    let (_client, request) = held(&proxy, "one.test:443");
    assert_ne!(request["expires_at"], request["requested_at"]);
    let said = proxy.cli(&["explain", "one.test:443"]).ok();
    assert!(said.contains("waits until somebody decides"), "{said}");
    let rejecting = Launch::new("unlisted_domain_behavior = \"request_approval\"\n");
    let rejecting = rejecting.argument("--reject").start();
    assert_eq!(rejecting.read("/session")["mode"], "reject");
}

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
    for made_up in 1000..1200 {
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
        (1..60).contains(&told),
        "{told} lines for some hundred refusals"
    );
}

/// APP-010, APP-011: while nobody watches, a request waits as long as the person said for that.
#[test]
fn while_nobody_watches_a_request_waits_for_the_unattended_time() {
    let (proxy, _resolver) = asking("approval_timeout = \"1h\"\nunattended_timeout = \"1s\"\n");
    let mut client = proxy.client();
    client.send("CONNECT one.test:443 HTTP/1.1\r\nHost: one.test:443\r\n\r\n");
    assert_eq!(client.answer().status(), 403);
    // Somebody who watches gets the longer time.
    let (_client, request) = held(&proxy, "two.test:443");
    let hour = |text: &Value| text.as_str().expect("a time")[11..13].to_owned();
    assert_ne!(hour(&request["expires_at"]), hour(&request["requested_at"]));
}

/// APP-017.
#[test]
fn a_denial_for_the_session_is_remembered_and_nobody_is_asked_again() {
    let (proxy, _resolver) = asking("");
    let (mut client, request) = held(&proxy, "one.test:443");
    proxy.does(
        &format!("/deny-domain/{}", id(&request)),
        &json!({"scope": "session"}),
    );
    assert!(client.answer().text().contains("denied_by_person"));
    for _ in 0..100 {
        let mut client = proxy.client();
        client.send("CONNECT one.test:443 HTTP/1.1\r\nHost: one.test:443\r\n\r\n");
        assert!(client.answer().text().contains("denied_by_rule"));
    }
    assert!(waiting(&proxy).is_empty());
    let prompts = proxy
        .audit()
        .into_iter()
        .filter(|line| line["event"] == "domain_request");
    assert_eq!(prompts.count(), 1);
}

/// APP-025.
#[test]
fn when_the_proxy_is_killed_what_waits_ends_without_an_answer_and_nothing_is_approved() {
    let (mut proxy, _resolver) = asking("");
    let (mut client, _) = held(&proxy, "one.test:443");
    proxy.signal(nix::sys::signal::Signal::SIGKILL);
    proxy.wait();
    assert_eq!(client.to_end(), b"");
    let config = "unlisted_domain_behavior = \"request_approval\"\n";
    let next = Launch::new(config).home(&proxy.home).start();
    assert_eq!(next.read("/rules")["rules"], json!([]));
    held(&next, "one.test:443");
}

/// APP-026: a deny that comes between the question and the answer outranks the answer.
#[test]
fn a_deny_that_came_meanwhile_outranks_an_approval() {
    let (proxy, _resolver) = asking("");
    let (mut client, request) = held(&proxy, "one.test:443");
    proxy.does("/deny", &json!({"entries": ["one.test:*"]}));
    assert_eq!(client.answer().status(), 403);
    let late = proxy.post(&format!("/approve-domain/{}", id(&request)), &json!({}));
    assert_eq!(late.status(), 409);
    assert!(late.text().contains("denied"), "{}", late.text());
}

#[test]
fn the_audit_log_says_who_decided_what_after_the_session_too() {
    let (mut proxy, _resolver) = asking("");
    let (_client, request) = held(&proxy, "one.test:443");
    proxy.does(&format!("/deny-domain/{}", id(&request)), &json!({}));
    let id = proxy.id().to_owned();
    proxy.signal(nix::sys::signal::Signal::SIGTERM);
    proxy.wait();
    let uid = nix::unistd::Uid::effective();
    let said = proxy
        .home
        .cli(&["audit", &id[..8], "--event", "domain_deny"])
        .ok();
    assert!(said.contains("domain_deny  one.test:443"), "{said}");
    assert!(said.contains(&format!("actor=uid:{uid}")), "{said}");
    let json = proxy.home.cli(&["audit", "--json", "--since", "1h"]).ok();
    let events: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect();
    let names: Vec<_> = events.iter().map(|event| event["event"].clone()).collect();
    let expected = [
        "session_start",
        "domain_request",
        "domain_deny",
        "connect",
        "session_end",
    ];
    assert_eq!(names, expected);
    assert_eq!(
        proxy.home.cli(&["audit", "--since", "yesterday"]).code,
        Some(2)
    );
}

#[test]
fn the_sandbox_can_ask_what_it_may_reach_and_decides_nothing_there() {
    let (proxy, _resolver) = asking("allow = [\"ok.test\"]\ndeny = [\"bad.test\"]\n");
    let (_client, _) = held(&proxy, "one.test:443");
    assert_eq!(proxy.fetch("http://bad.test/").status(), 403);
    let text = proxy.fetch("http://vibepit.internal/");
    assert_eq!(text.status(), 200);
    for part in [
        "  ok.test",
        "  bad.test:80: denied_by_rule",
        "  one.test:443",
        "vibepit approve",
    ] {
        assert!(text.text().contains(part), "{part}: {}", text.text());
    }
    let mut client = proxy.client();
    client.send(
        "GET http://vibepit.internal/ HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\n\r\n",
    );
    let told = client.answer().json();
    assert_eq!(told["allowed"], json!(["ok.test"]));
    assert_eq!(told["waiting"], json!(["one.test:443"]));
    client.send("POST http://vibepit.internal/ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.answer().status(), 405);
    assert_eq!(
        proxy
            .fetch("http://vibepit.internal/approve-domain/1")
            .status(),
        404
    );
}
