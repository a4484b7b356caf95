//! Directories that are held open, what is in them and what is put into them, without following a
//! symbolic link on the way. Who may have made the links, and what it is done for, is not its
//! business.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

use nix::fcntl::{OFlag, open, openat, readlinkat, renameat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};

/// What a file is, whatever it is called: no other one has this as long as it is held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// The device's and the inode's number (stat(2)).
    pub(crate) fn numbers(self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

/// A directory, held by a descriptor that opens nothing (`O_PATH`): what its path is, or becomes,
/// makes no difference to it.
#[derive(Debug)]
pub(crate) struct Directory {
    held: OwnedFd,
    identity: Identity,
}

/// What a name in a directory stands for.
#[derive(Debug)]
pub(crate) enum Entry {
    Directory(Directory),
    File(Plain),
    /// And where it leads.
    Link(OsString),
    /// What it is called.
    Special(&'static str),
}

/// A plain file that is held, and not open yet.
#[derive(Debug)]
pub(crate) struct Plain {
    held: OwnedFd,
    pub(crate) status: FileStat,
}

impl Directory {
    /// The directory at an absolute path that has no link on it.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let root = open("/", Self::FLAGS, Mode::empty())?;
        Self::of(root)?.walk(path)
    }

    /// The root directory as another process sees it.
    pub(crate) fn root_of(pid: i64) -> io::Result<Self> {
        // The last step is the kernel's own link, and leads where nobody else can make it lead.
        let path = format!("/proc/{pid}/root");
        let flags = Self::FLAGS.difference(OFlag::O_NOFOLLOW);
        Self::of(open(path.as_str(), flags, Mode::empty())?)
    }

    const FLAGS: OFlag = OFlag::O_PATH
        .union(OFlag::O_DIRECTORY)
        .union(OFlag::O_NOFOLLOW)
        .union(OFlag::O_CLOEXEC);

    fn of(held: OwnedFd) -> io::Result<Self> {
        let identity = identity(&fstat(&held)?);
        Ok(Self { held, identity })
    }

    /// The directory below this one at `path`, in which a leading `/` is this directory.
    pub(crate) fn walk(self, path: &Path) -> io::Result<Self> {
        let mut here = self.held;
        for step in path.components() {
            match step {
                Component::Normal(name) => here = openat(&here, name, Self::FLAGS, Mode::empty())?,
                Component::RootDir | Component::CurDir => {}
                // Nobody who has a path without links has one with these.
                Component::ParentDir | Component::Prefix(_) => {
                    return Err(io::ErrorKind::InvalidInput.into());
                }
            }
        }
        Self::of(here)
    }

    /// The directory below this one at a relative path.
    pub(crate) fn below(&self, path: &Path) -> io::Result<Self> {
        Self::of(self.held.try_clone()?)?.walk(path)
    }

    /// The directory that a relative path leads to, but for its last step, and that step.
    pub(crate) fn above<'p>(&self, path: &'p Path) -> io::Result<(Self, &'p OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let above = path.parent().unwrap_or_else(|| Path::new(""));
        Ok((self.below(above)?, name))
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    pub(crate) fn status(&self) -> io::Result<FileStat> {
        Ok(fstat(&self.held)?)
    }

    /// What `name`, which is one step, stands for. Nothing is opened: a FIFO does not make anybody
    /// wait, and a device does not start to do anything.
    pub(crate) fn entry(&self, name: &OsStr) -> io::Result<Entry> {
        Ok(self.look(name)?.0)
    }

    /// The same, with its status.
    pub(crate) fn look(&self, name: &OsStr) -> io::Result<(Entry, FileStat)> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let held = openat(&self.held, name, flags, Mode::empty())?;
        let status = fstat(&held)?;
        let kind = SFlag::from_bits_truncate(status.st_mode & SFlag::S_IFMT.bits());
        let entry = match kind {
            SFlag::S_IFDIR => Entry::Directory(Self::of(held)?),
            SFlag::S_IFREG => Entry::File(Plain { held, status }),
            SFlag::S_IFLNK => Entry::Link(readlinkat(&held, "")?),
            SFlag::S_IFIFO => Entry::Special("named pipe"),
            SFlag::S_IFSOCK => Entry::Special("socket"),
            _ => Entry::Special("device"),
        };
        Ok((entry, status))
    }

    /// The names in it, sorted: `most` of them at most, and whether there are more.
    pub(crate) fn names(&self, most: usize) -> io::Result<(Vec<OsString>, bool)> {
        let mut entries = std::fs::read_dir(reopened(&self.held))?;
        let mut names = Vec::new();
        for entry in entries.by_ref().take(most) {
            names.push(entry?.file_name());
        }
        names.sort();
        Ok((names, entries.next().is_some()))
    }

    /// Makes a directory in it.
    pub(crate) fn make_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(mkdirat(&self.held, name, Mode::from_bits_truncate(0o777))?)
    }

    /// Makes a link in it.
    pub(crate) fn make_link(&self, name: &OsStr, target: &OsStr) -> io::Result<()> {
        Ok(symlinkat(target, &self.held, name)?)
    }

    /// Makes a file in it, where there is nothing yet, with these permissions whatever the umask.
    pub(crate) fn make_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_CLOEXEC;
        let file = File::from(openat(&self.held, name, flags, Mode::S_IRUSR)?);
        file.set_permissions(Permissions::from_mode(mode))?;
        Ok(file)
    }

    /// Gives a thing in it another name, which takes the place of what had it.
    pub(crate) fn rename(&self, name: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat(&self.held, name, &self.held, to)?)
    }

    /// Removes a file or a link in it.
    pub(crate) fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.held, name, UnlinkatFlags::NoRemoveDir)?)
    }

    /// Removes an empty directory in it.
    pub(crate) fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.held, name, UnlinkatFlags::RemoveDir)?)
    }
}

impl Plain {
    pub(crate) fn identity(&self) -> Identity {
        identity(&self.status)
    }

    /// Opens it to be read.
    pub(crate) fn open(&self) -> io::Result<File> {
        // It is a plain file, and stays one: only a lease on it could make us wait (fcntl(2)).
        File::options()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(reopened(&self.held))
    }

    /// Its bytes, if there are no more than `most`.
    pub(crate) fn read(&self, most: u64) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        // Its size is what it was, and it may grow meanwhile.
        self.open()?.take(most + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= most).then_some(bytes))
    }
}

/// The path by which the kernel opens what a descriptor holds, wherever it lies by now (proc(5)).
fn reopened(held: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()))
}

fn identity(status: &FileStat) -> Identity {
    Identity {
        device: status.st_dev,
        inode: status.st_ino,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, create_dir_all, rename, write};
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use nix::unistd::mkfifo;

    use super::*;

    fn place() -> (tempfile::TempDir, PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let path = guard.path().canonicalize().unwrap();
        (guard, path)
    }

    #[test]
    fn a_directory_is_itself_wherever_it_is_moved() {
        let (_guard, path) = place();
        create_dir(path.join("one")).unwrap();
        let one = Directory::at(&path.join("one")).unwrap();
        rename(path.join("one"), path.join("two")).unwrap();
        create_dir(path.join("one")).unwrap();
        let identity = |name: &str| Directory::at(&path.join(name)).unwrap().identity();
        assert_eq!(one.identity(), identity("two"));
        assert_ne!(one.identity(), identity("one"));
    }

    #[test]
    fn no_link_is_followed_on_the_way_or_at_the_end() {
        let (_guard, path) = place();
        create_dir_all(path.join("real/below")).unwrap();
        symlink(path.join("real"), path.join("link")).unwrap();
        for way in ["link", "link/below"] {
            assert!(Directory::at(&path.join(way)).is_err(), "{way}");
        }
        assert!(Directory::at(&path.join("real/../real")).is_err());
        let here = Directory::at(&path).unwrap();
        let entry = here.entry(OsStr::new("link")).unwrap();
        assert!(matches!(entry, Entry::Link(to) if to == path.join("real")));
    }

    #[test]
    fn what_is_no_file_is_told_without_being_opened() {
        let (_guard, path) = place();
        mkfifo(&path.join("pipe"), Mode::S_IRWXU).unwrap();
        let _listener = UnixListener::bind(path.join("socket")).unwrap();
        let here = Directory::at(&path).unwrap();
        for (name, called) in [("pipe", "named pipe"), ("socket", "socket")] {
            let entry = here.entry(OsStr::new(name)).unwrap();
            assert!(matches!(entry, Entry::Special(kind) if kind == called));
        }
        let dev = Directory::at(Path::new("/dev")).unwrap();
        let null = dev.entry(OsStr::new("null")).unwrap();
        assert!(matches!(null, Entry::Special("device")));
    }

    #[test]
    fn a_file_and_a_list_of_names_are_read_up_to_a_bound() {
        let (_guard, path) = place();
        write(path.join("b"), "12345").unwrap();
        write(path.join("a"), "").unwrap();
        let here = Directory::at(&path).unwrap();
        let Entry::File(file) = here.entry(OsStr::new("b")).unwrap() else {
            panic!("a file");
        };
        assert_eq!(file.read(5).unwrap().as_deref(), Some(&b"12345"[..]));
        assert_eq!(file.read(4).unwrap(), None);
        let all = (vec![OsString::from("a"), OsString::from("b")], false);
        assert_eq!(here.names(2).unwrap(), all);
        assert!(here.names(1).unwrap().1);
    }
}
