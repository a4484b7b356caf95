//! The container engine: how it is reached, and what it is. Nothing here makes a container.

mod dial;
mod error;
mod facts;
mod tunnel;

use std::io;
use std::path::Path;
use std::sync::Arc;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use serde::de::DeserializeOwned;

use super::endpoint::{Endpoint, Named, Surroundings};

pub(crate) use self::dial::Dial;
pub use self::error::EngineError;
pub use self::facts::{Facts, Kind};

/// The oldest Docker whose networks and sysctls the session is built on, and the oldest Podman
/// whose API is like Docker's where a session needs it.
const OLDEST_DOCKER: (u32, u32) = (20, 10);
const OLDEST_PODMAN: (u32, u32) = (4, 0);

/// An engine that answers.
#[derive(Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    pub(crate) facts: Arc<Facts>,
    pub(crate) dial: Dial,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// The engine that somebody named; otherwise the first that answers where engines usually
    /// listen.
    ///
    /// # Errors
    ///
    /// One sentence with the next step for every way in which there is no usable engine. What is
    /// named and of no use never leads to another engine.
    pub async fn find(around: &Surroundings) -> Result<Self, EngineError> {
        if let Some(named) = around.named()? {
            return Self::named(named).await;
        }
        let mut passed_over = Vec::new();
        for end in around.usual() {
            match Self::connect(Endpoint::Unix(end)).await {
                Ok(engine) => return Ok(engine),
                Err(error) => passed_over.push(error),
            }
        }
        Err(EngineError::Nowhere(passed_over))
    }

    /// Every engine of this surroundings that answers, and what keeps a named one from it.
    pub async fn all(around: &Surroundings) -> (Vec<Self>, Option<EngineError>) {
        let mut engines: Vec<Self> = Vec::new();
        let mut failed = None;
        match around.named() {
            Ok(Some(named)) => match Self::named(named).await {
                Ok(engine) => engines.push(engine),
                Err(error) => failed = Some(error),
            },
            Ok(None) => {}
            Err(error) => failed = Some(error.into()),
        }
        let mut passed_over = Vec::new();
        for end in around.usual() {
            let known = |engine: &Self| {
                let socket = engine.facts.endpoint.unix_socket();
                socket.is_some_and(|socket| same_file(socket, end.path()))
            };
            if engines.iter().any(known) {
                continue;
            }
            match Self::connect(Endpoint::Unix(end)).await {
                Ok(engine) => engines.push(engine),
                Err(error) => passed_over.push(error),
            }
        }
        if engines.is_empty() {
            failed = failed.or(Some(EngineError::Nowhere(passed_over)));
        }
        (engines, failed)
    }

    async fn named(named: Named) -> Result<Self, EngineError> {
        let Named { endpoint, by } = named;
        let named = |source| EngineError::Named {
            by,
            source: Box::new(source),
        };
        Self::connect(endpoint).await.map_err(named)
    }

    /// Connects to the engine at `endpoint` and asks what it is.
    ///
    /// # Errors
    ///
    /// One sentence with the next step for every way in which it is of no use.
    pub async fn connect(endpoint: Endpoint) -> Result<Self, EngineError> {
        let at = endpoint.to_string();
        let dial = Dial::to(&endpoint).await?;
        if let Err(source) = dial.connect().await {
            return Err(match &endpoint {
                Endpoint::Unix(end) => EngineError::unreachable(end.path(), source),
                Endpoint::Tcp(_) | Endpoint::Ssh(_) => EngineError::NoAnswer { at, source },
            });
        }
        let garbled = |source| EngineError::Garbled {
            at: at.clone(),
            source,
        };
        let docker = dial
            .client(API_DEFAULT_VERSION)
            .map_err(garbled)?
            .negotiate_version()
            .await
            .map_err(garbled)?;
        let version = docker.version().await.map_err(garbled)?;
        let podman = version
            .components
            .unwrap_or_default()
            .iter()
            .any(|component| component.name.starts_with("Podman"));
        let (kind, oldest) = match podman {
            true => (Kind::Podman, OLDEST_PODMAN),
            false => (Kind::Docker, OLDEST_DOCKER),
        };
        let info = dial.get("/info").await.map_err(garbled)?;
        let facts = Facts::read(endpoint, kind, &info, dial.person());
        if facts.release < oldest {
            return Err(EngineError::TooOld {
                at,
                kind,
                version: facts.version,
                oldest: format!("{}.{}", oldest.0, oldest.1),
            });
        }
        Ok(Self {
            docker,
            facts: Arc::new(facts),
            dial,
        })
    }

    /// The JSON at a path of its API, for what the library does not read.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        let version = self.docker.client_version();
        self.dial.get(&format!("/v{version}{path}")).await
    }

    /// What this engine is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

/// Whether two paths lead to one file.
fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let id = |path: &Path| -> io::Result<(u64, u64)> {
        let metadata = std::fs::metadata(path)?;
        Ok((metadata.dev(), metadata.ino()))
    };
    matches!((id(one), id(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
pub(crate) mod tests {
    use nix::unistd::{getegid, geteuid};

    use super::super::endpoint::UnixEnd;
    use super::*;

    pub(crate) fn unix(path: impl AsRef<Path>) -> Endpoint {
        Endpoint::Unix(UnixEnd::new(path.as_ref()).unwrap())
    }

    /// A rootful engine with cgroups.
    pub(crate) fn rootful() -> Facts {
        Facts {
            endpoint: unix("/var/run/docker.sock"),
            kind: Kind::Docker,
            version: "20.10.24".to_owned(),
            release: (20, 10),
            rootless: false,
            remapped: false,
            limits: true,
            remote: false,
            person: (geteuid().as_raw(), getegid().as_raw()),
            selinux: false,
            memory: 8 << 30,
        }
    }

    #[test]
    fn containers_run_as_the_person_whoever_the_engine_is() {
        assert_eq!(rootful().user().0, geteuid().as_raw());
        let rootless = Facts {
            rootless: true,
            ..rootful()
        };
        assert_eq!(rootless.user(), (0, 0));
        let remapped = Facts {
            remapped: true,
            ..rootful()
        };
        assert_eq!(remapped.userns_mode().as_deref(), Some("host"));
        assert_eq!(rootful().userns_mode(), None);
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named_with_the_next_step() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let error = Engine::connect(unix(&socket))
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&*socket.to_string_lossy()) && error.contains("start"),
            "{error}"
        );

        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let error = Engine::connect(unix(&socket)).await.unwrap_err();
        assert!(matches!(error, EngineError::Silent { .. }), "{error}");
    }
}
