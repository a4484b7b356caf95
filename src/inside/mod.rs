//! The inside of a sandbox of the local runtime: the processes that make it, hold it and start its
//! commands. Each is this executable again, started for one purpose, without a second thread.
//!
//! ```text
//! launcher ── enclosure            user namespace 1: owns the network namespace, opens the doors
//!                 └── init (pid 1) user namespace 2: owns mounts, processes, IPC and host name
//!                       └── commands
//! ```
//!
//! The sandbox is in the second user namespace, so that it owns no network namespace and has no
//! capability over its own. Its launcher speaks to it over one Unix stream and nothing else; when
//! that ends, init ends, and with it every process of the sandbox.
//!
//! No library that sets up containers does this: the calls are rustix's and nix's, the order is
//! ours. hakoniwa was tried and read. It makes mount points by path, before it turns its root, so
//! that a symbolic link that a project planted is followed on the host; its read-only binds leave
//! what is mounted below them writable; its root directory is one of the host's that stays behind
//! when it is killed. bubblewrap is not there on a fresh machine. Here every place of the host is a
//! descriptor that was opened without following a link, and what is not a place of the host is in
//! memory.
//!
//! Must not know what a session is, nor anything that is on the host but what its plan names.

mod enclosure;
mod init;
mod jobs;
mod network;
mod places;
mod root;
mod syscalls;
mod terminal;
mod walls;

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

pub use enclosure::enclose;
pub use init::init;
pub use terminal::take_terminal;

use crate::api::enclosure::FromEnclosure;
use crate::transport::passing;

/// One sentence for the person: what went wrong, at what.
pub type Failure = String;

/// Closes what the launcher happened to inherit, and would be handed on to the sandbox. Must be
/// called before anything else is opened.
fn close_inherited() -> Result<(), Failure> {
    let list = fs::read_dir("/proc/self/fd").doing("the open files cannot be listed")?;
    let numbers: Vec<i32> = list
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // The list itself is among them, and is closed already.
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Says one line to the launcher.
fn say(channel: impl AsFd, line: &FromEnclosure, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    passing::send(channel, serde_json::to_vec(line)?, descriptors)
}

/// Names what could not be done.
trait Doing<T> {
    fn doing(self, what: impl std::fmt::Display) -> Result<T, Failure>;
}

impl<T, E: std::fmt::Display> Doing<T> for Result<T, E> {
    fn doing(self, what: impl std::fmt::Display) -> Result<T, Failure> {
        self.map_err(|error| format!("{what}: {error}"))
    }
}
