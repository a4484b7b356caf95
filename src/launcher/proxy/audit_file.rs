//! The audit lines of a proxy on another machine, which come over its output, in the files in which
//! a proxy on this machine would write them.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use nix::fcntl::OFlag;

use crate::api::{AUDIT_FILE_MAX, AUDIT_OLDER, audit_file_name};

/// The file that is written.
pub(super) struct AuditFile {
    directory: PathBuf,
    file: File,
    bytes: u64,
}

impl AuditFile {
    /// Opens it for appending.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(OFlag::O_NOFOLLOW.bits())
            .open(directory.join(audit_file_name(0)))?;
        let bytes = file.metadata()?.len();
        Ok(Self {
            directory,
            file,
            bytes,
        })
    }

    /// Appends whole lines with a single write; a full file is put aside first.
    pub(super) fn append(&mut self, lines: &str) -> io::Result<()> {
        if self.bytes > 0 && self.bytes + lines.len() as u64 > AUDIT_FILE_MAX {
            for age in (0..AUDIT_OLDER).rev() {
                let (from, to) = (audit_file_name(age), audit_file_name(age + 1));
                match fs::rename(self.directory.join(from), self.directory.join(to)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            *self = Self::open(self.directory.clone())?;
        }
        self.file.write_all(lines.as_bytes())?;
        self.bytes += lines.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_appended_and_a_full_file_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = AuditFile::open(directory.path().to_owned()).unwrap();
        file.append("{\"a\":1}\n").unwrap();
        file.bytes = AUDIT_FILE_MAX;
        file.append("{\"a\":2}\n").unwrap();
        let read = |age| fs::read_to_string(directory.path().join(audit_file_name(age))).unwrap();
        assert_eq!(
            (read(0), read(1)),
            ("{\"a\":2}\n".into(), "{\"a\":1}\n".into())
        );
    }
}
