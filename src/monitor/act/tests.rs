//! What keys do, and what they do not.

use serde_json::json;

use super::*;
use crate::monitor::testing::{API, Desk, WEB, appeared, id, key, refusal, request, told, whole};
use crate::overview::Update;

fn asked(ids: &[(&str, &str)]) -> Vec<RequestKey> {
    let key = |(session, request): &(&str, &str)| (id(session), (*request).to_owned());
    ids.iter().map(key).collect()
}

fn answers(ids: &[(&str, &str)], answer: Answer) -> Vec<Effect> {
    vec![Effect::Do(Deed::Decide(asked(ids), answer))]
}

fn note(desk: &Desk) -> &str {
    &desk.screen.note.text
}

#[test]
fn each_letter_answers_the_selected_request_with_its_scope() {
    for (letter, verdict, scope) in [
        ("a", Verdict::Allow, Scope::Session),
        ("p", Verdict::Allow, Scope::Project),
        ("g", Verdict::Allow, Scope::Global),
        ("o", Verdict::Allow, Scope::Once),
        ("d", Verdict::Deny, Scope::Once),
        ("D", Verdict::Deny, Scope::Session),
    ] {
        let effects = Desk::busy(true).types(letter);
        assert_eq!(
            effects,
            answers(&[(WEB, "a1")], Answer::new(verdict, scope))
        );
    }
    let timed = Answer {
        ttl: Some("1h".to_owned()),
        ..Answer::new(Verdict::Allow, Scope::Session)
    };
    assert_eq!(Desk::busy(true).types("t2"), answers(&[(WEB, "a1")], timed));
    let mut desk = Desk::busy(true);
    assert_eq!(
        (desk.types("tx"), note(&desk)),
        (vec![], "nothing was done")
    );
}

#[test]
fn a_wildcard_is_shown_first_and_one_that_is_saved_is_confirmed() {
    let wildcard = |scope| Answer {
        pattern: Some("*.example.com".to_owned()),
        ..Answer::new(Verdict::Allow, scope)
    };
    let effects = Desk::busy(true).types("wa");
    assert_eq!(effects, answers(&[(WEB, "a1")], wildcard(Scope::Session)));
    let mut desk = Desk::busy(true);
    assert_eq!(desk.types("wg"), []);
    assert!(desk.shown(80, 24).contains("cdn.example.com:443"));
    assert_eq!(
        desk.types("y"),
        answers(&[(WEB, "a1")], wildcard(Scope::Global))
    );
    for other in ["wpn", "wpp", "wx", "w\u{1b}", "wy"] {
        assert_eq!(Desk::busy(true).types(other), [], "{other}");
    }
}

#[test]
fn marked_requests_are_answered_together_and_those_out_of_sight_are_not() {
    let answer = Answer::new(Verdict::Deny, Scope::Once);
    let mut desk = Desk::busy(true);
    // In the order in which they came: a1, b1, a2.
    assert_eq!(
        desk.types("  d"),
        answers(&[(WEB, "a1"), (API, "b1")], answer.clone())
    );
    let mut desk = Desk::busy(true);
    desk.types("  /example\n");
    desk.passes(1000);
    assert_eq!(desk.types("d"), answers(&[(WEB, "a1")], answer));
}

#[test]
fn the_selection_is_a_request_and_no_row() {
    let mut desk = Desk::busy(true);
    desk.types("j");
    assert_eq!(desk.screen.waiting.on(), Some(&(id(API), "b1".to_owned())));
    let end = json!({
        "id": "a1", "domain": "api.example.com", "port": 443, "outcome": "approved",
        "actor": "uid:1000", "waiting": 1
    });
    desk.takes(WEB, told("domain-request-removed", &end));
    desk.takes(
        WEB,
        told("domain-request-added", &request("a0", "x.test", 0)),
    );
    assert_eq!(
        desk.types("a"),
        answers(&[(API, "b1")], Answer::new(Verdict::Allow, Scope::Session))
    );
}

#[test]
fn what_was_selected_by_itself_takes_no_answer_for_a_moment() {
    let mut desk = Desk::busy(true);
    let end = json!({
        "id": "a1", "domain": "api.example.com", "port": 443, "outcome": "timed_out",
        "actor": "vibepit", "waiting": 1
    });
    desk.takes(WEB, told("domain-request-removed", &end));
    for key in ["a", "d", "w", "t"] {
        assert_eq!(desk.types(key), [], "{key}");
        assert!(note(&desk).contains("has just gone"), "{}", note(&desk));
    }
    desk.passes(500);
    assert_ne!(desk.types("a"), []);
}

#[test]
fn a_request_that_has_just_come_takes_no_answer_for_a_moment() {
    let mut desk = Desk::empty(true);
    desk.takes(WEB, appeared(WEB, "web"));
    desk.takes(WEB, whole(json!([]), json!([]), json!([])));
    assert_eq!(
        (desk.types("a"), note(&desk)),
        (vec![], "nothing waits here")
    );
    desk.passes(1000);
    desk.takes(
        WEB,
        told("domain-request-added", &request("a1", "a.test", 0)),
    );
    assert_eq!(desk.types("a"), []);
    // Marked or not.
    assert_eq!(desk.types(" a"), []);
    assert!(note(&desk).contains("only just come"), "{}", note(&desk));
    desk.passes(500);
    assert_ne!(desk.types("a"), []);
}

#[test]
fn keys_that_come_at_once_or_as_a_paste_decide_nothing() {
    let mut desk = Desk::busy(true);
    for burst in ["aa", "jja", "dq", "rm -rf ~\n", "wgy", "t1"] {
        desk.passes(1000);
        let keys: Vec<_> = burst.chars().map(key).collect();
        let effects = desk.screen.keys(&keys, desk.now);
        assert!(
            effects.iter().all(|effect| *effect == Effect::Quit),
            "{burst}: {effects:?}"
        );
        desk.types("\u{1b}\u{1b}");
    }
    // In pieces that come faster than anybody types.
    desk.passes(1000);
    assert_eq!(desk.screen.keys(&[key('x')], desk.now), []);
    desk.passes(5);
    assert_eq!(desk.screen.keys(&[key('a')], desk.now), []);
    assert!(note(&desk).contains("at once"), "{}", note(&desk));
    desk.passes(1000);
    desk.screen.pasted("aaa\n\u{1b}[A", desk.now);
    assert_eq!(note(&desk), "pasted text does nothing");
    assert_ne!(desk.types("a"), []);
}

#[test]
fn what_is_pasted_into_the_filter_is_a_part_of_it() {
    let mut desk = Desk::busy(true);
    desk.types("/");
    desk.screen.pasted("c\ndn\u{1b}", desk.now);
    assert_eq!(desk.screen.filter(), "cdn");
    assert!(desk.shown(80, 24).contains("cdn.example.com"));
    assert_eq!(desk.screen.waiting.rows().len(), 1);
    desk.types("\u{1b}");
    assert_eq!(desk.screen.waiting.rows().len(), 3);
}

#[test]
fn the_last_decision_is_taken_back_once() {
    let mut desk = Desk::busy(true);
    desk.types("u");
    assert_eq!(note(&desk), "nothing was decided here yet");
    let rules = vec![(id(WEB), "api.example.com:443".to_owned())];
    desk.screen.done(Done {
        good: true,
        says: "done".to_owned(),
        undo: Ok(rules.clone()),
    });
    assert_eq!(note(&desk), "done; u takes it back");
    assert_eq!(desk.types("u"), [Effect::Do(Deed::Revoke(rules))]);
    assert_eq!(desk.types("u"), []);
}

#[test]
fn a_rule_is_taken_back_once_that_is_confirmed() {
    let mut desk = Desk::busy(true);
    assert_eq!(desk.types("3jrn"), []);
    let rules = vec![(id(WEB), "**.ads.test:*".to_owned())];
    assert_eq!(desk.types("ry"), [Effect::Do(Deed::Revoke(rules))]);
    // Where no request is looked at, none is answered.
    assert_eq!(desk.types("a"), []);
    assert!(note(&desk).contains("1 shows them"), "{}", note(&desk));
}

#[test]
fn the_log_is_followed_until_somebody_moves_and_again_at_its_end() {
    let mut desk = Desk::busy(true);
    desk.types("2k");
    assert!(!desk.screen.follow);
    let on = desk.screen.log.on().copied();
    for at in 5..60 {
        desk.takes(WEB, told("log", &refusal(at, &format!("{at}.test"))));
    }
    desk.shown(80, 24);
    assert_eq!(desk.screen.log.on().copied(), on);
    desk.types("G");
    assert!(desk.screen.follow);
    desk.takes(WEB, told("log", &refusal(60, "last.test")));
    desk.shown(80, 24);
    assert_eq!(desk.screen.log.on(), Some(&(id(WEB), 60)));
}

#[test]
fn a_session_that_is_lost_and_comes_back_leaves_everything_in_its_place() {
    let mut desk = Desk::busy(true);
    desk.types("jj /example\n");
    desk.passes(1000);
    let on = desk.screen.waiting.on().cloned();
    desk.takes(
        WEB,
        Update::Lost {
            why: "gone".to_owned(),
        },
    );
    assert!(desk.shown(80, 24).contains("lost, tried again: gone"));
    let same = json!([
        request("a1", "api.example.com", 1),
        request("a2", "cdn.example.com", 3),
    ]);
    desk.takes(WEB, whole(same, json!([]), json!([])));
    assert_eq!(desk.screen.waiting.on().cloned(), on);
    assert_eq!(desk.screen.marked.len(), 1);
    assert_ne!(desk.types("a"), []);
}

#[test]
fn what_ended_with_its_session_is_in_the_log_still() {
    let mut desk = Desk::busy(true);
    desk.takes(WEB, Update::Gone);
    let shown = desk.shown(80, 24);
    assert!(
        shown.contains("1 waits") && shown.contains("telemetry.test:443"),
        "{shown}"
    );
    desk.takes(API, Update::Gone);
    let shown = desk.shown(80, 24);
    assert!(shown.contains("no session runs"), "{shown}");
}
