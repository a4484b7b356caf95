//! The sandbox's home directory: one for each project, in vibepit's own state, so that tools keep
//! their caches and the person's real home is never there.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::config;

/// The directory, made if it is not there, and what it is known by: between this look at it and its
/// mount it must not become another one.
pub(super) fn of(project: &Path, agent: Option<&str>) -> Result<(PathBuf, (u64, u64))> {
    known(&config::home_dir(project, agent)?)
}

/// That of a sandbox that is thrown away, in a directory that goes with it.
pub(super) fn made_in(base: &Path) -> Result<(PathBuf, (u64, u64))> {
    let directory = base.join("home");
    DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    known(&directory)
}

fn known(directory: &Path) -> Result<(PathBuf, (u64, u64))> {
    let found = directory.symlink_metadata();
    let found = found.with_context(|| format!("the home {}", directory.display()))?;
    // What is above it may be a link of the person's own.
    let resolved = directory
        .canonicalize()
        .with_context(|| format!("the home {}", directory.display()))?;
    Ok((resolved, (found.dev(), found.ino())))
}
