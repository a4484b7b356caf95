//! A session's audit files on the disk: appends whole lines to the one that is written, and puts
//! it aside when it is full. Knows nothing of what a line says.
//!
//! Everything is done below a directory that was opened once, and no link is followed: what else
//! somebody puts in the place of a file is not written to.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, renameat};
use nix::sys::stat::{FileStat, Mode, fstatat};

use crate::api::audit_file_name;

/// How much a session's audit files may take.
#[derive(Debug, Clone, Copy)]
pub(in crate::proxy) struct Bounds {
    /// Bytes of one file. A line that is longer still gets a file of its own.
    pub(in crate::proxy) bytes: u64,
    /// Files beside the one that is written; at least one.
    pub(in crate::proxy) older: usize,
}

/// The files.
pub(super) struct Files {
    directory: File,
    bounds: Bounds,
    /// `None` while there is none that can be written.
    current: Option<Current>,
    replaced: bool,
}

struct Current {
    file: File,
    /// Device and inode.
    identity: (u64, u64),
    /// It ends within a line.
    torn: bool,
}

/// Not every line was written.
pub(super) struct Cut {
    /// Bytes that were: whole lines.
    pub(super) written: usize,
    /// Why the next one was not.
    pub(super) error: io::Error,
}

impl Files {
    /// Opens them, and begins the one to write if there is none.
    ///
    /// # Errors
    /// When the directory or the file cannot be opened, is something else (a link, a pipe), or
    /// others may read it.
    pub(super) fn open(directory: &Path, bounds: Bounds) -> io::Result<Self> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let directory = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(directory)?;
        if directory.metadata()?.mode() & 0o077 != 0 {
            return Err(io::Error::other("others may enter its directory"));
        }
        let mut files = Self {
            directory,
            bounds,
            current: None,
            replaced: false,
        };
        files.current = Some(files.begin()?);
        Ok(files)
    }

    /// Appends whole lines, each with one write(2).
    pub(super) fn append(&mut self, lines: &[u8]) -> Result<(), Cut> {
        let mut rest = lines;
        while !rest.is_empty() {
            match self.append_some(rest) {
                Ok(taken) => rest = &rest[taken..],
                Err(error) => {
                    let written = lines.len() - rest.len();
                    return Err(Cut { written, error });
                }
            }
        }
        Ok(())
    }

    /// Whether somebody took away or replaced a file that was being written.
    pub(super) fn was_replaced(&self) -> bool {
        self.replaced
    }

    /// Appends those lines that one file has room for, or puts the file aside if it has none. Says
    /// how many bytes it took.
    fn append_some(&mut self, lines: &[u8]) -> io::Result<usize> {
        let length = self.length()?;
        let room = self.bounds.bytes.saturating_sub(length);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        let some = match lines.get(..room) {
            None => lines,
            Some(fitting) => match (end_of_line(fitting), length) {
                // It fits nowhere: alone it does least harm.
                (0, 0) => first_line(lines),
                (0, _) => {
                    self.put_aside()?;
                    return Ok(0);
                }
                (end, _) => &fitting[..end],
            },
        };
        match &mut self.current {
            Some(current) => current.write(some),
            None => Err(Errno::ENOENT.into()),
        }
    }

    /// The length of the file that is written, which is begun anew if it is not there any more.
    fn length(&mut self) -> io::Result<u64> {
        if let Some(current) = &self.current {
            if let Ok(found) = self.found(0)
                && identity(&found) == current.identity
            {
                return Ok(u64::try_from(found.st_size).unwrap_or(0));
            }
            self.replaced = true;
            self.current = None;
        }
        let current = self.begin()?;
        let length = current.file.metadata()?.len();
        self.current = Some(current);
        Ok(length)
    }

    /// Opens the file to write, made 0600 if it is not there.
    fn begin(&self) -> io::Result<Current> {
        // O_NONBLOCK: a pipe in its place must not hold us up before it is seen to be one.
        let flags = OFlag::O_RDWR
            | OFlag::O_APPEND
            | OFlag::O_CREAT
            | OFlag::O_NOFOLLOW
            | OFlag::O_NONBLOCK
            | OFlag::O_CLOEXEC;
        let name = audit_file_name(0);
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let file = match openat(&self.directory, name.as_str(), flags, mode) {
            Ok(file) => File::from(file),
            Err(Errno::ELOOP) => return Err(io::Error::other("a link is in its place")),
            Err(error) => return Err(error.into()),
        };
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(
                "it must be a plain file that only its owner may read",
            ));
        }
        let mut last = [b'\n'];
        if let Some(at) = metadata.len().checked_sub(1) {
            file.read_exact_at(&mut last, at)?;
        }
        Ok(Current {
            file,
            identity: (metadata.dev(), metadata.ino()),
            torn: last != [b'\n'],
        })
    }

    /// Makes every file older by one, the one that is written included, and begins the next. The
    /// oldest goes where there is no room for it.
    fn put_aside(&mut self) -> io::Result<()> {
        let oldest = self.bounds.older.max(1);
        // Whoever took one away, or a turn that was cut short, left a place.
        let free = (1..oldest).find(|age| self.found(*age).is_err());
        for age in (0..free.unwrap_or(oldest)).rev() {
            let (from, to) = (audit_file_name(age), audit_file_name(age + 1));
            renameat(&self.directory, from.as_str(), &self.directory, to.as_str())?;
        }
        self.current = None;
        self.current = Some(self.begin()?);
        Ok(())
    }

    fn found(&self, age: usize) -> nix::Result<FileStat> {
        let name = audit_file_name(age);
        fstatat(&self.directory, name.as_str(), AtFlags::AT_SYMLINK_NOFOLLOW)
    }
}

impl Current {
    /// Writes as much of these lines as one write(2) takes, and says how many bytes of whole lines
    /// those are. Of a line that was cut, the rest is not written behind it: it is written again.
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let ending: &[u8] = if self.torn { b"\n" } else { b"" };
        let bytes = match ending {
            [] => Cow::Borrowed(lines),
            ending => Cow::Owned([ending, lines].concat()),
        };
        let written = loop {
            match self.file.write(&bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.torn = match written {
            0 => self.torn,
            written => bytes[written - 1] != b'\n',
        };
        let whole = end_of_line(&bytes[..written]);
        match whole.saturating_sub(ending.len()) {
            0 => Err(io::ErrorKind::StorageFull.into()),
            whole => Ok(whole),
        }
    }
}

/// Behind the last whole line.
fn end_of_line(bytes: &[u8]) -> usize {
    let end = bytes.iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

fn first_line(lines: &[u8]) -> &[u8] {
    let end = lines.iter().position(|byte| *byte == b'\n');
    &lines[..end.map_or(lines.len(), |end| end + 1)]
}

fn identity(found: &FileStat) -> (u64, u64) {
    (found.st_dev, found.st_ino)
}
