//! The root of the sandbox: a tree in memory, and in it what the plan names of the host. Built in a
//! mount namespace of its own that nothing else is in, by a process that still may.
//!
//! Every place is a descriptor. What is of the host was opened without following a symbolic link,
//! and a mount point is looked up one name after the other, so that no link in a project, a home or
//! a volume leads anywhere.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatVfsMountFlags, fstat, fstatvfs, openat,
    openat2, statat, symlinkat,
};
use rustix::mount::{
    MountAttrFlags, MountFlags, MountPropagationFlags, UnmountFlags, mount_change, mount_remount,
    unmount,
};
use rustix::process::{fchdir, pivot_root};

use super::places::{PLACE, attach, file, in_memory, made, of_host, open_host, step, tree};
use super::{Doing, Failure};
use crate::api::enclosure::{Mounted, OWN_EXECUTABLE, Plan, PlannedMount};

/// Devices of every system that give nothing away.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// Links in `/dev` (proc(5), pts(4)).
const DEVICE_LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// Of `/proc`, what can be written to without a capability by whoever is root on the host.
const PROC_READ_ONLY: [&str; 5] = ["sys", "sysrq-trigger", "irq", "bus", "fs"];

/// Of `/proc`, what tells of the host, or is slow to no purpose. Files and directories.
const PROC_COVERED: [&str; 11] = [
    "acpi",
    "asound",
    "interrupts",
    "kallsyms",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];

/// Room for what this module makes, and no more.
const SMALL: &str = "1%";

/// What is done to a mount of the sandbox when all of them stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seal {
    ReadOnly,
    Writable,
    /// A device of the host, or a mount that was made as it is to be.
    Untouched,
}

/// Builds the root and goes into it.
pub(super) fn enter(plan: &Plan) -> Result<(), Failure> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )
    .doing("the sandbox's mounts cannot be parted from the host's")?;
    let mut root = Root::new(plan.scratch_percent)?;
    let mut mounts: Vec<&PlannedMount> = plan.mounts.iter().collect();
    // What is above comes before what is in it.
    mounts.sort_by(|one, other| one.target.cmp(&other.target));
    for mount in mounts {
        root.mount(mount)?;
    }
    for (path, says) in &plan.links {
        root.link(path, says)?;
    }
    // Its directory is a mount, and some of the files are in it.
    root.add_own_executable()?;
    for (path, text) in &plan.files {
        root.write(path, text)?;
    }
    root.add_devices()?;
    root.add_processes()?;
    root.turn()
}

struct Root {
    top: OwnedFd,
    seals: Vec<(PathBuf, Seal)>,
    /// What a scratch directory may take of the machine's memory.
    scratch: String,
}

impl Root {
    /// An empty tree in memory. It stands on top of the old root, where no path leads.
    fn new(scratch_percent: u8) -> Result<Self, Failure> {
        let top = in_memory("0755", SMALL)
            .and_then(|top| attach(&top, CWD, "/").map(|()| top))
            .doing("the sandbox's root cannot be made")?;
        Ok(Self {
            top,
            seals: vec![(PathBuf::from("/"), Seal::ReadOnly)],
            scratch: format!("{scratch_percent}%"),
        })
    }

    fn mount(&mut self, mount: &PlannedMount) -> Result<(), Failure> {
        let target = &mount.target;
        let cannot = || format!("{} cannot be mounted in the sandbox", target.display());
        let (tree, directory, seal) = match &mount.what {
            Mounted::Host {
                source,
                identity,
                read_only,
            } => {
                let (tree, directory) = of_host(source, *identity)?;
                let seal = match read_only {
                    true => Seal::ReadOnly,
                    false => Seal::Writable,
                };
                (tree, directory, seal)
            }
            Mounted::Scratch => (
                in_memory("1777", &self.scratch).doing(cannot())?,
                true,
                Seal::Writable,
            ),
            Mounted::Cover => {
                let empty = in_memory("0755", SMALL);
                (empty.doing(cannot())?, true, Seal::ReadOnly)
            }
        };
        let place = self.place(target, directory)?;
        attach(&tree, &place, "").doing(cannot())?;
        self.seals.push((target.clone(), seal));
        Ok(())
    }

    /// Opens a place in the sandbox, and makes it if it is not there.
    fn place(&self, path: &Path, directory: bool) -> Result<OwnedFd, Failure> {
        let (above, name) = self.above(path)?;
        match directory {
            true => step(&above, name).doing(path.display()),
            false => file(&above, name).doing(path.display()),
        }
    }

    /// The directory that a path is in, and its name there.
    fn above<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p Path), Failure> {
        let nowhere = || format!("{}: it is no place in a sandbox", path.display());
        let mut names = Vec::new();
        for part in path.components() {
            match part {
                Component::RootDir => {}
                Component::Normal(name) => names.push(Path::new(name)),
                _ => return Err(nowhere()),
            }
        }
        let name = names.pop().ok_or_else(nowhere)?;
        let mut above = self.top.try_clone().doing("a descriptor")?;
        for step_name in names {
            above = step(&above, step_name).doing(path.display())?;
        }
        Ok((above, name))
    }

    fn link(&self, path: &Path, says: &Path) -> Result<(), Failure> {
        let (above, name) = self.above(path)?;
        symlinkat(says, &above, name).doing(format!("the link {} cannot be made", path.display()))
    }

    fn write(&self, path: &Path, text: &str) -> Result<(), Failure> {
        let (above, name) = self.above(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&above, name, flags, Mode::from(0o644))
            .map_err(std::io::Error::from)
            .and_then(|file| File::from(file).write_all(text.as_bytes()))
            .doing(format!("{} cannot be written", path.display()))
    }

    fn add_devices(&mut self) -> Result<(), Failure> {
        for device in DEVICES {
            let path = Path::new("/dev").join(device);
            let source = open_host(&path)?;
            let found = fstat(&source).doing(path.display())?;
            if FileType::from_raw_mode(found.st_mode) != FileType::CharacterDevice {
                return Err(format!("{} is no device", path.display()));
            }
            self.graft(&source, &path, Seal::Untouched)?;
        }
        for (path, says) in DEVICE_LINKS {
            self.link(Path::new(path), Path::new(says))?;
        }
        let terminals = Path::new("/dev/pts");
        let made = made("devpts", &[("ptmxmode", "0666"), ("mode", "0620")], {
            MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC
        });
        let made = made.doing("the sandbox's terminals cannot be made")?;
        let place = self.place(terminals, true)?;
        attach(&made, &place, "").doing("the sandbox's terminals cannot be made")?;
        self.seals.push((terminals.to_owned(), Seal::Untouched));
        self.mount(&PlannedMount {
            target: PathBuf::from("/dev/shm"),
            what: Mounted::Scratch,
        })
    }

    /// `/proc` of the process namespace that this process is the first of.
    fn add_processes(&mut self) -> Result<(), Failure> {
        let refused = "the sandbox's /proc cannot be mounted (in a container, this needs a /proc \
                       without masks: docker run --security-opt systempaths=unconfined)";
        let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC;
        let processes = made("proc", &[], attributes).doing(refused)?;
        let path = Path::new("/proc");
        let place = self.place(path, true)?;
        attach(&processes, &place, "").doing(refused)?;
        self.seals.push((path.to_owned(), Seal::Untouched));
        for name in PROC_READ_ONLY {
            if let Ok(part) = openat(&processes, name, PLACE, Mode::empty()) {
                self.graft(&part, &path.join(name), Seal::ReadOnly)?;
            }
        }
        let null = open_host(Path::new("/dev/null"))?;
        for name in PROC_COVERED {
            let path = path.join(name);
            match statat(&processes, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(_) => {}
                Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => {
                    self.mount(&PlannedMount {
                        target: path,
                        what: Mounted::Cover,
                    })?;
                }
                Ok(_) => self.graft(&null, &path, Seal::Untouched)?,
            }
        }
        Ok(())
    }

    /// From here the sandbox's terminals are made, by whoever is only in it: what is mounted
    /// read-only cannot be written to through /proc/PID/exe.
    fn add_own_executable(&mut self) -> Result<(), Failure> {
        let own = fs::read_link("/proc/self/exe")
            .map_err(|error| error.to_string())
            .and_then(|own| open_host(&own))
            .doing("vibepit's own executable cannot be found; start it again")?;
        let running = fs::metadata("/proc/self/exe").doing("vibepit's own executable")?;
        let found = fstat(&own).doing("vibepit's own executable")?;
        if (found.st_dev, found.st_ino) != (running.dev(), running.ino()) {
            return Err("vibepit was updated just now; start it again".to_owned());
        }
        let place = Path::new(OWN_EXECUTABLE);
        if let Some(directory) = place.parent() {
            // A mount of its own cannot be renamed, to put something else in its place.
            self.mount(&PlannedMount {
                target: directory.to_owned(),
                what: Mounted::Cover,
            })?;
        }
        self.graft(&own, place, Seal::ReadOnly)
    }

    /// Has something that is open appear at a place.
    fn graft(&mut self, source: &OwnedFd, target: &Path, seal: Seal) -> Result<(), Failure> {
        let found = fstat(source).doing(target.display())?;
        let directory = FileType::from_raw_mode(found.st_mode) == FileType::Directory;
        let tree = tree(source).doing(target.display())?;
        let place = self.place(target, directory)?;
        attach(&tree, &place, "").doing(target.display())?;
        self.seals.push((target.to_owned(), seal));
        Ok(())
    }

    /// Makes the tree the root, drops the old one, and closes what is to be closed.
    fn turn(self) -> Result<(), Failure> {
        fchdir(&self.top).doing("the sandbox's root cannot be entered")?;
        // The old root lands on the new one, and is taken away from there (pivot_root(2), NOTES).
        pivot_root(".", ".").doing("the sandbox's root cannot be turned")?;
        unmount(".", UnmountFlags::DETACH).doing("the host's root cannot be left")?;
        std::env::set_current_dir("/").doing("the sandbox's root cannot be entered")?;
        let table = fs::read("/proc/self/mountinfo").doing("the mounts cannot be listed")?;
        // Those that are deepest first: a root that is read-only takes nothing away from them.
        for point in points(&table).into_iter().rev() {
            seal(&self.top, &point, self.seal_of(&point))?;
        }
        Ok(())
    }

    /// That of the deepest place the mount is in. What is mounted below something of the host is
    /// as that is.
    fn seal_of(&self, point: &Path) -> Seal {
        let around = self
            .seals
            .iter()
            .filter(|(path, _)| point.starts_with(path));
        let deepest = around.max_by_key(|(path, _)| path.components().count());
        deepest.map_or(Seal::ReadOnly, |(_, seal)| *seal)
    }
}

/// Closes one mount as far as it is to be closed. What the host had closed stays so: in a user
/// namespace the kernel insists on it (mount_namespaces(7)).
fn seal(root: &OwnedFd, point: &Path, seal: Seal) -> Result<(), Failure> {
    if seal == Seal::Untouched {
        return Ok(());
    }
    let cannot = || format!("the mount {} cannot be closed", point.display());
    let inside = point.strip_prefix("/").unwrap_or(point);
    let place = match inside.as_os_str().is_empty() {
        true => root.try_clone().doing(cannot())?,
        false => {
            let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::BENEATH;
            openat2(root, inside, PLACE, Mode::empty(), resolve).doing(cannot())?
        }
    };
    let now = fstatvfs(&place).doing(cannot())?.f_flag;
    let mut flags = MountFlags::BIND | MountFlags::NOSUID | MountFlags::NODEV;
    if seal == Seal::ReadOnly || now.contains(StatVfsMountFlags::RDONLY) {
        flags |= MountFlags::RDONLY;
    }
    if now.contains(StatVfsMountFlags::NOEXEC) {
        flags |= MountFlags::NOEXEC;
    }
    let through = format!("/proc/self/fd/{}", place.as_raw_fd());
    mount_remount(through, flags, "").doing(cannot())
}

/// The mount points of a table (proc_pid_mountinfo(5)): its fifth field, blanks and backslashes in
/// octal. The deepest come last.
fn points(table: &[u8]) -> Vec<PathBuf> {
    use std::os::unix::ffi::OsStringExt;
    let lines = table.split(|byte| *byte == b'\n');
    let fields = lines.filter_map(|line| line.split(|byte| *byte == b' ').nth(4));
    let mut points: Vec<PathBuf> = fields
        .map(|field| PathBuf::from(std::ffi::OsString::from_vec(unescape(field))))
        .collect();
    points.sort();
    points.dedup();
    points
}

fn unescape(field: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, tail @ ..] = rest {
        let octal = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        text.push(octal.unwrap_or(*first));
        rest = &tail[if octal.is_some() { 3 } else { 0 }..];
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_points_are_read_with_their_blanks_and_the_deepest_are_last() {
        let table = b"24 23 8:3 / /usr/local rw - ext4 /dev/c rw\n\
            22 1 8:1 / / rw - ext4 /dev/a rw\n\
            25 22 8:4 / /mnt/with\\040blank\\134 rw - ext4 /dev/d rw\n";
        let expected = ["/", "/mnt/with blank\\", "/usr/local"].map(PathBuf::from);
        assert_eq!(points(table), expected);
    }

    #[test]
    fn what_is_mounted_in_a_place_is_closed_as_the_place_is() {
        let seals = [
            ("/", Seal::ReadOnly),
            ("/usr", Seal::ReadOnly),
            ("/home/u", Seal::Writable),
            ("/home/u/.vibepit", Seal::ReadOnly),
        ];
        let root = Root {
            top: File::open("/").unwrap().into(),
            seals: seals
                .map(|(path, seal)| (PathBuf::from(path), seal))
                .to_vec(),
            scratch: String::new(),
        };
        for (point, seal) in [
            ("/usr/local", Seal::ReadOnly),
            ("/home/u/mnt", Seal::Writable),
            ("/home/u/.vibepit", Seal::ReadOnly),
            ("/home/other", Seal::ReadOnly),
        ] {
            assert_eq!(root.seal_of(Path::new(point)), seal, "{point}");
        }
    }
}
