//! How what waits is shown: to a person, to the sandbox, and in the audit log.

use serde_json::{Value, json};

use crate::asking::{asking, held, id};
use crate::support::Launch;

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
    let mut others: Vec<_> = ["two.test:22", "three.test:443", "four.test:443"]
        .into_iter()
        .map(|target| held(&proxy, target).0)
        .collect();
    let said = proxy
        .cli(&["deny", "two.test", "--reason", "use https"])
        .ok();
    assert!(said.contains("denied two.test:22 once"), "{said}");
    assert!(others[0].answer().text().contains("denied: use https"));
    let said = proxy.cli(&["deny", "--all"]).ok();
    assert_eq!(said.lines().count(), 2, "{said}");
    for client in &mut others[1..] {
        assert_eq!(client.answer().status(), 403);
    }
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
    let ran = proxy.cli(&["approve", "one.test"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("no request for one.test waits"),
        "{ran:?}"
    );
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

/// DISP-006.
#[test]
fn a_look_alike_of_an_allowed_name_is_pointed_out() {
    let (proxy, _resolver) = asking("allow = [\"amazon.com\", \"*.google.com\"]\n");
    for (target, like) in [
        ("arnazon.com:443", "amazon.com"),
        ("www.g00gle.com:443", "google.com"),
    ] {
        held(&proxy, target);
        let shown = proxy.cli(&["pending"]).ok();
        let said = format!("looks like {like}, which is allowed");
        let line = shown.lines().find(|line| line.contains(target));
        assert!(line.is_some_and(|line| line.contains(&said)), "{shown}");
    }
}

#[test]
fn many_requests_of_one_owner_are_listed_as_one_with_the_word_that_refuses_them_all() {
    let (proxy, _resolver) = asking("");
    let mut waiting: Vec<_> = (0..20)
        .map(|made_up| held(&proxy, &format!("x{made_up}.flood.test:443")).0)
        .collect();
    let _other = held(&proxy, "one.test:443");
    let shown = proxy.cli(&["pending"]).ok();
    assert_eq!(shown.lines().count(), 10, "{shown}");
    assert!(shown.contains("and 12 more of flood.test; "), "{shown}");
    assert!(shown.contains("vibepit deny '**.flood.test:*'"), "{shown}");
    proxy.cli(&["deny", "**.flood.test:*"]).ok();
    for client in &mut waiting {
        assert_eq!(client.answer().status(), 403);
    }
    assert_eq!(proxy.cli(&["pending"]).ok().lines().count(), 1);
}
#[test]
fn the_audit_log_says_who_decided_what_after_the_session_too() {
    let (mut proxy, _resolver) = asking("");
    let (mut client, request) = held(&proxy, "one.test:443");
    proxy.does(&format!("/deny-domain/{}", id(&request)), &json!({}));
    assert_eq!(client.answer().status(), 403);
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
