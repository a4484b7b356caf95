//! Device nodes: those that are there, and those that can be made.

use std::fs::{self, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use nix::unistd::{AccessFlags, access};

use super::files::mount_points;
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

/// What every sandbox needs, by number: null, zero, full, random, urandom; tty, console, ptmx.
const USUAL: [(u64, u64); 8] = [
    (1, 3),
    (1, 5),
    (1, 7),
    (1, 8),
    (1, 9),
    (5, 0),
    (5, 1),
    (5, 2),
];

/// Terminals of the sandbox's own.
const TERMINALS: std::ops::RangeInclusive<u64> = 136..=143;

fn is_usual(found: &Metadata) -> bool {
    let number = (major(found.rdev()), minor(found.rdev()));
    found.file_type().is_char_device() && (USUAL.contains(&number) || TERMINALS.contains(&number.0))
}

fn present() -> Tally {
    let mut tally = Tally::new("devices", "devices that are there beyond the usual ones");
    let mut paths = mount_points();
    let mut directories = vec![PathBuf::from("/dev")];
    while let Some(directory) = directories.pop() {
        let entries = match fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) => {
                tally.held(name_of(&error));
                continue;
            }
        };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.is_dir() && !path.is_symlink() {
                directories.push(path.clone());
            }
            paths.push(path);
        }
    }
    for path in paths {
        // Of what is mounted there, if something is.
        let Ok(found) = fs::symlink_metadata(&path) else {
            continue;
        };
        let kind = found.file_type();
        if !kind.is_char_device() && !kind.is_block_device() {
            continue;
        }
        if is_usual(&found) {
            tally.held("only the usual ones");
            continue;
        }
        // Not opened: a watchdog would begin to wait for an answer.
        let open_to_us = access(&path, AccessFlags::R_OK);
        tally.tried(&format!("{} is there", path.display()), open_to_us);
    }
    tally
}
