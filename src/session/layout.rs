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
use nix::fcntl::{AT_FDCWD, OFlag, openat};
use nix::sys::stat::{FileStat, Mode, fstat, mkdirat};
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
         theirs, then run: chmod {wanted} {}", path.display(), path.display()
    )]
    Open {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What to tell chmod.
        wanted: &'static str,
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
        make_dir(AT_FDCWD, base.as_os_str(), base)?;
        let opened = self.open_base()?;
        make_dir(&opened, self.name(), &self.path)?;
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

    /// Opens the directory around the runtime directory. One that is shared with other programs
    /// may be readable by others, but they must not be able to move things in it.
    fn open_base(&self) -> Result<File, LayoutError> {
        let base = self.base();
        if self.base_is_own {
            return open_private(AT_FDCWD, base.as_os_str(), base);
        }
        let (directory, found) = open_ours(AT_FDCWD, base.as_os_str(), base)?;
        let mode = found.st_mode & 0o7777;
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(LayoutError::Open {
                path: base.to_owned(),
                mode,
                wanted: "go-w",
            });
        }
        Ok(directory)
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
            wanted: "700",
        });
    }
    Ok(directory)
}

/// Makes a directory closed to others, or leaves one that exists as it is.
fn make_dir(parent: impl AsFd, name: &OsStr, path: &Path) -> Result<(), LayoutError> {
    match mkdirat(parent, name, Mode::S_IRWXU) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(error) => Err(LayoutError::io("create", path, error)),
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
