//! Whether a sandbox has the project that was checked: an engine mounts by path, and a path may lead
//! somewhere else from one moment to the next.

use std::ffi::OsStr;
use std::path::Path;

use anyhow::Result;

use super::super::container;
use super::super::docker::Containers;
use super::super::nofollow::{Directory, Entry, Identity};
use super::super::session::Launch;

/// Looks at the project through a sandbox that has just been started, before anybody's streams are
/// joined to it.
///
/// By then its command runs, as an engine does not start one in two steps. So what this finds, it
/// finds some milliseconds late, and what the command did to the wrong directory until it is killed
/// stays done. It says nothing and sends nothing to anybody meanwhile that the rules do not allow.
///
/// # Errors
///
/// [`ProjectError::Replaced`](super::super::ProjectError::Replaced), and then the sandbox is to be
/// taken away.
pub(super) async fn check(containers: &Containers<'_>, sandbox: &str) -> Result<()> {
    if containers.engine.facts().remote {
        // It has a copy, or a directory of that machine.
        return Ok(());
    }
    let launch = containers.launch;
    let project = &launch.request.project;
    let state = container::inspect(containers.engine, sandbox).await?.state;
    let pid = state.and_then(|state| state.pid).filter(|pid| *pid > 0);
    // Without a root it has ended already, or this user may not look at it.
    project.was_mounted(pid.and_then(|pid| root(launch, pid)))?;
    Ok(())
}

/// The sandbox's root, if this process is the sandbox's: its name server is set by a file that
/// only this session has.
fn root(launch: &Launch<'_>, pid: i64) -> Option<Directory> {
    let root = Directory::root_of(pid).ok()?;
    let outside = launch.directory.resolv_conf();
    let outside = Directory::at(&outside.parent()?.canonicalize().ok()?).ok()?;
    let own = file(&outside, launch.directory.resolv_conf().file_name()?)?;
    let inside = file(
        &root.below(Path::new("etc")).ok()?,
        OsStr::new("resolv.conf"),
    )?;
    (own == inside).then_some(root)
}

fn file(directory: &Directory, name: &OsStr) -> Option<Identity> {
    match directory.entry(name).ok()? {
        Entry::File(file) => Some(file.identity()),
        _ => None,
    }
}
