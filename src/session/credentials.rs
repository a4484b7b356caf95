//! The client's half of a session's key material, in three files. Parses no PEM: that is
//! transport's.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::Uid;

/// What a client needs to speak to the control plane over TCP: three PEM texts.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The session's CA certificate.
    pub ca: String,
    /// The client's certificate.
    pub cert: String,
    /// The client's private key.
    pub key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// Why credentials cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Others can read or change the file.
    #[error(
        "{} has mode {mode:04o}, so that others may have used it, and is not used any more: start \
         the session again; one that must go on can be trusted again with: chmod 600 {}",
        path.display(), path.display()
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is somebody else's, or no file.
    #[error("{} is not a file of yours, and is not used", .0.display())]
    NotOurs(PathBuf),
    /// The kernel refused.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

pub(super) const FILES: [&str; 3] = ["ca.pem", "client-cert.pem", "client-key.pem"];

/// A certificate or key has some hundred bytes.
const MAX_BYTES: u64 = 64 * 1024;

impl Credentials {
    pub(super) fn write_to(&self, directory: impl AsFd) -> io::Result<()> {
        for (name, text) in FILES.into_iter().zip([&self.ca, &self.cert, &self.key]) {
            create_private(&directory, name)?.write_all(text.as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn read_from(directory: impl AsFd, path: &Path) -> Result<Self, CredentialsError> {
        let read = |name: &str| read_private(&directory, name, &path.join(name));
        let [ca, cert, key] = FILES;
        Ok(Self {
            ca: read(ca)?,
            cert: read(cert)?,
            key: read(key)?,
        })
    }
}

/// Makes a file that must not exist yet, with mode 0600 from its first moment.
pub(super) fn create_private(directory: impl AsFd, name: &str) -> io::Result<File> {
    let flags =
        OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(directory, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
}

fn read_private(directory: impl AsFd, name: &str, path: &Path) -> Result<String, CredentialsError> {
    let io = |source: io::Error| CredentialsError::Io {
        path: path.to_owned(),
        source,
    };
    // Nonblocking, so that a FIFO that stands there does not hold us.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(directory, name, flags, Mode::empty()).map_err(|e| io(e.into()))?);
    let found = fstat(&file).map_err(|e| io(e.into()))?;
    let kind = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFREG || found.st_uid != Uid::effective().as_raw() {
        return Err(CredentialsError::NotOurs(path.to_owned()));
    }
    if found.st_mode & 0o077 != 0 {
        let mode = found.st_mode & 0o7777;
        return Err(CredentialsError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(io)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Home;
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn some() -> Credentials {
        Credentials {
            ca: "the ca".into(),
            cert: "the cert".into(),
            key: "the key".into(),
        }
    }

    #[test]
    fn what_is_written_reads_back_and_is_closed_to_others() {
        let home = Home::new();
        let dir = home.starting();
        dir.write_credentials(&some()).unwrap();
        assert_eq!(dir.read_credentials().unwrap(), some());
        for name in FILES {
            let mode = fs::symlink_metadata(dir.path().join(name))
                .unwrap()
                .permissions()
                .mode();
            assert_eq!(mode & 0o7777, 0o600, "{name}");
        }
    }

    #[test]
    fn nothing_that_is_there_is_written_over_or_through() {
        let home = Home::new();
        let dir = home.starting();
        let outside = home.dir.path().join("outside");
        symlink(&outside, dir.path().join("client-key.pem")).unwrap();
        dir.write_credentials(&some()).unwrap_err();
        assert!(!outside.exists());
    }

    #[test]
    fn a_key_that_others_can_read_is_not_used() {
        let home = Home::new();
        let dir = home.starting();
        dir.write_credentials(&some()).unwrap();
        let key = dir.path().join("client-key.pem");
        for mode in [0o644, 0o640, 0o660, 0o604] {
            fs::set_permissions(&key, Permissions::from_mode(mode)).unwrap();
            let error = dir.read_credentials().unwrap_err();
            assert!(matches!(error, CredentialsError::Open { .. }), "{error}");
            assert!(error.to_string().contains("client-key.pem"), "{error}");
        }
    }

    #[test]
    fn what_is_not_a_file_is_not_read() {
        let home = Home::new();
        let dir = home.starting();
        dir.write_credentials(&some()).unwrap();
        let key = dir.path().join("client-key.pem");
        fs::rename(&key, dir.path().join("elsewhere")).unwrap();
        symlink("elsewhere", &key).unwrap();
        assert!(matches!(
            dir.read_credentials(),
            Err(CredentialsError::Io { .. })
        ));
        fs::remove_file(&key).unwrap();
        nix::unistd::mkfifo(&key, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert!(matches!(
            dir.read_credentials(),
            Err(CredentialsError::NotOurs(_))
        ));
    }

    #[test]
    fn a_log_never_shows_a_key() {
        assert!(!format!("{:?}", some()).contains("the key"));
    }
}
