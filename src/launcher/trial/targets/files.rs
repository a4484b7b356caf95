//! Files: of the system, which must not be writable, and of this machine's people, which must not be
//! there.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::super::session::Launch;
use super::MOST;
use crate::api::Hidden;
use crate::config;

/// What of the system is read-only.
pub(super) const SYSTEM: [&str; 18] = [
    "/",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/boot",
    "/etc",
    "/etc/hosts",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/mnt",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/bin/env",
    "/usr/lib",
    "/usr/local/bin",
    "/var",
];

/// Trees of programs, which a sandbox sees on purpose.
const PROGRAMS: [&str; 3] = ["/usr", "/opt", "/nix"];

/// Files that only root may read, and engines' own. In `/etc/ssh` the sandbox has settings of its own.
const ROOTS: [&str; 13] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh/sshd_config",
    "/etc/ssh/ssh_host_ecdsa_key",
    "/etc/ssh/ssh_host_ed25519_key",
    "/etc/ssh/ssh_host_rsa_key",
    "/etc/docker",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/run/docker.sock",
    "/run/containerd",
    "/run/systemd",
];

/// What of this machine's files the sandbox must not have, as far as it exists.
pub(super) fn hidden(launch: &Launch<'_>) -> Vec<Hidden> {
    let project = launch.request.project.path();
    let line = |name: &str, what: &str, paths: Vec<PathBuf>| Hidden {
        name: name.to_owned(),
        what: what.to_owned(),
        paths: paths
            .into_iter()
            .filter(|path| fs::symlink_metadata(path).is_ok() && !project.starts_with(path))
            .filter(|path| !PROGRAMS.iter().any(|tree| path.starts_with(tree)))
            .take(MOST)
            .collect(),
    };
    let home = launch.request.home.as_deref();
    let homes = entries(Path::new("/home"))
        .into_iter()
        .chain([PathBuf::from("/root")])
        .filter(|other| home.is_none_or(|home| !home.starts_with(other)));
    let session = launch.directory.path().to_owned();
    let own = [
        Some(launch.request.runtime_dir.path().to_owned()),
        Some(session),
        config::state_dir().ok(),
        config::config_file()
            .ok()
            .and_then(|file| file.parent().map(Path::to_owned)),
    ];
    vec![
        line(
            "home",
            "what is in the home directory on this machine",
            home.map(entries).unwrap_or_default(),
        ),
        line(
            "other-homes",
            "other people's home directories",
            homes.collect(),
        ),
        line(
            "vibepit-files",
            "vibepit's own directories: sessions, decisions, audit logs, configuration",
            own.into_iter().flatten().collect(),
        ),
        line(
            "roots-files",
            "files that only root may read, and the engine's",
            ROOTS.iter().map(PathBuf::from).collect(),
        ),
    ]
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}
