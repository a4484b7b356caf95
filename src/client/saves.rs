//! Decisions that are saved by the client that decided, because their session cannot save them.

use std::path::PathBuf;

use super::Client;
use crate::api::{AddBody, Added, DecideBody, Decided};
use crate::policy::{Scope, Verdict};

/// Saves decisions on this machine, for a session on another one, which has no place for them.
pub trait Saves: Send + Sync {
    /// Saves what was decided, and says where; an error is one sentence.
    fn save(&self, scope: Scope, verdict: Verdict, entries: &[String]) -> Result<PathBuf, String>;

    /// Adds an entry to what a preset of the person's tools opens; an error is one sentence.
    fn remember(&self, preset: &str, entry: &str) -> Result<(), String>;

    /// Takes back what was saved of these entries; an error is one sentence.
    fn forget(&self, entries: &[String]) -> Result<(), String>;
}

impl Client {
    /// What was to be saved, and holds for the session only because the session cannot save.
    fn save(&self, scope: Option<Scope>, verdict: Verdict, entries: &[String]) -> Option<Kept> {
        let scope = scope.filter(|scope| matches!(scope, Scope::Project | Scope::Global))?;
        let outcome = self.saves.as_ref()?.save(scope, verdict, entries);
        Some(Kept { scope, outcome })
    }

    pub(super) fn save_added(&self, body: &AddBody, verdict: Verdict, added: &mut Added) {
        if added.save_error.is_none() {
            return;
        }
        let entries: Vec<String> = added.added.iter().chain(&added.existing).cloned().collect();
        if let Some(kept) = self.save(body.scope, verdict, &entries) {
            kept.enter(&mut added.scope, &mut added.saved_to, &mut added.save_error);
        }
    }

    pub(super) fn save_decided(&self, body: &DecideBody, mut decided: Decided) -> Decided {
        let entries: Vec<String> = match decided.entries.is_empty() {
            true => decided.entry.iter().cloned().collect(),
            false => decided.entries.clone(),
        };
        if let (Some(_), Some(saves)) = (&decided.remember_error, &self.saves)
            && let (Some(preset), Some(entry)) = (&body.preset, &decided.entry)
        {
            decided.remember_error = saves.remember(preset, entry).err();
            decided.remembered_under = decided.remember_error.is_none().then(|| preset.clone());
        }
        if decided.save_error.is_some()
            && let Some(kept) = self.save(body.scope, decided.verdict, &entries)
        {
            kept.enter(
                &mut decided.scope,
                &mut decided.saved_to,
                &mut decided.save_error,
            );
        }
        decided
    }
}

/// What became of a decision that was saved here.
struct Kept {
    scope: Scope,
    outcome: Result<PathBuf, String>,
}

impl Kept {
    fn enter(
        self,
        scope: &mut Scope,
        saved_to: &mut Option<PathBuf>,
        save_error: &mut Option<String>,
    ) {
        match self.outcome {
            Ok(path) => {
                *scope = self.scope;
                *saved_to = Some(path);
                *save_error = None;
            }
            Err(why) => *save_error = Some(why),
        }
    }
}
