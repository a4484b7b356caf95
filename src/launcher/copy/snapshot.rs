//! What a project holds at one moment: every path, with a hash of what is there.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::super::nofollow::{Directory, Entry};
use super::META;

/// Every path below a project's directory.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Snapshot(pub(super) BTreeMap<String, Item>);

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Item {
    Directory,
    Link(String),
    File {
        /// Somebody may execute it.
        executable: bool,
        sha256: String,
    },
}

impl Snapshot {
    pub(super) fn load(path: &Path) -> Result<Self> {
        let content =
            fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_slice(&content).with_context(|| format!("{}", path.display()))
    }

    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let new = path.with_extension("new");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(&new)?;
        file.write_all(&serde_json::to_vec(self)?)?;
        fs::rename(&new, path)?;
        Ok(())
    }

    /// What is here now.
    pub(super) fn of(root: &Directory) -> io::Result<Self> {
        let mut items = BTreeMap::new();
        for path in paths(root)? {
            if let Some(item) = Item::at(root, &path)? {
                items.insert(path, item);
            }
        }
        Ok(Self(items))
    }
}

impl Item {
    /// `None` for what is not copied, or gone.
    fn at(root: &Directory, path: &str) -> io::Result<Option<Self>> {
        let looking = || {
            let (above, name) = root.above(Path::new(path))?;
            above.entry(name)
        };
        match looking() {
            Ok(entry) => Self::of(entry),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// `None` for what is not copied.
    pub(super) fn of(entry: Entry) -> io::Result<Option<Self>> {
        Ok(match entry {
            Entry::Directory(_) => Some(Self::Directory),
            Entry::Link(target) => Some(Self::Link(target.to_string_lossy().into_owned())),
            Entry::File(file) => {
                let mut reader = Hashing::new(file.open()?);
                io::copy(&mut reader, &mut io::sink())?;
                Some(Self::file(file.status.st_mode, reader))
            }
            Entry::Special(_) => None,
        })
    }

    /// A file that has been read to its end.
    pub(super) fn file<R>(mode: u32, read: Hashing<R>) -> Self {
        Self::File {
            executable: mode & 0o111 != 0,
            sha256: read.digest(),
        }
    }
}

/// Everything below a project's directory, .git included, but its settings: a directory comes
/// before what is in it.
pub(super) fn paths(root: &Directory) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut directories = vec![PathBuf::new()];
    while let Some(directory) = directories.pop() {
        let here = root.below(&directory)?;
        for name in here.names(usize::MAX)?.0 {
            let path = directory.join(&name);
            if path == Path::new(META) {
                continue;
            }
            let text = path.to_str().ok_or_else(|| {
                io::Error::other(format!("{path:?} is not UTF-8, so it cannot be copied"))
            })?;
            found.push(text.to_owned());
            match here.entry(&name) {
                Ok(Entry::Directory(_)) => directories.push(path),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Hashes what is read through it.
pub(super) struct Hashing<R> {
    inner: R,
    hash: Sha256,
}

impl<R> Hashing<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    fn digest(self) -> String {
        let digest = self.hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}
