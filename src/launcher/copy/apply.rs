//! What was changed in a copy beside what was changed here, and bringing it here: never over a
//! change of the person's, and never through a link. A sandbox may work in the same project at that
//! moment, so nothing here has a path: each directory is entered by its descriptor, step by step.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::super::nofollow::{Directory, Entry};
use super::fetch::{Fetched, Staging};
use super::snapshot::{Item, Snapshot};
use crate::session::SessionId;

const MEANWHILE: &str = "it was changed here meanwhile; pull once more";

/// What there is to bring here.
pub struct Pull {
    root: Arc<Directory>,
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
    before: Option<Item>,
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
    pub(super) fn of(root: Arc<Directory>, base: &Snapshot, fetched: Fetched) -> Result<Self> {
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
                before: before.cloned(),
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

    /// The file that is changed, as it is here; `None` where there is none.
    pub fn here(&self, change: &Change) -> Option<File> {
        let (above, name) = self.root.above(Path::new(&change.path)).ok()?;
        match above.entry(name).ok()? {
            Entry::File(file) => file.open().ok(),
            _ => None,
        }
    }

    /// Removes what is deleted, or in the way of a directory.
    fn clear(&self, change: &Change) -> Result<()> {
        let (above, name) = match self.place(change) {
            Err(error) if has_nothing(&error, change) => return Ok(()),
            place => place?,
        };
        match now(&above, name)? {
            None => Ok(()),
            now if now != change.before && now != change.item => bail!(MEANWHILE),
            Some(Item::Directory) if change.item == Some(Item::Directory) => Ok(()),
            Some(Item::Directory) => match above.remove_directory(name) {
                // It holds something that only we have.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                outcome => Ok(outcome?),
            },
            Some(_) => Ok(above.remove_file(name)?),
        }
    }

    fn put(&self, change: &Change, item: &Item) -> Result<()> {
        let (above, name) = self.place(change)?;
        let now = now(&above, name)?;
        if now.as_ref() == Some(item) {
            return Ok(());
        }
        if now.is_some() && now != change.before {
            bail!(MEANWHILE);
        }
        // A name that nobody can have taken first.
        let new = OsString::from(format!(".vibepit-pull-{}", SessionId::random()?));
        match item {
            Item::Directory => return Ok(above.make_directory(name)?),
            Item::Link(target) => above.make_link(&new, OsStr::new(target))?,
            Item::File { executable, .. } => {
                let staged = change.staged.as_ref().context("its content is missing")?;
                let mut staged = File::open(staged)?;
                let mode = if *executable { 0o755 } else { 0o644 };
                io::copy(&mut staged, &mut above.make_file(&new, mode)?)?;
            }
        }
        if now == Some(Item::Directory) {
            above.remove_directory(name)?;
        }
        Ok(above.rename(&new, name)?)
    }

    /// The directory that a change is made in, and the name there.
    fn place<'c>(&self, change: &'c Change) -> Result<(Directory, &'c OsStr)> {
        let place = self.root.above(Path::new(&change.path));
        place.context("a directory on the way is not here, or is no directory by now")
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

/// What has a name now. Something that is never copied is not written over either.
fn now(above: &Directory, name: &OsStr) -> Result<Option<Item>> {
    match above.entry(name) {
        Ok(entry) => Ok(Some(Item::of(entry)?.context(MEANWHILE)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether there is nothing to clear for a change, because no directory leads to its place yet.
fn has_nothing(error: &anyhow::Error, change: &Change) -> bool {
    match error.downcast_ref().map(io::Error::kind) {
        Some(io::ErrorKind::NotFound) => true,
        // What is a directory there is something else here until it is cleared.
        Some(io::ErrorKind::NotADirectory) => change.kind == ChangeKind::Added,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags, renameat_with};

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
        let base = Snapshot::of(&held(here.path())).unwrap();
        Sides { here, there, base }
    }

    fn held(path: &Path) -> Arc<Directory> {
        Arc::new(Directory::at(&path.canonicalize().unwrap()).unwrap())
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
            for (number, (path, item)) in Snapshot::of(&held(self.there.path()))
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
                held(self.here.path()),
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
    fn what_was_changed_here_after_the_comparison_is_not_written_over() {
        for path in ["a", "new", "gone"] {
            let sides = sides(&[("a", "1"), ("gone", "1")]);
            write(sides.there.path(), "a", "2");
            write(sides.there.path(), "new", "2");
            fs::remove_file(sides.there.path().join("gone")).unwrap();
            let pull = sides.pull();
            write(sides.here.path(), path, "3");
            let error = format!("{:#}", pull.apply().unwrap_err());
            assert!(
                error.contains(path) && error.contains("pull once more"),
                "{error}"
            );
            assert_eq!(sides.read(path).as_deref(), Some("3"));
        }
    }

    #[test]
    fn a_file_becomes_a_directory_and_a_directory_a_file() {
        let sides = sides(&[("file", "1"), ("directory/below", "1")]);
        fs::remove_file(sides.there.path().join("file")).unwrap();
        write(sides.there.path(), "file/deep/er", "2");
        fs::remove_dir_all(sides.there.path().join("directory")).unwrap();
        write(sides.there.path(), "directory", "2");
        sides.pull().apply().unwrap();
        assert_eq!(sides.read("file/deep/er").as_deref(), Some("2"));
        assert_eq!(sides.read("directory").as_deref(), Some("2"));
    }

    /// Puts a link in a directory's place and the directory back, all the time, while it is tried
    /// over and over: until it went well this often, and was refused this often.
    fn while_swapped(directory: &Path, link: &Path, mut attempt: impl FnMut() -> bool) {
        const OFTEN: usize = 100;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let swapping = scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    renameat_with(CWD, directory, CWD, link, RenameFlags::EXCHANGE).unwrap();
                }
            });
            let (mut well, mut refused) = (0, 0);
            while (well < OFTEN || refused < OFTEN) && !swapping.is_finished() {
                match attempt() {
                    true => well += 1,
                    false => refused += 1,
                }
            }
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn nothing_outside_is_read_or_written_while_a_directory_and_a_link_take_turns() {
        let sides = sides(&[
            ("dir/changed", "1"),
            ("dir/gone", "1"),
            ("dir/sub/gone", "1"),
        ]);
        let (here, there) = (sides.here.path(), sides.there.path());
        write(there, "dir/changed", "2");
        write(there, "dir/new/deep", "2");
        symlink("changed", there.join("dir/link")).unwrap();
        fs::remove_file(there.join("dir/gone")).unwrap();
        fs::remove_dir_all(there.join("dir/sub")).unwrap();
        let pull = sides.pull();
        let dir = Directory::at(&here.canonicalize().unwrap().join("dir")).unwrap();

        // Outside is what would be changed too, and what there alone is.
        let elsewhere = tempfile::tempdir().unwrap();
        let outside = elsewhere.path().join("outside");
        for path in ["changed", "gone", "sub/gone"] {
            write(&outside, path, "1");
        }
        write(&outside, "secret", "outside");
        let before = Snapshot::of(&held(&outside)).unwrap();
        let link = elsewhere.path().join("link");
        symlink(&outside, &link).unwrap();

        let as_it_was = || {
            let name = OsStr::new;
            for file in ["changed", "gone", "link"] {
                let _ = dir.remove_file(name(file));
            }
            for (above, file) in [("sub", "gone"), ("new", "deep")] {
                if let Ok(below) = dir.below(Path::new(above)) {
                    let _ = below.remove_file(name(file));
                    dir.remove_directory(name(above)).unwrap();
                }
            }
            dir.make_directory(name("sub")).unwrap();
            let sub = dir.below(Path::new("sub")).unwrap();
            for (above, file) in [(&dir, "changed"), (&dir, "gone"), (&sub, "gone")] {
                let mut file = above.make_file(name(file), 0o644).unwrap();
                io::Write::write_all(&mut file, b"1").unwrap();
            }
        };
        while_swapped(&here.join("dir"), &link, || {
            as_it_was();
            pull.apply().is_ok()
        });
        assert_eq!(Snapshot::of(&held(&outside)).unwrap(), before, "written");

        as_it_was();
        write(&outside, "changed", "outside");
        let changed = pull
            .changes
            .iter()
            .find(|change| change.path == "dir/changed");
        while_swapped(&here.join("dir"), &link, || {
            let mut content = String::new();
            if let Some(mut file) = pull.here(changed.unwrap()) {
                io::Read::read_to_string(&mut file, &mut content).unwrap();
                assert_eq!(content, "1");
            }
            let Ok(snapshot) = Snapshot::of(&pull.root) else {
                return false;
            };
            assert!(!snapshot.0.contains_key("dir/secret"));
            match snapshot.0.get("dir/changed") {
                Some(found) => {
                    assert_eq!(Some(found), sides.base.0.get("dir/changed"));
                    true
                }
                None => false,
            }
        });
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
