//! Finding sessions: reads the runtime directory and nothing else. A record is believed only when
//! it belongs to the directory it lies in.

use std::fs::{self, File};
use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use nix::fcntl::{FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::Uid;

use super::credentials::{Credentials, CredentialsError};
use super::dir::{LOCK, RECORD, control_socket, try_lock};
use super::layout::{LayoutError, RuntimeDir, is_private, open_private};
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

/// The sessions that are live, in no order. The sockets are asked before anything is read: there
/// may be a thousand that were left behind, and of those nothing else is looked at.
pub async fn live(runtime: &RuntimeDir) -> Vec<Found> {
    let candidates = candidates(runtime, &ids(runtime));
    let answers = join_all(candidates.iter().map(Found::is_live)).await;
    let candidates = candidates.into_iter().zip(answers);
    candidates
        .filter_map(|(found, lives)| lives.then_some(found))
        .collect()
}

/// As many sessions as are worth a thread of their own: to learn that one is dead takes about
/// twelve microseconds, all of them in the kernel.
const WORTH_A_THREAD: usize = 256;

/// Those of these sessions that may be live.
fn candidates(runtime: &RuntimeDir, ids: &[SessionId]) -> Vec<Found> {
    if ids.len() > WORTH_A_THREAD {
        let (some, others) = ids.split_at(ids.len() / 2);
        return thread::scope(|scope| {
            let others = scope.spawn(|| candidates(runtime, others));
            let mut found = candidates(runtime, some);
            found.extend(others.join().unwrap_or_else(|panic| resume_unwind(panic)));
            found
        });
    }
    let mut prober = unix::Prober::default();
    let mut may_live = |id: SessionId| {
        let socket = control_socket(&runtime.path().join(id.as_str()));
        // Refused, while the launcher lives: the session may answer on its port.
        prober.ask(&socket) != unix::Heard::Refusal || !lock_is_free(runtime.directory(), id)
    };
    let may_live = ids.iter().copied().filter(|id| may_live(*id));
    may_live.filter_map(|id| find(runtime, id)).collect()
}

/// As [`Found::lock_is_free`], without opening the session's directory.
fn lock_is_free(runtime: &File, id: SessionId) -> bool {
    let lock = Path::new(id.as_str()).join(LOCK);
    matches!(
        try_lock(runtime, &lock, FlockArg::LockSharedNonblock),
        Ok(Some(_))
    )
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

    /// Where the session's launcher answers other terminals, if it has a sandbox.
    pub fn keeper_socket(&self) -> PathBuf {
        self.dir.join(super::dir::KEEPER_SOCKET)
    }

    /// The mTLS port, if the session has one.
    pub fn control_tcp(&self) -> Option<SocketAddr> {
        self.record.control.tcp
    }

    /// Whether the control plane answers: on its socket, or else on its TCP port with a
    /// certificate of this session's CA (a port alone may be anybody's by now). A session whose
    /// socket is dead and whose launcher is gone is not asked twice: there may be hundreds.
    pub async fn is_live(&self) -> bool {
        let socket = self.control_socket();
        if socket.as_deref().is_some_and(unix::answers) {
            return true;
        }
        match self.control_tcp() {
            // On another machine, to which the way may be lost for a while: its launcher on this one
            // knows.
            Some(_) if socket.is_none() && unix::answers(&self.keeper_socket()) => true,
            Some(addr) if socket.is_none() || !self.lock_is_free() => self.tcp_answers(addr).await,
            _ => false,
        }
    }

    /// Whether the launcher is gone: nobody holds the session's lock.
    pub fn lock_is_free(&self) -> bool {
        // Shared, so that two who look at the same time do not see each other.
        let how = FlockArg::LockSharedNonblock;
        self.open()
            .is_ok_and(|directory| matches!(try_lock(&directory, LOCK.as_ref(), how), Ok(Some(_))))
    }

    /// Waits until the launcher is gone. To be called where waiting holds up nothing else: only the
    /// end of the launcher ends it (flock(2)).
    pub fn wait_until_free(&self) {
        if let Ok(directory) = self.open() {
            let _ = try_lock(&directory, LOCK.as_ref(), FlockArg::LockShared);
        }
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
    if !is_private(runtime.directory(), id.as_str().as_ref()) {
        return None;
    }
    let record = Record::parse(&read_record(runtime.directory(), id)?).ok()?;
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

fn read_record(runtime: &File, id: SessionId) -> Option<Vec<u8>> {
    // Nonblocking, so that a FIFO that stands there does not hold us.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    let path = Path::new(id.as_str()).join(RECORD);
    let mut file = File::from(openat(runtime, &path, flags, Mode::empty()).ok()?);
    let found = fstat(&file).ok()?;
    let is_file = SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG;
    let length = usize::try_from(found.st_size).ok()?;
    if !is_file || found.st_uid != Uid::effective().as_raw() || length > Record::MAX_BYTES {
        return None;
    }
    // It was put there complete, by rename: the length that it has is the length that it keeps.
    let mut content = vec![0; length];
    file.read_exact(&mut content).ok()?;
    Some(content)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Home, record};
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(home: &Home) -> Vec<String> {
        let mut names: Vec<_> = discover(&home.runtime)
            .into_iter()
            .map(|found| found.record.name)
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_session_is_found_when_it_is_announced_and_not_before() {
        let home = Home::new();
        let session = home.starting();
        assert!(discover(&home.runtime).is_empty());
        session.announce(&record(&session, "web", None)).unwrap();
        let found = discover(&home.runtime).pop().unwrap();
        assert_eq!(found.record, record(&session, "web", None));
        assert_eq!(found.dir(), session.path());
        assert_eq!(found.control_socket(), Some(session.control_socket()));
    }

    #[tokio::test]
    async fn a_session_is_live_while_its_control_plane_answers() {
        let home = Home::new();
        let live = home.live("web", None);
        let found = discover(&home.runtime).pop().unwrap();
        assert!(found.is_live().await);
        assert!(!found.lock_is_free());
        drop(live);
        assert!(!found.is_live().await);
        assert!(found.lock_is_free());
    }

    #[tokio::test]
    async fn a_session_that_offers_no_way_in_is_not_live() {
        let home = Home::new();
        let session = home.starting();
        let mut record = record(&session, "web", None);
        record.control.socket = None;
        session.announce(&record).unwrap();
        assert!(!discover(&home.runtime).pop().unwrap().is_live().await);
    }

    #[tokio::test]
    async fn a_port_that_somebody_else_took_over_does_not_make_a_session_live() {
        let home = Home::new();
        let session = home.starting();
        let stranger = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut record = record(&session, "web", None);
        record.control = crate::session::Control {
            socket: None,
            tcp: Some(stranger.local_addr().unwrap()),
        };
        session.announce(&record).unwrap();
        assert!(!discover(&home.runtime).pop().unwrap().is_live().await);
    }

    #[tokio::test]
    async fn a_record_that_names_another_session_is_not_believed() {
        let home = Home::new();
        let (victim, liar) = (home.live("victim", None), home.starting());
        let mut lie = record(&liar, "liar", None);
        let lies = [
            {
                lie.control.socket = Some(victim.dir.control_socket());
                lie.clone()
            },
            {
                lie.control.socket = Some("/var/run/docker.sock".into());
                lie.clone()
            },
            {
                lie.control.socket = Some("control.sock".into());
                lie.clone()
            },
            {
                lie.control.socket = Some(liar.control_socket());
                lie.id = victim.dir.id();
                lie.clone()
            },
        ];
        for lie in lies {
            fs::write(liar.path().join(RECORD), serde_json::to_vec(&lie).unwrap()).unwrap();
            assert_eq!(names(&home), ["victim"], "{lie:?}");
        }
    }

    #[tokio::test]
    async fn the_runtime_directory_may_go_by_another_name_in_a_record() {
        let home = Home::new();
        let _live = home.live("web", None);
        let alias = home.dir.path().join("alias");
        symlink(home.dir.path(), &alias).unwrap();
        let through = RuntimeDir::open_at(&alias.join("vibepit"));
        // The base itself must be real; anything above it may be a link.
        assert!(through.is_err());
        fs::create_dir(home.dir.path().join("above")).unwrap();
        fs::rename(home.runtime.path(), home.dir.path().join("above/vibepit")).unwrap();
        symlink(home.dir.path().join("above/vibepit"), home.runtime.path()).unwrap();
        let moved = RuntimeDir::open_at(&home.dir.path().join("above/vibepit"))
            .unwrap()
            .unwrap();
        let found = discover(&moved).pop().unwrap();
        assert!(found.is_live().await);
        assert!(found.control_socket().unwrap().starts_with(moved.path()));
    }

    #[tokio::test]
    async fn what_is_no_session_is_passed_over() {
        let home = Home::new();
        let _live = home.live("web", None);
        let at = |name: &str| home.runtime.path().join(name);
        fs::write(at("0123456789abcdef"), "").unwrap();
        fs::create_dir(at("not-an-id")).unwrap();
        symlink(home.runtime.path(), at("aaaaaaaaaaaaaaaa")).unwrap();
        // A directory whose mode lets others in.
        fs::create_dir(at("bbbbbbbbbbbbbbbb")).unwrap();
        assert_eq!(names(&home), ["web"]);
    }

    #[tokio::test]
    async fn a_session_json_that_is_not_a_small_file_is_passed_over() {
        let home = Home::new();
        let session = home.starting();
        let path = session.path().join(RECORD);
        let content = serde_json::to_vec(&record(&session, "web", None)).unwrap();

        fs::write(
            &path,
            [&content[..], &vec![b' '; Record::MAX_BYTES]].concat(),
        )
        .unwrap();
        assert!(discover(&home.runtime).is_empty());
        fs::write(&path, &content).unwrap();
        assert_eq!(names(&home), ["web"]);

        fs::rename(&path, session.path().join("elsewhere")).unwrap();
        symlink("elsewhere", &path).unwrap();
        assert!(discover(&home.runtime).is_empty());
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR).unwrap();
        assert!(discover(&home.runtime).is_empty());
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(discover(&home.runtime).is_empty());
    }

    #[tokio::test]
    async fn a_socket_that_was_replaced_by_a_symbolic_link_is_not_live() {
        let home = Home::new();
        let (victim, session) = (home.live("victim", None), home.starting());
        symlink(victim.dir.control_socket(), session.control_socket()).unwrap();
        session.announce(&record(&session, "web", None)).unwrap();
        let found = find(&home.runtime, session.id()).unwrap();
        assert!(!found.is_live().await);
    }
}
