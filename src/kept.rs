//! Small files that vibepit keeps: read without following a link, and replaced as a whole. What is
//! in them is their owners' business.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

/// The text of a plain file, of which no more than `most` bytes are read; `None` where there is none.
///
/// # Errors
/// When there is something else than a plain file, or it cannot be read, or is no text.
pub fn read(path: &Path, most: u64) -> io::Result<Option<String>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits())
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    if !file.metadata()?.is_file() {
        return Err(not_plain());
    }
    let mut text = String::new();
    file.take(most).read_to_string(&mut text)?;
    Ok(Some(text))
}

/// Replaces a file, which its owner alone may read: whoever reads sees the old one or the new one,
/// and so does whoever looks after a crash.
///
/// # Errors
/// When there is something else than a plain file, or it cannot be written; the file is as it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
        return Err(not_plain());
    }
    // Of two who write at once each has its own, and the later one stays.
    let temporary = path.with_extension(format!("{}.new", std::process::id()));
    // A crash may have left it.
    let _ = fs::remove_file(&temporary);
    let outcome = fill(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if outcome.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    outcome?;
    // The name is on the disk once its directory is (fsync(2)).
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}

fn fill(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn not_plain() -> io::Error {
    io::Error::other("it is not a plain file")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_a_link_is_neither_read_nor_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file.toml");
        assert_eq!(read(&path, 100).unwrap(), None);
        for content in ["one", "another"] {
            replace(&path, content.as_bytes()).unwrap();
            assert_eq!(read(&path, 100).unwrap().as_deref(), Some(content));
        }
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path, 3).unwrap().as_deref(), Some("ano"));
        let link = directory.path().join("link.toml");
        symlink(&path, &link).unwrap();
        assert!(read(&link, 100).is_err());
        assert!(replace(&link, b"other").is_err());
        assert_eq!(read(&path, 100).unwrap().as_deref(), Some("another"));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
    }
}
