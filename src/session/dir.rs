//! One session's directory, as its launcher sees it: made, locked, filled, announced, removed.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, openat, renameat};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::credentials::{Credentials, create_private};
use super::layout::{LayoutError, RuntimeDir, open_private};
use super::reap::clear;
use super::{Record, SessionId};

pub(super) const RECORD: &str = "session.json";
pub(super) const RECORD_IN_WRITING: &str = ".session.json.new";
pub(super) const LOCK: &str = "lock";
pub(super) const SOCKET_DIR: &str = "socket";
pub(super) const RESOLV_CONF: &str = "resolv.conf";
const CONTROL_SOCKET: &str = "control.sock";

/// The directory of a session that we launch. Its lock is held for as long as the value lives,
/// and goes with the process when that is killed.
#[derive(Debug)]
pub struct SessionDir {
    id: SessionId,
    path: PathBuf,
    parent: File,
    directory: File,
    _lock: Flock<File>,
}

impl SessionDir {
    /// Makes the directory and takes its lock. It is not announced yet.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when a session with this id is there already, and when the kernel refuses.
    pub fn create(runtime: &RuntimeDir, id: &SessionId) -> Result<Self, LayoutError> {
        let path = runtime.path().join(id.as_str());
        let failed = |doing| {
            let path = &path;
            move |error: Errno| LayoutError::io(doing, path, error)
        };
        let parent = runtime
            .directory()
            .try_clone()
            .map_err(|error| LayoutError::io("hold open", runtime.path(), error))?;
        // A reaper waits until the lock stands: it would take the bare directory for a leftover.
        let _no_reaper = hold_back_reapers(runtime)?;
        mkdirat(&parent, id.as_str(), Mode::S_IRWXU).map_err(failed("create"))?;
        let directory = open_private(&parent, id.as_str().as_ref(), &path)?;
        let lock = create_private(&directory, LOCK)
            .map_err(|error| LayoutError::io("lock", &path, error))?;
        let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, error)| LayoutError::io("lock", &path, error))?;
        mkdirat(&directory, SOCKET_DIR, Mode::S_IRWXU).map_err(failed("create socket/ in"))?;
        Ok(Self {
            id: *id,
            path,
            parent,
            directory,
            _lock: lock,
        })
    }

    /// The session's id.
    pub fn id(&self) -> SessionId {
        self.id
    }

    /// The directory's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The part that may be mounted into the proxy's container, and into nothing else.
    pub fn socket_dir(&self) -> PathBuf {
        self.path.join(SOCKET_DIR)
    }

    /// Where the control socket is to be.
    pub fn control_socket(&self) -> PathBuf {
        control_socket(&self.path)
    }

    /// Where the file is that tells the sandbox its name server: this file alone is mounted.
    pub fn resolv_conf(&self) -> PathBuf {
        self.path.join(RESOLV_CONF)
    }

    /// Writes the client's key material, once.
    ///
    /// # Errors
    ///
    /// When it is there already, and when the kernel refuses.
    pub fn write_credentials(&self, credentials: &Credentials) -> Result<(), LayoutError> {
        credentials
            .write_to(&self.directory)
            .map_err(|error| LayoutError::io("write the credentials to", &self.path, error))
    }

    /// Announces the session: from now on it is found. To be called when its control plane
    /// answers; called again, it replaces what was announced.
    ///
    /// # Errors
    ///
    /// When the record is not this session's, or its project directory is not UTF-8, and when the
    /// kernel refuses.
    pub fn announce(&self, record: &Record) -> Result<(), LayoutError> {
        let failed = |error| LayoutError::io("announce the session in", &self.path, error);
        if record.id != self.id
            || record
                .control
                .socket
                .as_ref()
                .is_some_and(|path| *path != self.control_socket())
        {
            return Err(failed(std::io::Error::other(
                "the record names another session",
            )));
        }
        let content = serde_json::to_vec(record).map_err(|error| failed(error.into()))?;
        let _ = unlinkat(
            &self.directory,
            RECORD_IN_WRITING,
            UnlinkatFlags::NoRemoveDir,
        );
        create_private(&self.directory, RECORD_IN_WRITING)
            .and_then(|mut file| file.write_all(&content))
            .and_then(|()| {
                Ok(renameat(
                    &self.directory,
                    RECORD_IN_WRITING,
                    &self.directory,
                    RECORD,
                )?)
            })
            .map_err(failed)
    }

    /// Reads the client's key material back.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`](super::CredentialsError) when it is missing or open to others.
    pub fn read_credentials(&self) -> Result<Credentials, super::CredentialsError> {
        Credentials::read_from(&self.directory, &self.path)
    }

    /// Removes the directory, and with it the session from every list.
    ///
    /// # Errors
    ///
    /// When it holds things that vibepit did not put there, and when the kernel refuses.
    pub fn remove(self) -> Result<(), LayoutError> {
        clear(&self.parent, self.id, &self.directory, &self.path)
    }
}

pub(super) fn control_socket(session: &Path) -> PathBuf {
    session.join(SOCKET_DIR).join(CONTROL_SOCKET)
}

/// Excludes the making and the reaping of sessions from each other, for the moment either takes.
pub(super) fn hold_back_reapers(runtime: &RuntimeDir) -> Result<Flock<File>, LayoutError> {
    let failed = |error| LayoutError::io("lock", runtime.path(), error);
    // Opened anew: flock(2) locks belong to the open file description.
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let own = openat(runtime.directory(), ".", flags, Mode::empty()).map_err(failed)?;
    Flock::lock(File::from(own), FlockArg::LockExclusive).map_err(|(_, error)| failed(error))
}

/// Takes the lock of a session without waiting. `Ok(None)`: its launcher lives. A missing lock
/// file is nobody's, and `Ok(Some(None))`.
pub(super) fn try_lock(
    directory: impl AsFd,
    how: FlockArg,
) -> Result<Option<Option<Flock<File>>>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, LOCK, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::ENOENT) => return Ok(Some(None)),
        Err(error) => return Err(error),
    };
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(Some(lock))),
        Err((_, Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}
