//! `--volume SRC:DST[:ro]`: further directories a person gives to the sandbox.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use super::super::offlimits::{Held, OffLimits};
use super::super::project::unmountable;
use crate::api::enclosure::OWN_DIRECTORY;

/// Trees of the kernel's, and files that the engine or vibepit puts into every sandbox.
const RESERVED: [&str; 8] = [
    "/proc",
    "/sys",
    "/dev",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/sbin/docker-init",
    OWN_DIRECTORY,
];

/// A volume as it is written, before anything is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    source: PathBuf,
    target: PathBuf,
    read_only: bool,
}

/// A volume that may be mounted: its source exists, is resolved, and gives nothing away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Volume {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) read_only: bool,
}

/// Why a volume is refused.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// Not `SRC:DST[:ro]`.
    #[error("{text:?} is not a volume: {why}; write SRC:DST or SRC:DST:ro, DST an absolute path")]
    Syntax {
        /// As it was written.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The source is not there.
    #[error(
        "the volume's source {} cannot be mounted: {source}; it must exist before the session \
         starts", .path.display()
    )]
    Source {
        /// As it was written.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The source gives away more than files.
    #[error("the volume's source {} is, holds or lies in {held}; mount a directory without it",
        .path.display())]
    OffLimits {
        /// The resolved source.
        path: PathBuf,
        /// What it holds.
        held: Held,
    },
    /// The engine cannot mount it.
    #[error("the volume's path {path} has {what}, which a container engine cannot mount")]
    Unmountable {
        /// The path, escaped.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The target is taken.
    #[error("a volume cannot be mounted at {}: {why}; choose another place in the sandbox",
        .target.display())]
    Target {
        /// The target.
        target: PathBuf,
        /// Why not.
        why: String,
    },
}

impl FromStr for VolumeSpec {
    type Err = VolumeError;

    fn from_str(text: &str) -> Result<Self, VolumeError> {
        let wrong = |why| VolumeError::Syntax {
            text: text.to_owned(),
            why,
        };
        let (paths, read_only) = match text.rsplit_once(':') {
            Some((paths, "ro")) => (paths, true),
            Some((paths, "rw")) => (paths, false),
            _ => (text, false),
        };
        // The source may contain colons; the target starts with a slash, so the last ":/" parts them.
        let colon = paths
            .rfind(":/")
            .ok_or_else(|| wrong("it has no absolute destination"))?;
        let (source, target) = (&paths[..colon], &paths[colon + 1..]);
        if source.is_empty() {
            return Err(wrong("it has no source"));
        }
        if target.contains(':') {
            return Err(wrong("what follows its destination is neither :ro nor :rw"));
        }
        Ok(Self {
            source: PathBuf::from(source),
            target: clean(Path::new(target)).ok_or_else(|| wrong("its destination has \"..\""))?,
            read_only,
        })
    }
}

impl VolumeSpec {
    /// A source that is mounted to be read and written.
    pub(crate) fn writable(source: PathBuf, target: PathBuf) -> Self {
        Self {
            source,
            target,
            read_only: false,
        }
    }

    /// Looks the source up, relative to the working directory, and judges both ends. `taken` are
    /// the places where the sandbox already has something mounted.
    ///
    /// # Errors
    ///
    /// When the source is missing or off limits, or the target is taken.
    pub(crate) fn resolve(
        &self,
        off: &OffLimits,
        taken: &[PathBuf],
    ) -> Result<Volume, VolumeError> {
        let missing = |source| VolumeError::Source {
            path: self.source.clone(),
            source,
        };
        let source = self.source.canonicalize().map_err(missing)?;
        if let Some(held) = off.held_by(&source) {
            return Err(VolumeError::OffLimits { path: source, held });
        }
        for path in [&source, &self.target] {
            if let Some(what) = unmountable(path) {
                return Err(VolumeError::Unmountable {
                    path: format!("{path:?}"),
                    what,
                });
            }
        }
        if let Some(why) = taken_already(&self.target, taken) {
            return Err(VolumeError::Target {
                target: self.target.clone(),
                why,
            });
        }
        Ok(Volume {
            source,
            target: self.target.clone(),
            read_only: self.read_only,
        })
    }
}

/// An absolute path without `.` and doubled slashes; `None` if it has a `..`.
fn clean(path: &Path) -> Option<PathBuf> {
    path.components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| (part != Component::ParentDir).then_some(part))
        .collect()
}

fn taken_already(target: &Path, taken: &[PathBuf]) -> Option<String> {
    if let Some(reserved) = RESERVED
        .iter()
        .find(|reserved| target.starts_with(reserved))
    {
        return Some(format!("{reserved} is the sandbox's own"));
    }
    let reserved = RESERVED.iter().map(Path::new);
    let below = taken
        .iter()
        .map(PathBuf::as_path)
        .chain(reserved)
        .find(|t| t.starts_with(target));
    below.map(|below| match below == target {
        true => "something is mounted there already".to_owned(),
        false => format!("it would cover {}", below.display()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn a_volume_is_a_source_a_destination_and_maybe_ro() {
        let parse = |text: &str| text.parse::<VolumeSpec>();
        let spec = |source: &str, target: &str, read_only| VolumeSpec {
            source: source.into(),
            target: target.into(),
            read_only,
        };
        assert_eq!(parse("/a:/b").unwrap(), spec("/a", "/b", false));
        assert_eq!(parse("/a:/b:ro").unwrap(), spec("/a", "/b", true));
        assert_eq!(
            parse("./data:/b//c/./d:rw").unwrap(),
            spec("./data", "/b/c/d", false)
        );
        assert_eq!(
            parse("/with:colon:/b").unwrap(),
            spec("/with:colon", "/b", false)
        );
        for bad in ["", "/a", ":/b", "/a:b", "/a:/b/../c", "/a:/b:z"] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains("SRC:DST"), "{bad}: {error}");
        }
    }

    #[test]
    fn a_source_that_is_or_holds_an_engines_socket_is_refused_even_read_only() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let socket = root.join("docker.sock");
        let _listener = UnixListener::bind(&socket).unwrap();
        std::os::unix::fs::symlink(&root, root.join("link")).unwrap();
        let off = OffLimits::new(std::slice::from_ref(&socket), &[]);
        for source in [
            socket.clone(),
            root.clone(),
            root.join("link"),
            PathBuf::from("/"),
        ] {
            let spec: VolumeSpec = format!("{}:/mnt/x:ro", source.display()).parse().unwrap();
            let error = spec.resolve(&off, &[]).unwrap_err().to_string();
            assert!(error.contains("root on this machine"), "{error}");
        }
    }

    #[test]
    fn a_missing_source_is_refused_by_name() {
        let spec: VolumeSpec = "/nowhere/at/all:/x".parse().unwrap();
        let error = spec
            .resolve(&OffLimits::default(), &[])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("/nowhere/at/all") && error.contains("must exist"),
            "{error}"
        );
    }

    #[test]
    fn a_place_that_the_sandbox_already_has_is_refused() {
        let source = tempfile::tempdir().unwrap();
        let taken = [PathBuf::from("/usr"), PathBuf::from("/home/u/app")];
        let resolve = |target: &str| {
            let spec = format!("{}:{target}", source.path().display());
            spec.parse::<VolumeSpec>()
                .unwrap()
                .resolve(&OffLimits::default(), &taken)
        };
        for target in [
            "/",
            "/usr",
            "/proc/x",
            "/dev",
            "/home",
            "/etc",
            "/etc/resolv.conf",
        ] {
            assert!(
                matches!(resolve(target), Err(VolumeError::Target { .. })),
                "{target}"
            );
        }
        for target in [
            "/data",
            "/home/u/app/vendor",
            "/etc/tool.conf",
            "/usr/share/x",
        ] {
            assert!(resolve(target).is_ok(), "{target}");
        }
    }
}
