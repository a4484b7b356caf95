//! Unix sockets of the host: engines, agents, buses, and vibepit's own control sockets. Whoever can
//! connect to one of those needs no network.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};

use super::files::mount_points;
use super::tally::Tally;
use crate::api::Targets;

/// Trees of the kernel's, which have no sockets.
const KERNELS: [&str; 2] = ["/proc", "/sys"];

/// Trees that are large and seldom have any: they come last.
const LARGE: [&str; 3] = ["/usr", "/nix", "/opt"];

pub(super) fn tries(targets: &Targets) -> Vec<Tally> {
    vec![
        by_path(&targets.sockets),
        by_name(&targets.abstract_sockets),
        anywhere(Duration::from_millis(targets.search)),
    ]
}

/// A search that came to no end has shown nothing, and is not taken for one that was held.
pub(super) fn failed() -> Tally {
    let mut tally = Tally::new("sockets", "the search for Unix sockets");
    tally.open("the search itself failed");
    tally
}

fn by_path(paths: &[PathBuf]) -> Tally {
    let mut tally = Tally::new(
        "host-sockets",
        "Unix sockets of the host, by path: engines, agents, control sockets",
    );
    for path in paths {
        match UnixAddr::new(path) {
            Ok(address) => knock(&mut tally, &address, &path.display().to_string()),
            Err(errno) => tally.held(format!("{errno:?}")),
        }
    }
    tally
}

fn by_name(names: &[String]) -> Tally {
    let mut tally = Tally::new(
        "abstract-sockets",
        "Unix sockets of the host, by abstract name",
    );
    for name in names {
        match UnixAddr::new_abstract(name.as_bytes()) {
            Ok(address) => knock(&mut tally, &address, &format!("@{name}")),
            Err(errno) => tally.held(format!("{errno:?}")),
        }
    }
    // proc_net_unix in proc(5): those that listen have the flag 00010000.
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [_, _, _, "00010000", .., name] = fields[..]
            && name.starts_with('@')
        {
            tally.open(format!("{name} listens"));
        }
    }
    tally
}

/// Every socket that the sandbox's file system has.
fn anywhere(patience: Duration) -> Tally {
    let mut tally = Tally::new(
        "sockets-anywhere",
        "every Unix socket in the sandbox's file system",
    );
    let until = Instant::now() + patience;
    let mut roots = entries(Path::new("/"));
    roots.sort_by_key(|path| LARGE.iter().any(|large| path == Path::new(large)));
    // The last is taken first.
    roots.reverse();
    for point in mount_points() {
        if fs::metadata(&point).is_ok_and(|found| found.file_type().is_socket()) {
            knock_at(&mut tally, &point);
        }
    }
    let mut looked_at = 0_u64;
    while let Some(path) = roots.pop() {
        if KERNELS.iter().any(|kernels| path == Path::new(kernels)) {
            continue;
        }
        let Ok(directory) = fs::read_dir(&path) else {
            continue;
        };
        for entry in directory.flatten() {
            looked_at += 1;
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => roots.push(entry.path()),
                Ok(kind) if kind.is_socket() => knock_at(&mut tally, &entry.path()),
                _ => {}
            }
        }
        if Instant::now() > until {
            tally.held(format!("none among the first {looked_at} files"));
            return tally;
        }
    }
    tally.held(format!("none among {looked_at} files"));
    tally
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

fn knock_at(tally: &mut Tally, path: &Path) {
    match UnixAddr::new(path) {
        Ok(address) => knock(tally, &address, &path.display().to_string()),
        // Longer than an address may be, and reachable all the same.
        Err(_) => tally.open(format!("{} is a socket", path.display())),
    }
}

/// Connects, and hangs up at once.
fn knock(tally: &mut Tally, address: &UnixAddr, name: &str) {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let outcome = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|socket| connect(socket.as_raw_fd(), address));
    match outcome {
        Ok(()) => tally.open(format!("{name} took a connection")),
        // Somebody listens, and is busy; or speaks in another kind of socket.
        Err(Errno::EAGAIN | Errno::EPROTOTYPE) => tally.open(format!("{name} is in reach")),
        Err(errno) => tally.held(format!("{errno:?}")),
    }
}
