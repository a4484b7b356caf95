//! Where vibepit's files are (XDG Base Directory Specification).

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Why a file has no place.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// Neither the XDG variable nor HOME says where.
    #[error("there is no place for {what}: set {variable}, or HOME, to an absolute path")]
    NoHome {
        /// What has no place.
        what: &'static str,
        /// The variable that would say.
        variable: &'static str,
    },
    /// A directory cannot be made or looked at.
    #[error("cannot use the directory {path}: {error}")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A directory is not ours alone.
    #[error(
        "{path} must be a real directory that belongs to you and that nobody else may enter: \
         chmod 700 {path}, or move it away"
    )]
    NotPrivate {
        /// Which one.
        path: PathBuf,
    },
}

/// `$XDG_CONFIG_HOME/vibepit/config.toml`. It need not exist.
///
/// # Errors
/// When no variable says where.
pub fn config_file() -> Result<PathBuf, PathError> {
    Ok(base("the configuration", "XDG_CONFIG_HOME", ".config")?.join("vibepit/config.toml"))
}

/// `$XDG_STATE_HOME/vibepit`. It need not exist.
///
/// # Errors
/// When no variable says where.
pub fn state_dir() -> Result<PathBuf, PathError> {
    Ok(base("the audit log", "XDG_STATE_HOME", ".local/state")?.join("vibepit"))
}

/// `$XDG_STATE_HOME/vibepit`, made 0700 if it is not there.
///
/// # Errors
/// As [`audit_dir`].
pub fn own_state_dir() -> Result<PathBuf, PathError> {
    state_directory(&[])
}

/// `$XDG_STATE_HOME/vibepit/audit/<session>`, made 0700 if it is not there, as are those above it.
/// Each session has its own: a proxy gets no other one's to see. `<session>.jsonl` beside it leads
/// to the file of this name in it, so that what reads an audit log need know of one path alone.
///
/// # Errors
/// When no variable says where, or a directory cannot be made, or others may enter it.
pub fn audit_dir(session: &str, file: &str) -> Result<PathBuf, PathError> {
    let directory = state_directory(&["audit", session])?;
    let link = directory.with_extension("jsonl");
    match symlink(Path::new(session).join(file), &link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(PathError::Io { path: link, error })
        }
        _ => Ok(directory),
    }
}

/// Takes away what [`audit_dir`] made, if nothing was written: then no session was.
///
/// # Errors
/// When something of it cannot be removed.
pub fn discard_audit_dir(directory: &Path, file: &str) -> io::Result<()> {
    let file = directory.join(file);
    if fs::symlink_metadata(&file).is_ok_and(|found| found.len() == 0) {
        fs::remove_file(file)?;
    }
    match fs::remove_dir(directory) {
        // What was written stays: it is the record of what happened.
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::remove_file(directory.with_extension("jsonl")),
    }
}

/// `$XDG_STATE_HOME/vibepit/decisions`, made 0700 if it is not there.
///
/// # Errors
/// As [`audit_dir`].
pub fn decisions_dir() -> Result<PathBuf, PathError> {
    state_directory(&["decisions"])
}

/// `$XDG_STATE_HOME/vibepit/homes/<project>`, the home of a project's sandboxes where no engine
/// keeps it, made 0700 if it is not there. An agent has a corner of its own, `<project>.<agent>`.
///
/// # Errors
/// As [`audit_dir`].
pub fn home_dir(project: &Path, agent: Option<&str>) -> Result<PathBuf, PathError> {
    let mut name = project_slug(project);
    if let Some(agent) = agent {
        name = format!("{name}.{agent}");
    }
    state_directory(&["homes", &name])
}

/// The homes that [`home_dir`] has made, none of which is a link.
///
/// # Errors
/// When no variable says where, or the directory cannot be read, or others may enter it.
pub fn homes() -> Result<Vec<PathBuf>, PathError> {
    let place = state_dir()?.join("homes");
    if fs::symlink_metadata(&place).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        return Ok(Vec::new());
    }
    let place = state_directory(&["homes"])?;
    let io = |error| PathError::Io {
        path: place.clone(),
        error,
    };
    let mut homes = Vec::new();
    for entry in fs::read_dir(&place).map_err(io)? {
        let entry = entry.map_err(io)?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            homes.push(entry.path());
        }
    }
    homes.sort();
    Ok(homes)
}

/// What a project's file of decisions is called: readable, and no other project's.
pub fn project_slug(project: &Path) -> String {
    let name = project.file_name().unwrap_or_default().to_string_lossy();
    let slug: String = name
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .take(32)
        .collect();
    let hash = Sha256::digest(project.as_os_str().as_bytes());
    let hash: String = hash[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{hash}", slug.trim_matches('-'))
}

/// A directory below `$XDG_STATE_HOME/vibepit`, made 0700 if it is not there.
///
/// # Errors
/// As [`audit_dir`].
pub(super) fn kept_dir(name: &str) -> Result<PathBuf, PathError> {
    state_directory(&[name])
}

/// A directory of vibepit's state, by the names on the way to it. Nobody else may enter any.
fn state_directory(names: &[&str]) -> Result<PathBuf, PathError> {
    let vibepit = state_dir()?;
    let mut way = vec![vibepit.clone()];
    for name in names {
        way.extend(way.last().map(|above| above.join(name)));
    }
    let io = |path: &Path| {
        let path = path.to_owned();
        |error| PathError::Io { path, error }
    };
    if let Some(state) = vibepit.parent() {
        fs::create_dir_all(state).map_err(io(state))?;
    }
    for directory in &way {
        private(directory).map_err(io(directory))?;
        let found = fs::symlink_metadata(directory).map_err(io(directory))?;
        let ours = found.uid() == nix::unistd::Uid::effective().as_raw();
        if !found.is_dir() || !ours || found.mode() & 0o077 != 0 {
            return Err(PathError::NotPrivate {
                path: directory.clone(),
            });
        }
    }
    Ok(way.pop().unwrap_or(vibepit))
}

fn private(directory: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

fn base(
    what: &'static str,
    variable: &'static str,
    below_home: &str,
) -> Result<PathBuf, PathError> {
    // The specification: a relative path in such a variable is to be ignored.
    let absolute = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute(variable)
        .or_else(|| absolute("HOME").map(|home| home.join(below_home)))
        .ok_or(PathError::NoHome { what, variable })
}
