//! Finding sessions: reads the runtime directory and nothing else. A record is believed only when
//! it belongs to the directory it lies in.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::{FlockArg, OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::Uid;

use super::credentials::{Credentials, CredentialsError};
use super::dir::{RECORD, control_socket, try_lock};
use super::layout::{LayoutError, RuntimeDir, open_private};
use super::{Record, SessionId};
use crate::transport::{tls, unix};

/// How long a TCP control port may take to prove itself.
const PATIENCE: Duration = Duration::from_secs(2);

/// A session that announced itself. Whether it still lives, [`is_live`](Self::is_live) tells.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it announced.
    pub record: Record,
    dir: PathBuf,
}

/// Every session that announced itself and whose record can be used, in no order, the dead ones
/// included. What cannot be used is passed over: the reaper takes it when its launcher is gone.
pub fn discover(runtime: &RuntimeDir) -> Vec<Found> {
    ids(runtime)
        .into_iter()
        .filter_map(|id| find(runtime, id))
        .collect()
}

impl Found {
    /// The session's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The control socket, if the session has one.
    pub fn control_socket(&self) -> Option<PathBuf> {
        self.record
            .control
            .socket
            .as_ref()
            .map(|_| control_socket(&self.dir))
    }

    /// The mTLS port, if the session has one.
    pub fn control_tcp(&self) -> Option<SocketAddr> {
        self.record.control.tcp
    }

    /// Whether the control plane answers: on its socket, or, when it has none, on its TCP port
    /// with a certificate of this session's CA (a port alone may be anybody's by now).
    pub async fn is_live(&self) -> bool {
        match (self.control_socket(), self.control_tcp()) {
            (Some(socket), _) => unix::answers(&socket),
            (None, Some(addr)) => self.tcp_answers(addr).await,
            (None, None) => false,
        }
    }

    /// Whether the launcher is gone: nobody holds the session's lock.
    pub fn lock_is_free(&self) -> bool {
        self.open().is_ok_and(|directory| {
            // Shared, so that two who look at the same time do not see each other.
            matches!(
                try_lock(&directory, FlockArg::LockSharedNonblock),
                Ok(Some(_))
            )
        })
    }

    /// Reads the key material for the TCP port.
    ///
    /// # Errors
    ///
    /// [`CredentialsError`] when a part is missing, somebody else's, or open to others.
    pub fn read_credentials(&self) -> Result<Credentials, CredentialsError> {
        let directory = self.open().map_err(|error| CredentialsError::Io {
            path: self.dir.clone(),
            source: std::io::Error::other(error),
        })?;
        Credentials::read_from(&directory, &self.dir)
    }

    fn open(&self) -> Result<File, LayoutError> {
        open_private(nix::fcntl::AT_FDCWD, self.dir.as_os_str(), &self.dir)
    }

    async fn tcp_answers(&self, addr: SocketAddr) -> bool {
        let Ok(ours) = self.read_credentials() else {
            return false;
        };
        let Ok(config) = tls::client_config(&ours.ca, &ours.cert, &ours.key) else {
            return false;
        };
        matches!(
            tokio::time::timeout(PATIENCE, tls::connect(addr, config)).await,
            Ok(Ok(_))
        )
    }
}

/// The ids for which there is a directory, announced or not.
pub(super) fn ids(runtime: &RuntimeDir) -> Vec<SessionId> {
    let Ok(entries) = fs::read_dir(runtime.path()) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// The session with this id, if it announced itself and its record can be used.
pub(super) fn find(runtime: &RuntimeDir, id: SessionId) -> Option<Found> {
    let dir = runtime.path().join(id.as_str());
    let directory = open_private(runtime.directory(), id.as_str().as_ref(), &dir).ok()?;
    let record = Record::parse(&read_record(&directory)?).ok()?;
    let belongs = record.id == id
        && record
            .control
            .socket
            .as_ref()
            .is_none_or(|socket| same_place(socket, &dir));
    belongs.then_some(Found { record, dir })
}

/// Whether a session answers on its socket, whatever its record says of it, or as announced.
pub(super) async fn is_answering(runtime: &RuntimeDir, id: SessionId) -> bool {
    let dir = runtime.path().join(id.as_str());
    if unix::answers(&control_socket(&dir)) {
        return true;
    }
    match find(runtime, id) {
        Some(found) => found.is_live().await,
        None => false,
    }
}

/// Whether `announced` is the control socket of the session in `dir`, perhaps by another name of
/// the runtime directory (/var/run for /run). A record that points elsewhere is not followed.
fn same_place(announced: &Path, dir: &Path) -> bool {
    let own = control_socket(dir);
    if announced == own {
        return true;
    }
    let identity = |path: &Path| {
        let found = fs::metadata(path.parent()?).ok()?;
        Some((found.dev(), found.ino()))
    };
    announced.file_name() == own.file_name()
        && identity(announced).is_some_and(|theirs| Some(theirs) == identity(&own))
}

fn read_record(directory: impl AsFd) -> Option<Vec<u8>> {
    // Nonblocking, so that a FIFO that stands there does not hold us.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let file = File::from(openat(directory, RECORD, flags, Mode::empty()).ok()?);
    let found = file.metadata().ok()?;
    let limit = Record::MAX_BYTES as u64;
    if !found.is_file() || found.uid() != Uid::effective().as_raw() || found.len() > limit {
        return None;
    }
    let mut content = Vec::with_capacity(found.len() as usize + 1);
    file.take(limit + 1).read_to_end(&mut content).ok()?;
    Some(content)
}
