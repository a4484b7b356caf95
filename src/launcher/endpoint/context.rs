//! Docker's contexts, as its command line keeps them below `~/.docker`: read, never written.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Endpoint, TlsFiles};

/// The name of what docker does without a context.
const DEFAULT: &str = "default";

/// Why a context cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    /// A file of docker's cannot be read or understood.
    #[error("{} cannot be read: {why}; repair it, or set DOCKER_HOST", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// There is no such context.
    #[error(
        "there is no docker context {name:?} (named by {by}; looked for {}); choose one with \
         `docker context use`, or set DOCKER_HOST", .path.display()
    )]
    Unknown {
        /// Its name.
        name: String,
        /// What names it.
        by: String,
        /// Its file.
        path: PathBuf,
    },
    /// Its address is of no use.
    #[error("the docker context {name:?} cannot be used: {why}")]
    Unusable {
        /// Its name.
        name: String,
        /// A clause.
        why: String,
    },
}

/// Docker's directory, `~/.docker` as a rule.
pub(super) struct Store<'a>(pub(super) &'a Path);

#[derive(Deserialize)]
struct Config {
    #[serde(default, rename = "currentContext")]
    current_context: String,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default, rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
struct DockerEndpoint {
    #[serde(default, rename = "Host")]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

impl Store<'_> {
    /// The context that `config.json` names, if it names one.
    pub(super) fn current(&self) -> Result<Option<String>, ContextError> {
        let config: Option<Config> = read(&self.config_file())?;
        let name = config.map(|config| config.current_context);
        Ok(name.filter(|name| is_named(name)))
    }

    /// Where `current` looks.
    pub(super) fn config_file(&self) -> PathBuf {
        self.0.join("config.json")
    }

    /// The address that a context stands for. `by` is what names it.
    pub(super) fn endpoint(&self, name: &str, by: &str) -> Result<Endpoint, ContextError> {
        let digest = digest(name);
        let path = self.0.join("contexts/meta").join(&digest).join("meta.json");
        let unusable = |why: String| ContextError::Unusable {
            name: name.to_owned(),
            why,
        };
        let meta: Meta = read(&path)?.ok_or_else(|| ContextError::Unknown {
            name: name.to_owned(),
            by: by.to_owned(),
            path: path.clone(),
        })?;
        let endpoint = meta.endpoints.docker.filter(|end| !end.host.is_empty());
        let endpoint = endpoint.ok_or_else(|| unusable("it names no engine".to_owned()))?;
        let host = &endpoint.host;
        if endpoint.skip_tls_verify && host.starts_with("tcp:") {
            return Err(unusable(format!(
                "it does not verify who answers at {host} (SkipTLSVerify), so anybody on the way \
                 could be the engine; give it the engine's CA with `docker context update`"
            )));
        }
        let keys = self.0.join("contexts/tls").join(&digest).join("docker");
        let tls = match keys.is_dir() && host.starts_with("tcp:") {
            true => Some(TlsFiles::in_directory(&keys).map_err(unusable)?),
            false => None,
        };
        Endpoint::parse(host, tls).map_err(|why| unusable(format!("{host:?}: {why}")))
    }

    /// The sockets of this machine that any context stands for.
    pub(super) fn sockets(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.0.join("contexts/meta"));
        let metas = entries.into_iter().flatten().flatten().filter_map(|entry| {
            let meta: Option<Meta> = read(&entry.path().join("meta.json")).ok()?;
            meta?.endpoints.docker
        });
        metas
            .filter_map(|end| Some(PathBuf::from(end.host.strip_prefix("unix://")?)))
            .filter(|path| path.is_absolute())
            .collect()
    }
}

/// Whether this is the name of a context that has a file.
pub(super) fn is_named(name: &str) -> bool {
    !name.is_empty() && name != DEFAULT
}

/// A context's directories are called after the hash of its name.
fn digest(name: &str) -> String {
    let hash = Sha256::digest(name);
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `None` where there is no such file.
fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>, ContextError> {
    let bad = |why: String| ContextError::File {
        path: path.to_owned(),
        why,
    };
    match std::fs::read(path) {
        Ok(content) => serde_json::from_slice(&content)
            .map(Some)
            .map_err(|error| bad(error.to_string())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(bad(error.to_string())),
    }
}
