//! The audit file: one JSON object a line, appended with a single write a batch.
//!
//! Every value is written by the JSON encoder, which escapes control characters, so that one
//! event is one line whatever the sandbox sends. Knows nothing of what is audited.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// A line: what every one has, and what this one tells.
#[derive(Serialize)]
struct Line<'a, T> {
    time: &'a str,
    session: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(flatten)]
    fields: &'a T,
}

/// An open audit file, and the lines that wait for the next write.
pub(super) struct Audit {
    path: PathBuf,
    file: File,
    session: String,
    project: Option<String>,
    pending: Vec<u8>,
    lines: u64,
    lost: u64,
    fault: Option<String>,
}

impl Audit {
    /// Opens the file for appending, made 0600 if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened, is no plain file (a link, a pipe), or others may read it.
    pub(super) fn open(path: &Path, session: String, project: Option<PathBuf>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(
                nix::fcntl::OFlag::O_NOFOLLOW.bits() | nix::fcntl::OFlag::O_NONBLOCK.bits(),
            )
            .open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(
                "it must be a plain file that only its owner may read",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            session,
            project: project.map(|project| project.to_string_lossy().into_owned()),
            pending: Vec::new(),
            lines: 0,
            lost: 0,
            fault: None,
        })
    }

    /// Adds a line to the next write. `fields` serialises as an object.
    pub(super) fn write(&mut self, time: &str, fields: &impl Serialize) {
        let line = Line {
            time,
            session: &self.session,
            project: self.project.as_deref(),
            fields,
        };
        // Writing JSON into memory does not fail.
        let _ = serde_json::to_writer(&mut self.pending, &line);
        self.pending.push(b'\n');
        self.lines += 1;
    }

    /// Writes what waits, and says whether there was something. What cannot be written is counted
    /// and said, and the session goes on: a full disk must not decide what the sandbox may reach.
    pub(super) fn flush(&mut self) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        match self.file.write(&self.pending) {
            Ok(written) if written == self.pending.len() => self.fault = None,
            Ok(_) => self.lose("the disk is full"),
            Err(error) => self.lose(&error.to_string()),
        }
        self.pending.clear();
        self.pending.shrink_to(64 * 1024);
        self.lines = 0;
        true
    }

    fn lose(&mut self, why: &str) {
        self.lost += self.lines;
        self.fault = Some(format!(
            "{} audit lines are lost: {} cannot be written: {why}",
            self.lost,
            self.path.display()
        ));
        // What was written of the batch may end within a line; the next one starts a new line.
        let _ = self.file.write(b"\n");
    }

    /// Lines that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// What is wrong, if the last write failed.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}
