//! The sandbox's container: what it sees of the machine, what it may use, and who its only
//! neighbour is.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig};

use super::container::{self, MIB};
use super::engine::Engine;
use super::image::Image;
use super::labels::Names;
use super::mounts::{Bind, MountTable, volume};
use super::userland::Userland;
use super::volume::Volume;

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

/// Everything that the container is made of.
pub(crate) struct Plan<'a> {
    pub(crate) image: &'a Image,
    /// The host's programs; none when the person named an image.
    pub(crate) userland: Option<&'a Userland>,
    /// Read-write, at its own path, and the working directory.
    pub(crate) project: &'a Path,
    /// The project's own settings, covered.
    pub(crate) meta: Option<PathBuf>,
    pub(crate) home: &'a Path,
    pub(crate) home_volume: &'a str,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) resolv_conf: PathBuf,
    pub(crate) proxy: Ipv4Addr,
    pub(crate) env: Vec<String>,
    /// Empty: what the image says.
    pub(crate) command: Vec<String>,
    /// Rows and columns of the terminal it gets.
    pub(crate) terminal: Option<(u16, u16)>,
}

impl Plan<'_> {
    fn binds(&self) -> Vec<Bind> {
        let mut binds = self
            .userland
            .map(|userland| userland.binds.clone())
            .unwrap_or_default();
        binds.push(Bind::writable(self.project, self.project));
        binds.push(Bind::read_only(&self.resolv_conf, "/etc/resolv.conf"));
        binds.extend(self.volumes.iter().map(|volume| Bind {
            source: volume.source.clone(),
            target: volume.target.clone(),
            read_only: volume.read_only,
        }));
        binds
    }

    /// Where the sandbox has something mounted before any volume: a volume must not cover it.
    pub(crate) fn targets(&self) -> Vec<PathBuf> {
        let binds = self.binds().into_iter().map(|bind| bind.target);
        let tmpfs = self.tmpfs().into_keys().map(PathBuf::from);
        binds.chain(tmpfs).chain([self.home.to_owned()]).collect()
    }

    fn tmpfs(&self) -> HashMap<String, String> {
        let scratch = SCRATCH.map(|path| (path.to_owned(), SCRATCH_OPTIONS.to_owned()));
        let covered = self.userland.iter().flat_map(|userland| &userland.covered);
        let covers = covered
            .chain(&self.meta)
            .map(|path| (path.display().to_string(), COVER_OPTIONS.to_owned()));
        scratch.into_iter().chain(covers).collect()
    }

    pub(crate) fn body(&self, engine: &Engine, names: &Names) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(self.image.0.clone()),
            user: Some(container::user(engine)),
            hostname: Some("vibepit".to_owned()),
            cmd: (!self.command.is_empty()).then(|| self.command.clone()),
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
        mounts.push(volume(self.home_volume, self.home));
        let memory = engine.facts().memory / MEMORY_SHARE.1 * MEMORY_SHARE.0;
        HostConfig {
            network_mode: Some(names.network()),
            // The engine's own name server forwards to this one at most; see also resolv.conf.
            dns: Some(vec![self.proxy.to_string()]),
            // A lone dot is the empty list: none of the host's search domains.
            dns_search: Some(vec![".".to_owned()]),
            mounts: Some(mounts),
            tmpfs: Some(self.tmpfs()),
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
