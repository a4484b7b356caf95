//! Which runtimes have held: a file in the person's state directory, so that a session does not wait
//! for a self-attack whose outcome is known. What cannot be read counts as not known.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::super::session::Runtime;
use crate::config::{self, PathError};
use crate::kept;

/// The file's name.
const FILE: &str = "self-test.json";

/// How many runtimes are remembered; a machine has one or two.
const MOST: usize = 16;

/// What a self-attack is about: any change of it is another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// `docker` or `local`.
    runtime: String,
    /// The engine and its version; empty where there is none.
    engine: String,
    /// The kernel's release.
    kernel: String,
    /// vibepit's version.
    vibepit: String,
}

/// Why a stamp is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum StampError {
    /// It has no place.
    #[error(transparent)]
    Place(#[from] PathError),
    /// It cannot be written.
    #[error("{} cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
struct File {
    version: u32,
    held: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    stamp: Stamp,
    /// When it held.
    at: String,
}

const VERSION: u32 = 1;

impl Stamp {
    /// That of a session on this runtime.
    pub(super) fn of(runtime: &Runtime) -> Self {
        let engine = match runtime {
            Runtime::Docker(engine) => engine.facts().to_string(),
            Runtime::Local => String::new(),
        };
        Self {
            runtime: runtime.name().to_owned(),
            engine,
            kernel: kernel(),
            vibepit: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// What it is called in a sentence.
    pub(super) fn shown(&self) -> String {
        match self.engine.as_str() {
            "" => format!("Linux {}", self.kernel),
            engine => engine.to_owned(),
        }
    }

    /// Whether this runtime is known to have held.
    pub(super) fn is_known(&self) -> bool {
        config::state_dir().is_ok_and(|state| {
            let file = read(&state.join(FILE)).unwrap_or_default();
            file.held.iter().any(|entry| entry.stamp == *self)
        })
    }

    /// Remembers that this runtime held.
    ///
    /// # Errors
    ///
    /// When the file cannot be written: then it is tested again the next time.
    pub(super) fn remember(&self) -> Result<(), StampError> {
        let path = config::own_state_dir()?.join(FILE);
        let mut file = read(&path).unwrap_or_default();
        file.version = VERSION;
        file.held.retain(|entry| entry.stamp != *self);
        let at = OffsetDateTime::now_utc()
            .format(&Rfc3339)
            .unwrap_or_default();
        file.held.push(Entry {
            stamp: self.clone(),
            at,
        });
        let surplus = file.held.len().saturating_sub(MOST);
        file.held.drain(..surplus);
        let written = serde_json::to_vec(&file)
            .map_err(io::Error::from)
            .and_then(|text| kept::replace(&path, &text));
        written.map_err(|source| StampError::Write { path, source })
    }
}

/// `None` when it is not there, or is no such file: then nothing is known.
fn read(path: &std::path::Path) -> Option<File> {
    let file: File = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
    (file.version == VERSION).then_some(file)
}

fn kernel() -> String {
    nix::sys::utsname::uname().map_or_else(
        |_| String::new(),
        |name| name.release().to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(engine: &str) -> Stamp {
        Stamp {
            runtime: "docker".to_owned(),
            engine: engine.to_owned(),
            kernel: "6.1".to_owned(),
            vibepit: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_file_that_is_none_is_as_good_as_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        assert!(read(&path).is_none());
        for bad in ["", "{", "[]", "{\"version\":2,\"held\":[]}"] {
            fs::write(&path, bad).unwrap();
            assert!(read(&path).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(FILE);
        let entry = Entry {
            stamp: stamp("Docker 1"),
            at: "2026-01-01T00:00:00Z".to_owned(),
        };
        let file = File {
            version: VERSION,
            held: vec![entry],
        };
        kept::replace(&path, &serde_json::to_vec(&file).unwrap()).unwrap();
        assert_eq!(read(&path).unwrap().held[0].stamp, stamp("Docker 1"));
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
