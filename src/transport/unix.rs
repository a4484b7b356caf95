//! Unix sockets: listening so that the socket is never open to others, and connecting to nothing
//! but a socket of our own. Paths may be longer than sun_path. Knows nothing of sessions.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, socket};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Bytes that fit into `sun_path` together with the terminating NUL (unix(7)).
const SUN_PATH_MAX: usize = 107;

/// Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: u32 = 1024;

/// A path for connect(2) to a socket that was looked at.
///
/// Keep it alive for as long as the path is used: it leads through its open descriptor.
#[derive(Debug)]
pub struct ReachablePath {
    path: PathBuf,
    _socket: OwnedFd,
}

impl ReachablePath {
    /// The path to give to connect(2). Short, however long the socket's own path is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn short(socket: &Path, directory: &OwnedFd, name: &OsStr) -> io::Result<PathBuf> {
    if socket.as_os_str().len() <= SUN_PATH_MAX {
        return Ok(socket.to_owned());
    }
    let path = through(directory).join(name);
    if path.as_os_str().len() > SUN_PATH_MAX {
        return Err(refuse(
            io::ErrorKind::InvalidFilename,
            socket,
            "has too long a file name",
        ));
    }
    Ok(path)
}

/// Listens on `path`. The socket has mode 0600 from its first moment, and a leftover that nobody
/// listens on is replaced.
///
/// Must be called within a tokio runtime. The file stays when the listener is dropped.
///
/// # Errors
///
/// `AddrInUse` when somebody listens there, `AlreadyExists` when something else than a socket
/// stands there (it is left alone), and what the kernel says otherwise. The text names the path.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (directory, name) = open_parent(path)?;
    clear_leftover(path, &directory, name)?;

    let socket = UnixSocket::new_stream()?;
    // bind(2) gives the file the mode that the socket itself has, less the umask (net/unix:
    // unix_bind_bsd), so that it is born closed without changing the umask of every thread.
    fchmod(&socket, Mode::S_IRUSR | Mode::S_IWUSR)?;
    socket
        .bind(short(path, &directory, name)?)
        .map_err(|error| with_path(error, path, "cannot listen on"))?;

    let made = fstatat(&directory, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
    if made.st_mode & 0o177 != 0 {
        unlinkat(&directory, name, UnlinkatFlags::NoRemoveDir)?;
        return Err(refuse(
            io::ErrorKind::Unsupported,
            path,
            "would be open to other users: its file system does not keep modes",
        ));
    }
    socket.listen(BACKLOG)
}

/// Connects to the socket at `path`, which must be a socket, not a symbolic link to one, and
/// belong to us.
///
/// # Errors
///
/// `NotFound` or `ConnectionRefused` when nobody listens there, `PermissionDenied` when it is
/// somebody else's, `InvalidInput` when it is no socket, `WouldBlock` when its queue is full.
pub async fn connect(path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(own_socket(path)?.path()).await
}

/// A path that leads to the very socket that [`connect`] would connect to, for whoever connects
/// by path.
///
/// # Errors
///
/// As [`connect`], but for what only connecting tells.
pub fn own_socket(path: &Path) -> io::Result<ReachablePath> {
    let socket = open_own_socket(path)?;
    // Through the descriptor: what was looked at is what is connected to, and no path is too long.
    Ok(ReachablePath {
        path: through(&socket),
        _socket: socket,
    })
}

/// Whether somebody listens on the socket at `path`, told by connecting to it and closing again.
/// Never waits. The same conditions as for [`connect`] hold; what does not meet them is `false`.
pub fn answers(path: &Path) -> bool {
    // Most sockets that are asked about are dead, so what is alive is looked at afterwards.
    Prober::default().ask(path) == Heard::Listener && open_own_socket(path).is_ok()
}

/// What a [`Prober`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Somebody listens; whether it is one of ours remains to be seen.
    Listener,
    /// A socket that nobody listens on.
    Refusal,
    /// No socket, or none that can be connected to.
    Nothing,
}

/// Asks one socket after the other whether somebody listens. To learn that nobody does takes one
/// system call: a socket whose connect(2) failed is as good as new.
#[derive(Debug, Default)]
pub struct Prober(Option<OwnedFd>);

impl Prober {
    /// Asks the socket at `path`. Never waits.
    pub fn ask(&mut self, path: &Path) -> Heard {
        let heard = if path.as_os_str().len() <= SUN_PATH_MAX {
            self.probe(path)
        } else {
            open_own_socket(path).and_then(|socket| self.probe(&through(&socket)))
        };
        match heard {
            Ok(true) => Heard::Listener,
            Ok(false) => Heard::Refusal,
            Err(_) => Heard::Nothing,
        }
    }

    /// True when somebody listens, false when nobody does.
    fn probe(&mut self, path: &Path) -> io::Result<bool> {
        let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
        let prober = match self.0.take() {
            Some(socket) => socket,
            None => socket(AddressFamily::Unix, SockType::Stream, flags, None)?,
        };
        match nix::sys::socket::connect(prober.as_raw_fd(), &UnixAddr::new(path)?) {
            // Closed by being dropped.
            Ok(()) => Ok(true),
            // A full backlog: alive, and busy.
            Err(Errno::EAGAIN) => Ok(true),
            Err(error) => {
                self.0 = Some(prober);
                match error {
                    Errno::ECONNREFUSED => Ok(false),
                    error => Err(error.into()),
                }
            }
        }
    }
}

fn open_own_socket(path: &Path) -> io::Result<OwnedFd> {
    let socket = open(
        path,
        OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC,
        Mode::empty(),
    )?;
    let found = fstat(&socket)?;
    if !is_socket(&found) {
        return Err(refuse(io::ErrorKind::InvalidInput, path, "is not a socket"));
    }
    if found.st_uid != Uid::effective().as_raw() {
        return Err(refuse(
            io::ErrorKind::PermissionDenied,
            path,
            "belongs to another user",
        ));
    }
    Ok(socket)
}

fn clear_leftover(path: &Path, directory: &OwnedFd, name: &OsStr) -> io::Result<()> {
    let found = match fstatat(directory, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Err(Errno::ENOENT) => return Ok(()),
        found => found?,
    };
    if !is_socket(&found) {
        let what = "is there already and is not a socket: move it away, or choose another path";
        return Err(refuse(io::ErrorKind::AlreadyExists, path, what));
    }
    let alive = match Prober::default().probe(&short(path, directory, name)?) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        other => other.map_err(|error| with_path(error, path, "cannot take over"))?,
    };
    if alive {
        let what = "is in use: somebody listens on it";
        return Err(refuse(io::ErrorKind::AddrInUse, path, what));
    }
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(with_path(error.into(), path, "cannot remove the leftover")),
    }
}

fn open_parent(socket: &Path) -> io::Result<(OwnedFd, &OsStr)> {
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else {
        return Err(refuse(
            io::ErrorKind::InvalidInput,
            socket,
            "does not name a socket",
        ));
    };
    let parent = if parent.as_os_str().is_empty() {
        Path::new(".")
    } else {
        parent
    };
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match open(parent, flags, Mode::empty()) {
        Ok(directory) => Ok((directory, name)),
        Err(Errno::ENOTDIR | Errno::ELOOP) => Err(refuse(
            io::ErrorKind::NotADirectory,
            parent,
            "is a symbolic link or no directory: name the real directory of the socket",
        )),
        Err(error) => Err(with_path(error.into(), parent, "cannot open")),
    }
}

fn through(descriptor: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", descriptor.as_fd().as_raw_fd()))
}

fn is_socket(found: &FileStat) -> bool {
    SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
}

fn refuse(kind: io::ErrorKind, path: &Path, what: &str) -> io::Error {
    io::Error::new(kind, format!("{} {what}", path.display()))
}

fn with_path(error: io::Error, path: &Path, doing: &str) -> io::Error {
    io::Error::new(error.kind(), format!("{doing} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn long(below: &Path) -> PathBuf {
        let mut path = below.to_owned();
        for _ in 0..3 {
            path.push("d".repeat(100));
        }
        fs::create_dir_all(&path).unwrap();
        path.join("control.sock")
    }

    /// A socket file whose listener is gone.
    fn dead(path: &Path) {
        drop(std::os::unix::net::UnixListener::bind(path).unwrap());
    }

    async fn speak(listener: &UnixListener, path: &Path) {
        let mut client = connect(path).await.unwrap();
        let (mut served, _) = listener.accept().await.unwrap();
        client.write_all(b"hello").await.unwrap();
        let mut heard = [0; 5];
        served.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"hello");
    }

    #[tokio::test]
    async fn the_socket_is_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = listen(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
        speak(&listener, &path).await;
    }

    #[tokio::test]
    async fn a_path_longer_than_sun_path_can_be_listened_on_and_connected_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = long(dir.path());
        assert!(path.as_os_str().len() > 300);
        let listener = listen(&path).unwrap();
        assert_eq!(fs::symlink_metadata(&path).unwrap().mode() & 0o7777, 0o600);
        speak(&listener, &path).await;
        assert!(answers(&path));
        assert_eq!(listen(&path).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(listener);
        assert!(!answers(&path));
        listen(&path).unwrap();
    }

    #[tokio::test]
    async fn paths_around_the_limit_of_sun_path_work() {
        let dir = tempfile::tempdir().unwrap();
        let room = SUN_PATH_MAX - dir.path().as_os_str().len() - "//s".len();
        for length in room - 1..=room + 2 {
            let path = dir.path().join("d".repeat(length)).join("s");
            fs::create_dir(path.parent().unwrap()).unwrap();
            let listener = listen(&path).unwrap();
            speak(&listener, &path).await;
        }
    }

    #[tokio::test]
    async fn a_leftover_that_nobody_listens_on_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        dead(&path);
        let listener = listen(&path).unwrap();
        speak(&listener, &path).await;
    }

    #[tokio::test]
    async fn a_socket_that_somebody_listens_on_is_left_to_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let first = listen(&path).unwrap();
        let error = listen(&path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        assert!(
            error.to_string().contains(path.to_str().unwrap()),
            "{error}"
        );
        // The probe is the first in the queue.
        first.accept().await.unwrap();
        speak(&first, &path).await;
    }

    #[tokio::test]
    async fn what_is_not_a_socket_is_never_removed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("file"), "precious").unwrap();
        fs::create_dir(at("directory")).unwrap();
        dead(&at("dead"));
        symlink(at("dead"), at("link-to-dead")).unwrap();
        symlink(at("nowhere"), at("dangling")).unwrap();
        for name in ["file", "directory", "link-to-dead", "dangling"] {
            let error = listen(&at(name)).unwrap_err();
            assert_eq!(
                error.kind(),
                io::ErrorKind::AlreadyExists,
                "{name}: {error}"
            );
            assert!(at(name).symlink_metadata().is_ok(), "{name}");
        }
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "precious");
        assert!(at("dead").exists());
    }

    #[tokio::test]
    async fn a_directory_that_is_a_symbolic_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let error = listen(&dir.path().join("link/s")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotADirectory);
        assert!(error.to_string().contains("symbolic link"), "{error}");
    }

    #[tokio::test]
    async fn connecting_tells_a_missing_socket_from_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let missing = connect(&dir.path().join("missing")).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        dead(&dir.path().join("dead"));
        let refused = connect(&dir.path().join("dead")).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_prober_asks_one_socket_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (_one, _two) = (listen(&at("one")).unwrap(), listen(&at("two")).unwrap());
        dead(&at("dead"));
        fs::write(at("file"), "").unwrap();
        let deep = long(dir.path());
        drop(listen(&deep).unwrap());
        let mut prober = Prober::default();
        for (path, expected) in [
            (at("dead"), Heard::Refusal),
            (at("dead"), Heard::Refusal),
            (at("one"), Heard::Listener),
            (at("missing"), Heard::Nothing),
            (at("two"), Heard::Listener),
            (at("one"), Heard::Listener),
            (deep.clone(), Heard::Refusal),
            (deep.with_file_name("missing"), Heard::Nothing),
            (at("file"), Heard::Refusal),
            (at("two"), Heard::Listener),
        ] {
            assert_eq!(prober.ask(&path), expected, "{}", path.display());
        }
    }

    #[tokio::test]
    async fn a_client_follows_no_symbolic_link_even_to_a_live_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        let _listener = listen(&real).unwrap();
        symlink(&real, &link).unwrap();
        assert_eq!(
            connect(&link).await.unwrap_err().kind(),
            io::ErrorKind::InvalidInput
        );
        assert!(answers(&real));
        assert!(!answers(&link));
    }

    #[tokio::test]
    async fn a_client_speaks_to_no_socket_of_another_user() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let _listener = listen(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        if lchown(&path, Some(Uid::effective().as_raw() + 1), None).is_err() {
            return skip("only root can give a socket away");
        }
        let error = connect(&path).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
        assert!(!answers(&path));
    }

    #[allow(clippy::print_stderr, reason = "a test that did not run has to say so")]
    fn skip(why: &str) {
        eprintln!("skipped: {why}");
    }
}
