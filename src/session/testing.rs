//! Sessions for the tests of this module: real directories, real locks, real sockets.

use std::os::unix::fs::lchown;
use std::path::Path;

use nix::unistd::Uid;
use tempfile::TempDir;
use tokio::net::UnixListener;

use super::{Control, Doors, Record, RuntimeDir, SessionDir, SessionId};
use crate::transport::unix;

/// A runtime directory that goes with the test.
pub(super) struct Home {
    pub(super) runtime: RuntimeDir,
    pub(super) dir: TempDir,
}

impl Home {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = RuntimeDir::open_or_create_at(&dir.path().join("vibepit")).unwrap();
        Self { runtime, dir }
    }

    /// A session that is live for as long as the value lives.
    pub(super) fn live(&self, name: &str, project: Option<&Path>) -> Live {
        let dir = self.starting();
        let listener = unix::listen(&dir.control_socket()).unwrap();
        dir.announce(&record(&dir, name, project)).unwrap();
        Live { dir, listener }
    }

    /// What a launcher leaves that was killed with its proxy.
    pub(super) fn stale(&self, name: &str, project: Option<&Path>) -> SessionId {
        self.live(name, project).dir.id()
    }

    /// A session that has its lock, and is not announced.
    pub(super) fn starting(&self) -> SessionDir {
        SessionDir::create(&self.runtime, &SessionId::random().unwrap()).unwrap()
    }
}

pub(super) struct Live {
    pub(super) dir: SessionDir,
    listener: UnixListener,
}

impl Live {
    pub(super) fn apart(self) -> (SessionDir, UnixListener) {
        (self.dir, self.listener)
    }
}

pub(super) fn record(dir: &SessionDir, name: &str, project: Option<&Path>) -> Record {
    Record {
        version: Record::VERSION,
        id: dir.id(),
        name: name.to_owned(),
        project_dir: project.map(Path::to_owned),
        runtime: "none".to_owned(),
        created: "2026-01-02T03:04:05Z".to_owned(),
        pid: std::process::id(),
        control: Control {
            socket: Some(dir.control_socket()),
            tcp: None,
        },
        proxy: Doors::default(),
        sandbox: None,
    }
}

/// A directory in `below` that belongs to somebody else. Only root can give one away; everybody
/// else takes one of root's.
pub(super) fn foreign_directory(below: &Path) -> std::path::PathBuf {
    if !Uid::effective().is_root() {
        return "/usr".into();
    }
    let path = below.join("foreign");
    std::fs::create_dir(&path).unwrap();
    lchown(&path, Some(12345), None).unwrap();
    path
}
