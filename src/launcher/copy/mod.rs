//! A project on another machine: a volume with a copy of it, made at the session's start, and what
//! was changed in it brought back when the person says so.

mod apply;
mod fetch;
mod snapshot;
mod upload;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::engine::Engine;
use super::labels::{OURS, PROJECT, ROLE, RUNTIME_DIR, SESSION};
use super::project::Project;
use super::volumes;
use crate::config;
use crate::session::{RuntimeDir, SessionId};

use self::snapshot::Snapshot;

pub use self::apply::{Change, ChangeKind, Pull};
pub(crate) use self::upload::{make_volume, upload};

/// The project's settings, which no sandbox sees.
const META: &str = ".vibepit";

/// What is copied at most: a larger project is better kept where the engine is.
const BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;

/// A copy of a project on an engine's machine.
#[derive(Debug)]
pub struct Copied {
    /// The session it was made for.
    pub session: SessionId,
    volume: String,
}

impl Copied {
    /// The copies of this project on this engine, of sessions of this runtime directory, the
    /// oldest first.
    ///
    /// # Errors
    /// When the engine does not list them.
    pub async fn find(
        engine: &Engine,
        project: &Project,
        runtime_dir: &RuntimeDir,
    ) -> Result<Vec<Self>> {
        let labels = [
            format!("{OURS}=true"),
            format!("{ROLE}=project"),
            format!("{PROJECT}={}", project.path().display()),
            format!("{RUNTIME_DIR}={}", runtime_dir.path().display()),
        ];
        let mut found = volumes::list(engine, &labels).await?;
        found.sort_by(|one, other| one.created_at.cmp(&other.created_at));
        let copied = |volume: bollard::models::Volume| {
            let session = volume.labels.get(SESSION)?.parse().ok()?;
            let volume = volume.name;
            Some(Self { session, volume })
        };
        Ok(found.into_iter().filter_map(copied).collect())
    }

    /// Whether its session is over.
    pub fn is_over(&self, runtime_dir: &RuntimeDir) -> bool {
        let directory = runtime_dir.path().join(self.session.as_str());
        directory.symlink_metadata().is_err()
    }

    /// What was changed in it since it was made, beside what was changed here.
    ///
    /// # Errors
    /// When either cannot be read.
    pub async fn compare(&self, engine: &Engine, project: &Project) -> Result<Pull> {
        let base = Snapshot::load(&manifest(&self.session)?)
            .context("what was copied there is not known any more")?;
        let staging = config::own_state_dir()?.join(format!("pull-{}", SessionId::random()?));
        let fetched = fetch::fetch(engine, self, project.path(), &staging).await?;
        let root = Arc::clone(project.directory());
        tokio::task::spawn_blocking(move || Pull::of(root, &base, fetched)).await?
    }

    /// Remembers what has been brought here, so that it counts as known from now on.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn brought(&self, pull: &Pull) -> Result<()> {
        let path = manifest(&self.session)?;
        let mut base = Snapshot::load(&path)?;
        pull.enter(&mut base);
        base.save(&path)
    }

    /// Removes it.
    ///
    /// # Errors
    /// When the engine does not.
    pub async fn remove(&self, engine: &Engine) -> Result<()> {
        volumes::remove(engine, &self.volume).await?;
        let _ = std::fs::remove_file(manifest(&self.session)?);
        Ok(())
    }
}

/// Where it is kept what was copied.
fn manifest(session: &SessionId) -> Result<PathBuf> {
    let directory = config::own_state_dir()?;
    Ok(directory.join(Path::new(&format!("copy-{session}.json"))))
}
