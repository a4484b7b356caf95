//! The image of a sandbox that uses the host's own programs: an empty system with the places
//! that things are mounted at.

use std::path::Path;

use anyhow::{Context, Result};
use bollard::Docker;

use super::super::userland::Userland;
use super::tarball::Tarball;
use super::{BASE, Image};

/// Directories that programs expect. `/var/tmp` and `/run` get a tmpfs; the root is read-only.
const SKELETON: [&str; 12] =
    ["/dev", "/etc", "/home", "/mnt", "/proc", "/root", "/run", "/sbin", "/srv", "/sys", "/tmp",
     "/var/tmp"];

/// Makes sure that the engine has the skeleton for this userland.
pub(crate) async fn base(docker: &Docker, userland: &Userland) -> Result<Image> {
    let tarball = pack(userland).context("the sandbox's base image could not be packed")?;
    super::ensure(docker, BASE, tarball).await
}

fn pack(userland: &Userland) -> std::io::Result<Tarball> {
    let mut tarball = Tarball::new();
    for directory in SKELETON {
        tarball.directory(Path::new(directory))?;
    }
    for (path, target) in &userland.links {
        tarball.link(path, target)?;
    }
    Ok(tarball)
}
