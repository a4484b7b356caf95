//! What a self-attack is told and what it answers. One process tries, inside a sandbox; another
//! one, on the host, has given it the targets and judges what came of it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What is to be tried, as one JSON document on standard input. Every list may be empty: then
/// what it is about does not apply.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Targets {
    /// Addresses that no packet may reach.
    pub network: Vec<Reach>,
    /// Name servers that must not answer; the sandbox's own is not among them.
    pub name_servers: Vec<SocketAddr>,
    /// The sandbox's own name server, and a name that it must not know.
    pub own_name_server: Option<(IpAddr, String)>,
    /// The proxy's HTTP door.
    pub proxy: Option<SocketAddr>,
    /// What the proxy must refuse to connect to.
    pub through_proxy: Vec<Through>,
    /// Milliseconds that the sandbox's file system may be searched for sockets.
    pub search: u64,
    /// Paths of Unix sockets of the host.
    pub sockets: Vec<PathBuf>,
    /// Names of abstract Unix sockets of the host.
    pub abstract_sockets: Vec<String>,
    /// What of the host's files must not be there.
    pub hidden: Vec<Hidden>,
    /// A file of the host's, to be tried by every way round the sandbox's own root.
    pub secret: Option<PathBuf>,
    /// The project's `.vibepit`, which must be empty and closed.
    pub covered: Option<PathBuf>,
    /// Directories and files of the system, which must not be writable.
    pub system: Vec<PathBuf>,
    /// Processes of the host that may exist under their number.
    pub processes: Vec<i32>,
    /// The host's namespaces, by the names in `/proc/self/ns`.
    pub namespaces: BTreeMap<String, String>,
    /// The host's user namespace, which some sandboxes share with it on purpose.
    pub user_namespace: Option<String>,
    /// The variables that a sandboxed command has. Without any, nothing is judged.
    pub variables: Vec<String>,
}

/// Addresses that are one line of the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reach {
    /// The line's name.
    pub name: String,
    /// What they are, for a person.
    pub what: String,
    /// To be connected to.
    #[serde(default)]
    pub tcp: Vec<SocketAddr>,
    /// To be sent a datagram.
    #[serde(default)]
    pub udp: Vec<SocketAddr>,
}

/// Authorities that the proxy must refuse, as one line of the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Through {
    /// The line's name.
    pub name: String,
    /// What they are, for a person.
    pub what: String,
    /// `host:port`, as CONNECT names it.
    pub authorities: Vec<String>,
}

/// Paths that must not exist, as one line of the result.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hidden {
    /// The line's name.
    pub name: String,
    /// What they are, for a person.
    pub what: String,
    /// The paths.
    pub paths: Vec<PathBuf>,
}

/// What came of one attempt: a JSON object on a line of standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its name, which stays the same from version to version.
    pub name: String,
    /// What was tried, for a person.
    pub what: String,
    /// Whether the sandbox held.
    pub outcome: Held,
    /// What was seen: an error's name, or what was reached.
    pub seen: String,
}

/// Whether a sandbox held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// It was tried, and nothing came of it.
    Held,
    /// There is nothing of the kind to try.
    NotApplicable,
    /// It is a way out.
    NotHeld,
}
