//! What a person said about a project, kept with vibepit's state and never in the project, where
//! whoever works on it could say it in their place: which of its settings are trusted, and which
//! presets the first start chose.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::BYTES_MAX;
use super::paths::{PathError, kept_dir, project_slug, state_dir};
use crate::kept;
use crate::policy::{NoPreset, PresetName};

/// Project settings as they were trusted.
const TRUSTED: &str = "trusted";
/// Presets that were chosen.
const CHOSEN: &str = "chosen";

/// Why what was said cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// There is no place for it.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The file cannot be used.
    #[error("cannot use {path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It names a preset that there is not.
    #[error("{path}: {error}; remove the file to be asked again")]
    Preset {
        /// Which file.
        path: PathBuf,
        /// Which preset.
        error: NoPreset,
    },
}

/// A project's settings as the person has trusted them last: their whole text, which says more than
/// a hash of it, and shows what has changed.
///
/// # Errors
/// When they cannot be read.
pub fn trusted(project: &Path) -> Result<Option<String>, KeptError> {
    read(TRUSTED, project).map(|(_, text)| text)
}

/// Trusts settings with this text, and no other.
///
/// # Errors
/// When that cannot be kept.
pub fn trust(project: &Path, text: &str) -> Result<PathBuf, KeptError> {
    write(TRUSTED, project, text)
}

/// Trusts them no more. False: they were not trusted.
///
/// # Errors
/// When that cannot be kept.
pub fn untrust(project: &Path) -> Result<bool, KeptError> {
    let path = file(TRUSTED, project)?;
    match fs::remove_file(&path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(KeptError::File { path, error }),
    }
}

/// The presets that the person chose for a project; `None` where nobody was asked.
///
/// # Errors
/// When they cannot be read.
pub fn chosen(project: &Path) -> Result<Option<Vec<PresetName>>, KeptError> {
    let (path, text) = read(CHOSEN, project)?;
    let Some(text) = text else { return Ok(None) };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let names: Result<_, _> = lines.map(str::parse).collect();
    names
        .map(Some)
        .map_err(|error| KeptError::Preset { path, error })
}

/// Keeps the presets that the person chose for a project, which may be none.
///
/// # Errors
/// When that cannot be kept.
pub fn choose(project: &Path, presets: &[PresetName]) -> Result<PathBuf, KeptError> {
    let mut text = format!(
        "# Written by vibepit: the presets chosen for {}, a line each.\n\
         # Remove the file to be asked again.\n",
        project.display().to_string().escape_debug()
    );
    for preset in presets {
        text.push_str(&format!("{preset}\n"));
    }
    write(CHOSEN, project, &text)
}

/// Where it is, or would be: whoever only reads makes no directory.
fn file(kind: &str, project: &Path) -> Result<PathBuf, KeptError> {
    Ok(state_dir()?.join(kind).join(project_slug(project)))
}

fn read(kind: &str, project: &Path) -> Result<(PathBuf, Option<String>), KeptError> {
    let path = file(kind, project)?;
    match kept::read(&path, BYTES_MAX) {
        Ok(text) => Ok((path, text)),
        Err(error) => Err(KeptError::File { path, error }),
    }
}

fn write(kind: &str, project: &Path, text: &str) -> Result<PathBuf, KeptError> {
    let path = kept_dir(kind)?.join(project_slug(project));
    match kept::replace(&path, text.as_bytes()) {
        Ok(()) => Ok(path),
        Err(error) => Err(KeptError::File { path, error }),
    }
}
