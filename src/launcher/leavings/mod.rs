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
use super::repository::GIT;

/// So many findings are told one by one.
const MOST_TOLD: usize = 40;

/// So many of the directories are named that the others are in.
const MOST_PLACES: usize = 4;

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
    /// So many findings are not told, in these places among others.
    More(usize, Vec<PathBuf>),
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
        let told: Vec<_> = changes
            .iter()
            .filter(|(path, change)| !is_told_by_another(&changes, path, change))
            .collect();
        let git_may_show = self.git_may_show(&changes);
        // First, so that they are never among those that are not told.
        let crowded = now.crowded.difference(&then.crowded);
        let mut found: Vec<Finding> = crowded
            .map(|path| self.finding(path, Change::Crowded, false))
            .collect();
        let shown = told.iter().take(MOST_TOLD);
        found.extend(
            shown.map(|(path, change)| self.finding(path, (*change).clone(), git_may_show)),
        );
        let rest = told.get(MOST_TOLD..).unwrap_or_default();
        if let Some((first, _)) = rest.first() {
            let above = |path: &Path| path.parent().map(Path::to_owned).unwrap_or_default();
            let places: BTreeSet<_> = rest.iter().map(|(path, _)| above(path)).collect();
            let more = Change::More(rest.len(), places.into_iter().take(MOST_PLACES).collect());
            found.push(self.finding(&above(first), more, false));
        }
        found
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

    fn finding(&self, path: &Path, change: Change, git_may_show: bool) -> Finding {
        let whole = self.project.path().join(path);
        let shown = quoted(&whole);
        let command = match &change {
            Change::Gone => format!("ls -la {}", quoted(whole.parent().unwrap_or(&whole))),
            Change::Changed if git_may_show && !self.places.is_gits(path) => format!(
                "git -C {} diff -- {}",
                quoted(self.project.path()),
                quoted(path)
            ),
            Change::New("file") | Change::Changed | Change::Settings(_) => {
                format!("cat -v {shown}")
            }
            Change::New(_) | Change::Became(_) | Change::Crowded | Change::More(..) => {
                format!("ls -la {shown}")
            }
        };
        Finding {
            path: path.to_owned(),
            change,
            who: self.places.who(path),
            command,
        }
    }

    /// Whether git can be asked about a file: `git diff` itself runs what a repository names.
    fn git_may_show(&self, changes: &BTreeMap<&PathBuf, Change>) -> bool {
        let attributes = |path: &Path| path.file_name() == Some(OsStr::new(".gitattributes"));
        let mut changed = changes.keys().map(|path| path.as_path());
        self.then.seen.contains_key(Path::new(GIT))
            && !changed.any(|path| self.places.is_gits(path) || attributes(path))
    }
}

/// A directory that is gone or became something else stands for what was in it, and what is in a
/// new one stands for the directory.
fn is_told_by_another(
    changes: &BTreeMap<&PathBuf, Change>,
    path: &PathBuf,
    change: &Change,
) -> bool {
    let of_all = |above: &Path| {
        let change = changes.get(&above.to_owned());
        matches!(change, Some(Change::Gone | Change::Became(_)))
    };
    // In the order of paths what is in a directory comes right after it.
    let within = || {
        let mut after = changes.range::<&PathBuf, _>(path..).skip(1);
        after.next().is_some_and(|(next, _)| next.starts_with(path))
    };
    path.ancestors().skip(1).any(of_all) || (*change == Change::New("directory") && within())
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.change {
            Change::More(count, places) => {
                let places: Vec<_> = places
                    .iter()
                    .map(|place| place.to_string_lossy().into_owned())
                    .collect();
                write!(
                    f,
                    "{count} more of this kind changed while the session ran (in {})",
                    places.join(", ")
                )?;
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
