//! Saved decisions of sessions on other machines: they are kept on this one, by whoever decides.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::api::{DecisionsPlace, RuleGroup, Saved};
use crate::client::Saves;
use crate::config;
use crate::launcher::{Follow, SavedHere};
use crate::policy::{Entry, Origin, PresetName, Scope, Verdict};
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

impl SavedHere for OfProject {
    fn read(&self) -> anyhow::Result<Vec<Saved>> {
        Ok(decisions(Some(&self.0))?.load()?)
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
                    Ok(read) => read.map_err(|error| error.to_string()),
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

/// What is saved for all sessions and for this project, as rules of the start.
pub(super) fn rules(project: &Path) -> anyhow::Result<Vec<RuleGroup>> {
    let groups = decisions(Some(project))?.load()?.into_iter();
    let group = |saved: Saved| RuleGroup {
        verdict: saved.verdict,
        origin: Origin::Decision,
        preset: None,
        entries: vec![saved.entry],
    };
    Ok(groups.map(group).collect())
}

/// What was added to the preset of one of the person's tools.
pub(super) fn remembered(preset: PresetName) -> anyhow::Result<Vec<Entry>> {
    Ok(decisions(None)?.remembered(preset)?)
}

fn decisions(project: Option<&Path>) -> anyhow::Result<Decisions> {
    let directory = config::decisions_dir()?;
    Ok(Decisions::new(DecisionsPlace {
        shown: directory.clone(),
        directory,
        project: project.map(config::project_slug),
    }))
}

fn parsed(entries: &[String]) -> Result<Vec<Entry>, String> {
    let entries = entries.iter().map(|text| Entry::parse_forced(text));
    entries
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())
}

impl Saves for Here {
    fn save(&self, scope: Scope, verdict: Verdict, entries: &[String]) -> Result<PathBuf, String> {
        let saved = self.0.save(scope, verdict, &parsed(entries)?);
        saved.map_err(|error| error.to_string())
    }

    fn remember(&self, preset: &str, entry: &str) -> Result<(), String> {
        let preset = preset
            .parse::<PresetName>()
            .map_err(|error| error.to_string())?;
        let entry = Entry::parse_forced(entry).map_err(|error| error.to_string())?;
        let remembered = self.0.remember(preset, &entry);
        remembered.map_err(|error| error.to_string())
    }

    fn forget(&self, entries: &[String]) -> Result<(), String> {
        let forgotten = self.0.forget(&parsed(entries)?);
        forgotten.map_err(|error| error.to_string())
    }
}
