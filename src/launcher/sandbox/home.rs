//! The sandbox's home directory: a volume of the project's own, so that tools keep their caches
//! and the person's real home is never there.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use bollard::models::{ContainerCreateBody, HostConfig, VolumeCreateRequest};
use nix::unistd::geteuid;
use sha2::{Digest, Sha256};

use super::super::container;
use super::super::engine::Engine;
use super::super::image::Image;
use super::super::labels::{self, Names, OWNER, PROJECT};
use super::super::mounts::volume;
use super::super::project;

/// Where the home is when the person's own path would cover the system.
const ELSEWHERE: &str = "/home/vibepit";

/// Trees that a home directory must not be, or be in: something else is mounted there.
const SYSTEM: [&str; 13] = [
    "/bin", "/dev", "/etc", "/lib", "/lib64", "/nix", "/opt", "/proc", "/run", "/sbin", "/sys",
    "/tmp", "/usr",
];

/// The path of the home in the sandbox: the person's own, so that paths in messages and scripts
/// mean the same on both sides.
pub(super) fn path(home: Option<&Path>) -> PathBuf {
    let fits = |home: &&Path| {
        home.is_absolute()
            && home.components().count() > 1
            && home
                .components()
                .all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
            && project::unmountable(home).is_none()
            && !SYSTEM.iter().any(|tree| home.starts_with(tree))
    };
    home.filter(fits)
        .map_or_else(|| PathBuf::from(ELSEWHERE), Path::to_owned)
}

/// Directories between the home and a project inside it. An engine makes the places of mounts as
/// root, and a `~/.config` that is root's would be of no use.
pub(super) fn between(home: &Path, project: &Path) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = project
        .ancestors()
        .skip(1)
        .take_while(|above| above.starts_with(home) && *above != home)
        .map(Path::to_owned)
        .collect();
    directories.reverse();
    directories
}

/// The volume's name: one for each person, project and agent, also where several people share an engine.
pub(super) fn volume_name(project: &Path, agent: Option<&str>) -> String {
    use std::os::unix::ffi::OsStrExt;
    let mut hash = Sha256::new();
    hash.update(geteuid().as_raw().to_le_bytes());
    hash.update(project.as_os_str().as_bytes());
    if let Some(agent) = agent {
        // No path has a zero in it.
        hash.update([0]);
        hash.update(agent);
    }
    let digest: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("vibepit-home-{digest}")
}

/// Makes the volume, or finds it. It is still root's when it is new: the first container made of
/// an image that has the home directory gives it the directory's owner.
pub(super) async fn ensure(engine: &Engine, name: &str, project: &Path) -> Result<()> {
    let mut labels = labels::ours("home");
    labels.insert(PROJECT.to_owned(), project.display().to_string());
    labels.insert(OWNER.to_owned(), geteuid().to_string());
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some(labels),
        ..VolumeCreateRequest::default()
    };
    let made = engine.docker.create_volume(request).await;
    made.map(drop)
        .with_context(|| format!("the home volume {name} could not be made"))
}

/// Gives a new volume its owner, for a sandbox whose image has no such home: by a container of
/// the base image that never runs. An engine fills a volume only while it is empty, so this does
/// nothing to one that is in use.
pub(super) async fn hand_over(
    engine: &Engine,
    names: &Names,
    base: Image,
    volume_name: &str,
    home: &Path,
) -> Result<()> {
    let body = ContainerCreateBody {
        image: Some(base.0),
        cmd: Some(vec!["/nothing".to_owned()]),
        labels: Some(names.labels("home")),
        host_config: Some(HostConfig {
            mounts: Some(vec![volume(Some(volume_name), home)]),
            ..container::hardened(engine.facts())
        }),
        ..ContainerCreateBody::default()
    };
    let name = names.home();
    let made = container::create(engine, &name, body).await;
    container::remove(engine, &name).await?;
    made.with_context(|| format!("the home volume {volume_name} could not be handed over"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_is_at_the_persons_own_path_unless_that_is_the_systems() {
        assert_eq!(path(Some(Path::new("/home/u"))), Path::new("/home/u"));
        assert_eq!(path(Some(Path::new("/root"))), Path::new("/root"));
        for odd in [
            "/",
            "relative",
            "/usr/share/u",
            "/home/../etc",
            "/tmp/h",
            "/home/\n",
        ] {
            assert_eq!(path(Some(Path::new(odd))), Path::new(ELSEWHERE), "{odd}");
        }
        assert_eq!(path(None), Path::new(ELSEWHERE));
    }

    #[test]
    fn directories_on_the_way_to_a_project_are_the_persons() {
        let between = |project: &str| between(Path::new("/home/u"), Path::new(project));
        assert_eq!(
            between("/home/u/code/team/app"),
            [
                PathBuf::from("/home/u/code"),
                PathBuf::from("/home/u/code/team")
            ]
        );
        assert!(between("/home/u/app").is_empty());
        assert!(between("/srv/app").is_empty());
    }

    #[test]
    fn every_project_and_every_agent_in_it_has_a_volume_of_its_own() {
        let name = |project: &str, agent| volume_name(Path::new(project), agent);
        let names = [
            name("/a", None),
            name("/b", None),
            name("/a", Some("x")),
            name("/a", Some("y")),
        ];
        let different: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert_eq!(names[0], name("/a", None));
    }
}
