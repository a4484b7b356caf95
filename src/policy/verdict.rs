//! The words in which an admission is spoken: who said what, how far it reaches, and why.
//!
//! These lists are closed (design: "one closed list"): a reader of a log, an audit line or an
//! explanation can match on them, and the compiler finds every place that forgets one.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a rule says of the targets it covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Let it through.
    Allow,
    /// Refuse it; outranks every allow.
    Deny,
}

/// Where a rule came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// `--allow` on the command line that started the session.
    Flag,
    /// A named preset.
    Preset,
    /// The person's own configuration file.
    Config,
    /// A trusted project file.
    Repository,
    /// A saved decision.
    Decision,
    /// Said while the session runs, and gone with it.
    Session,
}

/// How long a decision lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// This one request.
    Once,
    /// Until the session ends.
    Session,
    /// Every session of this project.
    Project,
    /// Every session.
    Global,
}

/// What becomes of a tunnel whose TLS or HTTP is for another host than it was admitted for, unless
/// that one is allowed as well.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SniCheck {
    /// It is cut.
    #[default]
    Enforce,
    /// It goes on, and the log says so.
    Log,
    /// Nobody looks.
    Off,
}

/// A way into the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// HTTP CONNECT.
    Connect,
    /// Absolute-form HTTP.
    Http,
    /// SOCKS5 CONNECT.
    Socks5,
    /// TLS of a program that knows no proxy: its SNI names the target.
    Tls,
    /// Plain HTTP of such a program: its Host names the target.
    Plain,
    /// A port of the host, by the name that the sandbox has for it, of such a program.
    Host,
    /// A DNS question.
    Dns,
}

/// Why a request was let through or refused. Part of the API: see `openapi.json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// An allow rule covers it and no deny does.
    Allowed,
    /// A deny rule covers it.
    DeniedByRule,
    /// A person refused it when asked.
    DeniedByPerson,
    /// No rule covers it, and nobody is asked.
    Unlisted,
    /// Nobody answered in time.
    TimedOut,
    /// Too many requests wait already.
    QueueFull,
    /// The address, or every address of the name, is one that is never dialled.
    ScreenedAddress,
    /// It cannot be judged, because it cannot be parsed.
    Malformed,
    /// The name has no address, or the resolver failed.
    ResolveFailed,
    /// No screened address answered.
    ConnectFailed,
    /// The TLS inside names another host.
    SniMismatch,
    /// More than there may be: bytes of a rule, or questions to the name server.
    OverBudget,
    /// The session ended meanwhile.
    SessionEnded,
}

impl Reason {
    /// The word used in JSON, logs and audit lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::DeniedByRule => "denied_by_rule",
            Self::DeniedByPerson => "denied_by_person",
            Self::Unlisted => "unlisted",
            Self::TimedOut => "timed_out",
            Self::QueueFull => "queue_full",
            Self::ScreenedAddress => "screened_address",
            Self::Malformed => "malformed",
            Self::ResolveFailed => "resolve_failed",
            Self::ConnectFailed => "connect_failed",
            Self::SniMismatch => "sni_mismatch",
            Self::OverBudget => "over_budget",
            Self::SessionEnded => "session_ended",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! words {
    ($($type:ident { $($variant:ident => $word:literal),* $(,)? })*) => {$(
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    )*};
}

words! {
    Verdict { Allow => "allow", Deny => "deny" }
    Origin {
        Flag => "flag", Preset => "preset", Config => "config",
        Repository => "repository", Decision => "decision", Session => "session",
    }
    Scope { Once => "once", Session => "session", Project => "project", Global => "global" }
    Door {
        Connect => "connect", Http => "http", Socks5 => "socks5", Tls => "tls",
        Plain => "plain", Host => "host", Dns => "dns",
    }
}
