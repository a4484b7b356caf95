//! Saved decisions of sessions on other machines: they are kept on this one, by whoever decides.

use std::path::{Path, PathBuf};

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::{DecisionsPlace, RuleGroup};
use crate::client::Saves;
use crate::config;
use crate::policy::{Entry, Made, Origin, Scope, Verdict};
use crate::proxy::{Decisions, Saved};
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

/// What is saved for all sessions and for this project, as rules of the start.
pub(super) fn rules(project: Option<&Path>) -> anyhow::Result<Vec<RuleGroup>> {
    let groups = all(project)?.into_iter();
    let group = |(saved, _): (Saved, _)| RuleGroup {
        verdict: saved.verdict,
        origin: Origin::Decision,
        entries: vec![saved.entry],
    };
    Ok(groups.map(group).collect())
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

    fn forget(&self, entries: &[String]) -> Result<(), String> {
        let forgotten = self.0.forget(&parsed(entries)?);
        forgotten.map_err(|error| error.to_string())
    }
}
