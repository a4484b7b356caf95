//! The audit files of a session: where they are, what they are called, how large they get. One is
//! written; those before it have numbers, the youngest of them 1, as `logrotate` has it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Bytes of a file, at which it is put aside and the next one begun.
pub const AUDIT_FILE_MAX: u64 = 16 * 1024 * 1024;

/// How many are kept beside the one that is written: a session takes 64 MiB of a disk, and then
/// its oldest lines go.
pub const AUDIT_OLDER: usize = 3;

/// Where a session's audit files are. No other session's are there.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditPlace {
    /// Their directory, as the proxy sees it.
    pub directory: PathBuf,
    /// The same as the person sees it: what a warning names.
    pub shown: PathBuf,
}

/// What a file is called. 0 is the one that is written, 1 the one before it.
pub fn audit_file_name(age: usize) -> String {
    match age {
        0 => "audit.jsonl".to_owned(),
        age => format!("audit.{age}.jsonl"),
    }
}
