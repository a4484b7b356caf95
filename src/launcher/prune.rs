//! Removing what crashed sessions left in an engine and in the runtime directory.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};

use super::container;
use super::engine::Engine;
use super::homes::{self, Homes};
use super::labels::{OURS, ROLE, RUNTIME_DIR, SESSION};
use super::volumes;
use crate::session::{self, RuntimeDir, SessionId};

/// What a pruning did.
#[derive(Debug, Default)]
pub struct Pruned {
    /// What is gone: a phrase for each ("container vibepit-…-proxy").
    pub removed: Vec<String>,
    /// What could not be removed, as sentences.
    pub failed: Vec<String>,
    /// Home volumes that stay.
    pub home_volumes: Vec<String>,
    /// Homes that stay and are directories of this machine.
    pub homes: Vec<String>,
}

impl Pruned {
    /// Takes over what another pruning did.
    pub fn add(&mut self, other: Self) {
        self.removed.extend(other.removed);
        self.failed.extend(other.failed);
        self.home_volumes.extend(other.home_volumes);
        self.homes.extend(other.homes);
    }
}

/// Removes the directories of dead sessions; needs no engine.
pub async fn prune_directories(runtime_dir: &RuntimeDir) -> Pruned {
    let mut pruned = Pruned::default();
    match session::reap(runtime_dir).await {
        Ok(reaped) => {
            pruned
                .removed
                .extend(reaped.removed.iter().map(|id| format!("session {id}")));
            pruned
                .failed
                .extend(reaped.failed.iter().map(|(_, error)| error.to_string()));
        }
        Err(error) => pruned.failed.push(error.to_string()),
    }
    // Afterwards: a group is a dead session's when that has no directory.
    super::local::sweep(runtime_dir);
    pruned
}

/// Removes what dead sessions left: directories, containers.
pub async fn leftovers(engine: &Engine, runtime_dir: &RuntimeDir) -> Pruned {
    let mut pruned = prune_directories(runtime_dir).await;
    let outcome = remove_containers(engine, runtime_dir, &mut pruned).await;
    if let Err(error) = outcome {
        pruned.failed.push(format!(
            "the engine does not list what is left of old sessions: {error}"
        ));
    }
    pruned
}

/// Removes what dead sessions left, and vibepit's images that no container uses.
pub async fn prune(engine: &Engine, runtime_dir: &RuntimeDir, homes: Homes) -> Pruned {
    let mut pruned = leftovers(engine, runtime_dir).await;
    // An engine that lists images while one goes may fail to: then the cache stays for next time.
    let _ = remove_images(engine, &mut pruned).await;
    homes::prune_volumes(engine, homes, &mut pruned).await;
    pruned
}

async fn remove_containers(
    engine: &Engine,
    runtime_dir: &RuntimeDir,
    pruned: &mut Pruned,
) -> Result<(), Error> {
    let mut found = container::list(engine, Some(&format!("{OURS}=true"))).await?;
    // Podman keeps a network's holder until what is in that network is gone.
    found.sort_by_key(|container| container.label(ROLE) == Some("holder"));
    for found in found {
        if is_left_over(found.label(RUNTIME_DIR), found.label(SESSION), runtime_dir) {
            let outcome = container::remove(engine, found.name()).await;
            note(pruned, format!("container {}", found.name()), outcome);
        }
    }
    remove_volumes(engine, runtime_dir, pruned).await;
    Ok(())
}

/// Those that stood in for a socket directory. A copy of a project is somebody's work, and stays.
async fn remove_volumes(engine: &Engine, runtime_dir: &RuntimeDir, pruned: &mut Pruned) {
    let labels = [format!("{OURS}=true"), format!("{ROLE}=socket")];
    for volume in volumes::list(engine, &labels).await.unwrap_or_default() {
        let label = |name| volume.labels.get(name).map(String::as_str);
        if is_left_over(label(RUNTIME_DIR), label(SESSION), runtime_dir) {
            let outcome = volumes::remove(engine, &volume.name).await;
            note(pruned, format!("volume {}", volume.name), outcome);
        }
    }
}

fn ours() -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{OURS}=true")])])
}

/// Whether these are the labels of a thing whose session is dead.
///
/// A session makes its directory before anything else and removes it last, and dead directories
/// have just been reaped: so what has a directory is alive. Only sessions of our own runtime
/// directory are judged: an engine may serve other people too.
fn is_left_over(its_dir: Option<&str>, id: Option<&str>, runtime_dir: &RuntimeDir) -> bool {
    let path = runtime_dir.path().display().to_string();
    let ours = its_dir == Some(path.as_str());
    let Some(Ok(id)) = id.map(str::parse::<SessionId>) else {
        return false;
    };
    ours && runtime_dir
        .path()
        .join(id.as_str())
        .symlink_metadata()
        .is_err()
}

/// Images are made again in a moment, so all go that no container, running or not, is made of.
async fn remove_images(engine: &Engine, pruned: &mut Pruned) -> Result<(), Error> {
    let docker = &engine.docker;
    let used = container::list(engine, None).await?;
    let used: Vec<String> = used.into_iter().map(|one| one.image_id).collect();
    let images = ListImagesOptionsBuilder::default().filters(&ours()).build();
    for image in docker.list_images(Some(images)).await? {
        if used.contains(&image.id) {
            continue;
        }
        // Some engines write the tag of an image without one as `<none>:<none>`.
        let mut names = image.repo_tags;
        names.retain(|tag| !tag.starts_with('<'));
        if names.is_empty() {
            names.push(image.id);
        }
        for name in names {
            let options = RemoveImageOptionsBuilder::default().build();
            // A session that has just started uses it, or another prune was faster: an image is a
            // cache, and what stays of it is no leftover.
            if docker
                .remove_image(&name, Some(options), None)
                .await
                .is_ok()
            {
                pruned.removed.push(format!("image {name}"));
            }
        }
    }
    Ok(())
}

fn note(pruned: &mut Pruned, what: String, outcome: anyhow::Result<()>) {
    match outcome {
        Ok(()) => pruned.removed.push(what),
        Err(error) => pruned
            .failed
            .push(format!("{what} could not be removed: {error:#}")),
    }
}
