//! Where decisions are carried out: what was decided goes to the session's control plane, and what
//! came of it comes back as a sentence, with what would take it back.

use std::sync::Arc;

use crate::api::{DecideBody, Decided, RevokeBody, Revoked};
use crate::client::{Client, ClientError};
use crate::overview::Overview;
use crate::policy::{Scope, Verdict, printable, shown_target};
use crate::session::SessionId;

/// Names a request: its session and its id there.
pub(super) type RequestKey = (SessionId, String);

/// What a person answers to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) verdict: Verdict,
    pub(super) scope: Scope,
    /// A wider pattern, which was shown and is meant.
    pub(super) pattern: Option<String>,
    pub(super) ttl: Option<String>,
}

impl Answer {
    pub(super) fn new(verdict: Verdict, scope: Scope) -> Self {
        Self {
            verdict,
            scope,
            pattern: None,
            ttl: None,
        }
    }

    fn body(&self) -> DecideBody {
        DecideBody {
            scope: Some(self.scope),
            pattern: self.pattern.clone(),
            ttl: self.ttl.clone(),
            confirm_wildcard: self.pattern.is_some(),
            ..DecideBody::default()
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deed {
    /// Answers requests.
    Decide(Vec<RequestKey>, Answer),
    /// Takes rules back.
    Revoke(Vec<(SessionId, String)>),
}

/// What came of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Done {
    /// Whether all of it was done as it was meant.
    pub(super) good: bool,
    /// For the person, escaped.
    pub(super) says: String,
    /// What would take it back; why nothing does.
    pub(super) undo: Result<Vec<(SessionId, String)>, &'static str>,
}

const NOTHING: &str = "there is nothing to take back";
const ONCE: &str = "once is over with its answer and cannot be taken back: no rule came of it";

/// Begins it. What comes of it is the future's.
pub(super) fn begin(
    deed: Deed,
    overview: &Overview,
) -> impl Future<Output = Done> + Send + 'static {
    type Sent<T> = Vec<(SessionId, T, Option<Arc<Client>>)>;
    fn addressed<T>(of: Vec<(SessionId, T)>, overview: &Overview) -> Sent<T> {
        of.into_iter()
            .map(|(session, what)| (session, what, overview.client(session)))
            .collect()
    }
    enum Addressed {
        Decide(Sent<String>, Answer),
        Revoke(Sent<String>),
    }
    let addressed = match deed {
        Deed::Decide(asked, answer) => Addressed::Decide(addressed(asked, overview), answer),
        Deed::Revoke(rules) => Addressed::Revoke(addressed(rules, overview)),
    };
    async move {
        match addressed {
            Addressed::Decide(asked, answer) => {
                let mut outcomes = Vec::new();
                for (session, id, client) in asked {
                    outcomes.push((session, decide(client, &id, &answer).await));
                }
                decided(&outcomes)
            }
            Addressed::Revoke(rules) => {
                let mut outcomes = Vec::new();
                for (_, entry, client) in rules {
                    outcomes.push((revoke(client, &entry).await, entry));
                }
                revoked(&outcomes)
            }
        }
    }
}

async fn decide(client: Option<Arc<Client>>, id: &str, answer: &Answer) -> Result<Decided, String> {
    let client = client.ok_or_else(over)?;
    let body = answer.body();
    let outcome = match answer.verdict {
        Verdict::Allow => client.approve_request(id, &body).await,
        Verdict::Deny => client.deny_request(id, &body).await,
    };
    outcome.map_err(why)
}

async fn revoke(client: Option<Arc<Client>>, entry: &str) -> Result<Revoked, String> {
    let client = client.ok_or_else(over)?;
    let entries = vec![entry.to_owned()];
    client.revoke(&RevokeBody { entries }).await.map_err(why)
}

fn over() -> String {
    "its session is over".to_owned()
}

fn why(error: ClientError) -> String {
    match error {
        ClientError::Fault(fault) => fault.detail,
        error => error.to_string(),
    }
}

fn decided(outcomes: &[(SessionId, Result<Decided, String>)]) -> Done {
    let done = outcomes
        .iter()
        .filter_map(|(session, outcome)| Some((*session, outcome.as_ref().ok()?)));
    let failed = outcomes
        .iter()
        .filter_map(|(_, outcome)| outcome.as_ref().err());
    let (count, fails) = (done.clone().count(), failed.clone().count());
    let mut says = match (done.clone().next(), count) {
        (None, _) => String::new(),
        (Some((_, one)), 1) => {
            let what = match &one.entry {
                Some(entry) => printable(entry).into_owned(),
                None => shown_target(&one.domain, one.port),
            };
            format!("{what}: {}", printable(&one.to_string()))
        }
        (Some((_, one)), count) => format!("{count} requests: {}", printable(&one.to_string())),
    };
    if let Some(first) = failed.clone().next() {
        if count > 0 {
            says.push_str(&format!("; {fails} not: "));
        }
        says.push_str(&printable(first));
    }
    let rules: Vec<_> = done
        .clone()
        .filter_map(|(session, one)| Some((session, one.entry.clone()?)))
        .collect();
    let good = |one: &Decided| one.save_error.is_none() && one.shadowed_by.is_none();
    Done {
        good: fails == 0 && done.clone().all(|(_, one)| good(one)),
        says,
        undo: match (rules.is_empty(), count) {
            (false, _) => Ok(rules),
            (true, 0) => Err(NOTHING),
            (true, _) => Err(ONCE),
        },
    }
}

fn revoked(outcomes: &[(Result<Revoked, String>, String)]) -> Done {
    let (mut good, mut parts) = (true, Vec::new());
    for (outcome, entry) in outcomes {
        let entry = printable(entry);
        let part = match outcome {
            Err(why) => format!("{entry} stays: {}", printable(why)),
            Ok(revoked) if !revoked.kept.is_empty() => {
                format!("{entry} stays: it stands in a file, and is taken out there")
            }
            Ok(revoked) => match &revoked.save_error {
                Some(why) => format!("{entry} is saved still: {}", printable(why)),
                None if revoked.removed.is_empty() => format!("no rule has {entry} any more"),
                None => {
                    parts.push(match revoked.closed {
                        0 => format!("{entry} is taken back"),
                        1 => format!("{entry} is taken back, 1 connection closed"),
                        closed => format!("{entry} is taken back, {closed} connections closed"),
                    });
                    continue;
                }
            },
        };
        good = false;
        parts.push(part);
    }
    Done {
        good,
        says: parts.join("; "),
        undo: Err(NOTHING),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn session() -> SessionId {
        serde_json::from_value(json!("0123456789abcdef")).unwrap()
    }

    fn answer(further: serde_json::Value) -> Decided {
        let mut whole = json!({
            "id": "7f3a", "domain": "a.test", "port": 443, "verdict": "allow", "scope": "session",
            "entry": "a.test:443", "released": 1, "saved_to": null, "closed": 0
        });
        whole
            .as_object_mut()
            .unwrap()
            .extend(further.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    #[test]
    fn a_decision_is_told_with_where_it_was_saved_and_what_would_take_it_back() {
        let done = decided(&[(
            session(),
            Ok(answer(
                json!({"scope": "global", "saved_to": "/s/global.toml"}),
            )),
        )]);
        assert_eq!(
            done,
            Done {
                good: true,
                says: "a.test:443: allowed everywhere (saved to /s/global.toml)".to_owned(),
                undo: Ok(vec![(session(), "a.test:443".to_owned())]),
            }
        );
    }

    #[test]
    fn what_did_not_go_as_it_was_meant_is_no_good_news() {
        for (further, part) in [
            (
                json!({"save_error": "disk full"}),
                "(this session only: disk full)",
            ),
            (
                json!({"shadowed_by": "**.test"}),
                "\"deny **.test\" outranks it",
            ),
        ] {
            let done = decided(&[(session(), Ok(answer(further)))]);
            assert!(!done.good && done.says.contains(part), "{done:?}");
        }
        let late = "already denied by uid:1000\u{1b}[2J".to_owned();
        let done = decided(&[(session(), Err(late.clone()))]);
        assert_eq!((done.good, done.undo), (false, Err(NOTHING)));
        assert_eq!(done.says, "already denied by uid:1000\\u{1b}[2J");
        let done = decided(&[(session(), Ok(answer(json!({})))), (session(), Err(late))]);
        assert!(done.says.contains("; 1 not: already denied"), "{done:?}");
    }

    #[test]
    fn an_answer_for_once_cannot_be_taken_back() {
        let once = answer(json!({"scope": "once", "entry": null}));
        assert_eq!(decided(&[(session(), Ok(once))]).undo, Err(ONCE));
    }
}
