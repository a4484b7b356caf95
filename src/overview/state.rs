//! What updates add up to. No clock, no I/O: given the same updates, it is the same.

use std::collections::VecDeque;

use crate::api::{Event, LogEntry, MissedView, Outcome, PendingView, RuleView, Session, Settled};
use crate::policy::Reason;
use crate::session::{Record, SessionId};

use super::{Update, Whole};

/// Decisions of one session that are kept.
pub const LOG_MAX: usize = 10_000;

/// Missed requests of one session that are kept.
const MISSED_MAX: usize = 512;

/// Every session, in the order of their starts.
#[derive(Debug, Default)]
pub struct Sessions {
    sights: Vec<Sight>,
}

/// What is known of one session.
#[derive(Debug)]
pub struct Sight {
    /// What it announced.
    pub record: Record,
    /// How it is reached.
    pub link: Link,
    /// What it said of itself last.
    pub session: Option<Session>,
    /// What waits, oldest first.
    pub pending: Vec<PendingView>,
    /// What nobody decided in time, newest first.
    pub missed: Vec<MissedView>,
    /// The rules in force.
    pub rules: Vec<RuleView>,
    /// Decisions, oldest first, the last [`LOG_MAX`].
    pub log: VecDeque<LogEntry>,
    /// Decisions that were told since it appeared, those that are not kept included.
    pub logged: u64,
}

/// How a session is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It has not answered yet.
    Opening,
    /// It answers.
    Open,
    /// It does not answer, for this reason; it is tried again.
    Lost(String),
    /// It said that it ends, and why.
    Ending(String),
}

impl Sessions {
    /// Every session, oldest first.
    pub fn all(&self) -> &[Sight] {
        &self.sights
    }

    /// One of them.
    pub fn get(&self, id: SessionId) -> Option<&Sight> {
        self.sights.iter().find(|sight| sight.record.id == id)
    }

    /// How many requests wait in all of them.
    pub fn waiting(&self) -> usize {
        self.sights.iter().map(|sight| sight.pending.len()).sum()
    }

    /// Takes an update in.
    pub fn apply(&mut self, id: SessionId, update: Update) {
        match update {
            Update::Appeared(record) => self.appeared(*record),
            Update::Gone => self.sights.retain(|sight| sight.record.id != id),
            Update::Whole(whole) => self.with(id, |sight| sight.whole(*whole)),
            Update::Lost { why } => self.with(id, |sight| {
                if !matches!(sight.link, Link::Ending(_)) {
                    sight.link = Link::Lost(why);
                }
            }),
            Update::Told(event) => self.with(id, |sight| sight.told(*event)),
        }
    }

    fn appeared(&mut self, record: Record) {
        self.sights.retain(|sight| sight.record.id != record.id);
        let at = self
            .sights
            .partition_point(|sight| sight.record.created <= record.created);
        let sight = Sight {
            record,
            link: Link::Opening,
            session: None,
            pending: Vec::new(),
            missed: Vec::new(),
            rules: Vec::new(),
            log: VecDeque::new(),
            logged: 0,
        };
        self.sights.insert(at, sight);
    }

    fn with(&mut self, id: SessionId, change: impl FnOnce(&mut Sight)) {
        let sight = self.sights.iter_mut().find(|sight| sight.record.id == id);
        if let Some(sight) = sight {
            change(sight);
        }
    }
}

impl Sight {
    fn whole(&mut self, whole: Whole) {
        self.link = Link::Open;
        self.session = Some(whole.session);
        self.pending = whole.pending;
        self.missed = whole.missed;
        self.rules = whole.rules;
        for entry in whole.log {
            self.log(entry);
        }
    }

    fn told(&mut self, event: Event) {
        match event {
            Event::RequestAdded(request) | Event::RequestUpdated(request) => {
                // Asked for again, it is missed no longer.
                self.missed.retain(|missed| {
                    (&missed.domain, missed.port) != (&request.domain, request.port)
                });
                match self.pending.iter_mut().find(|one| one.id == request.id) {
                    Some(one) => *one = *request,
                    None => self.pending.push(*request),
                }
            }
            Event::RequestRemoved(settled) => self.settled(&settled),
            Event::RuleAdded(change) => {
                let rule = change.rule;
                match self.rules.iter_mut().find(|one| is_same(one, &rule)) {
                    Some(one) => *one = rule,
                    None => self.rules.push(rule),
                }
            }
            Event::RuleRemoved(change) => self.rules.retain(|one| !is_same(one, &change.rule)),
            Event::Log(entry) => self.log(entry),
            Event::SessionEnding { ending } => {
                self.link = Link::Ending(ending);
                self.pending.clear();
            }
            // Everything comes anew behind it.
            Event::Reset { .. } => {}
        }
    }

    fn settled(&mut self, settled: &Settled) {
        let at = self.pending.iter().position(|one| one.id == settled.id);
        let Some(at) = at else { return };
        let request = self.pending.remove(at);
        if settled.outcome == Outcome::TimedOut {
            self.missed.insert(
                0,
                MissedView {
                    id: request.id,
                    domain: request.domain,
                    port: request.port,
                    reason: Reason::TimedOut,
                    attempts: request.attempts,
                    last: request.expires_at,
                    suggested_pattern: request.suggested_pattern,
                },
            );
            self.missed.truncate(MISSED_MAX);
        }
    }

    fn log(&mut self, entry: LogEntry) {
        if self.log.back().is_some_and(|last| entry.id <= last.id) {
            return;
        }
        if self.log.len() == LOG_MAX {
            self.log.pop_front();
        }
        self.log.push_back(entry);
        self.logged += 1;
    }
}

/// Whether two are the same rule, whatever it counts by now.
fn is_same(one: &RuleView, other: &RuleView) -> bool {
    (&one.entry, one.verdict, one.origin, one.scope)
        == (&other.entry, other.verdict, other.origin, other.scope)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const ID: &str = "0123456789abcdef";

    fn id() -> SessionId {
        serde_json::from_value(json!(ID)).unwrap()
    }

    fn record(created: &str) -> Box<Record> {
        Box::new(
            serde_json::from_value(json!({
                "version": 1, "id": ID, "name": "tool", "runtime": "docker",
                "created": created, "pid": 1, "control": {}
            }))
            .unwrap(),
        )
    }

    fn told(name: &str, data: serde_json::Value) -> Update {
        let event = Event::parse(name, &data.to_string());
        Update::Told(Box::new(event.unwrap().unwrap()))
    }

    fn request(id: &str, waiting: usize) -> serde_json::Value {
        json!({
            "id": id, "domain": "a.example", "port": 443, "group": "a.example",
            "doors": ["connect"], "waiting": waiting, "attempts": 1,
            "requested_at": "2030-01-01T00:00:00Z", "expires_at": "2030-01-01T00:01:00Z",
            "suggested_pattern": null
        })
    }

    fn logged(number: u64) -> serde_json::Value {
        json!({
            "id": number, "time": "2030-01-01T00:00:00Z", "verdict": "deny",
            "reason": "unlisted", "domain": "a.example", "port": 443, "door": "connect",
            "rule": null
        })
    }

    fn seen() -> Sessions {
        let mut sessions = Sessions::default();
        sessions.apply(id(), Update::Appeared(record("2030-01-01T00:00:00Z")));
        sessions
    }

    #[test]
    fn a_request_comes_changes_and_goes_to_what_was_missed_when_its_time_ran_out() {
        let mut sessions = seen();
        sessions.apply(id(), told("domain-request-added", request("aa", 1)));
        sessions.apply(id(), told("domain-request-updated", request("aa", 3)));
        let sight = sessions.get(id()).unwrap();
        assert_eq!((sight.pending.len(), sight.pending[0].waiting), (1, 3));
        let end = json!({"id": "aa", "domain": "a.example", "port": 443, "outcome": "timed_out",
            "actor": "vibepit", "waiting": 3});
        sessions.apply(id(), told("domain-request-removed", end.clone()));
        sessions.apply(id(), told("domain-request-removed", end));
        let sight = sessions.get(id()).unwrap();
        assert_eq!((sight.pending.len(), sight.missed.len()), (0, 1));
        sessions.apply(id(), told("domain-request-added", request("bb", 1)));
        let sight = sessions.get(id()).unwrap();
        assert_eq!((sight.pending.len(), sight.missed.len()), (1, 0));
        sessions.apply(id(), Update::Gone);
        assert!(sessions.all().is_empty());
    }

    #[test]
    fn decisions_are_kept_once_each_and_so_many() {
        let mut sessions = seen();
        for number in 1..=LOG_MAX as u64 + 5 {
            sessions.apply(id(), told("log", logged(number)));
        }
        sessions.apply(id(), told("log", logged(7)));
        let sight = sessions.get(id()).unwrap();
        assert_eq!(sight.log.len(), LOG_MAX);
        assert_eq!((sight.log[0].id, sight.logged), (6, LOG_MAX as u64 + 5));
    }

    #[test]
    fn a_rule_that_is_replaced_is_one_rule() {
        let mut sessions = seen();
        let rule = |hits: u64, expires: Option<&str>| {
            json!({"rule": {"entry": "a.example", "verdict": "allow", "origin": "session",
                "scope": "session", "expires_at": expires, "hits": hits}, "actor": "uid:1"})
        };
        sessions.apply(id(), told("rule-added", rule(0, None)));
        sessions.apply(
            id(),
            told("rule-added", rule(0, Some("2030-01-01T00:00:00Z"))),
        );
        let sight = sessions.get(id()).unwrap();
        assert_eq!(sight.rules.len(), 1);
        assert!(sight.rules[0].expires_at.is_some());
        sessions.apply(id(), told("rule-removed", rule(9, None)));
        assert!(sessions.get(id()).unwrap().rules.is_empty());
    }

    #[test]
    fn a_session_that_ends_lets_nothing_wait_and_one_that_is_lost_keeps_what_was_shown() {
        let mut sessions = seen();
        sessions.apply(id(), told("domain-request-added", request("aa", 1)));
        sessions.apply(
            id(),
            Update::Lost {
                why: "refused".to_owned(),
            },
        );
        assert_eq!(sessions.waiting(), 1);
        sessions.apply(
            id(),
            told("session-ending", json!({"ending": "it was told to"})),
        );
        assert_eq!(sessions.waiting(), 0);
        sessions.apply(
            id(),
            Update::Lost {
                why: "refused".to_owned(),
            },
        );
        assert_eq!(
            sessions.all()[0].link,
            Link::Ending("it was told to".to_owned())
        );
    }
}
