//! Places of the host and of the sandbox, as descriptors: opened without following a symbolic link,
//! taken as trees of mounts, and attached to one another. What belongs where is not known here.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, mkdirat, openat, openat2};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use super::{Doing, Failure};

/// Descriptors that stand for a place and are good for nothing else.
pub(super) const PLACE: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// One step down, into a directory that is there or is made.
pub(super) fn step(above: &OwnedFd, name: &Path) -> Result<OwnedFd, Failure> {
    let enter = || openat(above, name, PLACE | OFlags::DIRECTORY, Mode::empty());
    let entered = match enter() {
        Err(Errno::NOENT) => mkdirat(above, name, Mode::from(0o755)).and_then(|()| enter()),
        entered => entered,
    };
    entered.map_err(|error| match error {
        Errno::NOTDIR | Errno::LOOP => {
            format!("{name:?} on the way is a file or a symbolic link, not a directory")
        }
        error => format!("{name:?} on the way cannot be entered: {error}"),
    })
}

/// A file to mount something on: it is there, or is made.
pub(super) fn file(above: &OwnedFd, name: &Path) -> Result<OwnedFd, Failure> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(above, name, flags, Mode::from(0o644)) {
        Ok(_) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.to_string()),
    }
    let place = openat(above, name, PLACE, Mode::empty()).map_err(|error| error.to_string())?;
    let found = fstat(&place).map_err(|error| error.to_string())?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Symlink => Err("it is a symbolic link".to_owned()),
        FileType::Directory => Err("it is a directory, and a file is to be mounted".to_owned()),
        _ => Ok(place),
    }
}

/// Opens a place of the host by a path without symbolic links.
pub(super) fn open_host(path: &Path) -> Result<OwnedFd, Failure> {
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // Not with O_NOFOLLOW: that opens a link at the end of the path, instead of refusing it.
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    openat2(CWD, path, flags, Mode::empty(), resolve).map_err(|error| match error {
        Errno::LOOP => format!(
            "{} leads through a symbolic link that was not there a moment ago; nothing was mounted",
            path.display()
        ),
        error => format!(
            "{} cannot be mounted in the sandbox: {error}",
            path.display()
        ),
    })
}

/// Takes a tree of the host, with what is mounted in it, and says whether it is a directory.
pub(super) fn of_host(
    path: &Path,
    identity: Option<(u64, u64)>,
) -> Result<(OwnedFd, bool), Failure> {
    let source = open_host(path)?;
    let found = fstat(&source).doing(path.display())?;
    if identity.is_some_and(|identity| identity != (found.st_dev, found.st_ino)) {
        return Err(format!(
            "{} is another directory than a moment ago; nothing was mounted",
            path.display()
        ));
    }
    let directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
    Ok((tree(&source).doing(path.display())?, directory))
}

pub(super) fn tree(source: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    open_tree(source, "", flags)
}

pub(super) fn in_memory(mode: &str, size: &str) -> rustix::io::Result<OwnedFd> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    made("tmpfs", &[("mode", mode), ("size", size)], attributes)
}

pub(super) fn made(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> rustix::io::Result<OwnedFd> {
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, "source", kind)?;
    for (key, value) in options {
        fsconfig_set_string(&context, *key, *value)?;
    }
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

pub(super) fn attach(tree: &OwnedFd, to: impl AsFd, path: &str) -> rustix::io::Result<()> {
    let mut flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
    if path.is_empty() {
        flags |= MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    }
    move_mount(tree, "", to, path, flags)
}
