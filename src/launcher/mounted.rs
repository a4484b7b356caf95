//! Whether a sandbox has the project that was checked: an engine mounts by path, and a path may lead
//! somewhere else from one moment to the next. So it is looked at what was mounted, before the
//! sandbox's command runs: on Podman, which makes a container whole before it starts its command, in
//! the sandbox itself; on Docker, which does both in one, in the holder of its network, from which
//! the sandbox then has the very same mount.

use std::path::Path;

use anyhow::{Context, Result};
use bollard::models::Mount;

use super::container;
use super::docker::Containers;
use super::engine::{Facts, Kind};
use super::mounts::mounted_once;
use super::nofollow::{Directory, Entry, Identity};

/// Where the holder has the project.
const HELD: &str = "/project";

/// What makes the holder hold the project: the engine mounts the volume when the first container
/// that has it starts, and keeps it mounted as long as one runs. It goes with the holder.
///
/// Not with SELinux: Docker labels what is in a volume anew, and these are the person's own files.
/// Then [`check`] finds another directory some milliseconds after the command began: what the
/// command did to it stays done, but it says nothing and sends nothing to anybody meanwhile that
/// the rules do not allow.
pub(crate) fn held(facts: &Facts, project: &Path) -> Option<Mount> {
    let holds = facts.kind == Kind::Docker && !facts.remote && !facts.selinux;
    holds.then(|| mounted_once(project, Path::new(HELD)))
}

/// The volume of a holder that runs, if it has the project.
///
/// # Errors
///
/// [`ProjectError::Replaced`](super::ProjectError::Replaced).
pub(crate) async fn held_volume(containers: &Containers<'_>) -> Result<Option<String>> {
    let launch = containers.launch;
    let project = &launch.request.project;
    if held(containers.engine.facts(), project.path()).is_none() {
        return Ok(None);
    }
    let holder = container::inspect(containers.engine, &containers.names.holder()).await?;
    let root = holder.state.and_then(|state| state.pid).and_then(|pid| {
        let own = launch.directory.socket_dir();
        root(pid, Path::new("socket"), &own)
    });
    let place = root.map(|root| root.walk(Path::new(HELD)));
    project.was_mounted(place)?;
    let mounts = holder.mounts.into_iter().flatten();
    let mut volumes = mounts.filter(|mount| mount.destination.as_deref() == Some(HELD));
    let volume = volumes.next().and_then(|mount| mount.name);
    Ok(Some(volume.context(
        "the engine does not tell what holds the project",
    )?))
}

/// Looks at the project through a sandbox whose mounts are made, before anybody's streams are
/// joined to it.
///
/// # Errors
///
/// [`ProjectError::Replaced`](super::ProjectError::Replaced), and then the sandbox is to be taken
/// away.
pub(crate) async fn check(containers: &Containers<'_>, sandbox: &str) -> Result<()> {
    if containers.engine.facts().remote {
        // It has a copy, or a directory of that machine.
        return Ok(());
    }
    let launch = containers.launch;
    let project = &launch.request.project;
    let state = container::inspect(containers.engine, sandbox).await?.state;
    let root = state.and_then(|state| state.pid).and_then(|pid| {
        let own = launch.directory.resolv_conf();
        root(pid, Path::new("etc/resolv.conf"), &own)
    });
    project.was_mounted(root.map(|root| root.walk(project.path())))?;
    Ok(())
}

/// The root of a container's process, if it is that container's: what only this session has is in
/// it. `None` if it has ended, or this user may not look at it.
fn root(pid: i64, inside: &Path, outside: &Path) -> Option<Directory> {
    let root = Directory::root_of(Some(pid).filter(|pid| *pid > 0)?).ok()?;
    let above = Directory::at(&outside.parent()?.canonicalize().ok()?).ok()?;
    let own = identity(&above, Path::new(outside.file_name()?))?;
    (identity(&root, inside)? == own).then_some(root)
}

fn identity(directory: &Directory, path: &Path) -> Option<Identity> {
    let (above, name) = directory.above(path).ok()?;
    match above.entry(name).ok()? {
        Entry::File(file) => Some(file.identity()),
        Entry::Directory(directory) => Some(directory.identity()),
        Entry::Link(_) | Entry::Special(_) => None,
    }
}
