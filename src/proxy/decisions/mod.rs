//! Decisions that outlive their session: files that every session follows.
//!
//! One file for all sessions and one for each project. They are written by this module alone:
//! under a lock, to a temporary file, with fsync and rename, so that a reader sees the old file or
//! the new one. What cannot be read keeps the last good state: a lost deny must never become an
//! allow. Knows nothing of rules in force and of requests that wait.

use std::path::PathBuf;

use crate::api::DecisionsPlace;
use crate::policy::{Entry, Scope, Verdict};

/// A decision that is saved.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Saved {
    /// [`Scope::Project`] or [`Scope::Global`].
    pub(super) scope: Scope,
    pub(super) verdict: Verdict,
    pub(super) entry: Entry,
}

/// Why decisions cannot be read or saved: one sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct DecisionsError(String);

/// The files of saved decisions.
pub(super) struct Decisions {
    place: DecisionsPlace,
}

impl Decisions {
    pub(super) fn new(place: DecisionsPlace) -> Self {
        Self { place }
    }

    /// What is saved: for all sessions, and for this project.
    pub(super) fn load(&self) -> Result<Vec<Saved>, DecisionsError> {
        Err(DecisionsError(self.place.shown.display().to_string()))
    }

    /// Saves, and says where. Blocks on the disk.
    pub(super) fn save(
        &self,
        _scope: Scope,
        _verdict: Verdict,
        _entries: &[Entry],
    ) -> Result<PathBuf, DecisionsError> {
        Err(DecisionsError(String::new()))
    }

    /// Takes entries out of both files, whatever their verdict. Blocks on the disk.
    pub(super) fn forget(&self, _entries: &[Entry]) -> Result<(), DecisionsError> {
        Err(DecisionsError(String::new()))
    }

    /// Whether there is a project to save for.
    pub(super) fn has_project(&self) -> bool {
        self.place.project.is_some()
    }
}
