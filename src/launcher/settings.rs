//! What a project's own files say before a session starts: its settings for vibepit, and the names
//! by which it is seen what it is made of. Read from the directory that is held open, and through no
//! link: whoever works on the project may have put one there.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use super::nofollow::{Directory, Entry};
use super::project::{META, Project};

/// The file of a project's settings, in its `.vibepit`.
const FILE: &str = "config.toml";
/// Bytes of it.
const BYTES_MAX: u64 = 256 * 1024;
/// Names that are looked at.
const NAMES_MAX: usize = 10_000;

/// Why a project's settings cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} is not read: {what}", .path.display())]
pub struct SettingsError {
    /// The file, or what is in the place of it or of its directory.
    pub path: PathBuf,
    /// Why not.
    pub what: String,
}

/// Where a project's settings are.
pub fn settings_path(project: &Project) -> PathBuf {
    project.path().join(META).join(FILE)
}

/// The text of a project's settings, if it has any.
///
/// # Errors
/// When what is there is no plain file of UTF-8 in a plain directory, or too long.
pub fn settings(project: &Project) -> Result<Option<String>, SettingsError> {
    let Some(Entry::Directory(meta)) = look(project.directory(), META, project, false)? else {
        return Ok(None);
    };
    let Some(Entry::File(file)) = look(&meta, FILE, project, true)? else {
        return Ok(None);
    };
    let error = |what: String| SettingsError {
        path: settings_path(project),
        what,
    };
    let bytes = file
        .read(BYTES_MAX)
        .map_err(|problem| error(problem.to_string()))?
        .ok_or_else(|| error(format!("it has more than {} KiB", BYTES_MAX / 1024)))?;
    String::from_utf8(bytes)
        .map(Some)
        .map_err(|_| error("it is not UTF-8".to_owned()))
}

/// What is there under a name: a file or a directory, as is asked for, or nothing.
fn look(
    directory: &Directory,
    name: &str,
    project: &Project,
    file: bool,
) -> Result<Option<Entry>, SettingsError> {
    let what = match directory.entry(OsStr::new(name)) {
        Ok(entry @ Entry::File(_)) if file => return Ok(Some(entry)),
        Ok(entry @ Entry::Directory(_)) if !file => return Ok(Some(entry)),
        Ok(Entry::File(_)) => "it is a file".to_owned(),
        Ok(Entry::Directory(_)) => "it is a directory".to_owned(),
        Ok(Entry::Link(_)) => "it is a symbolic link".to_owned(),
        Ok(Entry::Special(what)) => format!("it is a {what}"),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => error.to_string(),
    };
    let path = settings_path(project);
    let path = match file {
        true => path,
        false => project.path().join(META),
    };
    Err(SettingsError { path, what })
}

/// The names in a project's directory.
///
/// # Errors
/// When it cannot be read.
pub fn names(project: &Project) -> io::Result<Vec<String>> {
    let (names, _) = project.directory().names(NAMES_MAX)?;
    let names = names.into_iter();
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}
