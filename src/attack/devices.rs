//! Device nodes: those that are there, and those that can be made.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{AccessFlags, access};

use super::tally::{Tally, name_of};

pub(super) fn tries() -> Vec<Tally> {
    vec![made(), present()]
}

/// Nodes that lead to memory and to disks, by their numbers (Linux: admin-guide/devices.txt).
const NODES: [(&str, SFlag, u64, u64); 6] = [
    ("memory", SFlag::S_IFCHR, 1, 1),
    ("the kernel's log", SFlag::S_IFCHR, 1, 11),
    ("a loop device", SFlag::S_IFBLK, 7, 0),
    ("a SCSI disk", SFlag::S_IFBLK, 8, 0),
    ("a virtual disk", SFlag::S_IFBLK, 254, 0),
    ("an NVMe disk", SFlag::S_IFBLK, 259, 0),
];

fn made() -> Tally {
    let mut tally = Tally::new("device-nodes", "making device nodes: memory and disks");
    let mut places = vec![PathBuf::from("/dev"), PathBuf::from("/dev/shm")];
    places.extend(std::env::current_dir());
    places.push(std::env::temp_dir());
    for (what, kind, major, minor) in NODES {
        for place in &places {
            let path = place.join(format!(".vibepit-{}-{major}-{minor}", std::process::id()));
            match mknod(&path, kind, Mode::S_IRUSR, makedev(major, minor)) {
                Ok(()) => {
                    let opened = opened(&path);
                    let _ = fs::remove_file(&path);
                    match opened {
                        Ok(()) => tally.open(format!("a node for {what} was made and opened")),
                        // It can be opened, and there is no such device on this machine.
                        Err(libc::ENXIO | libc::ENODEV) => {
                            tally.open(format!("a node for {what} was made and is let through"));
                        }
                        Err(_) => tally.held("made, and it cannot be opened"),
                    }
                }
                Err(errno) => tally.held(format!("{errno:?}")),
            }
        }
    }
    tally
}

fn opened(path: &Path) -> Result<(), i32> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path);
    opened
        .map(drop)
        .map_err(|error| error.raw_os_error().unwrap_or(0))
}

/// What every sandbox needs.
const USUAL: [&str; 9] = [
    "console", "full", "null", "ptmx", "random", "stdin", "tty", "urandom", "zero",
];

fn present() -> Tally {
    let mut tally = Tally::new("devices", "devices that are there beyond the usual ones");
    let mut directories = vec![PathBuf::from("/dev")];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                tally.held(name_of(&error));
                continue;
            }
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else {
                continue;
            };
            let (path, name) = (entry.path(), entry.file_name());
            // Terminals of the sandbox's own.
            if path == Path::new("/dev/pts") {
                continue;
            }
            let usual = USUAL.iter().any(|usual| name == *usual);
            if kind.is_dir() {
                directories.push(path);
            } else if (kind.is_char_device() || kind.is_block_device()) && !usual {
                // Not opened: a watchdog would begin to wait for an answer.
                let open_to_us = access(&path, AccessFlags::R_OK);
                tally.tried(&format!("{} is there", path.display()), open_to_us);
            } else if kind.is_char_device() {
                tally.held("only the usual ones");
            }
        }
    }
    tally
}
