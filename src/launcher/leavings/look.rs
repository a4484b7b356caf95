//! One look at the places: what is there, by its mode and the hash of its content. Bounded in
//! names and bytes, because the sandbox may have put anything there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::super::nofollow::{Directory, Entry, Plain};
use super::gitconfig;
use super::places::{GIT_FILES, Places};

/// So many names of one directory are looked at.
const MOST_NAMES: usize = 512;

/// So many files in all.
const MOST_FILES: usize = 4096;

/// A file that is larger is known by its size and the time of its last change, which only the
/// kernel sets.
const LARGE: u64 = 1024 * 1024;

/// So many bytes are read in all.
const MOST_BYTES: u64 = 32 * 1024 * 1024;

/// How deep repositories of submodules are looked for: names of submodules have slashes.
const DEEPEST: usize = 6;

/// What is where, by its path in the project.
#[derive(Default)]
pub(super) struct Look {
    pub(super) seen: BTreeMap<PathBuf, Seen>,
    /// What git's configurations set.
    pub(super) settings: BTreeMap<PathBuf, Vec<(String, String)>>,
    /// Directories that have more names than are looked at.
    pub(super) crowded: BTreeSet<PathBuf>,
    read: u64,
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Directory,
    File {
        mode: u32,
        content: Content,
    },
    Link(OsString),
    Special(&'static str),
    /// It is there, and cannot be looked at.
    Closed,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content {
    Hash([u8; 32]),
    Large {
        size: i64,
        inode: u64,
        changed: (i64, i64),
    },
}

impl Seen {
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::File { .. } => "file",
            Self::Link(_) => "symbolic link",
            Self::Special(kind) => kind,
            Self::Closed => "file that cannot be looked at",
        }
    }
}

/// The bytes of a file that lies below `root` and is not large.
pub(super) fn read(root: &Directory, path: &Path) -> Option<Vec<u8>> {
    let name = path.file_name()?;
    let above = path.parent()?;
    let file = match above == Path::new("") {
        true => root.entry(name).ok()?,
        false => root.below(above).ok()?.entry(name).ok()?,
    };
    match file {
        Entry::File(file) => file.read(LARGE).ok()?,
        _ => None,
    }
}

impl Look {
    pub(super) fn at(root: &Directory, places: &Places) -> Self {
        let mut look = Self::default();
        for repository in &places.repositories {
            look.repository(root, repository, DEEPEST);
        }
        for (tree, _) in &places.trees {
            look.tree(root, tree, 2);
        }
        for (file, _) in &places.files {
            look.file(root, file);
        }
        if let Some(meta) = &places.meta {
            look.file(root, meta);
        }
        look
    }

    /// A repository's directory, and those of its submodules and work trees.
    fn repository(&mut self, root: &Directory, path: &Path, deep: usize) {
        let Some(directory) = self.enter(root, path) else {
            return;
        };
        for file in GIT_FILES {
            self.file_in(&directory, path, Path::new(file));
        }
        self.tree(root, &path.join("hooks"), 1);
        for others in ["modules", "worktrees"] {
            self.repositories(root, &path.join(others), deep);
        }
    }

    /// Repositories below a directory. What has a `HEAD` is one; all others may hold some.
    fn repositories(&mut self, root: &Directory, path: &Path, deep: usize) {
        let Some(deep) = deep.checked_sub(1) else {
            return;
        };
        let Some(directory) = self.enter(root, path) else {
            return;
        };
        for name in self.names(&directory, path) {
            let below = path.join(&name);
            match directory.entry(&name) {
                Ok(Entry::Directory(found)) => {
                    if found.entry(OsStr::new("HEAD")).is_ok() {
                        self.repository(root, &below, deep);
                    } else {
                        self.repositories(root, &below, deep);
                    }
                }
                other => self.note(below, other),
            }
        }
    }

    /// Everything below a directory, but samples of hooks, which are not run.
    fn tree(&mut self, root: &Directory, path: &Path, deep: usize) {
        let Some(deep) = deep.checked_sub(1) else {
            return;
        };
        let Some(directory) = self.enter(root, path) else {
            return;
        };
        for name in self.names(&directory, path) {
            let below = path.join(&name);
            match directory.entry(&name) {
                Ok(Entry::Directory(_)) => self.tree(root, &below, deep),
                _ if below.extension() == Some(OsStr::new("sample")) => {}
                other => self.note(below, other),
            }
        }
    }

    fn file(&mut self, root: &Directory, path: &Path) {
        self.file_in(root, Path::new(""), path);
    }

    /// The file at `path` in a directory whose own path is `above`.
    fn file_in(&mut self, directory: &Directory, above: &Path, path: &Path) {
        let found = match path.parent().filter(|parent| *parent != Path::new("")) {
            None => directory.entry(path.as_os_str()),
            Some(parent) => match self.descend(directory, above, parent) {
                Some(parent) => parent.entry(path.file_name().unwrap_or_default()),
                None => return,
            },
        };
        self.note(above.join(path), found);
    }

    /// The directory at `path`, which is noted; if something else is there, that is noted.
    fn enter(&mut self, root: &Directory, path: &Path) -> Option<Directory> {
        let found = self.descend(root, Path::new(""), path)?;
        self.put(path.to_owned(), Seen::Directory);
        Some(found)
    }

    /// Goes down step by step, so that what stands in place of a directory is noted where it is.
    fn descend(&mut self, from: &Directory, above: &Path, path: &Path) -> Option<Directory> {
        let mut here: Option<Directory> = None;
        let mut way = above.to_owned();
        for step in path.iter() {
            way.push(step);
            match here.as_ref().unwrap_or(from).entry(step) {
                Ok(Entry::Directory(next)) => here = Some(next),
                other => {
                    self.note(way, other);
                    return None;
                }
            }
        }
        here
    }

    fn names(&mut self, directory: &Directory, path: &Path) -> Vec<OsString> {
        let (names, more) = directory.names(MOST_NAMES).unwrap_or_default();
        if more {
            self.crowded.insert(path.to_owned());
        }
        names
    }

    fn note(&mut self, path: PathBuf, found: io::Result<Entry>) {
        let seen = match found {
            Ok(Entry::Directory(_)) => Seen::Directory,
            Ok(Entry::Link(to)) => Seen::Link(to),
            Ok(Entry::Special(kind)) => Seen::Special(kind),
            Ok(Entry::File(file)) => self.content(&path, &file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => Seen::Closed,
        };
        self.put(path, seen);
    }

    fn put(&mut self, path: PathBuf, seen: Seen) {
        if self.seen.len() < MOST_FILES {
            self.seen.insert(path, seen);
        } else if !self.seen.contains_key(&path) {
            self.crowded
                .insert(path.parent().unwrap_or_else(|| Path::new("")).to_owned());
        }
    }

    fn content(&mut self, path: &Path, file: &Plain) -> Seen {
        let status = &file.status;
        let size = u64::try_from(status.st_size).unwrap_or(u64::MAX);
        let affordable = size <= LARGE && self.read + size <= MOST_BYTES;
        let text = match affordable.then(|| file.read(LARGE)) {
            Some(Ok(text)) => text,
            Some(Err(_)) => return Seen::Closed,
            None => None,
        };
        let content = match text {
            Some(mut text) => {
                self.read += text.len() as u64;
                if path.file_name() == Some(OsStr::new("config")) {
                    let settings = gitconfig::entries(&text);
                    self.settings.insert(path.to_owned(), settings);
                    text = gitconfig::without_branches(&text);
                }
                Content::Hash(Sha256::digest(&text).into())
            }
            None => Content::Large {
                size: status.st_size,
                inode: status.st_ino,
                changed: (status.st_ctime, status.st_ctime_nsec),
            },
        };
        Seen::File {
            mode: status.st_mode & 0o7777,
            content,
        }
    }
}
