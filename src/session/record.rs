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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LEAST: &str = r#"{"version":1,"id":"0123456789abcdef","name":"web","runtime":"docker",
        "created":"2026-01-02T03:04:05Z","pid":7,"control":{}}"#;

    #[test]
    fn what_may_be_missing_is_missing() {
        let record = Record::parse(LEAST.as_bytes()).unwrap();
        assert_eq!(record.project_dir, None);
        assert_eq!(record.control, Control::default());
        assert_eq!(record.proxy, Doors::default());
        assert_eq!(record.sandbox, None);
    }

    #[test]
    fn the_fields_are_those_of_the_contract() {
        let text = r#"{"version":1,"id":"0123456789abcdef","name":"web","project_dir":"/home/me/web",
            "runtime":"docker","created":"2026-01-02T03:04:05Z","pid":7,
            "control":{"socket":"/run/s/control.sock","tcp":"127.0.0.1:40001"},
            "proxy":{"http":"10.0.0.2:3128","socks5":null,"dns":"10.0.0.2:53"},"sandbox":"abc"}"#;
        let record = Record::parse(text.as_bytes()).unwrap();
        let written = serde_json::to_value(&record).unwrap();
        assert_eq!(
            written,
            serde_json::from_str::<serde_json::Value>(text).unwrap()
        );
    }

    #[test]
    fn a_newer_version_with_more_fields_is_read() {
        let text = LEAST.replace("\"version\":1", "\"version\":2,\"future\":{\"deep\":[1,2]}");
        let text = text.replace("\"control\":{}", "\"control\":{\"quic\":\"127.0.0.1:1\"}");
        assert_eq!(Record::parse(text.as_bytes()).unwrap().version, 2);
    }

    #[test]
    fn control_characters_in_a_name_are_kept_for_the_printer_to_escape() {
        let text = LEAST.replace("\"web\"", r#""\u001b[2Jweb\u202e""#);
        assert_eq!(
            Record::parse(text.as_bytes()).unwrap().name,
            "\u{1b}[2Jweb\u{202e}"
        );
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_parsed() {
        let padded = |bytes: usize| format!("{LEAST}{}", " ".repeat(bytes - LEAST.len()));
        assert!(Record::parse(padded(Record::MAX_BYTES).as_bytes()).is_ok());
        let error = Record::parse(padded(Record::MAX_BYTES + 1).as_bytes()).unwrap_err();
        assert!(matches!(error, RecordError::TooLarge));
    }

    #[test]
    fn what_is_not_a_record_is_refused() {
        let deep = "[".repeat(60_000);
        for text in ["", "{}", "null", "[]", "{", "\u{feff}{}", deep.as_str()] {
            let error = Record::parse(text.as_bytes()).unwrap_err();
            assert!(
                matches!(error, RecordError::Malformed(_)),
                "{text:.10}: {error}"
            );
        }
        let bad_id = LEAST.replace("0123456789abcdef", "../../../../etc/");
        assert!(Record::parse(bad_id.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(content: Vec<u8>) {
            let _ = Record::parse(&content);
        }
    }
}
