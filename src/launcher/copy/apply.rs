//! What was changed in a copy beside what was changed here, and bringing it here: never over a
//! change of the person's, and never through a link.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::fetch::{Fetched, Staging};
use super::snapshot::{Item, Snapshot};

/// What there is to bring here.
pub struct Pull {
    root: PathBuf,
    /// What was changed there alone, directories before what is in them.
    pub changes: Vec<Change>,
    /// What was changed on both sides, differently: it is left as it is here.
    pub conflicts: Vec<String>,
    _staging: Staging,
}

/// A change that was made in the copy.
pub struct Change {
    /// The path below the project.
    pub path: String,
    /// What happened to it.
    pub kind: ChangeKind,
    item: Option<Item>,
    staged: Option<PathBuf>,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// It is new.
    Added,
    /// It was there before.
    Modified,
    /// It is gone.
    Deleted,
}

impl Change {
    /// Where its new content is, if it is a file.
    pub fn content(&self) -> Option<&Path> {
        self.staged.as_deref()
    }
}

impl Pull {
    pub(super) fn of(root: PathBuf, base: &Snapshot, fetched: Fetched) -> Result<Self> {
        let here = Snapshot::of(&root).context("the project cannot be read")?;
        let Fetched { items, staging } = fetched;
        let paths: BTreeSet<&String> = base.0.keys().chain(items.keys()).collect();
        let (mut changes, mut conflicts) = (Vec::new(), Vec::new());
        for path in paths {
            let there = items.get(path);
            let item = there.map(|(item, _)| item);
            let (before, now) = (base.0.get(path), here.0.get(path));
            if item == before || item == now {
                continue;
            }
            if now != before {
                conflicts.push(path.clone());
                continue;
            }
            changes.push(Change {
                path: path.clone(),
                kind: match (before, item) {
                    (None, _) => ChangeKind::Added,
                    (_, None) => ChangeKind::Deleted,
                    _ => ChangeKind::Modified,
                },
                item: item.cloned(),
                staged: there.and_then(|(_, staged)| staged.clone()),
            });
        }
        Ok(Self {
            root,
            changes,
            conflicts,
            _staging: staging,
        })
    }

    /// Makes every change here.
    ///
    /// # Errors
    /// When one cannot be made; those before it are.
    pub fn apply(&self) -> Result<()> {
        // What is gone goes first, the innermost first: something else may take its place.
        let gone = self.changes.iter().rev().filter(|change| {
            change.kind == ChangeKind::Deleted || matches!(change.item, Some(Item::Directory))
        });
        for change in gone {
            self.clear(change).with_context(|| change.path.clone())?;
        }
        for change in &self.changes {
            if let Some(item) = &change.item {
                self.put(change, item)
                    .with_context(|| format!("{} could not be brought here", change.path))?;
            }
        }
        Ok(())
    }

    /// Removes what is deleted, or in the way of a directory.
    fn clear(&self, change: &Change) -> Result<()> {
        let path = self.place(&change.path)?;
        let Ok(found) = path.symlink_metadata() else {
            return Ok(());
        };
        let outcome = match (&change.item, found.is_dir()) {
            (Some(Item::Directory), true) => Ok(()),
            // Nothing was there when the two sides were compared.
            (_, false) if change.kind == ChangeKind::Added => {
                bail!("something else has come to be there meanwhile; pull once more")
            }
            (_, true) => fs::remove_dir(&path),
            (_, false) => fs::remove_file(&path),
        };
        match outcome {
            // It holds something that only we have.
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
            outcome => Ok(outcome?),
        }
    }

    fn put(&self, change: &Change, item: &Item) -> Result<()> {
        let path = self.place(&change.path)?;
        let new = path.with_file_name(format!(".vibepit-pull-{}", std::process::id()));
        match item {
            Item::Directory => {
                if !path.is_dir() {
                    fs::create_dir(&path)?;
                }
                return Ok(());
            }
            Item::Link(target) => symlink(target, &new)?,
            Item::File { executable, .. } => {
                let staged = change.staged.as_ref().context("its content is missing")?;
                fs::copy(staged, &new)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(&new, Permissions::from_mode(mode))?;
            }
        }
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            fs::remove_dir(&path)?;
        }
        Ok(fs::rename(&new, &path)?)
    }

    /// The place of a path, none of whose directories is a link.
    fn place(&self, path: &str) -> Result<PathBuf> {
        let place = self.root.join(path);
        for above in place.ancestors().skip(1) {
            if above == self.root {
                return Ok(place);
            }
            match above.symlink_metadata() {
                Ok(found) if !found.is_dir() => {
                    bail!("{} is not a directory here", above.display())
                }
                _ => {}
            }
        }
        bail!("it leads out of the project")
    }

    /// Enters what was brought here.
    pub(super) fn enter(&self, base: &mut Snapshot) {
        for change in &self.changes {
            match &change.item {
                Some(item) => base.0.insert(change.path.clone(), item.clone()),
                None => base.0.remove(&change.path),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::Hashing;
    use super::*;

    struct Sides {
        here: tempfile::TempDir,
        there: tempfile::TempDir,
        base: Snapshot,
    }

    /// A project and its copy, both with these files.
    fn sides(files: &[(&str, &str)]) -> Sides {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (path, content) in files {
            write(here.path(), path, content);
            write(there.path(), path, content);
        }
        let base = Snapshot::of(here.path()).unwrap();
        Sides { here, there, base }
    }

    fn write(root: &Path, path: &str, content: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    impl Sides {
        fn pull(&self) -> Pull {
            let staging = tempfile::tempdir().unwrap().keep();
            let mut items = std::collections::BTreeMap::new();
            for (number, (path, item)) in Snapshot::of(self.there.path())
                .unwrap()
                .0
                .into_iter()
                .enumerate()
            {
                let staged = matches!(item, Item::File { .. }).then(|| {
                    let place = staging.join(number.to_string());
                    fs::copy(self.there.path().join(&path), &place).unwrap();
                    place
                });
                items.insert(path, (item, staged));
            }
            let staging = Staging(staging);
            Pull::of(
                self.here.path().to_owned(),
                &self.base,
                Fetched { items, staging },
            )
            .unwrap()
        }

        fn read(&self, path: &str) -> Option<String> {
            fs::read_to_string(self.here.path().join(path)).ok()
        }
    }

    #[test]
    fn what_was_changed_there_is_brought_here() {
        let sides = sides(&[("a", "1"), ("sub/b", "1"), ("gone/c", "1")]);
        write(sides.there.path(), "a", "2");
        write(sides.there.path(), "new/deep", "2");
        fs::remove_dir_all(sides.there.path().join("gone")).unwrap();
        symlink("a", sides.there.path().join("link")).unwrap();
        let pull = sides.pull();
        assert!(pull.conflicts.is_empty());
        pull.apply().unwrap();
        assert_eq!(sides.read("a").as_deref(), Some("2"));
        assert_eq!(sides.read("new/deep").as_deref(), Some("2"));
        assert_eq!(sides.read("link").as_deref(), Some("2"));
        assert_eq!(sides.read("sub/b").as_deref(), Some("1"));
        assert!(!sides.here.path().join("gone").exists());
        assert!(
            sides.pull().changes.is_empty(),
            "a second time there is nothing"
        );
    }

    #[test]
    fn a_change_of_the_persons_is_never_written_over() {
        let sides = sides(&[("both", "1"), ("mine", "1"), ("same", "1"), ("kept", "1")]);
        write(sides.there.path(), "both", "2");
        write(sides.here.path(), "both", "3");
        write(sides.here.path(), "mine", "3");
        for side in [&sides.here, &sides.there] {
            write(side.path(), "same", "2");
        }
        fs::remove_file(sides.there.path().join("kept")).unwrap();
        write(sides.here.path(), "kept", "3");
        let pull = sides.pull();
        assert_eq!(pull.conflicts, ["both", "kept"]);
        assert!(pull.changes.is_empty());
        pull.apply().unwrap();
        assert_eq!(sides.read("both").as_deref(), Some("3"));
        assert_eq!(sides.read("mine").as_deref(), Some("3"));
    }

    #[test]
    fn nothing_is_written_through_a_link() {
        let sides = sides(&[("a", "1")]);
        let outside = tempfile::tempdir().unwrap();
        write(sides.there.path(), "dir/file", "2");
        let pull = sides.pull();
        symlink(outside.path(), sides.here.path().join("dir")).unwrap();
        assert!(pull.apply().is_err());
        assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_hash_is_of_what_was_read() {
        let mut reader = Hashing::new(&b"x"[..]);
        io::copy(&mut reader, &mut io::sink()).unwrap();
        let Item::File { sha256, .. } = Item::file(0o644, reader) else {
            panic!("a file");
        };
        assert!(sha256.starts_with("2d711642b726b044"));
    }
}
