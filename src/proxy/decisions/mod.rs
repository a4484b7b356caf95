//! Decisions that outlive their session: files that every session follows.
//!
//! One file for all sessions and one for each project. They are written by this module alone:
//! under a lock, to a temporary file, with fsync and rename, so that a reader sees the old file or
//! the new one. What cannot be read keeps the last good state: a lost deny must never become an
//! allow. Knows nothing of rules in force and of requests that wait.

mod file;
mod watch;

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};

use crate::api::{DecisionsPlace, Saved};
use crate::kept;
use crate::policy::{Entry, Made, PresetName, Scope, Verdict};

use self::file::{BYTES_MAX, Content, Line};
pub use self::watch::Watch;

/// How long somebody else may hold the lock before a decision is not saved.
const LOCK: Duration = Duration::from_secs(2);
const LOCK_AGAIN: Duration = Duration::from_millis(10);

/// Why decisions cannot be read or saved: one sentence that names the file.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct DecisionsError(String);

impl DecisionsError {
    fn about(path: &Path, what: impl fmt::Display) -> Self {
        Self(format!("{}: {what}", path.display()))
    }
}

/// The files of saved decisions.
#[derive(Debug, Clone)]
pub struct Decisions {
    place: DecisionsPlace,
}

impl Decisions {
    /// Those at this place.
    pub fn new(place: DecisionsPlace) -> Self {
        Self { place }
    }

    /// Whether there is a project to save for.
    pub(super) fn has_project(&self) -> bool {
        self.place.project.is_some()
    }

    /// What is saved, for all sessions and for this project; and by whom, where the file says.
    ///
    /// # Errors
    /// When a file cannot be read, or holds something that it must not; line and column are said.
    pub fn load(&self) -> Result<Vec<(Saved, Option<Made>)>, DecisionsError> {
        let mut saved = Vec::new();
        for scope in [Scope::Global, Scope::Project] {
            let Some(name) = self.name(scope) else {
                continue;
            };
            let content = self.read(&name)?;
            for (verdict, entries) in [
                (Verdict::Allow, content.allow),
                (Verdict::Deny, content.deny),
            ] {
                saved.extend(entries.into_iter().map(|Line { entry, made }| {
                    let saved = Saved {
                        scope,
                        verdict,
                        entry,
                    };
                    (saved, made)
                }));
            }
        }
        Ok(saved)
    }

    /// Saves, and says where. What was said of these entries before is replaced. Blocks on the
    /// disk, and on others who save.
    ///
    /// # Errors
    /// When that is not possible; the file is as it was.
    pub fn save(
        &self,
        scope: Scope,
        verdict: Verdict,
        entries: &[Entry],
        made: &Made,
    ) -> Result<PathBuf, DecisionsError> {
        let Some(name) = self.name(scope) else {
            return Err(DecisionsError("there is no file for this scope".to_owned()));
        };
        self.change(&name, |content| content.put(verdict, entries, made))?;
        Ok(self.place.shown.join(name))
    }

    /// Takes entries out of all files, whatever their verdict. Blocks as [`Self::save`] does.
    ///
    /// # Errors
    /// When that is not possible.
    pub fn forget(&self, entries: &[Entry]) -> Result<(), DecisionsError> {
        for scope in [Scope::Global, Scope::Project] {
            if let Some(name) = self.name(scope) {
                self.change(&name, |content| content.take(entries))?;
            }
        }
        for preset in PresetName::all().filter(|name| name.preset().tool.is_some()) {
            let name = of_preset(preset);
            if self.place.directory.join(&name).exists() {
                self.change(&name, |content| content.take(entries))?;
            }
        }
        Ok(())
    }

    /// Adds an entry to what a preset of one of the person's tools opens. Blocks as [`Self::save`]
    /// does.
    ///
    /// # Errors
    /// When that is not possible; the file is as it was.
    pub fn remember(
        &self,
        preset: PresetName,
        entry: &Entry,
        made: &Made,
    ) -> Result<(), DecisionsError> {
        self.make_directories()?;
        let entries = std::slice::from_ref(entry);
        self.change(&of_preset(preset), |content| {
            content.put(Verdict::Allow, entries, made)
        })
    }

    /// What was added to a preset.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn remembered(&self, preset: PresetName) -> Result<Vec<Entry>, DecisionsError> {
        let lines = self.read(&of_preset(preset))?.allow.into_iter();
        Ok(lines.map(|line| line.entry).collect())
    }

    /// Tells when one of the files may have changed.
    ///
    /// # Errors
    /// When the directory cannot be watched.
    pub fn watch(&self) -> Result<Watch, DecisionsError> {
        self.make_directories()?;
        let projects = self.place.directory.join("projects");
        Watch::of(&[&self.place.directory, &projects])
            .map_err(|error| DecisionsError::about(&self.place.shown, error))
    }

    /// The file of a scope, below the directory.
    fn name(&self, scope: Scope) -> Option<PathBuf> {
        match scope {
            Scope::Global => Some(PathBuf::from("global.toml")),
            Scope::Project => {
                let project = self.place.project.as_ref()?;
                Some(Path::new("projects").join(format!("{project}.toml")))
            }
            Scope::Once | Scope::Session => None,
        }
    }

    fn read(&self, name: &Path) -> Result<Content, DecisionsError> {
        let text = match kept::read(&self.place.directory.join(name), BYTES_MAX) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => return Err(DecisionsError::about(&self.place.shown.join(name), error)),
        };
        Content::parse(&text).map_err(|wrong| {
            DecisionsError(format!("{}:{wrong}", self.place.shown.join(name).display()))
        })
    }

    /// Changes a file if there is something to change. `change` says whether there was.
    fn change(
        &self,
        name: &Path,
        change: impl FnOnce(&mut Content) -> bool,
    ) -> Result<(), DecisionsError> {
        self.make_directories()?;
        let _lock = self.lock()?;
        let mut content = self.read(name)?;
        if !change(&mut content) {
            return Ok(());
        }
        kept::replace(
            &self.place.directory.join(name),
            content.to_string().as_bytes(),
        )
        .map_err(|error| DecisionsError::about(&self.place.shown.join(name), error))
    }

    fn make_directories(&self) -> Result<(), DecisionsError> {
        for directory in [
            self.place.directory.clone(),
            self.place.directory.join("projects"),
            self.place.directory.join("presets"),
        ] {
            match DirBuilder::new().mode(0o700).create(&directory) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(DecisionsError::about(&self.place.shown, error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Everybody who writes holds it meanwhile.
    fn lock(&self) -> Result<Flock<File>, DecisionsError> {
        let path = self.place.directory.join(".lock");
        let shown = self.place.shown.join(".lock");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(path)
            .map_err(|error| DecisionsError::about(&shown, error))?;
        let until = Instant::now() + LOCK;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(lock) => return Ok(lock),
                Err((same, Errno::EWOULDBLOCK)) if Instant::now() < until => {
                    file = same;
                    sleep(LOCK_AGAIN);
                }
                Err((_, Errno::EWOULDBLOCK)) => {
                    let what = "another process holds this lock for too long";
                    return Err(DecisionsError::about(&shown, what));
                }
                Err((_, error)) => return Err(DecisionsError::about(&shown, error)),
            }
        }
    }
}

/// The file of what was added to a preset, below the directory.
fn of_preset(preset: PresetName) -> PathBuf {
    Path::new("presets").join(format!("{preset}.toml"))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn decisions(directory: &Path) -> Decisions {
        Decisions::new(DecisionsPlace {
            directory: directory.to_owned(),
            shown: directory.to_owned(),
            project: Some("app-0123".to_owned()),
        })
    }

    fn entry(text: &str) -> Entry {
        text.parse().unwrap()
    }

    fn made() -> Made {
        Made {
            by: "cn:vibepit CLI".to_owned(),
            at: "2026-01-31T12:00:00.5Z".to_owned(),
        }
    }

    fn load(ours: &Decisions) -> Vec<Saved> {
        let loaded = ours.load().unwrap().into_iter();
        loaded.map(|(saved, _)| saved).collect()
    }

    fn saved(scope: Scope, verdict: Verdict, text: &str) -> Saved {
        Saved {
            scope,
            verdict,
            entry: entry(text),
        }
    }

    #[test]
    fn what_is_saved_is_there_for_the_next_session_and_for_other_projects_only_if_global() {
        let directory = tempfile::tempdir().unwrap();
        let ours = decisions(directory.path());
        ours.save(Scope::Global, Verdict::Allow, &[entry("a.test")], &made())
            .unwrap();
        ours.save(
            Scope::Project,
            Verdict::Deny,
            &[entry("b.test:443")],
            &made(),
        )
        .unwrap();
        let a = saved(Scope::Global, Verdict::Allow, "a.test");
        let b = saved(Scope::Project, Verdict::Deny, "b.test:443");
        assert_eq!(load(&ours), [a.clone(), b]);
        let mut place = ours.place.clone();
        place.project = Some("other-4567".to_owned());
        assert_eq!(load(&Decisions::new(place)), [a]);
        let mode = fs::metadata(directory.path().join("global.toml")).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_remembered_under_a_preset_is_no_decision_and_is_forgotten_like_one() {
        let directory = tempfile::tempdir().unwrap();
        let ours = decisions(directory.path());
        let npm: PresetName = "npm".parse().unwrap();
        assert_eq!(ours.remembered(npm).unwrap(), []);
        ours.remember(npm, &entry("files.test:443"), &made())
            .unwrap();
        ours.remember(npm, &entry("files.test:443"), &made())
            .unwrap();
        assert_eq!(ours.remembered(npm).unwrap(), [entry("files.test:443")]);
        assert_eq!(ours.load().unwrap(), []);
        let pip: PresetName = "pip".parse().unwrap();
        assert_eq!(ours.remembered(pip).unwrap(), []);
        ours.forget(&[entry("files.test:443")]).unwrap();
        assert_eq!(ours.remembered(npm).unwrap(), []);
    }

    #[test]
    fn a_later_decision_replaces_the_opposite_and_nothing_stands_twice() {
        let directory = tempfile::tempdir().unwrap();
        let ours = decisions(directory.path());
        for verdict in [Verdict::Allow, Verdict::Allow, Verdict::Deny] {
            ours.save(Scope::Global, verdict, &[entry("a.test")], &made())
                .unwrap();
        }
        assert_eq!(load(&ours), [saved(Scope::Global, Verdict::Deny, "a.test")]);
        ours.forget(&[entry("a.test")]).unwrap();
        assert_eq!(load(&ours), []);
    }

    #[test]
    fn who_decided_and_when_stands_behind_the_entry_and_stays_with_the_first() {
        let directory = tempfile::tempdir().unwrap();
        let ours = decisions(directory.path());
        let path = directory.path().join("global.toml");
        // As a version before wrote it, and as a person may have changed it.
        let text = "allow = [\"a.test\", \"b.test\" # by hand\n, \"c.test\", # 7 x\n]\n";
        fs::write(&path, text).unwrap();
        let allow = |names: &[&str], made: &Made| {
            let entries: Vec<_> = names.iter().map(|name| entry(name)).collect();
            ours.save(Scope::Global, Verdict::Allow, &entries, made)
                .unwrap();
        };
        allow(&["a.test", "d.test"], &made());
        let later = Made {
            at: "2027-01-01T00:00:00Z".to_owned(),
            ..made()
        };
        allow(&["d.test", "e.test"], &later);
        // A comment that would not be one is left out.
        let hostile = Made {
            by: "cn:x\n]".to_owned(),
            ..made()
        };
        allow(&["f.test"], &hostile);
        let found: Vec<_> = ours.load().unwrap().into_iter().map(|one| one.1).collect();
        let expected = [None, None, None, Some(made()), Some(later), None];
        assert_eq!(found, expected);
        let text = fs::read_to_string(&path).unwrap();
        let line = "  \"d.test\", # 2026-01-31T12:00:00.5Z cn:vibepit CLI\n";
        assert!(text.contains(line), "{text}");
    }

    #[test]
    fn a_file_that_cannot_be_understood_is_named_with_line_and_column_and_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("global.toml");
        let text = "allow = [\n  \"a.test\",\n  \"https://x/\",\n]\n";
        fs::write(&path, text).unwrap();
        let ours = decisions(directory.path());
        let error = ours.load().unwrap_err().to_string();
        assert!(error.contains("global.toml:3:3: "), "{error}");
        ours.save(Scope::Global, Verdict::Allow, &[entry("b.test")], &made())
            .unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }

    #[test]
    fn what_is_no_plain_file_is_neither_read_nor_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("global.toml");
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, "allow = [\"x.test\"]\n").unwrap();
        symlink(&elsewhere, &path).unwrap();
        let ours = decisions(directory.path());
        for what in ["a link", "a directory"] {
            let error = ours.load().unwrap_err().to_string();
            assert!(error.contains("global.toml"), "{what}: {error}");
            ours.save(Scope::Global, Verdict::Allow, &[entry("a.test")], &made())
                .unwrap_err();
            let _ = fs::remove_file(&path);
            fs::create_dir_all(&path).unwrap();
        }
        assert_eq!(
            fs::read_to_string(&elsewhere).unwrap(),
            "allow = [\"x.test\"]\n"
        );
    }

    #[test]
    fn a_lock_that_another_process_holds_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let ours = decisions(directory.path());
        let _held = ours.lock().unwrap();
        let error = ours.save(Scope::Global, Verdict::Allow, &[entry("a.test")], &made());
        let error = error.unwrap_err().to_string();
        assert!(error.contains(".lock"), "{error}");
        assert!(!directory.path().join("global.toml").exists());
    }

    #[test]
    fn many_who_save_at_once_lose_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let ours = decisions(directory.path());
        std::thread::scope(|scope| {
            for at in 0..8 {
                let ours = &ours;
                scope.spawn(move || {
                    let name = format!("h{at}.test");
                    ours.save(Scope::Global, Verdict::Allow, &[entry(&name)], &made())
                        .unwrap();
                });
            }
        });
        assert_eq!(ours.load().unwrap().len(), 8);
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(
            left.len(),
            4,
            "the file, the lock, projects, presets: {left:?}"
        );
    }
}
