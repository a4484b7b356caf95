//! Everything that can be asked of a control plane, as one closed list and one table.
//!
//! A request is parsed here, at the edge, into an [`Action`]; whoever carries it out sees
//! neither HTTP nor JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::policy::{Entry, NoPreset, PresetName, Scope, Size, SizeError, Target, Verdict};

use super::query::{Query, number};
use super::{DecideBody, Decision, Fault};

/// One thing to do.
#[derive(Debug)]
pub enum Action {
    /// GET /session.
    Session,
    /// GET /rules.
    Rules,
    /// POST /allow or POST /deny.
    Add(Verdict, Addition),
    /// POST /revoke.
    Revoke(Vec<Entry>),
    /// GET /pending-domains.
    Pending {
        /// Also what nobody decided in time.
        missed: bool,
    },
    /// POST /approve-domain/{id} or POST /deny-domain/{id}.
    Decide {
        /// The request.
        id: String,
        /// What is to become of it.
        decision: Decision,
    },
    /// GET /connections.
    Connections,
    /// GET /explain.
    Explain(Target),
    /// GET /logs.
    Logs {
        /// Only entries with a greater number.
        after: Option<u64>,
        /// At most so many.
        limit: usize,
    },
    /// GET /events.
    Events {
        /// Go on behind this number; without one, from now on.
        after: Option<u64>,
        /// Whoever reads is nobody who would decide about a request.
        background: bool,
    },
    /// GET /stats.
    Stats,
    /// GET /metrics.
    Metrics,
    /// POST /reload.
    Reload,
    /// GET /healthz.
    Health,
    /// GET /openapi.json.
    OpenApi,
}

/// Rules to add.
#[derive(Debug)]
pub struct Addition {
    /// What they cover.
    pub entries: Vec<Entry>,
    /// How long they last.
    pub scope: Scope,
    /// For how much time; forever, within the scope, without it.
    pub ttl: Option<Duration>,
    /// How much may be sent under each of them.
    pub max_upload: Option<Size>,
}

/// The body of POST /allow and POST /deny.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddBody {
    /// What to allow or deny.
    pub entries: Vec<String>,
    /// Defaults to `session`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// `90s`, `10m`, `2h`, `1d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// `10MB`, `64KiB`: how much may be sent under each rule, all connections together. Only of
    /// what is allowed, with scope session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_upload: Option<String>,
    /// Accept a wildcard over a public suffix.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// The body of POST /revoke.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RevokeBody {
    /// What to take back.
    pub entries: Vec<String>,
}

/// The field in which a client says what its person decides with, [`BY_UI`] or nothing. It stands
/// beside who they are, and proves nothing: whoever may speak here may say it.
pub const BY: &str = "vibepit-by";

/// The web page.
pub const BY_UI: &str = "ui";

/// A path of the API and the methods it takes.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// The path, as it is asked for.
    pub path: &'static str,
    /// The one method it takes. (HEAD is not taken: every answer is small, or never ends.)
    pub method: &'static str,
    /// What comes back.
    pub media_type: &'static str,
}

const JSON: &str = "application/json";

/// The API, on one screen. `openapi.json` describes the same, and a test compares the two.
pub const ROUTES: &[Route] = &[
    Route {
        method: "GET",
        path: "/session",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/rules",
        media_type: JSON,
    },
    Route {
        method: "POST",
        path: "/allow",
        media_type: JSON,
    },
    Route {
        method: "POST",
        path: "/deny",
        media_type: JSON,
    },
    Route {
        method: "POST",
        path: "/revoke",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/pending-domains",
        media_type: JSON,
    },
    Route {
        method: "POST",
        path: "/approve-domain/{id}",
        media_type: JSON,
    },
    Route {
        method: "POST",
        path: "/deny-domain/{id}",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/connections",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/explain",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/logs",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/events",
        media_type: "text/event-stream",
    },
    Route {
        method: "GET",
        path: "/stats",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/metrics",
        media_type: METRICS,
    },
    Route {
        method: "POST",
        path: "/reload",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/healthz",
        media_type: JSON,
    },
    Route {
        method: "GET",
        path: "/openapi.json",
        media_type: JSON,
    },
];

/// OpenMetrics 1.0.
pub const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The description of the API that `GET /openapi.json` answers.
pub const OPENAPI: &str = include_str!("../openapi.json");

/// As many log entries as one answer has without `limit`.
const LOGS_DEFAULT: usize = 1000;

/// As many as it has at most: as many as are kept.
const LOGS_MAX: usize = 10_000;

/// Longer time limits are taken for mistakes.
const TTL_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

impl Route {
    /// Finds the route of a path, and says 404 or 405 where there is none.
    pub fn find(method: &str, path: &str) -> Result<&'static Self, Fault> {
        let route = ROUTES
            .iter()
            .find(|route| route.parameter(path).is_some())
            .ok_or_else(|| Fault::not_found(path))?;
        if route.method == method {
            Ok(route)
        } else {
            Err(Fault::method_not_allowed(route.path, route.method))
        }
    }

    /// What stands in the place of `{id}`; empty where the route has no such place. `None`: the
    /// path is another one's.
    fn parameter<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self.path.strip_suffix("{id}") {
            Some(prefix) => path
                .strip_prefix(prefix)
                .filter(|id| !id.is_empty() && !id.contains('/')),
            None => (path == self.path).then_some(""),
        }
    }

    /// Parses what came with the request; the core sees only the result. `last_event` is the
    /// value of Last-Event-ID, which a client of /events sends by itself when it comes back (the
    /// SSE standard), and which outranks `after`.
    pub fn action(
        &self,
        path: &str,
        query: Option<&str>,
        last_event: Option<&[u8]>,
        body: &[u8],
    ) -> Result<Action, Fault> {
        let query = Query::parse(query.unwrap_or(""))?;
        let action = match self.path {
            "/session" => Action::Session,
            "/rules" => Action::Rules,
            "/allow" => Action::Add(Verdict::Allow, addition(Verdict::Allow, body)?),
            "/deny" => Action::Add(Verdict::Deny, addition(Verdict::Deny, body)?),
            "/revoke" => Action::Revoke(revocation(body)?),
            "/pending-domains" => Action::Pending {
                missed: query.flag("missed")?,
            },
            "/approve-domain/{id}" => self.decision(path, Verdict::Allow, body)?,
            "/deny-domain/{id}" => self.decision(path, Verdict::Deny, body)?,
            "/connections" => Action::Connections,
            "/explain" => Action::Explain(explained(query.get("target"))?),
            "/logs" => Action::Logs {
                after: query.number("after")?,
                limit: query.number("limit")?.map_or(LOGS_DEFAULT, |n| {
                    usize::try_from(n).unwrap_or(LOGS_MAX).min(LOGS_MAX)
                }),
            },
            "/events" => {
                let after = query.number("after")?;
                let last_event = last_event
                    .map(|id| number("Last-Event-ID", &String::from_utf8_lossy(id)))
                    .transpose()?;
                Action::Events {
                    after: last_event.or(after),
                    background: query.flag("background")?,
                }
            }
            "/stats" => Action::Stats,
            "/metrics" => Action::Metrics,
            "/reload" => Action::Reload,
            "/healthz" => Action::Health,
            "/openapi.json" => Action::OpenApi,
            other => return Err(Fault::not_found(other)),
        };
        query.used(self.path)?;
        Ok(action)
    }

    fn decision(&self, path: &str, verdict: Verdict, body: &[u8]) -> Result<Action, Fault> {
        let id = self.parameter(path).unwrap_or_default().to_owned();
        let body: DecideBody = match body.trim_ascii() {
            [] => DecideBody::default(),
            body => json(body, r#"{"scope":"session"}"#)?,
        };
        let default = match verdict {
            Verdict::Allow => Scope::Session,
            Verdict::Deny => Scope::Once,
        };
        let scope = body.scope.unwrap_or(default);
        let pattern = body
            .pattern
            .map(|text| entry(&text, body.force))
            .transpose()?;
        let ttl = time_limit(body.ttl.as_deref(), scope)?;
        if pattern.is_some() && scope == Scope::Once {
            return Err(Fault::bad_request(
                "scope once is for the request itself: leave the pattern out, or choose session, \
                 project or global",
            ));
        }
        if body.reason.is_some() && verdict == Verdict::Allow {
            return Err(Fault::bad_request(
                "a reason goes with a denial, and not with an approval",
            ));
        }
        let preset = body.preset.map(|name| preset(&name)).transpose()?;
        if preset.is_some() {
            let wrong = match (verdict, scope) {
                (Verdict::Deny, _) => Some("a preset is approved, and not denied: leave it out"),
                (_, Scope::Once) => Some(
                    "scope once is for the request itself: leave the preset out, or choose session, \
                     project or global",
                ),
                _ if pattern.is_some() => {
                    Some("a preset and a pattern are two decisions: leave one of them out")
                }
                _ => None,
            };
            if let Some(wrong) = wrong {
                return Err(Fault::bad_request(wrong));
            }
        }
        Ok(Action::Decide {
            id,
            decision: Decision {
                verdict,
                scope,
                pattern,
                preset,
                ttl,
                reason: body.reason,
                confirmed: body.confirm_wildcard,
            },
        })
    }
}

fn preset(name: &str) -> Result<PresetName, Fault> {
    name.parse()
        .map_err(|error: NoPreset| Fault::bad_request(error.to_string()))
}

fn addition(verdict: Verdict, body: &[u8]) -> Result<Addition, Fault> {
    let body: AddBody = json(body, r#"{"entries":["api.example.com:443"]}"#)?;
    let scope = body.scope.unwrap_or(Scope::Session);
    if scope == Scope::Once {
        return Err(Fault::bad_request(
            "scope once is for a request that waits: approve it by its id, or choose session, \
             project or global",
        ));
    }
    let ttl = time_limit(body.ttl.as_deref(), scope)?;
    Ok(Addition {
        entries: entries(&body.entries, body.force)?,
        scope,
        ttl,
        max_upload: upload_limit(body.max_upload.as_deref(), verdict, scope)?,
    })
}

fn revocation(body: &[u8]) -> Result<Vec<Entry>, Fault> {
    let body: RevokeBody = json(body, r#"{"entries":["api.example.com:443"]}"#)?;
    // What is in force may be taken back, however it came in.
    entries(&body.entries, true)
}

fn entries(texts: &[String], force: bool) -> Result<Vec<Entry>, Fault> {
    if texts.is_empty() {
        return Err(Fault::bad_request(
            "no entries: name at least one, such as api.example.com:443",
        ));
    }
    texts.iter().map(|text| entry(text, force)).collect()
}

fn entry(text: &str, force: bool) -> Result<Entry, Fault> {
    let entry = if force {
        Entry::parse_forced(text)
    } else {
        text.parse()
    };
    entry.map_err(|error| Fault::bad_entry(text, error.to_string()))
}

fn json<'a, T: Deserialize<'a>>(body: &'a [u8], example: &str) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        Fault::bad_request(format!(
            "the body is not what this call takes: {error}; send {example}"
        ))
    })
}

fn explained(target: Option<String>) -> Result<Target, Fault> {
    let text = target.ok_or_else(|| Fault::bad_request("say what: /explain?target=host:port"))?;
    text.parse()
        .map_err(|error| Fault::bad_entry(&text, format!("{error}")))
}

/// A time limit, where the scope can have one: what is saved is meant to stay.
fn time_limit(text: Option<&str>, scope: Scope) -> Result<Option<Duration>, Fault> {
    let ttl = text.map(duration).transpose()?;
    if ttl.is_some() && scope != Scope::Session {
        return Err(Fault::bad_request(format!(
            "a time limit goes with scope session, and not with scope {scope}"
        )));
    }
    Ok(ttl)
}

/// How much may be sent, where that can be said: what was sent is counted for a session.
fn upload_limit(text: Option<&str>, verdict: Verdict, scope: Scope) -> Result<Option<Size>, Fault> {
    let Some(text) = text else { return Ok(None) };
    if verdict == Verdict::Deny {
        return Err(Fault::bad_request(
            "max_upload goes with what is allowed, and not with a denial",
        ));
    }
    if scope != Scope::Session {
        return Err(Fault::bad_request(format!(
            "max_upload goes with scope session, which counts what is sent, and not with scope \
             {scope}"
        )));
    }
    let size = text.parse();
    size.map(Some)
        .map_err(|error: SizeError| Fault::bad_request(error.to_string()))
}

/// Reads a time limit: a number and `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, Fault> {
    let wrong = || {
        Fault::bad_request(format!(
            "{:?} is not a time limit; write a number and s, m, h or d, such as 10m (at most 365d)",
            text
        ))
    };
    let unit = text.chars().next_back().ok_or_else(wrong)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return Err(wrong()),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let duration = number
        .checked_mul(seconds)
        .map(Duration::from_secs)
        .ok_or_else(wrong)?;
    if duration.is_zero() || duration > TTL_MAX {
        return Err(wrong());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests;
