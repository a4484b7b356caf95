//! The events of `GET /events`: their names and what they carry.

use serde::{Deserialize, Serialize};

use super::answers::{LogEntry, RuleView};
use super::pending::{PendingView, Settled};

/// Something that happened in a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Event {
    // Boxed, but for entries of the log: those are many, and no larger for the others' sake.
    /// `domain-request-added`.
    RequestAdded(Box<PendingView>),
    /// `domain-request-updated`: others wait for the same, or gave up.
    RequestUpdated(Box<PendingView>),
    /// `domain-request-removed`.
    RequestRemoved(Box<Settled>),
    /// `rule-added`.
    RuleAdded(Box<RuleChange>),
    /// `rule-removed`.
    RuleRemoved(Box<RuleChange>),
    /// `log`.
    Log(LogEntry),
    /// `session-ending`: the last event of a session.
    SessionEnding {
        /// Why it ends.
        ending: String,
    },
    /// `reset`: what was asked for is no longer there; read the state anew.
    Reset {
        /// The number to go on from.
        next: u64,
    },
}

/// A rule that came or went, and by whose hand.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RuleChange {
    /// The rule.
    pub rule: RuleView,
    /// Who did it: `uid:1000`, `cn:vibepit CLI`, or `vibepit` itself for an expiry or a reload.
    pub actor: String,
    /// Why it holds for this session only, though it was to be saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_error: Option<String>,
}

impl Event {
    /// The name on the wire.
    pub fn name(&self) -> &'static str {
        match self {
            Self::RequestAdded(_) => "domain-request-added",
            Self::RequestUpdated(_) => "domain-request-updated",
            Self::RequestRemoved(_) => "domain-request-removed",
            Self::RuleAdded(_) => "rule-added",
            Self::RuleRemoved(_) => "rule-removed",
            Self::Log(_) => "log",
            Self::SessionEnding { .. } => "session-ending",
            Self::Reset { .. } => "reset",
        }
    }

    /// Reads an event back by its name on the wire; `None` for a name this version does not know.
    pub fn parse(name: &str, data: &str) -> Option<Result<Self, serde_json::Error>> {
        #[derive(Deserialize)]
        struct Ending {
            ending: String,
        }
        #[derive(Deserialize)]
        struct Next {
            next: u64,
        }
        Some(match name {
            "domain-request-added" => serde_json::from_str(data).map(Self::RequestAdded),
            "domain-request-updated" => serde_json::from_str(data).map(Self::RequestUpdated),
            "domain-request-removed" => serde_json::from_str(data).map(Self::RequestRemoved),
            "rule-added" => serde_json::from_str(data).map(Self::RuleAdded),
            "rule-removed" => serde_json::from_str(data).map(Self::RuleRemoved),
            "log" => serde_json::from_str(data).map(Self::Log),
            "session-ending" => {
                serde_json::from_str(data).map(|Ending { ending }| Self::SessionEnding { ending })
            }
            "reset" => serde_json::from_str(data).map(|Next { next }| Self::Reset { next }),
            _ => return None,
        })
    }
}
