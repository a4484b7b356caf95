//! session.json: what a session says of itself. Parsed from bytes that may be anything; whether a
//! record belongs to the directory it was found in is for discovery to judge.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::SessionId;

/// What a session announces. Fields that are not known here are ignored, so that old and new
/// versions live side by side. Texts are what the file holds, control characters included: escape
/// them before a terminal sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The version of this format: [`Record::VERSION`].
    pub version: u32,
    /// The session's id, and the name of its directory.
    pub id: SessionId,
    /// The name that the person gave or vibepit made.
    pub name: String,
    /// The project directory, resolved of symbolic links, if the session has one.
    #[serde(default)]
    pub project_dir: Option<PathBuf>,
    /// `docker`, or `none` for a proxy without a sandbox.
    pub runtime: String,
    /// When the session started, RFC 3339.
    pub created: String,
    /// The launcher's process id. For people: nothing is decided by it.
    pub pid: u32,
    /// Where the control plane answers.
    pub control: Control,
    /// Where the sandbox's doors are, as the sandbox sees them.
    #[serde(default)]
    pub proxy: Doors,
    /// The sandbox's container, if there is one.
    #[serde(default)]
    pub sandbox: Option<String>,
}

/// Where a session's control plane answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// The Unix socket: always the one in the session's own directory, or none.
    #[serde(default)]
    pub socket: Option<PathBuf>,
    /// The mTLS port, as this machine sees it.
    #[serde(default)]
    pub tcp: Option<SocketAddr>,
}

/// The addresses of a session's doors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doors {
    /// The HTTP proxy.
    #[serde(default)]
    pub http: Option<SocketAddr>,
    /// The SOCKS5 proxy.
    #[serde(default)]
    pub socks5: Option<SocketAddr>,
    /// The name server.
    #[serde(default)]
    pub dns: Option<SocketAddr>,
}

/// Why a session.json cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It has more bytes than [`Record::MAX_BYTES`].
    #[error("session.json is larger than {} KiB", Record::MAX_BYTES / 1024)]
    TooLarge,
    /// It is not JSON, or lacks a field.
    #[error("session.json cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Record {
    /// The version that is written.
    pub const VERSION: u32 = 1;

    /// The most bytes that are read: far above what is ever written.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// Parses the content of a session.json.
    ///
    /// # Errors
    ///
    /// [`RecordError`] when it is too large, not JSON, or lacks a field.
    pub fn parse(content: &[u8]) -> Result<Self, RecordError> {
        if content.len() > Self::MAX_BYTES {
            return Err(RecordError::TooLarge);
        }
        Ok(serde_json::from_slice(content)?)
    }
}
