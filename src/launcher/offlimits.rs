//! What must never be mounted into a sandbox, whoever asks: engines' sockets, which are root on
//! the host, and vibepit's own directories, which decide what the sandbox may do.

use std::io;
use std::path::{Component, Path, PathBuf};

use super::mountinfo::{self, MountPoint, location};

/// File systems that show the machine and not files. A directory that has one mounted in it, as one
/// that a system is installed or built in has, would take it into the sandbox.
const KERNEL: [&str; 13] = [
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "debugfs",
    "devpts",
    "devtmpfs",
    "efivarfs",
    "nsfs",
    "proc",
    "securityfs",
    "sysfs",
    "tracefs",
];

/// File names under which engines listen.
const SOCKET_NAMES: [&str; 7] = [
    "docker.sock",
    "podman.sock",
    "containerd.sock",
    "containerd.sock.ttrpc",
    "buildkitd.sock",
    "crio.sock",
    "docker-containerd.sock",
];

/// Where they listen when nothing says otherwise.
const SOCKET_PATHS: [&str; 5] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/buildkit/buildkitd.sock",
    "/run/crio/crio.sock",
];

/// Paths, with every symbolic link resolved, that no mount may be or hold.
#[derive(Debug, Clone, Default)]
pub struct OffLimits {
    paths: Vec<(PathBuf, What)>,
    /// What is mounted: a path may be off limits under another one.
    mounts: Vec<MountPoint>,
}

/// Why a path is off limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Whoever connects to it commands the host.
    EngineSocket,
    /// vibepit's own files.
    OwnDirectory,
    /// A view of the machine that is no files.
    Kernel,
}

/// A mount that is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The path that is off limits.
    pub path: PathBuf,
    /// What it is.
    pub what: What,
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.display();
        match self.what {
            What::EngineSocket => write!(
                f,
                "the container engine's socket {path}, and whoever can connect to that is root \
                 on this machine"
            ),
            What::Kernel => write!(
                f,
                "{path}, where this machine's processes or devices are seen (unmount it first)"
            ),
            What::OwnDirectory => write!(
                f,
                "vibepit's own directory {path}, where it is decided what the sandbox may reach"
            ),
        }
    }
}

impl OffLimits {
    /// The engines' sockets of this machine (the usual places, those in `engines`, and those that
    /// listen now), and vibepit's `own` directories, whether they exist yet or not.
    pub fn of_host(engines: &[PathBuf], own: &[PathBuf]) -> Self {
        let mut sockets: Vec<PathBuf> = SOCKET_PATHS.iter().map(PathBuf::from).collect();
        sockets.extend_from_slice(engines);
        sockets.extend(listening(
            &std::fs::read_to_string("/proc/net/unix").unwrap_or_default(),
        ));
        Self {
            mounts: mountinfo::read(),
            ..Self::new(&sockets, own)
        }
    }

    /// These sockets and these directories.
    pub fn new(sockets: &[PathBuf], own: &[PathBuf]) -> Self {
        let sockets = sockets
            .iter()
            .map(|path| (resolve(path), What::EngineSocket));
        let own = own.iter().map(|path| (resolve(path), What::OwnDirectory));
        Self {
            paths: sockets.chain(own).collect(),
            mounts: Vec::new(),
        }
    }

    /// What of this `path` (resolved by the caller) is, holds, or lies in.
    pub fn held_by(&self, path: &Path) -> Option<Held> {
        let named = path
            .file_name()
            .is_some_and(|name| SOCKET_NAMES.iter().any(|known| name == *known));
        if named && is_socket(path) {
            return Some(Held {
                path: path.to_owned(),
                what: What::EngineSocket,
            });
        }
        self.paths
            .iter()
            .find(|(off, what)| {
                off.starts_with(path) || (*what == What::OwnDirectory && path.starts_with(off))
            })
            .or_else(|| self.paths.iter().find(|(off, _)| same_file(off, path)))
            .map(|(off, what)| Held {
                path: off.clone(),
                what: *what,
            })
            .or_else(|| self.mounted_in(path))
    }

    /// What is off limits of that which is mounted at or below a path: a mount takes along what
    /// is mounted in it.
    fn mounted_in(&self, path: &Path) -> Option<Held> {
        let below = |mount: &&MountPoint| mount.path != path && mount.path.starts_with(path);
        let below: Vec<&MountPoint> = self.mounts.iter().filter(below).collect();
        let kernel = below
            .iter()
            .find(|mount| KERNEL.contains(&mount.kind.as_str()));
        if let Some(mount) = kernel {
            return Some(Held {
                path: mount.path.clone(),
                what: What::Kernel,
            });
        }
        let mut shown: Vec<_> = below.iter().map(|mount| mount.location()).collect();
        shown.extend(location(&self.mounts, path));
        let off = self.paths.iter().find(|(off, what)| {
            location(&self.mounts, off).is_some_and(|off| {
                shown.iter().any(|shown| {
                    shown.holds(&off) || (*what == What::OwnDirectory && off.holds(shown))
                })
            })
        });
        off.map(|(off, what)| Held {
            path: off.clone(),
            what: *what,
        })
    }
}

/// Engines' sockets among those of `/proc/net/unix` (proc_net_unix in proc(5): the path is the
/// eighth field). A socket that is bound to another path than the usual one is found here.
fn listening(table: &str) -> Vec<PathBuf> {
    table
        .lines()
        .filter_map(|line| line.split_whitespace().nth(7))
        .map(PathBuf::from)
        .filter(|path| {
            path.is_absolute()
                && path
                    .file_name()
                    .is_some_and(|name| SOCKET_NAMES.iter().any(|n| name == *n))
        })
        .collect()
}

/// Resolves what exists of a path and keeps the rest as it is written.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(resolved) => {
                return rest
                    .iter()
                    .rev()
                    .fold(resolved, |path, name| path.join(name));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return path.to_owned(),
        }
        let (Some(parent), Some(Component::Normal(name))) =
            (existing.parent(), existing.components().next_back())
        else {
            return path.to_owned();
        };
        rest.push(name);
        existing = parent;
    }
}

/// The same socket under another name: a hard link or a bind mount.
fn same_file(one: &Path, other: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (std::fs::metadata(one), std::fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    std::fs::metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_path_that_is_or_holds_a_socket_is_off_limits_and_its_neighbours_are_not() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("run/sub")).unwrap();
        let socket = root.join("run/engine.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        let off = OffLimits::new(std::slice::from_ref(&socket), &[]);
        for held in [&socket, &root.join("run"), &root, Path::new("/")] {
            assert_eq!(
                off.held_by(held).unwrap().path,
                socket,
                "{}",
                held.display()
            );
        }
        assert_eq!(off.held_by(&root.join("run/sub")), None);
    }

    #[test]
    fn a_socket_is_known_under_a_second_name() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let socket = root.join("docker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        std::fs::hard_link(&socket, root.join("innocent")).unwrap();
        let off = OffLimits::new(std::slice::from_ref(&socket), &[]);
        assert!(off.held_by(&root.join("innocent")).is_some());
        assert!(
            OffLimits::default().held_by(&socket).is_some(),
            "known by its file name"
        );
    }

    #[test]
    fn a_symbolic_link_on_the_way_to_a_socket_does_not_hide_it() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("run")).unwrap();
        symlink(root.join("run"), root.join("var-run")).unwrap();
        let off = OffLimits::new(&[root.join("var-run/docker.sock")], &[]);
        assert!(
            off.held_by(&root.join("run")).is_some(),
            "though the socket does not exist yet"
        );
    }

    #[test]
    fn vibepits_own_directories_are_off_limits_inside_too() {
        let off = OffLimits::new(&[], &[PathBuf::from("/home/u/.config/vibepit")]);
        for held in [
            "/home/u/.config",
            "/home/u/.config/vibepit",
            "/home/u/.config/vibepit/x",
        ] {
            assert_eq!(
                off.held_by(Path::new(held)).unwrap().what,
                What::OwnDirectory
            );
        }
        assert_eq!(off.held_by(Path::new("/home/u/project")), None);
    }

    #[test]
    fn what_is_mounted_in_a_directory_counts_as_being_in_it() {
        let mut off = OffLimits::new(
            &[PathBuf::from("/nowhere/run/engine.sock")],
            &[PathBuf::from("/nowhere/config/vibepit")],
        );
        off.mounts = mountinfo::parse(
            b"1 0 8:1 / / rw - ext4 /dev/a rw\n\
              2 1 0:9 / /nowhere/run rw - tmpfs tmpfs rw\n\
              3 1 0:9 / /p/chroot/run rw - tmpfs tmpfs rw\n\
              4 1 8:1 /nowhere/config /p/settings rw - ext4 /dev/a rw\n\
              5 1 8:1 /nowhere/config/vibepit/x /p/x rw - ext4 /dev/a rw\n\
              6 1 0:4 / /p/built/proc rw - proc proc rw\n\
              7 1 8:2 / /p/data rw - xfs /dev/b rw\n",
        );
        for (path, what) in [
            ("/p", What::Kernel),
            ("/p/built", What::Kernel),
            ("/p/chroot", What::EngineSocket),
            ("/p/chroot/run", What::EngineSocket),
            ("/p/settings", What::OwnDirectory),
            ("/p/settings/vibepit/y", What::OwnDirectory),
            ("/p/x", What::OwnDirectory),
        ] {
            let held = off.held_by(Path::new(path)).expect(path);
            assert_eq!(held.what, what, "{path}: {held}");
        }
        for path in [
            "/p/data",
            "/p/chroot/run/user",
            "/p/settings/other",
            "/p/built/src",
        ] {
            assert_eq!(off.held_by(Path::new(path)), None, "{path}");
        }
    }

    #[test]
    fn engines_are_found_among_the_sockets_that_listen() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 20 /srv/engine/docker.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 21 @docker.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03 22\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 23 /run/dbus/system_bus_socket\n";
        assert_eq!(listening(table), [PathBuf::from("/srv/engine/docker.sock")]);
    }
}
