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
/// Files that are mounted into a sandbox, each by itself.
pub(super) const GIT_CONFIG: &str = "gitconfig";
pub(super) const SSH_CONFIG: &str = "ssh_config";
pub(super) const PROGRAM: &str = "vibepit";
pub(super) const FILTER: &str = "filter.json";
pub(super) const KEEPER_SOCKET: &str = "keeper.sock";
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

    /// Where its launcher answers other terminals: in no directory that is mounted.
    pub fn keeper_socket(&self) -> PathBuf {
        self.path.join(KEEPER_SOCKET)
    }

    /// Where the file is that tells the sandbox its name server: this file alone is mounted.
    pub fn resolv_conf(&self) -> PathBuf {
        self.path.join(RESOLV_CONF)
    }

    /// Where the file is that git reads in the sandbox: this file alone is mounted.
    pub fn git_config(&self) -> PathBuf {
        self.path.join(GIT_CONFIG)
    }

    /// The same for ssh.
    pub fn ssh_config(&self) -> PathBuf {
        self.path.join(SSH_CONFIG)
    }

    /// Where the script is that starts vibepit in the sandbox: this file alone is mounted.
    pub fn program(&self) -> PathBuf {
        self.path.join(PROGRAM)
    }

    /// Where the file is that tells an engine which kernel calls the sandbox may make, for engines
    /// that read it from one.
    pub fn filter(&self) -> PathBuf {
        self.path.join(FILTER)
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

/// Takes the lock of a session, at `lock` in `directory`, without waiting. `Ok(None)`: its launcher lives. A missing lock
/// file is nobody's, and `Ok(Some(None))`.
pub(super) fn try_lock(
    directory: impl AsFd,
    lock: &Path,
    how: FlockArg,
) -> Result<Option<Option<Flock<File>>>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = match openat(directory, lock, flags, Mode::empty()) {
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Home, record};
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    #[tokio::test]
    async fn every_part_of_a_session_is_closed_to_others() {
        let home = Home::new();
        let session = home.live("web", None).dir;
        for (path, expected) in [
            (session.path().to_owned(), 0o700),
            (session.socket_dir(), 0o700),
            (session.path().join("lock"), 0o600),
            (session.path().join("session.json"), 0o600),
            (session.control_socket(), 0o600),
        ] {
            assert_eq!(mode(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn the_lock_is_held_for_as_long_as_the_session_is() {
        let home = Home::new();
        let session = home.starting();
        let path = session.path().to_owned();
        let is_held = || {
            let directory = File::open(&path).unwrap();
            try_lock(&directory, LOCK.as_ref(), FlockArg::LockExclusiveNonblock)
                .unwrap()
                .is_none()
        };
        assert!(is_held());
        drop(session);
        assert!(!is_held());
    }

    #[test]
    fn an_id_is_given_once() {
        let home = Home::new();
        let session = home.starting();
        let again = SessionDir::create(&home.runtime, &session.id()).unwrap_err();
        assert!(again.to_string().contains(session.id().as_str()), "{again}");
    }

    #[test]
    fn only_its_own_record_is_announced() {
        let home = Home::new();
        let (session, other) = (home.starting(), home.starting());
        session.announce(&record(&other, "web", None)).unwrap_err();
        let mut elsewhere = record(&session, "web", None);
        elsewhere.control.socket = Some(other.control_socket());
        session.announce(&elsewhere).unwrap_err();
        assert!(!session.path().join("session.json").exists());
    }

    #[test]
    fn what_is_announced_again_replaces_what_was() {
        let home = Home::new();
        let session = home.starting();
        session.announce(&record(&session, "before", None)).unwrap();
        session.announce(&record(&session, "after", None)).unwrap();
        let content = fs::read(session.path().join("session.json")).unwrap();
        assert_eq!(Record::parse(&content).unwrap().name, "after");
        assert!(!session.path().join(RECORD_IN_WRITING).exists());
    }

    #[tokio::test]
    async fn removing_leaves_nothing() {
        let home = Home::new();
        let session = home.live("web", None).dir;
        session
            .write_credentials(&Credentials {
                ca: "".into(),
                cert: "".into(),
                key: "".into(),
            })
            .unwrap();
        let path = session.path().to_owned();
        session.remove().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn removing_takes_nothing_that_is_not_vibepits_and_says_what_is_left() {
        let home = Home::new();
        let session = home.starting();
        let precious = session.path().join("precious");
        fs::write(&precious, "").unwrap();
        let path = session.path().to_owned();
        let error = session.remove().unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()), "{error}");
        assert!(precious.exists());
    }

    #[test]
    fn removing_follows_no_symbolic_link() {
        let home = Home::new();
        let outside = home.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        drop(std::os::unix::net::UnixListener::bind(outside.join("control.sock")).unwrap());
        let session = home.starting();
        fs::remove_dir(session.socket_dir()).unwrap();
        symlink(&outside, session.socket_dir()).unwrap();
        session.remove().unwrap_err();
        assert!(outside.join("control.sock").exists());
    }
}
