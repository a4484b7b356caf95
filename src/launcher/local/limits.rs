//! How much of the machine a sandbox may use: by a control group of its own where one may be made
//! (cgroups(7), version 2), by what a process can be limited in where not.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::session::{RuntimeDir, SessionId};

/// Processes and threads: a parallel build, not a fork bomb.
const PROCESSES: u64 = 4096;

/// A sandbox may use three quarters of the machine's memory: the rest keeps the person's desktop
/// alive when a build runs away.
const MEMORY_SHARE: (u64, u64) = (3, 4);

/// Where version 2 is mounted where it is the only one.
const MOUNTED: &str = "/sys/fs/cgroup";

/// What our groups are called: between these is the session's id.
const NAME: (&str, &str) = ("vibepit-", ".scope");

/// How many milliseconds what was killed may take to be gone.
const PATIENCE: u16 = 5000;

/// What a sandbox is limited by.
#[derive(Debug)]
pub(super) struct Limits {
    group: Option<Group>,
}

impl Limits {
    /// None at all.
    #[cfg(test)]
    pub(super) fn none() -> Self {
        Self { group: None }
    }

    /// Those of a session, by its id: a group of its own, if it may be made.
    pub(super) fn of(session: &str) -> Self {
        let memory = memory(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
        let group = here()
            .map(|above| above.join(format!("{}{session}{}", NAME.0, NAME.1)))
            .and_then(|path| Group::make(path, memory).ok());
        Self { group }
    }

    /// Puts a process, and all that come of it, into the group.
    pub(super) fn hold(&mut self, process: u32) {
        let Some(group) = &self.group else { return };
        if group.take(process).is_err() {
            // Ours to write in, and not to move anything into: it may be delegated by half.
            group.remove();
            self.group = None;
        }
    }

    /// How many processes it may have, where nothing but rlimits keeps count. (Of root they count
    /// none.)
    pub(super) fn processes(&self) -> Option<u64> {
        match &self.group {
            Some(group) if group.counts_processes => None,
            _ => Some(PROCESSES),
        }
    }

    /// How much of the machine's memory each scratch directory may take: half, as file systems in
    /// memory do, where the sandbox's whole is counted; else all four of them less than all of it.
    pub(super) fn scratch_percent(&self) -> u8 {
        match &self.group {
            Some(group) if group.counts_memory => 50,
            _ => 20,
        }
    }

    /// The group, to be removed when the sandbox has ended.
    pub(super) fn group(&self) -> Option<&Group> {
        self.group.as_ref()
    }
}

/// A control group with one sandbox in it.
#[derive(Debug, Clone)]
pub(super) struct Group {
    path: PathBuf,
    counts_processes: bool,
    counts_memory: bool,
}

impl Group {
    fn make(path: PathBuf, memory: Option<u64>) -> io::Result<Self> {
        fs::create_dir(&path)?;
        let set = |file: &str, value: u64| fs::write(path.join(file), value.to_string()).is_ok();
        let group = Self {
            counts_processes: set("pids.max", PROCESSES),
            counts_memory: memory.is_some_and(|memory| set("memory.max", memory)),
            path: path.clone(),
        };
        if !(group.counts_processes || group.counts_memory) {
            // Its parent does not hand these on: it would be a group that limits nothing.
            group.remove();
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(group)
    }

    fn take(&self, process: u32) -> io::Result<()> {
        fs::write(self.path.join("cgroup.procs"), process.to_string())
    }

    fn remove(&self) {
        let _ = fs::remove_dir(&self.path);
    }

    /// Removes the group, once nothing is in it.
    pub(super) async fn end(self) -> io::Result<()> {
        tokio::task::spawn_blocking(move || self.end_when_empty()).await?
    }

    fn end_when_empty(&self) -> io::Result<()> {
        let remove = || match fs::remove_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        };
        match remove() {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
            done => return done,
        }
        // What was killed may be on its way out. The kernel tells when this file says something
        // else than before (cgroups(7), release notification).
        let mut events = File::open(self.path.join("cgroup.events"))?;
        loop {
            let mut text = String::new();
            events.rewind()?;
            events.read_to_string(&mut text)?;
            if text.lines().any(|line| line == "populated 0") {
                return remove();
            }
            let mut changed = [PollFd::new(events.as_fd(), PollFlags::POLLPRI)];
            if poll(&mut changed, PollTimeout::from(PATIENCE))? == 0 {
                return remove();
            }
        }
    }

    /// Whether something in it was killed because the memory was used up.
    pub(super) fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        let mut lines = events.lines().filter_map(|line| line.split_once(' '));
        lines.any(|(name, count)| name == "oom_kill" && count != "0")
    }
}

/// Removes the groups of sessions that a crash ended: those that have no directory any more.
pub(crate) fn sweep(runtime_dir: &RuntimeDir) {
    let Some(above) = here() else { return };
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let session = name
            .to_str()
            .and_then(|name| name.strip_prefix(NAME.0)?.strip_suffix(NAME.1))
            .and_then(|id| id.parse::<SessionId>().ok());
        if session.is_some_and(|id| !runtime_dir.path().join(id.as_str()).exists()) {
            // One with a process in it stays.
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where our groups are, if we may have any.
fn here() -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    beside(Path::new(MOUNTED), &own)
}

/// The group that this process's own is in: there a new one may stand beside ours, where we may
/// write at all. Ours has processes, and so must have no groups in it (cgroups(7)).
fn beside(mounted: &Path, own: &str) -> Option<PathBuf> {
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let above = mounted.join(own.trim()).parent()?.to_owned();
    let handed_on = fs::read_to_string(above.join("cgroup.subtree_control")).ok()?;
    let limits = ["pids", "memory"];
    (!own.is_empty()
        && handed_on
            .split_whitespace()
            .any(|one| limits.contains(&one)))
    .then_some(above)
}

/// What a sandbox may use of the machine's memory (proc_meminfo(5)).
fn memory(table: &str) -> Option<u64> {
    let total = table
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = total.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / MEMORY_SHARE.1 * MEMORY_SHARE.0 * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree like that of a person's own session; the guard keeps it.
    fn tree(handed_on: &str) -> (tempfile::TempDir, PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let slice = guard.path().join("user.slice/app.slice");
        fs::create_dir_all(slice.join("shell.scope")).unwrap();
        fs::write(slice.join("cgroup.subtree_control"), handed_on).unwrap();
        (guard, slice)
    }

    #[test]
    fn a_group_is_made_beside_our_own_where_limits_are_handed_on() {
        let own = "1:name=systemd:/x\n0::/user.slice/app.slice/shell.scope\n";
        let (mounted, slice) = tree("cpu memory pids\n");
        assert_eq!(beside(mounted.path(), own), Some(slice));
        let (mounted, _) = tree("cpu\n");
        assert_eq!(beside(mounted.path(), own), None);
        assert_eq!(beside(mounted.path(), "0::/\n"), None);
        assert_eq!(beside(mounted.path(), "4:memory:/a/b\n"), None);
    }

    #[tokio::test]
    async fn a_group_counts_what_it_can_and_goes_with_its_sandbox() {
        let (_guard, slice) = tree("");
        let group = Group::make(slice.join("vibepit-1.scope"), Some(1 << 30)).unwrap();
        assert!(group.counts_memory && group.counts_processes);
        let read = |file: &str| fs::read_to_string(group.path.join(file)).unwrap();
        assert_eq!((read("pids.max").as_str(), read("memory.max").as_str()), {
            ("4096", "1073741824")
        });
        assert!(!group.ran_out_of_memory());
        fs::write(
            group.path.join("memory.events"),
            "low 0\noom 1\noom_kill 1\n",
        )
        .unwrap();
        assert!(group.ran_out_of_memory());
        // A directory of plain files is not removed as the kernel's is.
        for file in ["pids.max", "memory.max", "memory.events"] {
            fs::remove_file(group.path.join(file)).unwrap();
        }
        group.clone().end().await.unwrap();
        group.end().await.unwrap();
    }

    #[test]
    fn without_a_group_processes_are_counted_and_scratch_places_are_smaller() {
        let limits = Limits::none();
        assert_eq!(limits.processes(), Some(4096));
        assert_eq!(limits.scratch_percent(), 20);
        let table = "MemFree: 1 kB\nMemTotal:       16000000 kB\n";
        assert_eq!(memory(table), Some(12_288_000_000));
    }
}
