//! Who is at the other end of a Unix socket, and whether they may speak. Knows nothing of what
//! they want to say: the answer is needed before the first byte is read.
//!
//! One rule: the peer's uid must equal our own effective uid, and must not be the overflow uid,
//! which is how every user without a mapping looks from inside a user namespace. Behind it stands
//! a second wall, for a sandbox that has its owner's uid: a peer in another user namespace than
//! ours is refused wherever the kernel lets us see that.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{MsgFlags, getsockopt, recv, sockopt};
use nix::unistd::Uid;
use tokio::net::UnixStream;

/// A peer that may speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user id, as seen from our user namespace.
    pub uid: u32,
    /// Its group id, as seen from our user namespace.
    pub gid: u32,
}

/// A peer that may not speak. Its connection is to be closed unread.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("peer with {} refused: {why}", Shown(*.uid))]
pub struct PeerRefused {
    /// Its user id, when the kernel told it.
    pub uid: Option<u32>,
    /// The reason, for the audit log.
    pub why: &'static str,
}

struct Shown(Option<u32>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(uid) => write!(f, "uid {uid}"),
            None => f.write_str("unknown uid"),
        }
    }
}

const GONE: &str = "its process is gone";

/// `DEFAULT_OVERFLOWUID` of the kernel (linux/highuid.h), refused even where it was changed.
const OVERFLOW_UID: u32 = 65534;

/// What this kernel calls the overflow uid (proc_sys_kernel(5)).
static KERNEL_OVERFLOW_UID: LazyLock<Option<u32>> = LazyLock::new(|| {
    fs::read_to_string("/proc/sys/kernel/overflowuid")
        .ok()?
        .trim()
        .parse()
        .ok()
});

/// Asks the kernel who connected, and judges them.
///
/// # Errors
///
/// [`PeerRefused`] for everybody but our own user in our own user namespace, and for a peer of
/// whom the kernel tells nothing.
pub fn check(stream: &UnixStream) -> Result<Peer, PeerRefused> {
    let credentials = stream.peer_cred().map_err(|_| PeerRefused {
        uid: None,
        why: "the kernel does not say who it is",
    })?;
    let peer = Peer {
        uid: credentials.uid(),
        gid: credentials.gid(),
    };
    let refused = |why| PeerRefused {
        uid: Some(peer.uid),
        why,
    };

    judge_uid(peer.uid, Uid::effective().as_raw(), *KERNEL_OVERFLOW_UID).map_err(refused)?;
    // The pid is 0 when the peer's pid namespace is not below ours: a person on the host who
    // speaks to a proxy in a container. A sandbox that this machine's proxy could be reached
    // from is always below, so its pid shows, and what cannot be looked up is refused.
    match credentials.pid() {
        Some(0) => {}
        Some(pid) if pid > 0 => judge_namespace(stream, pid).map_err(refused)?,
        _ => return Err(refused("the kernel does not say which process it is")),
    }
    Ok(peer)
}

/// The process that listens on a Unix socket, as the kernel tells whoever connects to it.
///
/// # Errors
///
/// When nobody listens, or the process is not in a pid namespace that is visible from here.
pub async fn listener(path: &Path) -> io::Result<u32> {
    let stream = super::unix::connect(path).await?;
    let pid = stream.peer_cred()?.pid();
    pid.and_then(|pid| u32::try_from(pid).ok())
        .filter(|pid| *pid > 0)
        .ok_or_else(|| io::Error::other("the process that listens is not visible from here"))
}

/// Whether a refused peer was our own user's process that connected, said nothing and ended: all
/// it wanted to know is whether somebody listens here. Nothing was kept from it.
pub fn only_looked(stream: &UnixStream, refused: &PeerRefused) -> bool {
    refused.why == GONE
        && refused.uid == Some(Uid::effective().as_raw())
        // Zero bytes: it is closed, and nothing was sent. Whatever comes instead is told of.
        && recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) == Ok(0)
}

fn judge_uid(peer: u32, own: u32, kernel_overflow: Option<u32>) -> Result<(), &'static str> {
    if peer == OVERFLOW_UID || Some(peer) == kernel_overflow {
        return Err("its uid is the overflow uid, which stands for anybody");
    }
    if peer != own {
        return Err("it runs as another user");
    }
    Ok(())
}

fn judge_namespace(stream: &UnixStream, pid: i32) -> Result<(), &'static str> {
    // SO_PEERPIDFD (Linux 6.5) pins the process that connected, so that its pid, once seen alive
    // after the look-up, cannot have been somebody else's during it. Older kernels have no such
    // guard: there, the pid is taken at its word, for want of anything better.
    let pidfd = match getsockopt(stream, sockopt::PeerPidfd) {
        Ok(pidfd) => Some(pidfd),
        Err(Errno::ENOPROTOOPT) => None,
        Err(_) => return Err(GONE),
    };
    let ours = Namespace::of(Path::new("/proc/self"));
    let theirs = Namespace::of(Path::new(&format!("/proc/{pid}")));
    if pidfd.is_some_and(|pidfd| has_exited(&pidfd)) {
        return Err(GONE);
    }
    same_namespace(&ours, &theirs)
}

/// True once the process has ended (pidfd_open(2): the descriptor becomes readable then), or
/// when that cannot be told.
fn has_exited(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    !matches!(nix::poll::poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

/// What /proc tells of the user namespace of a process.
struct Namespace {
    /// The link that names it (namespaces(7)). To read it takes the right to trace the process.
    link: Result<PathBuf, io::ErrorKind>,
    /// Its map, which everybody may read.
    uid_map: Option<Vec<u32>>,
}

impl Namespace {
    fn of(process: &Path) -> Self {
        let link = fs::read_link(process.join("ns/user")).map_err(|error| error.kind());
        let uid_map = fs::read_to_string(process.join("uid_map"))
            .ok()
            .and_then(|text| {
                text.split_ascii_whitespace()
                    .map(|number| number.parse().ok())
                    .collect()
            });
        Self { link, uid_map }
    }
}

/// The map of the initial user namespace (user_namespaces(7)).
const EVERY_UID: [u32; 3] = [0, 0, u32::MAX];

fn same_namespace(ours: &Namespace, theirs: &Namespace) -> Result<(), &'static str> {
    match (&ours.link, &theirs.link) {
        (Ok(ours), Ok(theirs)) if ours == theirs => Ok(()),
        (Ok(_), Ok(_)) => Err("it is in another user namespace"),
        // Our own user's process does not give the right to trace it when its group differs from
        // ours (`newgrp docker`), or when it made itself undumpable, as a sandbox may. In the
        // initial namespace the map is proof enough: nobody without root's power over all ids can
        // make another that is as wide.
        (Ok(_), Err(io::ErrorKind::PermissionDenied))
            if [&ours.uid_map, &theirs.uid_map]
                .iter()
                .all(|map| map.as_deref().is_some_and(|map| map == EVERY_UID)) =>
        {
            Ok(())
        }
        (Ok(_), Err(_)) => Err("its user namespace cannot be seen"),
        // A kernel without user namespaces has neither the link nor the map.
        (Err(io::ErrorKind::NotFound), _)
            if ours.uid_map.is_none() && Path::new("/proc/self/ns/mnt").is_symlink() =>
        {
            Ok(())
        }
        (Err(_), _) => Err("our own user namespace cannot be seen: is /proc mounted?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    use tokio::net::UnixListener;

    #[tokio::test]
    async fn our_own_process_may_speak() {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("s")).unwrap();
        let _client = UnixStream::connect(dir.path().join("s")).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let own = Peer {
            uid: Uid::effective().as_raw(),
            gid: nix::unistd::getegid().as_raw(),
        };
        assert_eq!(check(&stream), Ok(own));
    }

    #[tokio::test]
    async fn a_peer_whose_process_is_gone_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        // curl connects, and is killed before anybody looks.
        let client = Command::new("curl")
            .args(["--silent", "--unix-socket"])
            .arg(&path)
            .arg("http://vibepit/")
            .spawn();
        let Ok(mut client) = client else {
            return skip("curl is not installed");
        };
        let (stream, _) = listener.accept().await.unwrap();
        let peek = || {
            let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
            Ok(recv(stream.as_raw_fd(), &mut [0], flags)?)
        };
        // Its request is there: readiness may be a false alarm, a byte is none.
        let interest = tokio::io::Interest::READABLE;
        assert_eq!(stream.async_io(interest, peek).await.unwrap(), 1);
        client.kill().unwrap();
        client.wait().unwrap();
        let refused = check(&stream).unwrap_err();
        assert_eq!(refused.uid, Some(Uid::effective().as_raw()));
        assert!(!only_looked(&stream, &refused), "curl had sent its request");
    }

    #[tokio::test]
    async fn a_process_that_ends_without_a_word_only_looked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let looked = Command::new("nc").arg("-zU").arg(&path).status();
        if !looked.is_ok_and(|status| status.success()) {
            return skip("there is no nc that speaks to Unix sockets");
        }
        let (stream, _) = listener.accept().await.unwrap();
        let refused = check(&stream).unwrap_err();
        assert!(only_looked(&stream, &refused));
        let stranger = PeerRefused {
            uid: Some(Uid::effective().as_raw() + 1),
            ..refused
        };
        assert!(!only_looked(&stream, &stranger));
    }

    #[tokio::test]
    async fn a_peer_in_another_user_namespace_is_refused_though_its_uid_is_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let client = Command::new("unshare")
            .args(["--user", "--map-root-user", "sh", "-c"])
            .arg("echo in; exec curl --silent --max-time 30 --unix-socket \"$0\" http://vibepit/")
            .arg(&path)
            .stdout(Stdio::piped())
            .spawn();
        let Ok(mut client) = client else {
            return skip("unshare is not installed");
        };
        let mut said = String::new();
        BufReader::new(client.stdout.take().unwrap())
            .read_line(&mut said)
            .unwrap();
        if said != "in\n" {
            return skip("no user namespace, or no curl, to be had");
        }
        let (stream, _) = listener.accept().await.unwrap();
        let refused = check(&stream).unwrap_err();
        client.kill().unwrap();
        client.wait().unwrap();
        assert_eq!(refused.uid, Some(Uid::effective().as_raw()));
        assert_eq!(refused.why, "it is in another user namespace");
    }

    #[test]
    fn only_our_own_uid_is_let_in_and_never_the_overflow_uid() {
        assert_eq!(judge_uid(1000, 1000, Some(65534)), Ok(()));
        assert_eq!(judge_uid(0, 0, Some(65534)), Ok(()));
        for (peer, own, overflow) in [
            (1001, 1000, Some(65534)),
            (0, 1000, Some(65534)),
            (1000, 0, Some(65534)),
            (65534, 1000, Some(65534)),
            (65534, 65534, Some(65534)),
            (65534, 65534, None),
            (65534, 65534, Some(99)),
            (99, 99, Some(99)),
        ] {
            assert!(
                judge_uid(peer, own, overflow).is_err(),
                "{peer} {own} {overflow:?}"
            );
        }
    }

    #[test]
    fn a_namespace_that_may_not_be_looked_at_is_judged_by_its_map() {
        let seen = |link: &str, map: &[u32]| Namespace {
            link: Ok(PathBuf::from(link)),
            uid_map: Some(map.to_vec()),
        };
        let hidden = |kind: io::ErrorKind, map: Option<&[u32]>| Namespace {
            link: Err(kind),
            uid_map: map.map(<[u32]>::to_vec),
        };
        let denied = io::ErrorKind::PermissionDenied;
        let gone = io::ErrorKind::NotFound;
        let initial = seen("user:[1]", &EVERY_UID);
        let nested = seen("user:[2]", &[0, 1000, 1]);

        assert!(same_namespace(&initial, &seen("user:[1]", &EVERY_UID)).is_ok());
        assert!(same_namespace(&initial, &hidden(denied, Some(&EVERY_UID))).is_ok());

        assert!(same_namespace(&initial, &nested).is_err());
        assert!(same_namespace(&initial, &hidden(denied, Some(&[1000, 1000, 1]))).is_err());
        assert!(same_namespace(&initial, &hidden(denied, None)).is_err());
        assert!(same_namespace(&initial, &hidden(gone, Some(&EVERY_UID))).is_err());
        // Below the initial namespace a child can have the very map that we have.
        assert!(same_namespace(&nested, &hidden(denied, Some(&[0, 1000, 1]))).is_err());
        assert!(same_namespace(&hidden(denied, Some(&EVERY_UID)), &initial).is_err());
    }

    #[allow(clippy::print_stderr, reason = "a test that did not run has to say so")]
    fn skip(why: &str) {
        eprintln!("skipped: {why}");
    }
}
