//! Why there is no engine to work with, in one sentence with the next step.

use std::io;
use std::path::{Path, PathBuf};

use nix::unistd::{Gid, Group};

use super::super::endpoint::EndpointError;

/// Why there is no engine to work with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// What names an engine is of no use.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// The engine that somebody named is no use.
    #[error("{source} (this engine was named by {by})")]
    Named {
        /// What names it.
        by: String,
        /// What is wrong.
        source: Box<Self>,
    },
    /// Nobody named an engine, and where engines usually listen nobody answers.
    #[error("{}", nowhere(.0))]
    Nowhere(Vec<Self>),
    /// No login on the engine's machine.
    #[error(
        "{at} cannot be reached over ssh: {source}; vibepit does not ask for a password: make `ssh \
         -o BatchMode=yes {command} true` work, with a key in ssh-agent for example, and try again"
    )]
    Ssh {
        /// Where the engine is.
        at: String,
        /// How ssh is told of it.
        command: String,
        /// What ssh says.
        source: io::Error,
    },
    /// Key material that is no use.
    #[error("the TLS material in {} cannot be used: {why}", .directory.display())]
    Keys {
        /// Where it is.
        directory: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Another machine's port.
    #[error("no container engine answers at {at}: {source}; see whether it runs and listens there")]
    NoAnswer {
        /// Where it is.
        at: String,
        /// What connecting said.
        source: io::Error,
    },
    /// No socket there.
    #[error(
        "no container engine is running: there is no socket {}; start Docker (`sudo systemctl \
         start docker`) or Podman (`systemctl --user start podman.socket`), or set DOCKER_HOST to \
         your engine's socket (unix:///path)", .socket.display()
    )]
    Missing {
        /// The path that was tried.
        socket: PathBuf,
    },
    /// A socket that nobody listens on.
    #[error(
        "no container engine answers on {}: {source}; start it (`sudo systemctl start docker`) and \
         try again", .socket.display()
    )]
    Silent {
        /// The path that was tried.
        socket: PathBuf,
        /// What connecting said.
        source: io::Error,
    },
    /// The socket is not for this user.
    #[error(
        "you may not speak to the container engine on {}: {}; add yourself to that group (`sudo \
         usermod -aG {} $USER`) and log in again, or run a rootless engine and set DOCKER_HOST",
        .socket.display(), .owner, .group
    )]
    NoPermission {
        /// The path that was tried.
        socket: PathBuf,
        /// Who may.
        owner: String,
        /// The group whose members may.
        group: String,
    },
    /// It speaks, but not as an engine does.
    #[error("the container engine on {at} did not answer as one: {source}")]
    Garbled {
        /// Where it is.
        at: String,
        /// What went wrong.
        source: bollard::errors::Error,
    },
    /// Too old.
    #[error("the container engine on {at} is {kind} {version}; vibepit needs {oldest} or newer")]
    TooOld {
        /// Where it is.
        at: String,
        /// Docker or Podman.
        kind: super::Kind,
        /// As it tells it.
        version: String,
        /// The oldest that will do.
        oldest: String,
    },
}

impl EngineError {
    /// Nobody asked for a certain engine: without one there are other ways to run a sandbox.
    pub fn is_nobodys_choice(&self) -> bool {
        matches!(self, Self::Nowhere(_))
    }

    /// A clause for a list.
    fn in_short(&self) -> String {
        match self {
            Self::Missing { socket } => socket.display().to_string(),
            Self::Silent { socket, source } => format!("{}: {source}", socket.display()),
            Self::NoPermission { socket, .. } => format!("{}: not open to you", socket.display()),
            other => other.to_string(),
        }
    }

    /// What connecting to a socket said.
    pub(super) fn unreachable(socket: &Path, error: io::Error) -> Self {
        let socket = socket.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound => Self::Missing { socket },
            io::ErrorKind::PermissionDenied => {
                let (owner, group) = owner_of(&socket);
                Self::NoPermission {
                    socket,
                    owner,
                    group,
                }
            }
            _ => Self::Silent {
                socket,
                source: error,
            },
        }
    }
}

fn nowhere(tried: &[EngineError]) -> String {
    // An engine that is there, and closed, is what the person has to know about.
    let closed = |error: &&EngineError| matches!(error, EngineError::NoPermission { .. });
    if let Some(closed) = tried.iter().find(closed) {
        return closed.to_string();
    }
    let tried: Vec<String> = tried.iter().map(EngineError::in_short).collect();
    format!(
        "no container engine answers on this machine (looked for {}); start Docker (`sudo \
         systemctl start docker`) or Podman (`systemctl --user start podman.socket`), or set \
         DOCKER_HOST to the address of one",
        tried.join(", ")
    )
}

/// Who may connect, as a clause, and the name of the group.
fn owner_of(socket: &Path) -> (String, String) {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::metadata(socket) else {
        return (
            "its directory is closed to you".to_owned(),
            "docker".to_owned(),
        );
    };
    let gid = metadata.gid();
    let group = Group::from_gid(Gid::from_raw(gid)).ok().flatten();
    let group = group.map_or_else(|| gid.to_string(), |group| group.name);
    (
        format!("it is open to its owner and to group {group}"),
        group,
    )
}
