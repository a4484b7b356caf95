//! Who is at the other end of a Unix socket, and whether they may speak. Knows nothing of what
//! they want to say: the answer is needed before the first byte is read.
//!
//! One rule: the peer's uid must equal our own effective uid, and must not be the overflow uid,
//! which is how every user without a mapping looks from inside a user namespace. Behind it stands
//! a second wall, for a sandbox that has its owner's uid: a peer in another user namespace than
//! ours is refused wherever the kernel lets us see that.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{getsockopt, sockopt};
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
        Err(_) => return Err("its process is gone"),
    };
    let process = PathBuf::from(format!("/proc/{pid}"));
    let verdict = same_user_namespace(Path::new("/proc/self"), &process);
    if let Some(pidfd) = pidfd
        && has_exited(&pidfd)
    {
        return Err("its process is gone");
    }
    verdict
}

/// True once the process has ended (pidfd_open(2): the descriptor becomes readable then), or
/// when that cannot be told.
fn has_exited(pidfd: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    !matches!(nix::poll::poll(&mut fds, PollTimeout::ZERO), Ok(0))
}

fn same_user_namespace(own: &Path, peer: &Path) -> Result<(), &'static str> {
    const ELSEWHERE: &str = "it is in another user namespace";
    const UNSEEN: &str = "its user namespace cannot be seen";

    let ours = match fs::read_link(own.join("ns/user")) {
        Ok(link) => link,
        // A kernel without user namespaces has the directory, but not this entry.
        Err(error)
            if error.kind() == io::ErrorKind::NotFound && own.join("ns/mnt").is_symlink() =>
        {
            return Ok(());
        }
        Err(_) => return Err("our own user namespace cannot be seen: is /proc mounted?"),
    };
    match fs::read_link(peer.join("ns/user")) {
        Ok(theirs) if theirs == ours => Ok(()),
        Ok(_) => Err(ELSEWHERE),
        // Reading the link takes the right to trace the process (namespaces(7)), which our own
        // user's process does not give when its group differs from ours (`newgrp docker`) or when
        // it made itself undumpable. The map is readable by all, and in the initial namespace it
        // is proof enough: nobody without root's power over all ids can make one that is as wide.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            match (uid_map(own), uid_map(peer)) {
                (Some(ours), Some(theirs)) if ours == theirs && maps_every_uid(&ours) => Ok(()),
                (Some(ours), Some(theirs)) if ours != theirs => Err(ELSEWHERE),
                _ => Err(UNSEEN),
            }
        }
        Err(_) => Err(UNSEEN),
    }
}

fn uid_map(process: &Path) -> Option<Vec<u32>> {
    let text = fs::read_to_string(process.join("uid_map")).ok()?;
    text.split_ascii_whitespace()
        .map(|number| number.parse().ok())
        .collect()
}

/// The map of the initial user namespace (user_namespaces(7)).
fn maps_every_uid(map: &[u32]) -> bool {
    map == [0, 0, u32::MAX]
}
