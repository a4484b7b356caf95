//! What a session leaves in its project that runs on the host by itself: git's hooks and settings,
//! and what direnv, hook managers, editors and agents take from a directory that is entered or
//! opened. It is looked at before the sandbox starts and after it has gone, and the difference is
//! told.
//!
//! Owns what is compared, and the sentences. Build files and scripts are not here: a person who
//! runs those does so on purpose. Nothing is run, and no link is followed, so that looking is safe
//! whatever the sandbox has made of the project.

mod gitconfig;
mod look;
mod places;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

use self::look::{Look, Seen};
use self::places::Places;
use super::command_line::quoted;
use super::project::Project;
use super::report::Report;
use super::repository::GIT;

/// So many findings are told; who left more is told about in one line.
const MOST_TOLD: usize = 20;

/// How it was before the sandbox started.
pub(crate) struct Before {
    project: Project,
    places: Places,
    then: Look,
}

/// Something that is not as it was: a sentence, with names as the sandbox made them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// Relative to the project.
    path: PathBuf,
    change: Change,
    /// Who acts on it.
    who: &'static str,
    /// What shows it, for a shell.
    command: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Change {
    New(&'static str),
    Changed,
    /// A configuration of git's, and those of its keys that have another value.
    Settings(Vec<String>),
    Became(String),
    Gone,
    /// Too many names to compare them all.
    Crowded,
    /// So many findings are not told.
    More(usize),
}

impl Before {
    /// Looks at a project.
    pub(crate) fn look(project: &Project) -> Self {
        let places = Places::of(project);
        let then = Look::at(project.directory(), &places);
        Self {
            project: project.clone(),
            places,
            then,
        }
    }

    /// What is not as it was; nothing when nothing has changed.
    pub(crate) fn compare(&self) -> Vec<Finding> {
        let now = Look::at(self.project.directory(), &self.places);
        let then = &self.then;
        let paths: BTreeSet<&PathBuf> = then.seen.keys().chain(now.seen.keys()).collect();
        let changes: BTreeMap<&PathBuf, Change> = paths
            .into_iter()
            .filter_map(|path| Some((path, self.change(path, &now)?)))
            .collect();
        let told = changes.iter().filter(|(path, change)| {
            // A directory that is gone or became something else stands for what was in it, and
            // what is in a new one stands for the directory.
            let covered = path.ancestors().skip(1).any(|above| {
                matches!(
                    changes.get(&above.to_owned()),
                    Some(Change::Gone | Change::Became(_))
                )
            });
            let directory = **change == Change::New("directory");
            let shown_by = || {
                let within = |other: &PathBuf| other != **path && other.starts_with(path);
                changes.keys().any(|other| within(other))
            };
            !covered && !(directory && shown_by())
        });
        // First, so that they are never among those that are not told.
        let crowded = now.crowded.difference(&then.crowded);
        let mut found: Vec<Finding> = crowded
            .map(|path| self.finding(path, Change::Crowded, &changes))
            .collect();
        found.extend(told.map(|(path, change)| self.finding(path, change.clone(), &changes)));
        if found.len() > MOST_TOLD {
            let more = found.len() - MOST_TOLD;
            found.truncate(MOST_TOLD);
            found.push(self.finding(Path::new(""), Change::More(more), &changes));
        }
        found
    }

    /// Tells the person, a line each.
    pub(crate) fn tell(&self, report: &dyn Report) {
        for finding in self.compare() {
            report.warning(&finding.to_string());
        }
    }

    fn change(&self, path: &PathBuf, now: &Look) -> Option<Change> {
        let (was, is) = (self.then.seen.get(path), now.seen.get(path));
        Some(match (was, is) {
            (None, Some(is)) => Change::New(is.kind()),
            (Some(_), None) => Change::Gone,
            (Some(was), Some(is)) if was == is => return None,
            (Some(Seen::File { .. }), Some(Seen::File { .. })) => {
                let settings = |look: &Look| look.settings.get(path).cloned().unwrap_or_default();
                match gitconfig::differing(&settings(&self.then), &settings(now)) {
                    keys if keys.is_empty() => Change::Changed,
                    keys => Change::Settings(keys),
                }
            }
            (_, Some(Seen::Link(to))) => {
                Change::Became(format!("a link to {}", to.to_string_lossy()))
            }
            (_, Some(is)) => Change::Became(format!("a {}", is.kind())),
            (None, None) => return None,
        })
    }

    fn finding(
        &self,
        path: &Path,
        change: Change,
        changes: &BTreeMap<&PathBuf, Change>,
    ) -> Finding {
        let whole = self.project.path().join(path);
        let shown = quoted(&whole);
        let command = match &change {
            Change::Gone => format!("ls -la {}", quoted(whole.parent().unwrap_or(&whole))),
            Change::New("file") | Change::Settings(_) => format!("cat -v {shown}"),
            Change::Changed if self.git_is_as_it_was(path, changes) => format!(
                "git -C {} diff -- {}",
                quoted(self.project.path()),
                quoted(path)
            ),
            Change::Changed => format!("cat -v {shown}"),
            Change::New(_) | Change::Became(_) | Change::Crowded => format!("ls -la {shown}"),
            Change::More(_) => format!("ls -la {}", quoted(self.project.path())),
        };
        Finding {
            path: path.to_owned(),
            change,
            who: self.places.who(path),
            command,
        }
    }

    /// Whether git can be asked about this: `git diff` itself runs what `.git/config` names.
    fn git_is_as_it_was(&self, path: &Path, changes: &BTreeMap<&PathBuf, Change>) -> bool {
        let git = |path: &Path| self.places.is_gits(path);
        let attributes = |path: &Path| path.file_name() == Some(OsStr::new(".gitattributes"));
        !git(path)
            && self.then.seen.contains_key(Path::new(GIT))
            && !changes.keys().any(|path| git(path) || attributes(path))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.change {
            Change::More(1) => write!(f, "one more of this kind changed while the session ran")?,
            Change::More(count) => {
                write!(f, "{count} more of this kind changed while the session ran")?;
            }
            Change::Crowded => write!(
                f,
                "{path} has too many files in it now to compare them all, and {}",
                self.who
            )?,
            Change::Gone => write!(
                f,
                "{path} was taken away while the session ran, and {}",
                self.who
            )?,
            Change::New(kind) => write!(
                f,
                "{path} is a new {kind} of this session's, and {}",
                self.who
            )?,
            Change::Changed => {
                write!(f, "{path} changed while the session ran, and {}", self.who)?;
            }
            Change::Settings(keys) => write!(
                f,
                "{path} changed while the session ran ({}), and {}",
                keys.join(", "),
                self.who
            )?,
            Change::Became(what) => write!(
                f,
                "{path} became {what} while the session ran, and {}",
                self.who
            )?,
        }
        write!(f, "; look at it first: {}", self.command)
    }
}

#[cfg(test)]
mod tests;
