//! Held requests: how they are shown, how they are decided, and what came of it.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::policy::{Door, Entry, PresetName, Reason, Scope, Verdict};

/// A request that waits for somebody to decide.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingView {
    /// Names it in /approve-domain/{id} and /deny-domain/{id}.
    pub id: String,
    /// The host that is asked for.
    pub domain: String,
    /// The port.
    pub port: u16,
    /// What usually speaks on that port, where that is not HTTP: `ssh`, `postgresql`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// What somebody registered of the name: by this a long list is grouped.
    pub group: String,
    /// The doors it came through.
    pub doors: Vec<Door>,
    /// Connections that wait now. None: the client gave up, and an approval lets its retry through.
    pub waiting: usize,
    /// Connections that have asked since.
    pub attempts: u64,
    /// When it was asked for first, RFC 3339.
    pub requested_at: String,
    /// When it is refused if nobody decides, RFC 3339.
    pub expires_at: String,
    /// A wider pattern that covers it, if there is one that belongs to one owner.
    pub suggested_pattern: Option<String>,
    /// Presets that it belongs to: each can be approved as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub presets: Vec<PresetOffer>,
    /// Presets of the person's own tools under which it can be remembered, where it belongs to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remember_under: Vec<String>,
}

/// A preset, as it is offered to whoever decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresetOffer {
    /// What it is called.
    pub name: String,
    /// What it opens, in a few words.
    pub description: String,
    /// Everything that it opens.
    pub entries: Vec<String>,
    /// What a person should know before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

impl PendingView {
    /// Until it is refused if nobody decides.
    pub fn seconds_left(&self, now: OffsetDateTime) -> i64 {
        OffsetDateTime::parse(&self.expires_at, &Rfc3339)
            .map_or(0, |end| (end - now).whole_seconds().max(0))
    }
}

/// A request that was refused while nobody decided. It can still be decided, for the next try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissedView {
    /// Names it as the id of a held request does.
    pub id: String,
    /// The host that was asked for.
    pub domain: String,
    /// The port.
    pub port: u16,
    /// Why it was refused: `timed_out`, `unlisted` or `queue_full`.
    pub reason: Reason,
    /// How often.
    pub attempts: u64,
    /// When it was refused last, RFC 3339.
    pub last: String,
    /// A wider pattern that covers it, if there is one that belongs to one owner.
    pub suggested_pattern: Option<String>,
}

/// GET /pending-domains.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Pending {
    /// What waits, oldest first.
    pub pending: Vec<PendingView>,
    /// What nobody decided in time, newest first; only with `?missed=1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed: Option<Vec<MissedView>>,
}

/// The body of POST /approve-domain/{id} and POST /deny-domain/{id}. All of it may be left out.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecideBody {
    /// An approval defaults to `session`, a denial to `once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// A pattern that covers the host, in the place of the host itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// A preset in the place of the host: all of its entries, at once. One of the person's own tools
    /// remembers a host that it did not have; only of an approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// `90s`, `10m`, `2h`, `1d`; only with scope session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// What the sandbox is told; only of a denial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A wildcard is saved to project or global only with this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub confirm_wildcard: bool,
    /// Accept a wildcard over a public suffix.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// What somebody decided about a held request.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Let it through or refuse it.
    pub verdict: Verdict,
    /// For how long.
    pub scope: Scope,
    /// What it covers; without one the host and port that were asked for.
    pub pattern: Option<Entry>,
    /// All of a preset, in the place of one entry.
    pub preset: Option<PresetName>,
    /// For how much time.
    pub ttl: Option<Duration>,
    /// What the sandbox is told.
    pub reason: Option<String>,
    /// That the wildcard is meant.
    pub confirmed: bool,
}

/// POST /approve-domain/{id} and POST /deny-domain/{id}.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Decided {
    /// The request.
    pub id: String,
    /// Its host.
    pub domain: String,
    /// Its port.
    pub port: u16,
    /// What was decided.
    pub verdict: Verdict,
    /// How long it holds. `session` where it could not be saved.
    pub scope: Scope,
    /// The rule that is in force now; none for scope once.
    pub entry: Option<String>,
    /// Every rule that is in force by it, where that is a preset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<String>,
    /// The preset under which the host is remembered now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered_under: Option<String>,
    /// Why it is not remembered, though it was to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remember_error: Option<String>,
    /// Connections that were waiting, and go on or are refused now.
    pub released: usize,
    /// The file it was saved to.
    pub saved_to: Option<PathBuf>,
    /// Why it was not saved, though it was to be: it holds for this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_error: Option<String>,
    /// An allow that does not take effect, because this deny outranks it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadowed_by: Option<String>,
    /// Connections that were closed by a deny.
    pub closed: usize,
}

impl std::fmt::Display for Decided {
    /// What holds now, of what was decided.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.verdict {
            Verdict::Allow => "allowed",
            Verdict::Deny => "denied",
        })?;
        f.write_str(match self.scope {
            Scope::Once => " once",
            Scope::Session => " until the session ends",
            Scope::Project => " for this project",
            Scope::Global => " everywhere",
        })?;
        if let Some(path) = &self.saved_to {
            write!(f, " (saved to {})", path.display())?;
        }
        if let Some(by) = &self.shadowed_by {
            write!(f, ", but \"deny {by}\" outranks it")?;
        }
        match &self.save_error {
            Some(why) => write!(f, " (this session only: {why})"),
            None => Ok(()),
        }
    }
}

/// How a held request ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settled {
    /// The request.
    pub id: String,
    /// Its host.
    pub domain: String,
    /// Its port.
    pub port: u16,
    /// What came of it.
    pub outcome: Outcome,
    /// Whose doing it was: `uid:1000`, or `vibepit` when time ran out.
    pub actor: String,
    /// How long the decision holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
    /// Connections that waited until then.
    pub waiting: usize,
}

/// What came of a held request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Somebody approved it, or a new rule allows it.
    Approved,
    /// Somebody denied it, or a new rule denies it.
    Denied,
    /// Nobody decided in time.
    TimedOut,
    /// The session ended.
    SessionEnded,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::TimedOut => "timed out",
            Self::SessionEnded => "ended with the session",
        })
    }
}

impl std::fmt::Display for Settled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            domain,
            port,
            outcome,
            actor,
            ..
        } = self;
        write!(f, "{domain}:{port} was {outcome} by {actor}")?;
        match self.scope {
            Some(scope) => write!(f, " (scope {scope})"),
            None => Ok(()),
        }
    }
}
