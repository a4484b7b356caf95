//! A root file system as an archive: the same content gives the same bytes, so that it can be
//! named by them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// An archive in the making. Entries are root's and carry no time.
pub(super) struct Tarball {
    builder: Builder<Vec<u8>>,
    directories: Vec<PathBuf>,
}

impl Tarball {
    pub(super) fn new() -> Self {
        Self {
            builder: Builder::new(Vec::new()),
            directories: Vec::new(),
        }
    }

    /// Adds a directory and those above it, unless they are there.
    pub(super) fn directory(&mut self, path: &Path) -> io::Result<()> {
        if path == Path::new("/") || self.has(path) {
            return Ok(());
        }
        self.directory_of(path, 0o755, (0, 0))
    }

    /// Adds a directory with a mode and an owner, and those above it.
    pub(super) fn directory_of(
        &mut self,
        path: &Path,
        mode: u32,
        owner: (u32, u32),
    ) -> io::Result<()> {
        self.above(path)?;
        let path = relative(path);
        self.directories.push(path.to_owned());
        let mut header = header(EntryType::Directory, mode, 0);
        header.set_uid(owner.0.into());
        header.set_gid(owner.1.into());
        self.builder.append_data(&mut header, path, io::empty())
    }

    /// Adds an executable file of `size` bytes.
    pub(super) fn file(&mut self, path: &Path, size: u64, content: impl Read) -> io::Result<()> {
        self.above(path)?;
        let mut header = header(EntryType::Regular, 0o755, size);
        self.builder
            .append_data(&mut header, relative(path), content)
    }

    /// Adds a symbolic link that says `target`.
    pub(super) fn link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        self.above(path)?;
        let mut header = header(EntryType::Symlink, 0o777, 0);
        self.builder
            .append_link(&mut header, relative(path), target)
    }

    /// The name of this content: enough of its SHA-256 that two never meet.
    pub(super) fn digest(&self) -> String {
        let digest = Sha256::digest(self.builder.get_ref());
        digest
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    pub(super) fn into_bytes(self) -> Bytes {
        // Writing to a Vec cannot fail, and the trailer is two blocks of zeros.
        self.builder
            .into_inner()
            .map(Bytes::from)
            .unwrap_or_default()
    }

    fn has(&self, path: &Path) -> bool {
        let path = relative(path);
        path.as_os_str().is_empty() || self.directories.iter().any(|known| known == path)
    }

    fn above(&mut self, path: &Path) -> io::Result<()> {
        path.parent()
            .map_or(Ok(()), |parent| self.directory(parent))
    }
}

fn relative(path: &Path) -> &Path {
    path.strip_prefix("/").unwrap_or(path)
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(content: &str) -> Tarball {
        let mut tarball = Tarball::new();
        let bytes = content.as_bytes();
        tarball
            .file(Path::new("/usr/bin/x"), bytes.len() as u64, bytes)
            .unwrap();
        tarball
            .link(Path::new("/bin"), Path::new("usr/bin"))
            .unwrap();
        tarball
    }

    #[test]
    fn the_same_content_has_the_same_name_and_another_has_another() {
        assert_eq!(sample("a").digest(), sample("a").digest());
        assert_ne!(sample("a").digest(), sample("b").digest());
    }

    #[test]
    fn directories_come_before_what_is_in_them_and_once() {
        let mut tarball = sample("a");
        tarball.directory(Path::new("/usr/bin")).unwrap();
        let bytes = tarball.into_bytes();
        let mut archive = tar::Archive::new(&bytes[..]);
        let paths: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                entry
                    .unwrap()
                    .path()
                    .unwrap()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        assert_eq!(paths, ["usr", "usr/bin", "usr/bin/x", "bin"]);
    }
}
