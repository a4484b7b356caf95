//! The throw-away project, and around it what the sandbox must not see or change. Everything is in
//! one temporary directory, which goes with this value.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::session::SessionId;

/// What the project's settings say on the host; the sandbox sees none of it.
const SETTINGS: &str = "# The self-attack looks whether this can be read or changed.\n";

/// See the module's text.
#[derive(Debug)]
pub(super) struct Ground {
    base: PathBuf,
}

impl Ground {
    /// Makes it, closed to others, and not in this home: a directory on the way to a project in the
    /// home is a part of the sandbox's image, and each trial would leave one.
    pub(super) fn make(home: Option<&Path>) -> io::Result<Self> {
        let random = SessionId::random()?;
        let temporary = std::env::temp_dir().canonicalize()?;
        let base = match home.is_some_and(|home| temporary.starts_with(home)) {
            true => PathBuf::from("/tmp"),
            false => temporary,
        };
        let base = base.join(format!("vibepit-self-test-{random}"));
        let make = |path: &Path| DirBuilder::new().mode(0o700).create(path);
        make(&base)?;
        let ground = Self { base };
        for directory in [
            ground.project(),
            ground.project().join(".vibepit"),
            ground.state(),
            ground.outside(),
        ] {
            make(&directory)?;
        }
        fs::write(ground.settings(), SETTINGS)?;
        fs::write(ground.secret(), "the sandbox must not read this\n")?;
        Ok(ground)
    }

    /// The sandbox's project.
    pub(super) fn project(&self) -> PathBuf {
        self.base.join("project")
    }

    /// Where the session keeps what others keep in the person's own directories.
    pub(super) fn state(&self) -> PathBuf {
        self.base.join("state")
    }

    /// What the sandbox does not see.
    pub(super) fn outside(&self) -> PathBuf {
        self.base.join("outside")
    }

    /// A file that it must not read.
    pub(super) fn secret(&self) -> PathBuf {
        self.outside().join("secret")
    }

    /// What is covered in the sandbox.
    pub(super) fn covered(&self) -> PathBuf {
        self.project().join(".vibepit")
    }

    fn settings(&self) -> PathBuf {
        self.covered().join("config.toml")
    }

    /// What changed of the project's settings, as a clause.
    pub(super) fn changed(&self) -> Option<String> {
        if fs::read_to_string(self.settings()).ok().as_deref() != Some(SETTINGS) {
            return Some("config.toml was changed on the host".to_owned());
        }
        let entries = fs::read_dir(self.covered()).map_or(0, Iterator::count);
        (entries != 1).then(|| "a file was made in it on the host".to_owned())
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // In the temporary directory of the system, which takes care of what stays.
        let _ = fs::remove_dir_all(&self.base);
    }
}
