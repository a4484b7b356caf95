//! Host paths that appear in a container, as the engine's API takes them. What may be mounted is
//! judged elsewhere.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bollard::models::{
    Mount, MountBindOptions, MountType, MountVolumeOptions, MountVolumeOptionsDriverConfig,
};

use super::mountinfo::{self, MountPoint};

/// A host path at a place in the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Bind {
    pub(crate) target: PathBuf,
    pub(crate) source: PathBuf,
    pub(crate) read_only: bool,
}

impl Bind {
    pub(crate) fn read_only(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            read_only: true,
        }
    }

    pub(crate) fn writable(source: impl Into<PathBuf>, target: impl Into<PathBuf>) -> Self {
        Self {
            source: source.into(),
            target: target.into(),
            read_only: false,
        }
    }
}

/// The mount points of this process, deepest last.
pub(crate) struct MountTable(Vec<PathBuf>);

impl MountTable {
    /// As it is now; an unreadable one counts as empty, and then a read-only mount shows less,
    /// never more.
    pub(crate) fn read() -> Self {
        Self::of(mountinfo::read())
    }

    fn of(mounts: Vec<MountPoint>) -> Self {
        let mut points: Vec<PathBuf> = mounts.into_iter().map(|mount| mount.path).collect();
        points.dedup();
        Self(points)
    }

    /// A bind and, if it is read-only, what is mounted below its source as binds of their own.
    ///
    /// A read-only bind makes only its top read-only before Docker 25 and Linux 5.12: a separate
    /// file system below it would stay writable. So the bind is not recursive, and each part of
    /// it is mounted read-only for itself.
    fn parts(&self, bind: &Bind) -> Vec<Bind> {
        let mut parts = vec![bind.clone()];
        if bind.read_only {
            parts.extend(
                self.0
                    .iter()
                    .filter(|point| **point != bind.source)
                    .filter_map(|point| {
                        let inside = point.strip_prefix(&bind.source).ok()?;
                        Some(Bind::read_only(point, bind.target.join(inside)))
                    }),
            );
        }
        parts
    }

    /// The mounts of an engine's API for these binds.
    ///
    /// They are objects and not `SRC:DST` strings, so that a colon in a path is only a colon.
    pub(crate) fn mounts(&self, binds: &[Bind]) -> Vec<Mount> {
        binds
            .iter()
            .flat_map(|bind| self.parts(bind))
            .map(|part| bind(&part))
            .collect()
    }
}

/// One bind, as it stands.
pub(crate) fn bind(bind: &Bind) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(text(&bind.source)),
        target: Some(text(&bind.target)),
        read_only: Some(bind.read_only),
        bind_options: Some(MountBindOptions {
            non_recursive: Some(bind.read_only),
            ..MountBindOptions::default()
        }),
        ..Mount::default()
    }
}

/// A volume of the engine's: a named one, made by the caller, or one that goes with its container.
/// When it is new, it takes the owner and the mode of the directory that the container's image has
/// at its place.
pub(crate) fn volume(name: Option<&str>, target: &Path) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: name.map(str::to_owned),
        target: Some(text(target)),
        ..Mount::default()
    }
}

/// A volume that stays as it is, though it may be empty: an engine makes the working directory of a
/// container, as root, and would have a new volume take after it.
pub(crate) fn volume_as_it_is(name: &str, target: &Path) -> Mount {
    Mount {
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            ..MountVolumeOptions::default()
        }),
        ..volume(Some(name), target)
    }
}

/// A directory of this machine as a volume that goes with its container. Docker mounts it, with what
/// is mounted in it, when that container starts; others that have the volume meanwhile have what was
/// mounted then, wherever the path leads by now.
pub(crate) fn mounted_once(source: &Path, target: &Path) -> Mount {
    let options = [("type", "none"), ("o", "rbind"), ("device", &text(source))];
    let options = options.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Mount {
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(HashMap::from(options)),
            }),
            ..MountVolumeOptions::default()
        }),
        ..volume(None, target)
    }
}

/// Paths reach this point checked for UTF-8 (project, volumes) or come from fixed lists.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw - ext4 /dev/a rw\n\
        23 22 8:2 / /usr rw - ext4 /dev/b rw\n\
        24 23 8:3 / /usr/local rw shared:1 - ext4 /dev/c rw\n\
        25 22 8:4 / /mnt/with\\040blank rw - ext4 /dev/d rw\n\
        26 22 8:5 / /usr2 rw - ext4 /dev/e rw\n";

    #[test]
    fn a_read_only_bind_takes_what_is_mounted_below_it_along_read_only() {
        let table = MountTable::of(mountinfo::parse(TABLE));
        let parts = table.parts(&Bind::read_only("/usr", "/usr"));
        assert_eq!(
            parts,
            [
                Bind::read_only("/usr", "/usr"),
                Bind::read_only("/usr/local", "/usr/local")
            ]
        );
        let moved = table.parts(&Bind::read_only("/mnt", "/data"));
        assert_eq!(
            moved[1],
            Bind::read_only("/mnt/with blank", "/data/with blank")
        );
    }

    #[test]
    fn a_writable_bind_is_one_recursive_mount() {
        let mounts =
            MountTable::of(mountinfo::parse(TABLE)).mounts(&[Bind::writable("/usr", "/x")]);
        assert_eq!(mounts.len(), 1);
        let options = mounts[0].bind_options.as_ref().unwrap();
        assert_eq!(
            (mounts[0].read_only, options.non_recursive),
            (Some(false), Some(false))
        );
    }
}
