//! Which engine is meant: what the environment and docker's own files say, in docker's order.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::context::{ContextError, Store, is_named};
use super::{Endpoint, TlsFiles, UnixEnd};

/// Where Docker listens unless it is told otherwise.
const DOCKER: &str = "/var/run/docker.sock";
/// Where Podman does, as root.
const PODMAN: &str = "/run/podman/podman.sock";

/// The part of a process's environment that decides which engine is meant.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    docker_host: Option<String>,
    docker_context: Option<String>,
    /// Docker's directory.
    docker_config: Option<PathBuf>,
    /// TLS is asked for, and whether whoever answers is to be verified.
    tls: Option<bool>,
    cert_path: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
}

/// An engine that somebody named.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// Where it is.
    pub(crate) endpoint: Endpoint,
    /// What names it, as it stands in a sentence.
    pub(crate) by: String,
}

/// Why what names an engine is of no use.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// DOCKER_HOST is not an address.
    #[error(
        "DOCKER_HOST is {host:?}, which cannot be used: {why}; unset it, or set it to an address \
         such as unix:///run/docker.sock"
    )]
    Host {
        /// Its value.
        host: String,
        /// A clause.
        why: String,
    },
    /// A context is not usable.
    #[error(transparent)]
    Context(#[from] ContextError),
}

impl Surroundings {
    /// Those of this process.
    pub fn of_this_process() -> Self {
        Self::read(|name| std::env::var_os(name))
    }

    /// An empty variable counts as none, as it does for docker.
    fn read(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        // What is not UTF-8 is no address and no name of a context, and is shown as such.
        let text = |name| set(name).map(|value| value.to_string_lossy().trim().to_owned());
        let path = |name| set(name).map(PathBuf::from);
        let home = path("HOME").filter(|home| home.is_absolute());
        let own = format!("/run/user/{}", nix::unistd::geteuid());
        Self {
            docker_host: text("DOCKER_HOST"),
            docker_context: text("DOCKER_CONTEXT"),
            docker_config: path("DOCKER_CONFIG").or_else(|| Some(home?.join(".docker"))),
            tls: match (set("DOCKER_TLS_VERIFY"), set("DOCKER_TLS")) {
                (Some(_), _) => Some(true),
                (None, Some(_)) => Some(false),
                (None, None) => None,
            },
            cert_path: path("DOCKER_CERT_PATH"),
            runtime_dir: path("XDG_RUNTIME_DIR").or_else(|| Some(PathBuf::from(own))),
        }
    }

    /// The engine that somebody named: DOCKER_HOST, DOCKER_CONTEXT, or the current context of
    /// docker's own configuration, the first of these that is there.
    ///
    /// # Errors
    ///
    /// When what names it cannot be used. It never falls through to another engine then.
    pub(crate) fn named(&self) -> Result<Option<Named>, EndpointError> {
        if let Some(host) = &self.docker_host {
            let unusable = |why| EndpointError::Host {
                host: host.clone(),
                why,
            };
            let tls = self.tls(host).map_err(unusable)?;
            let endpoint = Endpoint::parse(host, tls).map_err(unusable)?;
            let by = "DOCKER_HOST".to_owned();
            return Ok(Some(Named { endpoint, by }));
        }
        let Some(directory) = &self.docker_config else {
            return Ok(None);
        };
        let store = Store(directory);
        let (name, by) = match &self.docker_context {
            Some(name) => (Some(name.clone()), "DOCKER_CONTEXT".to_owned()),
            None => (store.current()?, store.config_file().display().to_string()),
        };
        let Some(name) = name.filter(|name| is_named(name)) else {
            return Ok(None);
        };
        let endpoint = store.endpoint(&name, &by)?;
        let by = format!("the docker context {name:?}");
        Ok(Some(Named { endpoint, by }))
    }

    /// The key material that DOCKER_TLS_VERIFY asks for.
    fn tls(&self, host: &str) -> Result<Option<TlsFiles>, String> {
        if !host.starts_with("tcp:") {
            return Ok(None);
        }
        match self.tls {
            None => Ok(None),
            Some(false) => Err(
                "DOCKER_TLS alone does not verify who answers, so anybody on the way could be the \
                 engine; set DOCKER_TLS_VERIFY=1"
                    .to_owned(),
            ),
            Some(true) => {
                let directory = self.cert_path.as_ref().or(self.docker_config.as_ref());
                let directory = directory.ok_or("DOCKER_CERT_PATH is not set")?;
                TlsFiles::in_directory(directory).map(Some)
            }
        }
    }

    /// Where engines listen when nobody says otherwise: Docker as root and without, then Podman
    /// without root and as root.
    pub(crate) fn usual(&self) -> Vec<UnixEnd> {
        let own = |name: &str| self.runtime_dir.as_ref().map(|dir| dir.join(name));
        [
            Some(PathBuf::from(DOCKER)),
            own("docker.sock"),
            own("podman/podman.sock"),
            Some(PathBuf::from(PODMAN)),
        ]
        .into_iter()
        .flatten()
        .filter_map(UnixEnd::new)
        .collect()
    }

    /// Every socket of this machine at which an engine may be.
    pub fn sockets(&self) -> Vec<PathBuf> {
        let host = self.docker_host.as_deref();
        let named = host.and_then(|host| Some(PathBuf::from(host.strip_prefix("unix://")?)));
        let contexts = self
            .docker_config
            .as_deref()
            .map(|dir| Store(dir).sockets());
        self.usual()
            .iter()
            .map(|end| end.path().to_owned())
            .chain(named.filter(|path| Path::is_absolute(path)))
            .chain(contexts.unwrap_or_default())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir_all, write};

    use super::*;

    fn around(variables: &[(&str, &str)]) -> Surroundings {
        Surroundings::read(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn named(variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let named = around(variables)
            .named()
            .map_err(|error| error.to_string())?;
        Ok(named.map(|named| format!("{} by {}", named.endpoint, named.by)))
    }

    /// The SHA-256 of "box".
    const BOX: &str = "26f8567f2569182294c3fa5b9f9cb2270b554eef628b4c149cf82a42888ff4ae";

    /// A docker directory whose current context, `box`, has this endpoint.
    fn docker(endpoint: &str) -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let meta = directory.path().join("contexts/meta").join(BOX);
        create_dir_all(&meta).unwrap();
        let endpoints = format!(r#"{{"Name":"box","Endpoints":{{"docker":{endpoint}}}}}"#);
        write(meta.join("meta.json"), endpoints).unwrap();
        let config = r#"{"auths":{},"currentContext":"box"}"#;
        write(directory.path().join("config.json"), config).unwrap();
        directory
    }

    #[test]
    fn docker_host_wins_then_docker_context_then_the_current_context() {
        let directory = docker(r#"{"Host":"unix:///run/box.sock","SkipTLSVerify":false}"#);
        let config = ("DOCKER_CONFIG", directory.path().to_str().unwrap());
        let by_context = "/run/box.sock by the docker context \"box\"";
        assert_eq!(named(&[config]).unwrap().unwrap(), by_context);
        let context = ("DOCKER_CONTEXT", "box");
        assert_eq!(named(&[config, context]).unwrap().unwrap(), by_context);
        assert_eq!(
            named(&[config, ("DOCKER_CONTEXT", "default")]).unwrap(),
            None
        );
        let host = ("DOCKER_HOST", "unix:///run/host.sock");
        assert_eq!(
            named(&[config, context, host]).unwrap().unwrap(),
            "/run/host.sock by DOCKER_HOST"
        );
        let empty = [config, ("DOCKER_HOST", ""), ("DOCKER_CONTEXT", "")];
        assert_eq!(named(&empty).unwrap().unwrap(), by_context);
        assert!(
            around(&[config])
                .sockets()
                .contains(&PathBuf::from("/run/box.sock")),
            "also when another engine is used"
        );
    }

    #[test]
    fn without_docker_files_nobody_names_an_engine() {
        let empty = tempfile::tempdir().unwrap();
        assert_eq!(
            named(&[("HOME", empty.path().to_str().unwrap())]).unwrap(),
            None
        );
        assert_eq!(named(&[]).unwrap(), None);
    }

    #[test]
    fn a_context_that_cannot_be_used_is_an_error_and_never_another_engine() {
        let cases = [
            (r#"{"Host":"tcp://box.test:2376"}"#, "TLS"),
            (
                r#"{"Host":"tcp://box.test:2376","SkipTLSVerify":true}"#,
                "SkipTLSVerify",
            ),
            (r#"{"Host":"npipe:////./pipe/docker"}"#, "npipe"),
            (r#"{"Host":""}"#, "names no engine"),
            ("null", "names no engine"),
            ("7", "meta.json"),
        ];
        for (endpoint, why) in cases {
            let directory = docker(endpoint);
            let config = ("DOCKER_CONFIG", directory.path().to_str().unwrap());
            let said = named(&[config]).unwrap_err();
            assert!(said.contains(why), "{endpoint}: {said}");
        }
        let directory = docker("null");
        let config = ("DOCKER_CONFIG", directory.path().to_str().unwrap());
        let said = named(&[config, ("DOCKER_CONTEXT", "gone")]).unwrap_err();
        assert!(
            said.contains("gone") && said.contains("DOCKER_CONTEXT"),
            "{said}"
        );
        write(directory.path().join("config.json"), "{").unwrap();
        let said = named(&[config]).unwrap_err();
        assert!(
            said.contains("config.json") && said.contains("repair"),
            "{said}"
        );
    }

    #[test]
    fn a_port_takes_its_keys_from_the_context_or_from_docker_cert_path() {
        let directory = docker(r#"{"Host":"tcp://box.test:2376"}"#);
        let keys = directory
            .path()
            .join("contexts/tls")
            .join(BOX)
            .join("docker");
        create_dir_all(&keys).unwrap();
        let config = ("DOCKER_CONFIG", directory.path().to_str().unwrap());
        let said = named(&[config]).unwrap_err();
        assert!(said.contains("ca.pem"), "{said}");
        for part in ["ca.pem", "cert.pem", "key.pem"] {
            write(keys.join(part), "").unwrap();
        }
        let of_context = around(&[config]).named().unwrap().unwrap().endpoint;
        let variables = [
            ("DOCKER_HOST", "tcp://box.test:2376"),
            ("DOCKER_TLS_VERIFY", "1"),
            ("DOCKER_CERT_PATH", keys.to_str().unwrap()),
        ];
        assert_eq!(
            around(&variables).named().unwrap().unwrap().endpoint,
            of_context
        );
        let unverified = [variables[0], ("DOCKER_TLS", "1"), variables[2]];
        assert!(
            named(&unverified)
                .unwrap_err()
                .contains("DOCKER_TLS_VERIFY")
        );
        assert!(named(&variables[..1]).unwrap_err().contains("TLS"));
    }

    #[test]
    fn the_usual_sockets_are_dockers_before_podmans() {
        let usual = around(&[("XDG_RUNTIME_DIR", "/run/user/7")]).usual();
        let usual: Vec<_> = usual
            .iter()
            .map(|end| end.path().to_str().unwrap())
            .collect();
        assert_eq!(
            usual,
            [
                "/var/run/docker.sock",
                "/run/user/7/docker.sock",
                "/run/user/7/podman/podman.sock",
                "/run/podman/podman.sock",
            ]
        );
    }
}
