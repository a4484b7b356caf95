//! The sandbox's container: what it sees of the machine, what it may use, and who its only
//! neighbour is.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig};

use super::super::container::{self, MIB};
use super::super::engine::Engine;
use super::super::image::Image;
use super::super::labels::Names;
use super::super::mounts::{Bind, MountTable, volume};
use super::Inside;

/// Processes and threads: a parallel build, not a fork bomb.
const PIDS: i64 = 4096;

/// A sandbox may use three quarters of the machine's memory: the rest keeps the person's desktop
/// alive when a build runs away.
const MEMORY_SHARE: (i64, i64) = (3, 4);

/// Places that programs write to on a root that is read-only.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/run"];
const SCRATCH_OPTIONS: &str = "rw,exec,nosuid,nodev,mode=1777";

/// What lies over a directory that the sandbox is not to see.
const COVER_OPTIONS: &str = "ro,noexec,nosuid,nodev,size=4k,mode=0555";

/// Everything that the container is made of, but its image.
pub(super) struct Plan<'a> {
    pub(super) inside: &'a Inside,
    /// Read-write, at its own path, and the working directory.
    pub(super) project: &'a Path,
    /// The project's own settings, covered.
    pub(super) meta: Option<PathBuf>,
    /// The only name server there is.
    pub(super) resolv_conf: PathBuf,
    pub(super) proxy: Ipv4Addr,
    pub(super) env: Vec<String>,
    /// Rows and columns of the terminal it gets.
    pub(super) terminal: Option<(u16, u16)>,
}

/// Where a sandbox has something mounted before any volume: a volume must not cover it.
pub(super) fn targets(inside: &Inside, project: &Path, meta: Option<PathBuf>) -> Vec<PathBuf> {
    let binds = inside.userland.iter().flat_map(|userland| &userland.binds);
    let binds = binds.map(|bind| bind.target.clone());
    let tmpfs = tmpfs(inside, meta).into_keys().map(PathBuf::from);
    binds
        .chain(tmpfs)
        .chain([project.to_owned(), inside.home.clone()])
        .collect()
}

fn tmpfs(inside: &Inside, meta: Option<PathBuf>) -> HashMap<String, String> {
    let scratch = SCRATCH.map(|path| (path.to_owned(), SCRATCH_OPTIONS.to_owned()));
    let covered = inside
        .userland
        .iter()
        .flat_map(|userland| &userland.covered);
    let covers = covered
        .chain(&meta)
        .map(|path| (path.display().to_string(), COVER_OPTIONS.to_owned()));
    scratch.into_iter().chain(covers).collect()
}

impl Plan<'_> {
    fn binds(&self) -> Vec<Bind> {
        let userland = self.inside.userland.as_ref();
        let mut binds = userland
            .map(|userland| userland.binds.clone())
            .unwrap_or_default();
        binds.push(Bind::writable(self.project, self.project));
        binds.push(Bind::read_only(&self.resolv_conf, "/etc/resolv.conf"));
        binds.extend(self.inside.volumes.iter().map(|volume| Bind {
            source: volume.source.clone(),
            target: volume.target.clone(),
            read_only: volume.read_only,
        }));
        binds
    }

    pub(super) fn body(&self, engine: &Engine, names: &Names, image: Image) -> ContainerCreateBody {
        let command = &self.inside.command;
        ContainerCreateBody {
            image: Some(image.0),
            user: Some(container::user(engine)),
            hostname: Some("vibepit".to_owned()),
            cmd: (!command.is_empty()).then(|| command.clone()),
            env: Some(self.env.clone()),
            labels: Some(names.labels("sandbox")),
            working_dir: Some(self.project.display().to_string()),
            tty: Some(self.terminal.is_some()),
            open_stdin: Some(true),
            stdin_once: Some(true),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(self.host_config(engine, names)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, engine: &Engine, names: &Names) -> HostConfig {
        let mut mounts = MountTable::read().mounts(&self.binds());
        mounts.push(volume(&self.inside.home_volume, &self.inside.home));
        let memory = engine.facts().memory / MEMORY_SHARE.1 * MEMORY_SHARE.0;
        HostConfig {
            network_mode: Some(names.network()),
            // The engine's own name server forwards to this one at most; see also resolv.conf.
            dns: Some(vec![self.proxy.to_string()]),
            // A lone dot is the empty list: none of the host's search domains.
            dns_search: Some(vec![".".to_owned()]),
            mounts: Some(mounts),
            tmpfs: Some(tmpfs(self.inside, self.meta.clone())),
            sysctls: Some(sysctls()),
            init: Some(true),
            memory: (memory > MIB)
                .then_some(memory)
                .and_then(|memory| container::limit(engine, memory)),
            pids_limit: container::limit(engine, PIDS),
            console_size: self
                .terminal
                .map(|(rows, columns)| vec![rows.into(), columns.into()]),
            ..container::hardened(engine)
        }
    }
}

/// No IPv6, not even a link-local address. A kernel without IPv6 has no such switch, and an
/// engine would refuse to set it.
fn sysctls() -> HashMap<String, String> {
    if !Path::new("/proc/sys/net/ipv6").exists() {
        return HashMap::new();
    }
    [
        "net.ipv6.conf.all.disable_ipv6",
        "net.ipv6.conf.default.disable_ipv6",
    ]
    .map(|name| (name.to_owned(), "1".to_owned()))
    .into()
}
