//! Which directory a session is about, and which directories it is never about.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::command_line::quoted;
use super::nofollow::{Directory, Entry, Identity};
use super::offlimits::{Held, OffLimits};

/// The project's own settings for vibepit.
pub(super) const META: &str = ".vibepit";

/// Trees that belong to the system. A project may lie in some of them (a checkout in `/opt`, in
/// `/usr/src`), but none of them is a project.
const SYSTEM: [&str; 19] = [
    "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib32", "/lib64", "/media", "/mnt", "/nix",
    "/opt", "/proc", "/run", "/sbin", "/srv", "/sys", "/usr", "/var",
];

/// Trees that are not files: nothing in them is a project either.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// Directories that the sandbox has of its own under the same path.
const SCRATCH: [&str; 3] = ["/tmp", "/var/tmp", "/root"];

/// The directory that is mounted read-write at its own path: absolute, without symbolic links,
/// checked, and held open, so that another one that takes its place is known from it.
#[derive(Debug, Clone)]
pub struct Project {
    path: PathBuf,
    directory: Arc<Directory>,
    /// Its `.vibepit` as it was found.
    meta: Option<Identity>,
}

/// Why a directory is not taken for a project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// It cannot be looked at.
    #[error("the project directory {} cannot be used: {source}; name another one", .path.display())]
    Unusable {
        /// As it was given.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file.
    #[error("the project {} is not a directory; name the directory it is in", .0.display())]
    NotADirectory(PathBuf),
    /// `/`, the home directory or above it, or a directory of the system.
    #[error(
        "the project directory would be {}, which is {why}; everything in it would be open to the \
         sandbox, so go to (or name) the directory of one project", .path.display()
    )]
    TooMuch {
        /// The resolved directory.
        path: PathBuf,
        /// What it is, as a phrase.
        why: &'static str,
    },
    /// It holds what may never be mounted.
    #[error(
        "the project directory {} is, holds or lies in {held}; name a directory without it",
        .path.display()
    )]
    OffLimits {
        /// The resolved directory.
        path: PathBuf,
        /// What it holds.
        held: Held,
    },
    /// Not expressible to the engine, or dangerous to print.
    #[error(
        "the project directory {path} has {what} in its path, which a container engine cannot \
         mount; rename it"
    )]
    Unmountable {
        /// The path, escaped.
        path: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// `.vibepit` is something else than a directory.
    #[error(
        "{} is a {what}, and vibepit's project directory must be a real one, so that it can be \
         hidden from the sandbox; remove it", .path.display()
    )]
    Meta {
        /// The `.vibepit` in question.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// Something else is where it was.
    #[error(
        "{} was replaced while the session started: {now}; the session was called off, and nothing \
         is left of it: see who did that (`ls -ld {}`), and start again", .path.display(), quoted(.path)
    )]
    Replaced {
        /// What was replaced: the project, or its `.vibepit`.
        path: PathBuf,
        /// What is there now.
        now: &'static str,
    },
}

impl Project {
    /// The project that `start` belongs to: the nearest directory upwards that has a `.git`,
    /// else `start` itself. A repository that is the home directory or above it (dotfiles kept
    /// in git) does not count.
    ///
    /// # Errors
    ///
    /// When that directory must not be open to a sandbox, or cannot be.
    pub fn find(start: &Path, home: Option<&Path>, off: &OffLimits) -> Result<Self, ProjectError> {
        let unusable = |source| ProjectError::Unusable {
            path: start.to_owned(),
            source,
        };
        let start = start.canonicalize().map_err(unusable)?;
        if !start.is_dir() {
            return Err(ProjectError::NotADirectory(start));
        }
        let home = home.and_then(|home| home.canonicalize().ok());
        let path = start
            .ancestors()
            .take_while(|above| too_much(above, home.as_deref()).is_none())
            .find(|above| above.join(".git").symlink_metadata().is_ok())
            .unwrap_or(&start)
            .to_owned();
        if let Some(why) = too_much(&path, home.as_deref()) {
            return Err(ProjectError::TooMuch { path, why });
        }
        if let Some(what) = unmountable(&path) {
            return Err(ProjectError::Unmountable {
                path: format!("{path:?}"),
                what,
            });
        }
        if let Some(held) = off.held_by(&path) {
            return Err(ProjectError::OffLimits { path, held });
        }
        // From here on this is the directory that is meant. A link that has appeared on the way
        // since it was looked up ends it here.
        let directory = Directory::at(&path).map_err(unusable)?;
        let meta = meta(&directory, &path)?;
        Ok(Self {
            path,
            directory: Arc::new(directory),
            meta,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself, whatever its path leads to by now.
    pub(crate) fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The project's own settings, hidden from the sandbox, if it has any.
    pub(crate) fn meta(&self) -> Option<PathBuf> {
        self.meta.map(|_| self.path.join(META))
    }

    /// Whether its path still leads to it, and its settings are still those that are hidden.
    ///
    /// Who mounts by path asks this before: whoever can rename a directory on the way (a sandbox
    /// that has a part of it) could have another one mounted.
    ///
    /// # Errors
    ///
    /// [`ProjectError::Replaced`].
    pub(crate) fn still_there(&self) -> Result<(), ProjectError> {
        self.is_at(Directory::at(&self.path))?;
        self.has_meta(self.meta)
    }

    /// Whether a container whose mounts are made has this project: `found` is what it has, if that
    /// can be looked at. Settings where there were none may be a sandbox's own work by now.
    ///
    /// # Errors
    ///
    /// [`ProjectError::Replaced`].
    pub(crate) fn was_mounted(
        &self,
        found: Option<io::Result<Directory>>,
    ) -> Result<(), ProjectError> {
        self.is_at(found.unwrap_or_else(|| Directory::at(&self.path)))?;
        match self.meta {
            Some(known) => self.has_meta(Some(known)),
            None => Ok(()),
        }
    }

    fn is_at(&self, found: io::Result<Directory>) -> Result<(), ProjectError> {
        let now = match found {
            Ok(found) if found.identity() == self.directory.identity() => return Ok(()),
            Ok(_) => "another directory is there now",
            Err(error) if error.kind() == io::ErrorKind::NotFound => "it is gone",
            Err(_) => "its path leads through something else now",
        };
        Err(ProjectError::Replaced {
            path: self.path.clone(),
            now,
        })
    }

    fn has_meta(&self, known: Option<Identity>) -> Result<(), ProjectError> {
        let now = match (meta(&self.directory, &self.path)?, known) {
            (found, known) if found == known => return Ok(()),
            (None, _) => "it is gone",
            (Some(_), None) => "there was none",
            (Some(_), Some(_)) => "another directory is there now",
        };
        Err(ProjectError::Replaced {
            path: self.path.join(META),
            now,
        })
    }
}

/// Why a path cannot be handed to an engine: its API speaks JSON, and runtimes write mount tables.
pub(crate) fn unmountable(path: &Path) -> Option<&'static str> {
    match path.to_str() {
        None => Some("bytes that are not UTF-8"),
        Some(text) if text.chars().any(char::is_control) => Some("a control character"),
        Some(_) => None,
    }
}

fn too_much(path: &Path, home: Option<&Path>) -> Option<&'static str> {
    if path == Path::new("/") {
        return Some("the root of the whole system");
    }
    if let Some(home) = home {
        if path == home {
            return Some("your home directory");
        }
        if home.starts_with(path) {
            return Some("above your home directory");
        }
    }
    let system = SYSTEM
        .iter()
        .chain(&SCRATCH)
        .any(|tree| path == Path::new(tree));
    let kernel = KERNEL.iter().any(|tree| path.starts_with(tree));
    (system || kernel).then_some("a directory of the system")
}

/// The project's `.vibepit`, if it has one. It is never read through a link.
fn meta(project: &Directory, path: &Path) -> Result<Option<Identity>, ProjectError> {
    let path = path.join(META);
    let what = match project.entry(OsStr::new(META)) {
        Ok(Entry::Directory(found)) => return Ok(Some(found.identity())),
        Ok(Entry::Link(_)) => "symbolic link",
        Ok(Entry::File(_)) => "file",
        Ok(Entry::Special(what)) => what,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(ProjectError::Unusable { path, source }),
    };
    Err(ProjectError::Meta { path, what })
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, create_dir_all, remove_dir, remove_file, rename, write};
    use std::os::unix::fs::symlink;

    use super::*;

    fn find(start: &Path, home: &Path) -> Result<PathBuf, ProjectError> {
        Project::find(start, Some(home), &OffLimits::default()).map(|project| project.path)
    }

    /// A home directory with its links resolved; the guard keeps it.
    fn home() -> (tempfile::TempDir, PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let home = guard.path().canonicalize().unwrap().join("home");
        create_dir(&home).unwrap();
        (guard, home)
    }

    #[test]
    fn the_nearest_repository_upwards_is_the_project() {
        let (_guard, home) = home();
        create_dir_all(home.join("code/app/src/deep")).unwrap();
        create_dir(home.join("code/app/.git")).unwrap();
        assert_eq!(
            find(&home.join("code/app/src/deep"), &home).unwrap(),
            home.join("code/app")
        );
        write(home.join("code/app/src/.git"), "gitdir: elsewhere").unwrap();
        assert_eq!(
            find(&home.join("code/app/src"), &home).unwrap(),
            home.join("code/app/src")
        );
    }

    #[test]
    fn without_a_repository_the_directory_itself_is_the_project() {
        let (_guard, home) = home();
        create_dir_all(home.join("notes")).unwrap();
        create_dir(home.join(".git")).unwrap();
        assert_eq!(
            find(&home.join("notes"), &home).unwrap(),
            home.join("notes")
        );
    }

    #[test]
    fn the_root_the_home_and_what_is_above_it_are_refused_with_a_reason() {
        let (_guard, home) = home();
        for (path, why) in [
            (Path::new("/"), "root"),
            (&*home, "your home directory"),
            (home.parent().unwrap(), "above your home"),
            (Path::new("/etc"), "system"),
            (Path::new("/proc/self"), "system"),
        ] {
            let error = find(path, &home).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("name"), "{error}");
        }
    }

    #[test]
    fn a_link_to_the_home_is_the_home() {
        let (guard, home) = home();
        let link = guard.path().join("work");
        symlink(&home, &link).unwrap();
        assert!(matches!(
            find(&link, &home),
            Err(ProjectError::TooMuch { .. })
        ));
    }

    #[test]
    fn a_home_that_is_named_through_a_link_is_still_the_home() {
        let (guard, home) = home();
        let link = guard.path().join("home-link");
        symlink(&home, &link).unwrap();
        assert!(matches!(
            find(&home, &link),
            Err(ProjectError::TooMuch { .. })
        ));
    }

    #[test]
    fn a_colon_is_fine_and_a_newline_is_not() {
        let (_guard, home) = home();
        create_dir(home.join("a:b")).unwrap();
        create_dir(home.join("a\nb")).unwrap();
        assert_eq!(find(&home.join("a:b"), &home).unwrap(), home.join("a:b"));
        let error = find(&home.join("a\nb"), &home).unwrap_err().to_string();
        assert!(
            error.contains("control character") && !error.contains('\n'),
            "{error}"
        );
    }

    #[test]
    fn a_vibepit_directory_that_is_not_one_is_refused() {
        let (_guard, home) = home();
        create_dir_all(home.join("app")).unwrap();
        symlink(&home, home.join("app/.vibepit")).unwrap();
        let error = find(&home.join("app"), &home).unwrap_err().to_string();
        assert!(
            error.contains("symbolic link") && error.contains("remove it"),
            "{error}"
        );
    }

    #[test]
    fn a_project_that_was_replaced_is_known_from_the_one_that_was_found() {
        let (_guard, home) = home();
        let path = home.join("code/app");
        create_dir_all(&path).unwrap();
        let project = Project::find(&path, Some(&home), &OffLimits::default()).unwrap();
        project.still_there().unwrap();
        let mounted = || Directory::at(Path::new("/")).unwrap().walk(&path);
        project.was_mounted(Some(mounted())).unwrap();
        let refused = |now: &str| {
            let found = [
                project.still_there(),
                project.was_mounted(Some(mounted())),
                project.was_mounted(None),
            ];
            for error in found {
                let error = error.unwrap_err().to_string();
                let named = error.contains(path.to_str().unwrap());
                assert!(named && error.contains(now), "{error}");
            }
        };
        rename(&path, home.join("aside")).unwrap();
        refused("it is gone");
        create_dir(&path).unwrap();
        refused("another directory");
        remove_dir(&path).unwrap();
        symlink(home.join("aside"), &path).unwrap();
        refused("leads through something else");
        remove_file(&path).unwrap();
        rename(home.join("aside"), &path).unwrap();
        project.still_there().unwrap();
        rename(home.join("code"), home.join("away")).unwrap();
        symlink(home.join("away"), home.join("code")).unwrap();
        refused("leads through something else");
    }

    #[test]
    fn settings_that_appear_or_are_replaced_are_not_those_that_are_hidden() {
        let (_guard, home) = home();
        let (path, meta) = (home.join("app"), home.join("app/.vibepit"));
        create_dir(&path).unwrap();
        let find = || Project::find(&path, Some(&home), &OffLimits::default()).unwrap();
        let project = find();
        create_dir(&meta).unwrap();
        let error = project.still_there().unwrap_err().to_string();
        assert!(error.contains(".vibepit was replaced"), "{error}");
        // A sandbox that runs may make some, and they are told of at its end.
        project.was_mounted(None).unwrap();
        let project = find();
        project.still_there().unwrap();
        rename(&meta, home.join("aside")).unwrap();
        assert!(project.still_there().is_err());
        assert!(project.was_mounted(None).is_err());
        symlink(home.join("aside"), &meta).unwrap();
        assert!(matches!(
            project.still_there(),
            Err(ProjectError::Meta { .. })
        ));
    }

    #[test]
    fn a_project_that_holds_a_socket_is_refused() {
        let (_guard, home) = home();
        create_dir_all(home.join("app/run")).unwrap();
        let off = OffLimits::new(&[home.join("app/run/docker.sock")], &[]);
        let error = Project::find(&home.join("app"), Some(&home), &off)
            .unwrap_err()
            .to_string();
        assert!(error.contains("docker.sock"), "{error}");
    }

    #[test]
    fn what_is_not_there_is_named() {
        let (_guard, home) = home();
        let error = find(&home.join("nowhere"), &home).unwrap_err().to_string();
        assert!(error.contains("nowhere"), "{error}");
        write(home.join("file"), "").unwrap();
        assert!(matches!(
            find(&home.join("file"), &home),
            Err(ProjectError::NotADirectory(_))
        ));
    }
}
