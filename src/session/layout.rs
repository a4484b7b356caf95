//! Where the runtime directory is, and the law of its directories: ours, real, closed to others,
//! or an error. Nothing that exists is repaired. Knows nothing of what a session keeps in there.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, fstatat, mkdirat};
use nix::unistd::Uid;

/// Why a directory is not used.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A symbolic link or a file stands where the directory should be.
    #[error(
        "{} is not a directory but a file or a symbolic link, and may lead anywhere: remove it, or \
         set XDG_RUNTIME_DIR to a directory of your own", .0.display()
    )]
    NotADirectory(PathBuf),
    /// The directory is somebody else's.
    #[error(
        "{} belongs to uid {owner}, not to you (uid {us}): it may have been put there to catch your \
         sessions; set XDG_RUNTIME_DIR to a directory of your own", path.display()
    )]
    NotOurs {
        /// The directory.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Who we are.
        us: u32,
    },
    /// Others can get into the directory.
    #[error(
        "{} has mode {mode:04o}, so that others can get into it: make sure that nothing in it is \
         theirs, then run: chmod 700 {}", path.display(), path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The directory around it is missing and cannot be made.
    #[error(
        "cannot make {}, where sessions are announced: {source}; set XDG_RUNTIME_DIR to a directory \
         of your own", path.display()
    )]
    NoBase {
        /// The directory.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
    /// The kernel refused.
    #[error("cannot {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel says.
        source: io::Error,
    },
}

impl LayoutError {
    pub(super) fn io(doing: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source: source.into(),
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The directory that holds one directory for each session. Known to be ours and closed to
/// others, and held open, so that it stays the directory that was checked.
#[derive(Debug)]
pub struct RuntimeDir {
    path: PathBuf,
    directory: File,
}

impl RuntimeDir {
    /// Opens the runtime directory of this user, making what is missing of it.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when a directory on the way is not what it must be.
    pub fn open_or_create() -> Result<Self, LayoutError> {
        Place::of_this_user().create()
    }

    /// Opens the runtime directory of this user; `None` when there is none, hence no session.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when a directory on the way is not what it must be.
    pub fn open() -> Result<Option<Self>, LayoutError> {
        Place::of_this_user().open()
    }

    /// As [`open_or_create`](Self::open_or_create), at a path of the caller's choice, whose
    /// parent may be missing as well.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the directory or its parent is not what it must be.
    pub fn open_or_create_at(path: &Path) -> Result<Self, LayoutError> {
        Place::at(path).create()
    }

    /// As [`open`](Self::open), at a path of the caller's choice.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] when the directory or its parent is not what it must be.
    pub fn open_at(path: &Path) -> Result<Option<Self>, LayoutError> {
        Place::at(path).open()
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn directory(&self) -> &File {
        &self.directory
    }
}

/// Where a runtime directory is or would be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    path: PathBuf,
    /// Whether the directory around it is vibepit's own too, and not shared with other programs.
    base_is_own: bool,
}

impl Place {
    pub(super) fn of_this_user() -> Self {
        place_of(&Surroundings::ours())
    }

    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            base_is_own: false,
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn open(&self) -> Result<Option<RuntimeDir>, LayoutError> {
        match self.open_existing() {
            Ok(opened) => Ok(Some(opened)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn create(&self) -> Result<RuntimeDir, LayoutError> {
        let base = self.base();
        make_dir(AT_FDCWD, base.as_os_str()).map_err(|error| LayoutError::NoBase {
            path: base.to_owned(),
            source: error.into(),
        })?;
        let opened = self.open_base()?;
        make_dir(&opened, self.name())
            .map_err(|error| LayoutError::io("create", &self.path, error))?;
        self.open_existing()
    }

    fn open_existing(&self) -> Result<RuntimeDir, LayoutError> {
        let base = self.open_base()?;
        let directory = open_private(&base, self.name(), &self.path)?;
        Ok(RuntimeDir {
            path: self.path.clone(),
            directory,
        })
    }

    /// Opens the directory around the runtime directory. The mode of one that is shared with other
    /// programs is theirs to choose: whoever can put something in our place puts something there
    /// that is not ours.
    fn open_base(&self) -> Result<File, LayoutError> {
        let base = self.base();
        if self.base_is_own {
            return open_private(AT_FDCWD, base.as_os_str(), base);
        }
        Ok(open_ours(AT_FDCWD, base.as_os_str(), base)?.0)
    }

    fn base(&self) -> &Path {
        self.path.parent().unwrap_or_else(|| Path::new("/"))
    }

    fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }
}

/// What decides where the runtime directory is.
struct Surroundings {
    xdg_runtime_dir: Option<OsString>,
    tmpdir: Option<OsString>,
    run_user: PathBuf,
    uid: u32,
}

impl Surroundings {
    fn ours() -> Self {
        let uid = Uid::effective().as_raw();
        Self {
            xdg_runtime_dir: env::var_os("XDG_RUNTIME_DIR"),
            tmpdir: env::var_os("TMPDIR"),
            run_user: PathBuf::from(format!("/run/user/{uid}")),
            uid,
        }
    }
}

fn place_of(around: &Surroundings) -> Place {
    // XDG Base Directory Specification: a relative path is invalid, and to be ignored.
    let absolute = |value: &Option<OsString>| {
        value
            .as_ref()
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let within = |base: PathBuf, base_is_own| Place {
        path: base.join("vibepit"),
        base_is_own,
    };

    if let Some(given) = absolute(&around.xdg_runtime_dir) {
        return within(given, false);
    }
    let found = around.run_user.symlink_metadata();
    if found.is_ok_and(|found| found.is_dir() && found.uid() == around.uid) {
        return within(around.run_user.clone(), false);
    }
    let tmp = absolute(&around.tmpdir).unwrap_or_else(|| PathBuf::from("/tmp"));
    within(tmp.join(format!("vibepit-{}", around.uid)), true)
}

/// Opens a directory that is vibepit's alone.
pub(super) fn open_private(
    parent: impl AsFd,
    name: &OsStr,
    path: &Path,
) -> Result<File, LayoutError> {
    let (directory, found) = open_ours(parent, name, path)?;
    let mode = found.st_mode & 0o7777;
    if mode & 0o077 != 0 {
        return Err(LayoutError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    Ok(directory)
}

/// Whether `name` is a directory that [`open_private`] would open, at the price of one call.
pub(super) fn is_private(parent: impl AsFd, name: &OsStr) -> bool {
    fstatat(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW).is_ok_and(|found| {
        SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFDIR
            && found.st_mode & 0o077 == 0
            && found.st_uid == Uid::effective().as_raw()
    })
}

/// Makes a directory closed to others, or leaves one that exists as it is.
fn make_dir(parent: impl AsFd, name: &OsStr) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(error),
    }
}

fn open_ours(
    parent: impl AsFd,
    name: &OsStr,
    path: &Path,
) -> Result<(File, FileStat), LayoutError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = match openat(parent, name, flags, Mode::empty()) {
        Ok(directory) => File::from(directory),
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            return Err(LayoutError::NotADirectory(path.to_owned()));
        }
        Err(error) => return Err(LayoutError::io("open", path, error)),
    };
    let found = fstat(&directory).map_err(|error| LayoutError::io("look at", path, error))?;
    let us = Uid::effective().as_raw();
    if found.st_uid != us {
        return Err(LayoutError::NotOurs {
            path: path.to_owned(),
            owner: found.st_uid,
            us,
        });
    }
    Ok((directory, found))
}

#[cfg(test)]
mod tests {
    use super::super::testing::foreign_directory;
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn around(dir: &Path) -> Surroundings {
        Surroundings {
            xdg_runtime_dir: None,
            tmpdir: Some(dir.as_os_str().to_owned()),
            run_user: dir.join("run-user"),
            uid: Uid::effective().as_raw(),
        }
    }

    #[test]
    fn what_is_missing_is_made_closed_to_others() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/vibepit");
        let made = RuntimeDir::open_or_create_at(&path).unwrap();
        assert_eq!(made.path(), path);
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(path.parent().unwrap()), 0o700);
        RuntimeDir::open_or_create_at(&path).unwrap();
    }

    #[test]
    fn a_runtime_directory_that_is_missing_is_no_error_to_a_client() {
        let dir = tempfile::tempdir().unwrap();
        assert!(
            RuntimeDir::open_at(&dir.path().join("vibepit"))
                .unwrap()
                .is_none()
        );
        assert!(
            RuntimeDir::open_at(&dir.path().join("no/vibepit"))
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_directory_that_others_can_enter_is_refused_and_not_repaired() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vibepit");
        for open in [0o755, 0o750, 0o701, 0o777, 0o710] {
            drop(fs::create_dir(&path));
            set_mode(&path, open);
            for result in [RuntimeDir::open_at(&path).map(drop), create(&path)] {
                let error = result.unwrap_err();
                assert!(matches!(error, LayoutError::Open { .. }), "{error}");
                let chmod = format!("chmod 700 {}", path.display());
                assert!(error.to_string().contains(&chmod), "{error}");
            }
            assert_eq!(mode(&path), open);
        }
    }

    #[test]
    fn a_symbolic_link_or_a_file_in_its_place_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("vibepit");
        let real = dir.path().join("real");
        fs::create_dir(&real).unwrap();
        set_mode(&real, 0o700);
        symlink(&real, &path).unwrap();
        assert!(matches!(
            create(&path).unwrap_err(),
            LayoutError::NotADirectory(_)
        ));
        fs::remove_file(&path).unwrap();
        symlink("nowhere", &path).unwrap();
        assert!(matches!(
            create(&path).unwrap_err(),
            LayoutError::NotADirectory(_)
        ));
        fs::remove_file(&path).unwrap();
        fs::write(&path, "").unwrap();
        assert!(matches!(
            create(&path).unwrap_err(),
            LayoutError::NotADirectory(_)
        ));
    }

    #[test]
    fn a_base_that_is_a_symbolic_link_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("real")).unwrap();
        symlink(dir.path().join("real"), dir.path().join("link")).unwrap();
        let error = create(&dir.path().join("link/vibepit")).unwrap_err();
        assert!(matches!(error, LayoutError::NotADirectory(_)), "{error}");
        assert!(!dir.path().join("real/vibepit").exists());
    }

    #[test]
    fn a_directory_of_another_user_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let foreign = foreign_directory(dir.path());
        let error = RuntimeDir::open_at(&foreign).map(drop).unwrap_err();
        assert!(matches!(error, LayoutError::NotOurs { .. }), "{error}");
        let error = create(&foreign.join("vibepit")).unwrap_err();
        assert!(matches!(error, LayoutError::NotOurs { .. }), "{error}");
    }

    #[test]
    fn the_mode_of_a_base_that_is_shared_with_other_programs_is_theirs_to_choose() {
        let dir = tempfile::tempdir().unwrap();
        for shared in [0o700, 0o755, 0o775, 0o1777] {
            set_mode(dir.path(), shared);
            create(&dir.path().join("vibepit")).unwrap();
        }
    }

    #[test]
    fn a_base_that_cannot_be_made_is_named_with_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let error = create(&dir.path().join("a/b/vibepit"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a/b") && error.contains("XDG_RUNTIME_DIR"),
            "{error}"
        );
    }

    #[test]
    fn xdg_runtime_dir_comes_first_and_counts_only_when_absolute() {
        let dir = tempfile::tempdir().unwrap();
        let place = |given: &str| {
            let around = Surroundings {
                xdg_runtime_dir: Some(given.into()),
                ..around(dir.path())
            };
            place_of(&around).path
        };
        assert_eq!(place("/run/mine"), Path::new("/run/mine/vibepit"));
        let fallback = place_of(&around(dir.path())).path;
        assert_eq!(place("relative"), fallback);
        assert_eq!(place(""), fallback);
    }

    #[test]
    fn run_user_is_taken_when_it_is_there_and_ours() {
        let dir = tempfile::tempdir().unwrap();
        let mut around = around(dir.path());
        assert!(
            place_of(&around)
                .path
                .starts_with(dir.path().join(format!("vibepit-{}", around.uid)))
        );
        fs::create_dir(&around.run_user).unwrap();
        assert_eq!(place_of(&around).path, around.run_user.join("vibepit"));
        around.run_user = foreign_directory(dir.path());
        assert!(!place_of(&around).path.starts_with(&around.run_user));
    }

    #[test]
    fn the_fallback_in_tmp_is_ours_alone_on_every_level() {
        let dir = tempfile::tempdir().unwrap();
        let place = place_of(&around(dir.path()));
        place.create().unwrap();
        let base = place.base();
        assert_eq!((mode(base), mode(place.path())), (0o700, 0o700));
        set_mode(base, 0o755);
        let error = place.create().unwrap_err();
        assert!(matches!(error, LayoutError::Open { .. }), "{error}");
    }

    fn create(path: &Path) -> Result<(), LayoutError> {
        RuntimeDir::open_or_create_at(path).map(drop)
    }
}
