//! The image of a sandbox that uses the host's own programs: an empty system with the places
//! that things are mounted at, and a home directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bollard::Docker;

use super::super::sandbox::Userland;
use super::tarball::Tarball;
use super::{BASE, Image};

/// Directories that programs expect. The root is read-only.
const SKELETON: [&str; 8] = [
    "/dev", "/etc", "/home", "/mnt", "/proc", "/sbin", "/srv", "/sys",
];

/// Directories that get a tmpfs. It takes their mode: runc sets it over any option that says
/// another.
const SCRATCH: [&str; 3] = ["/run", "/tmp", "/var/tmp"];

/// A home directory as it is in the image: a new volume that is mounted there takes it over.
pub(crate) struct Home {
    pub(crate) path: PathBuf,
    /// Directories in it that mounts will need, outermost first.
    pub(crate) directories: Vec<PathBuf>,
    pub(crate) owner: (u32, u32),
}

/// Makes sure that the engine has the skeleton for this userland and this home.
pub(crate) async fn base(docker: &Docker, userland: &Userland, home: &Home) -> Result<Image> {
    let tarball = pack(userland, home).context("the sandbox's base image could not be packed")?;
    super::ensure(docker, BASE, tarball).await
}

fn pack(userland: &Userland, home: &Home) -> std::io::Result<Tarball> {
    let mut tarball = Tarball::new();
    for directory in SKELETON {
        tarball.directory(Path::new(directory))?;
    }
    for directory in SCRATCH {
        tarball.directory_of(Path::new(directory), 0o1777, (0, 0))?;
    }
    for directory in std::iter::once(&home.path).chain(&home.directories) {
        tarball.directory_of(directory, 0o700, home.owner)?;
    }
    for (path, target) in &userland.links {
        tarball.link(path, target)?;
    }
    Ok(tarball)
}
