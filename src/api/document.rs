//! The document that starts a proxy, and the lines a launcher and its proxy exchange afterwards.
//!
//! A launcher writes one `ToProxy` a line to the proxy's standard input and reads one
//! `FromProxy` a line from its standard output. The input is also the lifeline: when it ends,
//! the launcher is gone, and the proxy ends too, so that a killed launcher leaves nothing open.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::AuditPlace;
use crate::policy::{Entry, Origin, PresetName, Scope, SniCheck, Verdict};

/// Everything a proxy is told at its start.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// Which session this is.
    pub session: Identity,
    /// What it admits.
    pub policy: PolicyDocument,
    /// Where the sandbox knocks.
    pub doors: Doors,
    /// Where the person knocks.
    pub control: ControlPoints,
    /// The server's half of the session's key material; without it there is no TCP control port.
    pub tls: Option<TlsMaterial>,
    /// Where decisions are saved; without it they hold for the session.
    pub decisions: Option<DecisionsPlace>,
    /// What is saved where the launcher is, for a proxy that has no place of its own; from then on
    /// it is told by [`ToProxy::Saved`].
    #[serde(default)]
    pub saved: Vec<Saved>,
    /// Where the audit log is written; without it nothing is audited.
    pub audit: Option<AuditPlace>,
    /// The audit log goes to the launcher, as [`FromProxy::Audit`].
    pub audit_over_output: bool,
    /// Seconds after which a proxy ends whose launcher has not said anything. Without it, its end is
    /// that of its input.
    pub patience: Option<u16>,
    /// How `host.vibepit` reaches the services of the host's loopback.
    pub host: HostAccess,
    /// A Unix socket at which the launcher holds every connection for as long as it lives: a
    /// second lifeline, for what keeps the input open when the engine between the two is killed.
    pub lifeline: Option<PathBuf>,
}

/// Where saved decisions are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DecisionsPlace {
    /// The directory, as the proxy sees it; `global.toml` is in it.
    pub directory: PathBuf,
    /// The same as the person sees it: what an answer names.
    pub shown: PathBuf,
    /// The project's file below `projects/`, without `.toml`. Without it there is no project.
    pub project: Option<String>,
}

/// Who a session is, as its control plane tells it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Sixteen lower-case hex digits.
    pub id: String,
    /// The name the person gave or vibepit made.
    pub name: String,
    /// The project directory, if the session has one.
    pub project_dir: Option<PathBuf>,
    /// `docker`, or `none` for a proxy without a sandbox.
    pub runtime: String,
}

/// What a proxy admits: sent at the start, and again at every reload.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyDocument {
    /// The rules that hold from the start, grouped by where they came from.
    pub rules: Vec<RuleGroup>,
    /// Screened networks that are opened on purpose.
    pub allow_cidr: Vec<IpNet>,
    /// Ports of the host's loopback that `host.vibepit` reaches.
    pub allow_host_ports: Vec<u16>,
    /// Resolvers to ask. Empty: those of the system the proxy runs on.
    pub upstream_dns: Vec<SocketAddr>,
    /// Further addresses that are never dialled: the host's own.
    pub screened: Vec<IpAddr>,
    /// How long what no rule covers waits for a person. Without it such requests are refused.
    pub asking: Option<Asking>,
    /// What becomes of a tunnel whose content is for another host than it was admitted for.
    pub sni_check: SniCheck,
    /// The presets of the person's own tools that this session is about.
    #[serde(default)]
    pub presets: Vec<ToldPreset>,
}

/// A preset whose entries a tool of the person's has told.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldPreset {
    /// Which preset.
    pub name: PresetName,
    /// What the tool told, and what was remembered under it.
    pub entries: Vec<Entry>,
}

/// How long a request waits for somebody to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// Seconds, while somebody watches.
    pub approval_timeout: u32,
    /// Seconds, while nobody does.
    pub unattended_timeout: u32,
}

impl Default for Asking {
    fn default() -> Self {
        Self {
            approval_timeout: 60,
            unattended_timeout: 60,
        }
    }
}

impl Asking {
    /// While somebody watches.
    pub fn approval(&self) -> Duration {
        Duration::from_secs(self.approval_timeout.into())
    }

    /// While nobody does.
    pub fn unattended(&self) -> Duration {
        Duration::from_secs(self.unattended_timeout.into())
    }
}

/// A decision that is saved.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saved {
    /// [`Scope::Project`] or [`Scope::Global`].
    pub scope: Scope,
    /// What was decided.
    pub verdict: Verdict,
    /// About what.
    pub entry: Entry,
}

/// Rules of one verdict and one origin. A million entries are one group, not a million objects.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleGroup {
    /// What the rules say.
    pub verdict: Verdict,
    /// Where they came from.
    pub origin: Origin,
    /// The preset they came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetName>,
    /// What they cover.
    pub entries: Vec<Entry>,
}

/// Where the doors' sockets come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doors {
    /// The proxy opens them itself.
    At(DoorAddresses),
    /// A holder has opened them, in a network namespace that the proxy is not in, and hands them
    /// over to the first that connects to this Unix socket.
    Held(PathBuf),
}

/// The addresses the doors listen on. Port 0 lets the kernel choose.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoorAddresses {
    /// The HTTP proxy.
    pub http: Option<SocketAddr>,
    /// The SOCKS5 proxy.
    pub socks5: Option<SocketAddr>,
    /// The name server, over UDP and TCP.
    pub dns: Option<SocketAddr>,
    /// Plain HTTP of programs that know no proxy.
    pub plain: Option<SocketAddr>,
    /// TLS of programs that know no proxy.
    pub tls: Option<SocketAddr>,
    /// `host.vibepit` of programs that know no proxy: each for the host's port of the same number.
    #[serde(default)]
    pub host: Vec<SocketAddr>,
}

/// The addresses the control plane listens on.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlPoints {
    /// Paths of the Unix sockets, as the proxy sees them. A session has one in its directory; a
    /// proxy started by hand may be given another one, in a place that others know.
    pub sockets: Vec<PathBuf>,
    /// The mTLS port.
    pub tcp: Option<SocketAddr>,
}

/// A server's half of a session's PKI, as PEM.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsMaterial {
    /// The session's CA.
    pub ca: String,
    /// The server's certificate.
    pub cert: String,
    /// The server's private key.
    pub key: String,
}

impl std::fmt::Debug for TlsMaterial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsMaterial(…)")
    }
}

/// How `host.vibepit:PORT` is dialled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostAccess {
    /// The proxy runs on the host: dial 127.0.0.1.
    Loopback,
    /// The launcher serves one Unix socket a port, `host-PORT.sock`, in this directory, and
    /// relays it to the host's loopback. (A container cannot reach its host's loopback itself.)
    Sockets(PathBuf),
}

/// A line to the proxy's standard input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToProxy {
    /// The first line, once.
    Start(Box<Document>),
    /// The answer to [`FromProxy::Reload`]: the policy as it reads now.
    Policy(PolicyDocument),
    /// The answer to [`FromProxy::Reload`] when the configuration cannot be used: one sentence.
    ReloadFailed(String),
    /// What is saved now, where the launcher is and the proxy is not; or one sentence that says why
    /// it cannot be read.
    Saved(Result<Vec<Saved>, String>),
    /// The launcher is there. Said again and again, where the connection may be lost.
    Here {
        /// The last number of [`FromProxy::Audit`] that was heard.
        heard: u64,
        /// The connection was lost, and what was said meanwhile.
        again: bool,
    },
    /// The session is over.
    End,
}

/// A line from the proxy's standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromProxy {
    /// Every door is open; these are the addresses they got.
    Ready(Listening),
    /// Somebody asked for a reload: read the configuration again.
    Reload,
    /// The proxy does not start; one sentence says why.
    Failed(String),
    /// Whole lines of the audit log, for a launcher on another machine to write. They are said again
    /// until they are known to be heard.
    Audit {
        /// Counts from 1.
        number: u64,
        /// The lines.
        lines: String,
    },
}

/// Where a proxy that is ready listens.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Listening {
    /// The HTTP proxy.
    pub http: Option<SocketAddr>,
    /// The SOCKS5 proxy.
    #[serde(default)]
    pub socks5: Option<SocketAddr>,
    /// The name server.
    pub dns: Option<SocketAddr>,
    /// Plain HTTP of programs that know no proxy.
    #[serde(default)]
    pub plain: Option<SocketAddr>,
    /// TLS of programs that know no proxy.
    #[serde(default)]
    pub tls: Option<SocketAddr>,
    /// `host.vibepit` of programs that know no proxy: each for the host's port of the same number.
    #[serde(default)]
    pub host: Vec<SocketAddr>,
    /// The mTLS control port.
    pub tcp: Option<SocketAddr>,
}
