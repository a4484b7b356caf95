//! The container engine: how it is reached, and what it is. Nothing here makes a container.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::Docker;
use bollard::models::SystemInfo;
use nix::unistd::{Gid, Group, getegid, geteuid};
use tokio::net::UnixStream;

/// Where Docker listens unless it is told otherwise.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// Seconds a single call to the engine may take. Starting a container on a busy machine takes
/// several; an engine that needs more than this is stuck.
const CALL_SECONDS: u64 = 120;

/// The oldest Docker whose networks and sysctls the session is built on.
const OLDEST_DOCKER: (u32, u32) = (20, 10);

/// An engine that answers.
#[derive(Clone)]
pub struct Engine {
    pub(crate) docker: Docker,
    pub(crate) facts: Arc<Facts>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("facts", &self.facts)
            .finish_non_exhaustive()
    }
}

/// What an engine is, as far as a session depends on it.
#[derive(Debug)]
pub struct Facts {
    /// The socket it answers on.
    pub socket: PathBuf,
    /// Its version, as it tells it.
    pub version: String,
    /// Major and minor number of that version.
    pub release: (u32, u32),
    /// Its root is not the host's root, but the person.
    pub rootless: bool,
    /// Its containers' ids are shifted against the host's (`userns-remap`).
    pub remapped: bool,
    /// It can limit memory; without cgroups (rootless on cgroup v1) it cannot.
    pub limits: bool,
    /// Memory of the machine, in bytes.
    pub memory: i64,
}

impl Facts {
    /// The uid and gid of a container whose processes are to be the person who runs vibepit: on a
    /// rootless engine the container's root already is that person.
    pub(crate) fn user(&self) -> (u32, u32) {
        if self.rootless {
            (0, 0)
        } else {
            (geteuid().as_raw(), getegid().as_raw())
        }
    }

    /// `UsernsMode` for containers that share files with the person.
    pub(crate) fn userns_mode(&self) -> Option<String> {
        self.remapped.then(|| "host".to_owned())
    }
}

/// Why there is no engine to work with.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// DOCKER_HOST names a transport that is not spoken.
    #[error(
        "DOCKER_HOST is {0:?}, and so far vibepit speaks to engines on this machine only, over \
         unix://; unset DOCKER_HOST or set it to unix:///path/to/docker.sock (remote engines come \
         in a later version)"
    )]
    Scheme(String),
    /// No socket there.
    #[error("no container engine is running: there is no socket {}; {}", .socket.display(), .hint)]
    Missing {
        /// The path that was tried.
        socket: PathBuf,
        /// What to do.
        hint: String,
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
    #[error("the container engine on {} did not answer as one: {source}", .socket.display())]
    Garbled {
        /// The path that was tried.
        socket: PathBuf,
        /// What went wrong.
        source: bollard::errors::Error,
    },
    /// Too old.
    #[error("the container engine is Docker {0}; vibepit needs 20.10 or newer")]
    TooOld(String),
    /// Not on this kernel.
    #[error(
        "the container engine on {} runs on another machine (its kernel is {engine}, this one is \
         {here}); a session needs an engine on this machine: set DOCKER_HOST to one",
        .socket.display()
    )]
    Elsewhere {
        /// The path that was tried.
        socket: PathBuf,
        /// The engine's kernel.
        engine: String,
        /// This machine's kernel.
        here: String,
    },
}

/// The socket of the engine that `DOCKER_HOST` names, or Docker's own.
///
/// # Errors
///
/// [`EngineError::Scheme`] when it names anything but a Unix socket.
pub fn socket_path(docker_host: Option<&str>) -> Result<PathBuf, EngineError> {
    match docker_host {
        None | Some("") => Ok(PathBuf::from(DEFAULT_SOCKET)),
        Some(host) => match host.strip_prefix("unix://") {
            Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
            _ => Err(EngineError::Scheme(host.to_owned())),
        },
    }
}

impl Engine {
    /// Connects to the engine on `socket` and asks what it is.
    ///
    /// # Errors
    ///
    /// One sentence with the next step for every way in which there is no usable engine.
    pub async fn connect(socket: PathBuf) -> Result<Self, EngineError> {
        if let Err(error) = UnixStream::connect(&socket).await {
            return Err(unreachable(socket, error));
        }
        let garbled = |source| EngineError::Garbled {
            socket: socket.clone(),
            source,
        };
        let address = format!("unix://{}", socket.display());
        let docker =
            Docker::connect_with_unix(&address, CALL_SECONDS, bollard::API_DEFAULT_VERSION)
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
        let info = docker.info().await.map_err(garbled)?;
        let facts = facts(socket, &info);
        if !podman && facts.release < OLDEST_DOCKER {
            return Err(EngineError::TooOld(facts.version));
        }
        same_kernel(&facts.socket, info.kernel_version.as_deref())?;
        Ok(Self {
            docker,
            facts: Arc::new(facts),
        })
    }

    /// What this engine is.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

fn facts(socket: PathBuf, info: &SystemInfo) -> Facts {
    let option = |name: &str| {
        let prefixed = format!("name={name}");
        info.security_options
            .iter()
            .flatten()
            .any(|text| text.split(',').any(|part| part == prefixed))
    };
    let version = info.server_version.clone().unwrap_or_default();
    Facts {
        socket,
        release: release(&version),
        version,
        rootless: option("rootless"),
        remapped: option("userns"),
        limits: info.memory_limit.unwrap_or(false),
        memory: info.mem_total.unwrap_or(0),
    }
}

/// The first two numbers of a version; what is not there reads as 0.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..digits].parse().unwrap_or(0)
    });
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// The proxy's socket and the host's files are shared through the kernel, so an engine behind a
/// forwarded socket or in a virtual machine cannot run a session.
fn same_kernel(socket: &Path, engine: Option<&str>) -> Result<(), EngineError> {
    let here = nix::sys::utsname::uname().ok();
    let here = here.as_ref().and_then(|name| name.release().to_str());
    match (engine, here) {
        (Some(engine), Some(here)) if engine != here => Err(EngineError::Elsewhere {
            socket: socket.to_owned(),
            engine: engine.to_owned(),
            here: here.to_owned(),
        }),
        _ => Ok(()),
    }
}

fn unreachable(socket: PathBuf, error: io::Error) -> EngineError {
    match error.kind() {
        io::ErrorKind::NotFound => EngineError::Missing {
            hint: start_hint(&socket),
            socket,
        },
        io::ErrorKind::PermissionDenied => {
            let (owner, group) = owner_of(&socket);
            EngineError::NoPermission {
                socket,
                owner,
                group,
            }
        }
        _ => EngineError::Silent {
            socket,
            source: error,
        },
    }
}

fn start_hint(tried: &Path) -> String {
    let rootless = std::env::var_os("XDG_RUNTIME_DIR")
        .map(|dir| Path::new(&dir).join("docker.sock"))
        .filter(|socket| socket != tried && socket.exists());
    match rootless {
        Some(socket) => format!(
            "a rootless engine has its own: `export DOCKER_HOST=unix://{}` and try again",
            socket.display()
        ),
        None => "start Docker (`sudo systemctl start docker`), or set DOCKER_HOST to your \
                 engine's socket (unix:///path)"
            .to_owned(),
    }
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A rootful engine with cgroups.
    pub(crate) fn rootful() -> Facts {
        Facts {
            socket: PathBuf::from(DEFAULT_SOCKET),
            version: "20.10.24".to_owned(),
            release: (20, 10),
            rootless: false,
            remapped: false,
            limits: true,
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

    #[test]
    fn docker_host_names_a_unix_socket_or_is_refused() {
        assert_eq!(
            socket_path(None).unwrap(),
            Path::new("/var/run/docker.sock")
        );
        assert_eq!(
            socket_path(Some("")).unwrap(),
            Path::new("/var/run/docker.sock")
        );
        assert_eq!(
            socket_path(Some("unix:///run/d.sock")).unwrap(),
            Path::new("/run/d.sock")
        );
        for host in [
            "tcp://127.0.0.1:2375",
            "ssh://box.test",
            "unix://relative",
            "/run/d.sock",
        ] {
            let error = socket_path(Some(host)).unwrap_err().to_string();
            assert!(
                error.contains(host) && error.contains("unix:///"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_version_with_a_suffix_still_has_its_numbers() {
        assert_eq!(release("20.10.24+dfsg1"), (20, 10));
        assert_eq!(release("28.0-rc.1"), (28, 0));
        assert_eq!(release("unknown"), (0, 0));
    }

    #[test]
    fn a_rootless_or_remapped_engine_says_so_in_its_security_options() {
        let info = |options: &[&str]| SystemInfo {
            security_options: Some(options.iter().map(ToString::to_string).collect()),
            ..SystemInfo::default()
        };
        let seccomp = "name=seccomp,profile=default";
        let of = |options: &[&str]| facts(PathBuf::from("/s"), &info(options));
        assert!(!of(&[seccomp]).rootless && !of(&[seccomp]).remapped);
        assert!(of(&[seccomp, "name=rootless"]).rootless);
        assert!(of(&["name=userns"]).remapped);
    }

    #[tokio::test]
    async fn an_engine_that_is_not_there_is_named_with_the_next_step() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("docker.sock");
        let error = Engine::connect(socket.clone())
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(&*socket.to_string_lossy()) && error.contains("start"),
            "{error}"
        );

        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let error = Engine::connect(socket).await.unwrap_err();
        assert!(matches!(error, EngineError::Silent { .. }), "{error}");
    }

    #[test]
    fn an_engine_on_another_kernel_is_refused() {
        let error = same_kernel(Path::new("/s"), Some("6.6.0-linuxkit")).unwrap_err();
        assert!(error.to_string().contains("6.6.0-linuxkit"));
    }
}
