//! The sandbox's container: what it sees of the machine, what it may use, and who its only
//! neighbour is.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{ContainerCreateBody, HostConfig};

use super::super::container::{self, MIB};
use super::super::engine::{Facts, Kind};
use super::super::image::Image;
use super::super::labels::Names;
use super::super::mounts::{Bind, MountTable, bind, volume, volume_as_it_is};
use super::Inside;

/// Processes and threads: a parallel build, not a fork bomb.
const PIDS: i64 = 4096;

/// A sandbox may use three quarters of the machine's memory: the rest keeps the person's desktop
/// alive when a build runs away.
const MEMORY_SHARE: (i64, i64) = (3, 4);

/// Places that programs write to on a root that is read-only.
pub(in crate::launcher) const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/run"];
const SCRATCH_OPTIONS: &str = "rw,exec,nosuid,nodev,mode=1777";

/// What lies over a directory that the sandbox is not to see.
const COVER_OPTIONS: &str = "ro,noexec,nosuid,nodev,size=4k,mode=0555";

/// Everything that the container is made of, but its image.
pub(super) struct Plan<'a> {
    pub(super) inside: &'a Inside,
    /// Read-write, at its own path, and the working directory.
    pub(super) project: &'a Path,
    /// What is mounted there.
    pub(super) source: ProjectSource,
    /// The project's own settings, covered.
    pub(super) meta: Option<PathBuf>,
    /// The only name server there is.
    pub(super) resolv_conf: Option<PathBuf>,
    /// What vibepit itself puts into it.
    pub(super) equipment: Vec<Bind>,
    /// The option that filters its kernel calls, where it is the sandbox's own.
    pub(super) filter: Option<String>,
    pub(super) env: Vec<String>,
    /// It is for commands that come later.
    pub(super) kept: bool,
    /// Rows and columns of the terminal it gets.
    pub(super) terminal: Option<(u16, u16)>,
}

/// Where the project comes from.
pub(super) enum ProjectSource {
    /// It is this machine's own directory.
    Here,
    /// A directory of the engine's machine.
    Far(PathBuf),
    /// A volume: with a copy, or in which it is mounted already.
    Volume(String),
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

/// Podman would copy what a tmpfs covers into it, where its reader is the sandbox.
fn options_of(kind: Kind, mut tmpfs: HashMap<String, String>) -> HashMap<String, String> {
    if kind == Kind::Podman {
        for options in tmpfs.values_mut() {
            options.push_str(",notmpcopyup");
        }
    }
    tmpfs
}

impl Plan<'_> {
    fn binds(&self) -> Vec<Bind> {
        let userland = self.inside.userland.as_ref();
        let mut binds = userland
            .map(|userland| userland.binds.clone())
            .unwrap_or_default();
        if let ProjectSource::Here = self.source {
            binds.push(Bind::writable(self.project, self.project));
        }
        let resolv_conf = self.resolv_conf.as_ref();
        binds.extend(resolv_conf.map(|file| Bind::read_only(file, "/etc/resolv.conf")));
        binds.extend(self.equipment.iter().cloned());
        binds.extend(self.inside.volumes.iter().map(|volume| Bind {
            source: volume.source.clone(),
            target: volume.target.clone(),
            read_only: volume.read_only,
        }));
        binds
    }

    pub(super) fn body(&self, facts: &Facts, names: &Names, image: Image) -> ContainerCreateBody {
        let command = &self.inside.command;
        ContainerCreateBody {
            image: Some(image.0),
            user: Some(container::user(facts)),
            cmd: (!command.is_empty()).then(|| command.clone()),
            env: Some(self.env.clone()),
            labels: Some(names.labels("sandbox")),
            working_dir: Some(self.project.display().to_string()),
            tty: Some(self.terminal.is_some()),
            open_stdin: Some(true),
            // A terminal has an end of its own, and may outlive a connection.
            stdin_once: Some(!(facts.remote && (self.terminal.is_some() || self.kept))),
            attach_stdin: Some(true),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            host_config: Some(self.host_config(facts, names)),
            ..ContainerCreateBody::default()
        }
    }

    fn host_config(&self, facts: &Facts, names: &Names) -> HostConfig {
        let mut mounts = MountTable::read().mounts(&self.binds());
        mounts.push(volume(
            self.inside.home_volume.as_deref(),
            &self.inside.home,
        ));
        match &self.source {
            ProjectSource::Here => {}
            ProjectSource::Far(directory) => {
                mounts.push(bind(&Bind::writable(directory, self.project)))
            }
            ProjectSource::Volume(name) => mounts.push(volume_as_it_is(name, self.project)),
        }
        let walls = container::hardened(facts);
        let memory = facts.memory / MEMORY_SHARE.1 * MEMORY_SHARE.0;
        HostConfig {
            // With its host name, its /etc/hosts and its sysctls.
            network_mode: Some(format!("container:{}", names.holder())),
            mounts: Some(mounts),
            tmpfs: Some(options_of(
                facts.kind,
                tmpfs(self.inside, self.meta.clone()),
            )),
            init: Some(true),
            memory: (memory > MIB)
                .then_some(memory)
                .and_then(|memory| container::limit(facts, memory)),
            pids_limit: container::limit(facts, PIDS),
            console_size: self
                .terminal
                .map(|(rows, columns)| vec![rows.into(), columns.into()]),
            security_opt: Some(
                walls
                    .security_opt
                    .into_iter()
                    .flatten()
                    .chain(self.filter.clone())
                    .collect(),
            ),
            ..walls
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::engine::tests::rootful;
    use super::super::super::mounts::Bind;
    use super::super::Userland;
    use super::*;

    fn inside() -> Inside {
        Inside {
            userland: Some(Userland {
                binds: vec![Bind::read_only("/usr", "/usr")],
                covered: vec![PathBuf::from("/etc/ssl/private")],
                links: Vec::new(),
            }),
            home: PathBuf::from("/home/u"),
            home_volume: Some("vibepit-home-1".to_owned()),
            volumes: Vec::new(),
            command: vec!["make".to_owned()],
        }
    }

    fn sandbox_body(inside: &Inside) -> ContainerCreateBody {
        let id = "0123456789abcdef".parse().unwrap();
        let names = Names::new(id, Path::new("/p"), Path::new("/run/user/1/vibepit"));
        let plan = Plan {
            inside,
            project: Path::new("/home/u/app"),
            meta: Some(PathBuf::from("/home/u/app/.vibepit")),
            source: ProjectSource::Here,
            resolv_conf: Some(PathBuf::from(
                "/run/user/1/vibepit/0123456789abcdef/resolv.conf",
            )),
            equipment: Vec::new(),
            filter: None,
            env: vec!["A=b".to_owned()],
            kept: false,
            terminal: None,
        };
        plan.body(&rootful(), &names, Image("vibepit-base:x".to_owned()))
    }

    #[test]
    fn a_sandbox_is_in_its_holders_network_and_closed_in() {
        let host = sandbox_body(&inside()).host_config.unwrap();
        assert_eq!(
            host.network_mode.as_deref(),
            Some("container:vibepit-0123456789abcdef-holder")
        );
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert!(host.pids_limit.is_some() && host.memory.unwrap() < 8 << 30);
    }

    #[test]
    fn a_sandbox_never_sees_the_sessions_directory_or_its_sockets() {
        let mounts = sandbox_body(&inside()).host_config.unwrap().mounts.unwrap();
        let sources: Vec<_> = mounts
            .iter()
            .filter_map(|mount| mount.source.as_deref())
            .collect();
        assert!(sources.contains(&"/run/user/1/vibepit/0123456789abcdef/resolv.conf"));
        let held = |source: &str| {
            Path::new("/run/user/1/vibepit/0123456789abcdef/socket").starts_with(source)
        };
        assert!(!sources.iter().any(|source| held(source)), "{sources:?}");
    }

    #[test]
    fn only_the_project_and_the_home_are_writable_and_the_projects_settings_are_covered() {
        let host = sandbox_body(&inside()).host_config.unwrap();
        let writable: Vec<_> = host
            .mounts
            .unwrap()
            .into_iter()
            .filter(|mount| mount.read_only != Some(true))
            .filter_map(|mount| mount.target)
            .collect();
        assert_eq!(writable, ["/home/u/app", "/home/u"]);
        let tmpfs = host.tmpfs.unwrap();
        for covered in ["/etc/ssl/private", "/home/u/app/.vibepit"] {
            assert!(tmpfs[covered].starts_with("ro,"), "{covered}");
        }
    }

    #[test]
    fn podman_is_told_not_to_copy_what_a_cover_hides_into_the_cover() {
        let tmpfs = tmpfs(&inside(), Some(PathBuf::from("/home/u/app/.vibepit")));
        let docker = options_of(Kind::Docker, tmpfs.clone());
        assert_eq!(docker, tmpfs);
        let podman = options_of(Kind::Podman, tmpfs);
        assert!(
            podman
                .values()
                .all(|options| options.ends_with(",notmpcopyup"))
        );
    }

    #[test]
    fn a_volume_finds_the_places_of_the_sandbox_taken() {
        let targets = targets(&inside(), Path::new("/home/u/app"), None);
        for place in ["/usr", "/home/u", "/home/u/app", "/tmp", "/etc/ssl/private"] {
            assert!(targets.contains(&PathBuf::from(place)), "{place}");
        }
    }
}
