//! What is said, and what the commands do.

use serde_json::json;

use super::*;
use crate::monitor::testing::{WEB, appeared, id, refusal, request, time, told, whole};

/// A session with two requests that wait.
fn begun() -> (Plain, Vec<String>) {
    let mut plain = Plain::default();
    let mut said = says(&mut plain, appeared(WEB, "web"));
    let pending = json!([
        request("a1", "api.example.com", 1),
        request("a2", "x.test", 2)
    ]);
    said.extend(says(&mut plain, whole(pending, json!([]), json!([]))));
    (plain, said)
}

fn says(plain: &mut Plain, update: Update) -> Vec<String> {
    plain.update(id(WEB), update, time("2030-01-01T00:00:31Z"))
}

fn command(plain: &mut Plain, line: &str) -> (Vec<String>, Option<Effect>) {
    plain.command(line, time("2030-01-01T00:00:31Z"))
}

#[test]
fn what_comes_and_goes_is_told_in_lines() {
    let (mut plain, said) = begun();
    assert_eq!(
        said,
        [
            "session web of /home/me/web is there (docker)",
            "request 1: api.example.com:443, of example.com, in web, 30 seconds left",
            "request 2: x.test:443, of x.test, in web, 31 seconds left",
        ]
    );
    let end = json!({
        "id": "a1", "domain": "api.example.com", "port": 443, "outcome": "approved",
        "actor": "uid:1000\u{1b}[2J", "waiting": 1
    });
    assert_eq!(
        says(&mut plain, told("domain-request-removed", &end)),
        ["request 1: api.example.com:443 approved by uid:1000\\u{1b}[2J"]
    );
    let lost = || Update::Lost {
        why: "refused".to_owned(),
    };
    assert_eq!(
        says(&mut plain, lost()),
        ["session web does not answer, it is tried again: refused"]
    );
    assert!(says(&mut plain, lost()).is_empty());
    let again = whole(json!([request("a2", "x.test", 2)]), json!([]), json!([]));
    assert_eq!(says(&mut plain, again), ["session web answers again"]);
    assert_eq!(says(&mut plain, Update::Gone), ["session web is over"]);
    assert_eq!(command(&mut plain, "list").0, ["nothing waits"]);
}

#[test]
fn a_refusal_that_is_repeated_is_told_once_and_then_counted() {
    let (mut plain, _) = begun();
    let mut said = Vec::new();
    for (at, domain) in ["a.test", "a.test", "a.test", "b.test"]
        .into_iter()
        .enumerate()
    {
        said.extend(says(
            &mut plain,
            told("log", &refusal(at as u64 + 1, domain)),
        ));
    }
    assert_eq!(
        said,
        [
            "refused in web: a.test:443, unlisted",
            "refused in web: a.test:443, unlisted, 2 times more",
            "refused in web: b.test:443, unlisted",
        ]
    );
}

#[test]
fn a_number_stays_with_its_request_and_is_never_given_again() {
    let (mut plain, _) = begun();
    let end = json!({
        "id": "a1", "domain": "api.example.com", "port": 443, "outcome": "denied",
        "actor": "uid:1000", "waiting": 1
    });
    says(&mut plain, told("domain-request-removed", &end));
    let (said, effect) = command(&mut plain, "a 1");
    assert_eq!(effect, None);
    assert_eq!(said, ["no request 1 waits; list tells those that do"]);
    let said = says(
        &mut plain,
        told("domain-request-added", &request("a9", "y.test", 3)),
    );
    assert!(said[0].starts_with("request 3: y.test:443"), "{said:?}");
    let answer = Answer::new(Verdict::Deny, Scope::Session);
    let asked = vec![(id(WEB), "a2".to_owned()), (id(WEB), "a9".to_owned())];
    assert_eq!(
        command(&mut plain, " D  2 3 ").1,
        Some(Effect::Do(Deed::Decide(asked, answer)))
    );
}

#[test]
fn a_wildcard_is_told_before_it_can_be_meant() {
    let (mut plain, _) = begun();
    let (said, effect) = command(&mut plain, "w 1");
    assert_eq!(effect, None);
    assert_eq!(
        said[..2],
        [
            "*.example.com would cover 1 of what waits in web",
            "api.example.com:443"
        ]
    );
    let Some(Effect::Do(Deed::Decide(asked, answer))) = command(&mut plain, "w 1 global").1 else {
        panic!("it is decided");
    };
    assert_eq!(asked, [(id(WEB), "a1".to_owned())]);
    assert_eq!(answer.pattern.as_deref(), Some("*.example.com"));
    assert_eq!(answer.scope, Scope::Global);
}

#[test]
fn what_is_no_command_does_nothing_and_is_named_harmlessly() {
    let (mut plain, _) = begun();
    for line in [
        "x",
        "a",
        "a b",
        "a 99",
        "t 1 soon",
        "w 1 once",
        "\u{1b}[2J 1",
        "revoke web2 x",
    ] {
        let (said, effect) = command(&mut plain, line);
        assert_eq!(effect, None, "{line}");
        assert!(said.len() == 1 && !said[0].contains('\u{1b}'), "{said:?}");
    }
    assert_eq!(command(&mut plain, "  "), (vec![], None));
    assert_eq!(command(&mut plain, "quit").1, Some(Effect::Quit));
}
