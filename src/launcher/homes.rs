//! The homes of projects' sandboxes, wherever sessions keep them: which there are, and their
//! removal. They hold what tools keep between sessions, so that they go when the person says so and
//! not before, and never while a session has one.

use std::collections::BTreeSet;
use std::fs;

use bollard::errors::Error;

use super::engine::Engine;
use super::labels::{OURS, OWNER, ROLE};
use super::prune::Pruned;
use super::volumes;
use crate::config;
use crate::session::{RuntimeDir, discover};

/// What becomes of homes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Homes {
    /// They stay, and are told.
    Keep,
    /// They go, but for those of sessions that run.
    Remove,
}

/// Those of sessions without an engine: directories in vibepit's own state.
pub fn prune_homes(runtime_dir: &RuntimeDir, homes: Homes) -> Pruned {
    let mut pruned = Pruned::default();
    let found = match config::homes() {
        Ok(found) => found,
        Err(error) => {
            pruned.failed.push(error.to_string());
            return pruned;
        }
    };
    let in_use: BTreeSet<String> = discover(runtime_dir)
        .into_iter()
        .filter_map(|found| found.record.project_dir)
        .map(|project| config::project_slug(&project))
        .collect();
    for home in found {
        let name = home.file_name().unwrap_or_default().to_string_lossy();
        // The project's, whichever agent has its corner there.
        let project = name.split('.').next().unwrap_or_default();
        let shown = home.display().to_string();
        if homes == Homes::Keep || in_use.contains(project) {
            pruned.homes.push(shown);
            continue;
        }
        match fs::remove_dir_all(&home) {
            Ok(()) => pruned.removed.push(format!("home {shown}")),
            // A directory that its maker may not write to, as some tools' caches are.
            Err(error) => pruned.failed.push(format!(
                "home {shown} could not be removed: {error}; chmod -R u+rwX {shown}, and once more"
            )),
        }
    }
    pruned
}

/// Those that an engine keeps for this user: volumes.
pub(super) async fn prune_volumes(engine: &Engine, homes: Homes, pruned: &mut Pruned) {
    let labels = [
        format!("{OURS}=true"),
        format!("{ROLE}=home"),
        format!("{OWNER}={}", nix::unistd::geteuid()),
    ];
    for volume in volumes::list(engine, &labels).await.unwrap_or_default() {
        if homes == Homes::Keep {
            pruned.home_volumes.push(volume.name);
            continue;
        }
        match volumes::remove(engine, &volume.name).await {
            Ok(()) => pruned.removed.push(format!("home volume {}", volume.name)),
            Err(error) if is_in_use(&error) => pruned.home_volumes.push(volume.name),
            Err(error) => pruned.failed.push(format!("{error:#}")),
        }
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(Error::DockerResponseServerError {
            status_code: 409,
            ..
        })
    )
}
