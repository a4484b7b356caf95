//! Saved decisions of sessions on other machines: they are kept on this one, by whoever decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;

use crate::api::{DecisionsPlace, Saved};
use crate::client::Saves;
use crate::config;
use crate::launcher::{Follow, SavedHere};
use crate::policy::{Entry, Made, PresetName, Scope, Verdict};
use crate::proxy::Decisions;
use crate::session::Record;

/// The files on this machine.
struct Here(Decisions);

/// What saves for this session, if it is on another machine: such a one has a sandbox, and no
/// control socket.
pub(super) fn of(record: &Record) -> Option<Box<dyn Saves>> {
    let far = record.control.socket.is_none() && record.sandbox.is_some();
    let project = record.project_dir.as_deref().filter(|_| far)?;
    Some(Box::new(Here(decisions(Some(project)).ok()?)))
}

/// What is saved for all sessions and for this project.
struct OfProject(PathBuf);

/// The same, for a session's launcher.
pub(super) fn of_project(project: &Path) -> Arc<dyn SavedHere> {
    Arc::new(OfProject(project.to_owned()))
}

/// Who made them does not go to another machine.
fn alone(saved: Vec<(Saved, Option<Made>)>) -> Vec<Saved> {
    saved.into_iter().map(|(saved, _)| saved).collect()
}

impl SavedHere for OfProject {
    fn read(&self) -> anyhow::Result<Vec<Saved>> {
        Ok(alone(decisions(Some(&self.0))?.load()?))
    }

    fn follow(&self) -> anyhow::Result<Follow> {
        let decisions = Arc::new(decisions(Some(&self.0))?);
        let mut watch = decisions.watch()?;
        let (tell, told) = mpsc::channel(1);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    changed = watch.changed() => if !changed { return },
                    () = tell.closed() => return,
                }
                let decisions = Arc::clone(&decisions);
                let read = tokio::task::spawn_blocking(move || decisions.load()).await;
                let read = match read {
                    Ok(read) => read.map(alone).map_err(|error| error.to_string()),
                    Err(error) => Err(error.to_string()),
                };
                if tell.send(read).await.is_err() {
                    return;
                }
            }
        });
        Ok(told)
    }
}

/// What was added to the preset of one of the person's tools.
pub(super) fn remembered(preset: PresetName) -> anyhow::Result<Vec<Entry>> {
    Ok(decisions(None)?.remembered(preset)?)
}

/// What is saved for all sessions and for this project, and by whom.
pub(super) fn all(project: Option<&Path>) -> anyhow::Result<Vec<(Saved, Option<Made>)>> {
    Ok(decisions(project)?.load()?)
}

/// Saves a decision where no session runs that would, and says where.
pub(super) fn save(
    project: Option<&Path>,
    scope: Scope,
    verdict: Verdict,
    entries: &[String],
) -> anyhow::Result<PathBuf> {
    let here = Here(decisions(project)?);
    let saved = here.save(scope, verdict, entries);
    saved.map_err(|why| anyhow::anyhow!(why))
}

/// Takes entries back where no session runs that would, and says which were there.
pub(super) fn forget(project: Option<&Path>, entries: &[String]) -> anyhow::Result<Vec<String>> {
    let here = Here(decisions(project)?);
    let named = parsed(entries).map_err(|why| anyhow::anyhow!(why))?;
    let saved = here.0.load()?;
    here.0.forget(&named)?;
    let there = |entry: &&Entry| saved.iter().any(|(saved, _)| saved.entry == **entry);
    Ok(named.iter().filter(there).map(Entry::to_string).collect())
}

fn decisions(project: Option<&Path>) -> anyhow::Result<Decisions> {
    let directory = config::decisions_dir()?;
    Ok(Decisions::new(DecisionsPlace {
        shown: directory.clone(),
        directory,
        project: project.map(config::project_slug),
    }))
}

/// Whoever runs this process decides, now.
fn by_us() -> Made {
    Made {
        by: format!("uid:{}", nix::unistd::Uid::effective()),
        at: OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_default(),
    }
}

fn parsed(entries: &[String]) -> Result<Vec<Entry>, String> {
    let entries = entries.iter().map(|text| Entry::parse_forced(text));
    entries
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

impl Saves for Here {
    fn save(&self, scope: Scope, verdict: Verdict, entries: &[String]) -> Result<PathBuf, String> {
        let saved = self.0.save(scope, verdict, &parsed(entries)?, &by_us());
        saved.map_err(|error| error.to_string())
    }

    fn remember(&self, preset: &str, entry: &str) -> Result<(), String> {
        let preset = preset
            .parse::<PresetName>()
            .map_err(|error| error.to_string())?;
        let entry = Entry::parse_forced(entry).map_err(|error| error.to_string())?;
        let remembered = self.0.remember(preset, &entry, &by_us());
        remembered.map_err(|error| error.to_string())
    }

    fn forget(&self, entries: &[String]) -> Result<(), String> {
        let forgotten = self.0.forget(&parsed(entries)?);
        forgotten.map_err(|error| error.to_string())
    }
}
