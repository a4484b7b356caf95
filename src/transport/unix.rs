//! Unix sockets: listening so that the socket is never open to others, and connecting to nothing
//! but a socket of our own. Paths may be longer than sun_path. Knows nothing of sessions.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, open};
use nix::sys::stat::{FileStat, Mode, SFlag, fchmod, fstat, fstatat};
use nix::unistd::{Uid, UnlinkatFlags, unlinkat};
use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::{UnixListener, UnixSocket, UnixStream};

/// Bytes that fit into `sun_path` together with the terminating NUL (unix(7)).
const SUN_PATH_MAX: usize = 107;

/// Connections that may wait to be accepted; the kernel caps it at net.core.somaxconn.
const BACKLOG: u32 = 1024;

/// A way to name a socket that fits into `sun_path`, however long its real path is.
///
/// Keep it alive for as long as the path is used: it may lead through its open descriptor.
#[derive(Debug)]
pub struct ReachablePath {
    path: PathBuf,
    _directory: Option<OwnedFd>,
}

impl ReachablePath {
    /// The path to give to bind(2) or connect(2).
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Finds a path for `socket` that bind(2) and connect(2) take: itself if it is short enough, else
/// one through a descriptor of its directory.
///
/// # Errors
///
/// When the path names no file, or its directory cannot be opened or is a symbolic link.
pub fn reachable_path(socket: &Path) -> io::Result<ReachablePath> {
    if socket.as_os_str().len() <= SUN_PATH_MAX {
        return Ok(ReachablePath {
            path: socket.to_owned(),
            _directory: None,
        });
    }
    let (directory, name) = open_parent(socket)?;
    let path = through(&directory).join(name);
    if path.as_os_str().len() > SUN_PATH_MAX {
        return Err(refuse(
            io::ErrorKind::InvalidFilename,
            socket,
            "has too long a file name",
        ));
    }
    Ok(ReachablePath {
        path,
        _directory: Some(directory),
    })
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
    let reachable = reachable_path(path)?;
    socket
        .bind(reachable.path())
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
    let socket = open_own_socket(path)?;
    // Through the descriptor: what was looked at is what is connected to, and no path is too long.
    UnixStream::connect(through(&socket)).await
}

/// A path that leads to the very socket that [`connect`] would connect to, for whoever connects
/// by path.
///
/// # Errors
///
/// As [`connect`], but for what only connecting tells.
pub fn own_socket(path: &Path) -> io::Result<ReachablePath> {
    let socket = open_own_socket(path)?;
    Ok(ReachablePath {
        path: through(&socket),
        _directory: Some(socket),
    })
}

/// Whether somebody listens on the socket at `path`, told by connecting to it and closing again.
/// Never waits. The same conditions as for [`connect`] hold; what does not meet them is `false`.
pub fn answers(path: &Path) -> bool {
    open_own_socket(path).is_ok_and(|socket| matches!(probe(&through(&socket)), Ok(true)))
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
    let reachable = reachable_path(path)?;
    if probe(reachable.path()).map_err(|error| with_path(error, path, "cannot take over"))? {
        let what = "is in use: somebody listens on it";
        return Err(refuse(io::ErrorKind::AddrInUse, path, what));
    }
    match unlinkat(directory, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(with_path(error.into(), path, "cannot remove the leftover")),
    }
}

/// True when somebody listens, false when the socket is dead or gone.
fn probe(path: &Path) -> io::Result<bool> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Ok(()) => Ok(true),
        Err(error) => match error.kind() {
            // A full backlog: alive, and busy.
            io::ErrorKind::WouldBlock => Ok(true),
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Ok(false),
            _ => Err(error),
        },
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
