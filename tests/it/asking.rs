//! Requests that no rule covers: they wait, somebody decides, and they go on or are refused.

use std::thread;

use serde_json::{Value, json};

use crate::support::{Launch, Origin, Proxy, Resolver, Says, Wire, closed_port};

/// A proxy that asks, and a resolver that knows this machine under some names.
pub(crate) fn asking(further: &str) -> (Proxy, Resolver) {
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
pub(crate) fn held(proxy: &Proxy, target: &str) -> (Wire, Value) {
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let request = events.until("domain-request-added");
    (client, request)
}

pub(crate) fn id(request: &Value) -> &str {
    request["id"].as_str().expect("an id")
}

#[track_caller]
pub(crate) fn waiting(proxy: &Proxy) -> Vec<Value> {
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
fn a_denial_answers_with_the_reason_and_stands_for_what_the_client_tries_again_by_itself() {
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
    let mut again = proxy.client();
    again.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    assert!(again.answer().text().contains("denied: use the mirror"));
    assert_eq!(proxy.read("/session")["counts"]["pending"], 0);
    // Another target is another question, and a rule outranks what was said once.
    held(&proxy, "two.test:443");
    proxy.does("/allow", &json!({"entries": [target]}));
    let refused = proxy.fetch(&format!("http://{target}/"));
    assert_eq!(refused.status(), 502, "nobody listens there");
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
    for (at, content) in [
        "",
        "Content-Length: 10\r\n",
        "Transfer-Encoding: chunked\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut events = proxy.events(None);
        let mut client = proxy.client();
        let head = format!("POST http://one.test:808{at}/ HTTP/1.1\r\nHost: one.test:808{at}\r\n");
        let begun = match content {
            "" => "",
            _ => "5\r\nabc",
        };
        client.send(format!("{head}{content}\r\n{begun}"));
        events.until("domain-request-added");
        drop(client);
        while events.until("domain-request-updated")["waiting"] != 0 {}
    }
}

#[test]
fn content_that_comes_while_its_request_waits_arrives_whole() {
    let (proxy, _resolver) = asking("");
    let origin = Origin::plain();
    let target = format!("one.test:{}", origin.port());
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    let content = "0123456789".repeat(10_000);
    client.send(format!(
        "POST http://{target}/ HTTP/1.1\r\nHost: {target}\r\nContent-Length: {}\r\n\r\n",
        content.len()
    ));
    let request = events.until("domain-request-added");
    thread::scope(|scope| {
        scope.spawn(|| proxy.does(&format!("/approve-domain/{}", id(&request)), &json!({})));
        client.send(&content);
    });
    assert_eq!(client.answer().status(), 200);
    assert_eq!(origin.request().text(), content);
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

/// REB-013.
#[test]
fn the_name_is_resolved_once_somebody_has_approved_it_and_what_it_is_then_is_screened() {
    let resolver = Resolver::at_loopback(&["one.test"]);
    let config = format!(
        "{}allow_cidr = [\"127.0.0.1/32\"]\nunlisted_domain_behavior = \"request_approval\"\n",
        resolver.config()
    );
    let proxy = Proxy::start(config);
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let (mut client, request) = held(&proxy, &target);
    assert!(resolver.questions().is_empty(), "nothing is asked before");
    let elsewhere: std::net::IpAddr = "127.0.0.2".parse().expect("an address");
    resolver.set("one.test", Says::addresses([elsewhere]));
    proxy.does(&format!("/approve-domain/{}", id(&request)), &json!({}));
    let answer = client.answer();
    assert_eq!(answer.status(), 403);
    assert!(
        answer.text().contains("screened_address"),
        "{}",
        answer.text()
    );
    assert_eq!(origin.connections(), 0);
}
