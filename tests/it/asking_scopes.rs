//! How far a decision reaches: patterns, scopes, other sessions, and what is saved.

use serde_json::json;

use crate::asking::{asking, held, id, waiting};
use crate::support::{Launch, Origin, Proxy, Wire};

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
fn a_global_approval_holds_in_nine_other_sessions_at_once_and_in_later_ones() {
    let (first, resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let config = format!(
        "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n",
        resolver.config()
    );
    let others: Vec<Proxy> = (0..9)
        .map(|_| Launch::new(config.clone()).home(&first.home).start())
        .collect();
    let (mut here, request) = held(&first, &target);
    let mut there: Vec<Wire> = others.iter().map(|other| held(other, &target).0).collect();
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
    for client in &mut there {
        assert_eq!(client.head().status(), 200, "it settled what others held");
    }
    let later = Launch::new(config).home(&first.home).start();
    later.tunnel(&target);
    let second = &others[0];

    // And back: everywhere.
    let mut events = second.events(None);
    first.does("/revoke", &json!({"entries": [target]}));
    events.until("rule-removed");
    held(second, &target);
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
