//! The control plane's answers: what each call returns on success. Fields may be added; those
//! that are here keep their names and meaning.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::policy::{Door, Entry, Known, Origin, Reason, Scope, Verdict, about};

use super::{Identity, Listening};

/// GET /session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Session {
    /// Id, name, project and runtime.
    #[serde(flatten)]
    pub identity: IdentityView,
    /// vibepit's version.
    pub version: String,
    /// Seconds since the proxy started.
    pub uptime_seconds: u64,
    /// The addresses of the doors and of the mTLS port.
    pub doors: Listening,
    /// What becomes of a request that no rule covers: `request_approval` holds it for a person,
    /// `reject` refuses it at once.
    pub mode: String,
    /// Whether decisions of scope project and global can be saved.
    pub can_save: bool,
    /// How much there is of everything.
    pub counts: Counts,
    /// What the person should know: an audit log that cannot be written, a reload that failed.
    pub warnings: Vec<String>,
}

/// Who a session is, in an answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IdentityView {
    /// Sixteen lower-case hex digits.
    pub id: String,
    /// The session's name.
    pub name: String,
    /// The project directory.
    pub project: Option<PathBuf>,
    /// How it was started.
    pub runtime: String,
}

impl From<&Identity> for IdentityView {
    fn from(identity: &Identity) -> Self {
        Self {
            id: identity.id.clone(),
            name: identity.name.clone(),
            project: identity.project_dir.clone(),
            runtime: identity.runtime.clone(),
        }
    }
}

/// The numbers of GET /session.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Rules in force.
    pub rules: usize,
    /// Connections open now.
    pub connections: usize,
    /// Targets that wait for a person.
    #[serde(default)]
    pub pending: usize,
    /// Connections that wait for one.
    #[serde(default)]
    pub waiting: usize,
    /// Requests let through since the start.
    pub allowed: u64,
    /// Requests refused since the start.
    pub refused: u64,
}

/// A rule as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleView {
    /// What it covers, in canonical spelling.
    pub entry: String,
    /// Allow or deny.
    pub verdict: Verdict,
    /// Where it came from.
    pub origin: Origin,
    /// The preset it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// How long it lasts.
    pub scope: Scope,
    /// When it ends (RFC 3339), if it does.
    pub expires_at: Option<String>,
    /// Who made it, where that is known: `uid:1000`, `cn:vibepit CLI`. Not of what a file holds that
    /// a person wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_by: Option<String>,
    /// When (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_at: Option<String>,
    /// How much may be sent under it, as it was said: `10MB`. Missing where that is not limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_upload: Option<String>,
    /// How many bytes of that are left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_left: Option<u64>,
    /// Requests it decided.
    pub hits: u64,
}

impl RuleView {
    /// Where it came from, with the preset's name.
    pub fn came_from(&self) -> String {
        match &self.preset {
            Some(preset) => format!("{} {preset}", self.origin),
            None => self.origin.to_string(),
        }
    }

    /// What may still be sent under it, if that is limited: `9.8MB of 10MB`.
    pub fn upload_shown(&self) -> Option<String> {
        let (of, left) = self.max_upload.as_ref().zip(self.upload_left)?;
        Some(format!("{} of {of}", about(left)))
    }
}

/// The names that rules allow, to tell a person of one that looks like them.
pub fn known(rules: &[RuleView]) -> Known {
    let allowed = rules.iter().filter(|rule| rule.verdict == Verdict::Allow);
    let entries: Vec<Entry> = allowed
        .filter_map(|rule| Entry::parse_forced(&rule.entry).ok())
        .collect();
    Known::of(&entries)
}

/// GET /rules.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rules {
    /// Every rule in force.
    pub rules: Vec<RuleView>,
}

/// POST /allow and POST /deny.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Added {
    /// Entries that are new, or whose verdict or limits changed.
    pub added: Vec<String>,
    /// Entries that were in force already.
    pub existing: Vec<String>,
    /// The scope they have.
    pub scope: Scope,
    /// The file they were saved to.
    pub saved_to: Option<PathBuf>,
    /// Why they were not saved, though they were to be: they hold for this session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_error: Option<String>,
    /// Allowed entries that do not take effect, because a deny outranks them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed: Vec<Shadowed>,
    /// What else keeps allowed entries from taking effect, a sentence each: ports of the host,
    /// which `allow_host_ports` alone opens; rules without a budget, within one that has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// Connections that were closed by a deny, or by a budget they were not under.
    pub closed: usize,
}

/// An allowed entry and the deny rule that outranks it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Shadowed {
    /// What was allowed.
    pub entry: String,
    /// What denies it.
    pub by: RuleView,
}

/// POST /revoke.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Revoked {
    /// Entries whose rules are gone.
    pub removed: Vec<String>,
    /// Entries that no rule has.
    pub missing: Vec<String>,
    /// Entries that stay, because a file holds them: they are taken out there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<RuleView>,
    /// Why what was saved could not be taken back: it will hold again in the next session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save_error: Option<String>,
    /// Connections that were closed.
    pub closed: usize,
}

/// GET /connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connections {
    /// What is open, oldest first.
    pub connections: Vec<ConnectionView>,
}

/// An open connection.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConnectionView {
    /// A number of this session.
    pub id: u64,
    /// Where to, `host:port`.
    pub target: String,
    /// Through which door.
    pub door: Door,
    /// The rule that lets it through.
    pub rule: String,
    /// Bytes from the sandbox.
    pub bytes_up: u64,
    /// Bytes to the sandbox.
    pub bytes_down: u64,
    /// How long it has been open.
    pub age_seconds: u64,
    /// What the first bytes of a tunnel look like: `tls`, `tls without a name`, `http`, `ssh`,
    /// `unknown`; missing before there are any, and where nobody looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carries: Option<String>,
}

/// What the policy says of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Admission {
    /// It goes through.
    Allow,
    /// It is refused.
    Deny,
    /// Somebody is asked.
    Ask,
}

/// GET /explain.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Explanation {
    /// The target, normalised.
    pub target: String,
    /// What happens to a request for it.
    pub admission: Admission,
    /// Why.
    pub reason: Reason,
    /// One sentence for a person.
    pub says: String,
    /// The rule that decides.
    pub rule: Option<RuleView>,
    /// Rules that cover it too, and are outranked.
    pub outranked: Vec<RuleView>,
    /// If no rule covers it: the allow rule that comes nearest.
    pub nearest: Option<RuleView>,
    /// What would let it through: a command to paste, or the setting that opens it. Missing where it
    /// goes through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A decision, as the log shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogEntry {
    /// Counts up by one for each entry of a session.
    pub id: u64,
    /// RFC 3339, UTC.
    pub time: String,
    /// Whether it went through.
    pub verdict: Verdict,
    /// Why.
    pub reason: Reason,
    /// The host, or as much of what was sent as can be shown.
    pub domain: String,
    /// The port; missing where there was none that could be read.
    pub port: Option<u16>,
    /// Through which door.
    pub door: Door,
    /// The rule that decided.
    pub rule: Option<String>,
    /// More, for a person: what is malformed, what the resolver said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What would let it through: a command to paste, or the setting that opens it. Missing where
    /// nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// GET /logs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Logs {
    /// Oldest first.
    pub entries: Vec<LogEntry>,
    /// What to pass as `after` to get what comes next.
    pub next: u64,
}

/// GET /stats.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stats {
    /// Most recently used first.
    pub destinations: Vec<DestinationStats>,
    /// The name server's limit.
    #[serde(default)]
    pub dns: DnsStats,
}

/// How often the limit of the sandbox's name server was reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DnsStats {
    /// Questions over UDP that were told to come back over TCP.
    pub turned_away: u64,
    /// Questions over TCP that had to wait.
    pub delayed: u64,
}

/// The counters of one destination.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DestinationStats {
    /// Where to, `host:port`.
    pub target: String,
    /// Requests let through.
    pub allowed: u64,
    /// Requests refused or failed.
    pub refused: u64,
    /// Bytes from the sandbox.
    pub bytes_up: u64,
    /// Bytes to the sandbox.
    pub bytes_down: u64,
    /// When it was asked for last, RFC 3339.
    pub last: String,
}

/// POST /reload.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reloaded {
    /// Rules that files hold now.
    pub rules: usize,
    /// Connections that were closed, because nothing allows them any more.
    pub closed: usize,
}

/// GET /healthz.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Health {
    /// `ok`.
    pub status: String,
}
