//! Names and labels of what a session makes in an engine. The labels serve one purpose: finding
//! what a crash left behind. No running session is ever looked up by them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::session::SessionId;

/// On everything vibepit makes, with the value `true`.
pub(crate) const OURS: &str = "x-vibepit";
/// What it is: `holder`, `proxy`, `sandbox`, `image`, `home`.
pub(crate) const ROLE: &str = "x-vibepit.role";
/// The session it belongs to.
pub(crate) const SESSION: &str = "x-vibepit.session-id";
/// The project it was started for.
pub(crate) const PROJECT: &str = "x-vibepit.project-dir";
/// The runtime directory that holds its session: of another user, or another life, we touch
/// nothing, because their locks cannot be read.
pub(crate) const RUNTIME_DIR: &str = "x-vibepit.runtime-dir";
/// Whose home volume it is: other people's are not ours to remove.
pub(crate) const OWNER: &str = "x-vibepit.uid";
/// The proxy's control port inside its container.
pub(crate) const CONTROL_PORT: &str = "x-vibepit.control-port";

/// What a session's things in the engine are called.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    id: SessionId,
    project: PathBuf,
    runtime_dir: PathBuf,
}

impl Names {
    pub(crate) fn new(id: SessionId, project: &Path, runtime_dir: &Path) -> Self {
        Self {
            id,
            project: project.to_owned(),
            runtime_dir: runtime_dir.to_owned(),
        }
    }

    /// The session.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    pub(crate) fn holder(&self) -> String {
        format!("vibepit-{}-holder", self.id)
    }

    pub(crate) fn proxy(&self) -> String {
        format!("vibepit-{}-proxy", self.id)
    }

    pub(crate) fn sandbox(&self) -> String {
        format!("vibepit-{}-sandbox", self.id)
    }

    /// The volume that stands in for the socket directory on another machine.
    pub(crate) fn socket_volume(&self) -> String {
        format!("vibepit-{}-socket", self.id)
    }

    /// The volume with the copy of the project on another machine.
    pub(crate) fn project_volume(&self) -> String {
        format!("vibepit-{}-project", self.id)
    }

    pub(crate) fn home(&self) -> String {
        format!("vibepit-{}-home", self.id)
    }

    /// The labels of this session's thing with this role.
    pub(crate) fn labels(&self, role: &str) -> HashMap<String, String> {
        let mut labels = ours(role);
        labels.insert(SESSION.to_owned(), self.id.to_string());
        labels.insert(PROJECT.to_owned(), self.project.display().to_string());
        labels.insert(
            RUNTIME_DIR.to_owned(),
            self.runtime_dir.display().to_string(),
        );
        labels
    }
}

/// The labels of a thing that outlives its session.
pub(crate) fn ours(role: &str) -> HashMap<String, String> {
    HashMap::from([
        (OURS.to_owned(), "true".to_owned()),
        (ROLE.to_owned(), role.to_owned()),
    ])
}
