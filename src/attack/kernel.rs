//! The kernel's own doors: privileges, mounts, namespaces, settings, and calls that sandboxes were
//! broken with.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::kmod::{ModuleInitFlags, finit_module};
use nix::libc;
use nix::mount::{MsFlags, mount, umount};
use nix::sys::stat::makedev;
use nix::unistd::geteuid;
use rustix::mount::{FsOpenFlags, OpenTreeFlags, fsopen, open_tree};

use super::raw::CALLS;
use super::tally::{Tally, errno, name_of};
use super::{alone, files};
use crate::api::Targets;

pub(super) fn tries(targets: &Targets) -> Vec<Tally> {
    let mut tallies = vec![
        privileges(),
        setuid(),
        mounts(),
        namespaces(),
        settings(),
        memory(),
        modules(),
    ];
    tallies.extend(CALLS.iter().map(|call| {
        let mut tally = Tally::new(call.name, call.what);
        match (call.make)() {
            Ok(()) if call.of_user_namespace && has_users_of_its_own(targets) => {
                tally.held("those of a user namespace of its own");
            }
            outcome => tally.tried("the call is let through", outcome),
        }
        tally
    }));
    tallies
}

/// Whether users here are others than the host's, whatever their numbers.
fn has_users_of_its_own(targets: &Targets) -> bool {
    let ours = fs::read_link("/proc/self/ns/user").ok();
    let of_host = targets.user_namespace.as_deref().map(Path::new);
    ours.is_some() && of_host.is_some() && ours.as_deref() != of_host
}

/// What this process may do, and could come to do: capabilities(7), proc_pid_status in proc(5).
fn privileges() -> Tally {
    let mut tally = Tally::new(
        "privileges",
        "capabilities, the way to new ones, and kernel calls without a filter",
    );
    let status = match fs::read_to_string("/proc/self/status") {
        Ok(status) => status,
        Err(error) => {
            tally.held(name_of(&error));
            return tally;
        }
    };
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        match field(&status, set).trim_start_matches('0') {
            "" => tally.held("no capability"),
            some => tally.open(format!("{set} is {some}")),
        }
    }
    for (name, wanted, held, open) in [
        (
            "NoNewPrivs",
            "1",
            "no new privileges",
            "new privileges can be gained",
        ),
        (
            "Seccomp",
            "2",
            "calls are filtered",
            "kernel calls are not filtered",
        ),
    ] {
        match field(&status, name) == wanted {
            true => tally.held(held),
            false => tally.open(open),
        }
    }
    tally
}

/// The first word of a field of `/proc/PID/status`.
fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap_or_default()
}

/// Where programs are that belong to root and run as it.
const PROGRAMS: [&str; 8] = [
    "/usr/bin/su",
    "/usr/bin/passwd",
    "/usr/bin/newgrp",
    "/usr/bin/mount",
    "/usr/bin/sudo",
    "/usr/bin/chsh",
    "/bin/su",
    "/bin/mount",
];

/// A program that belongs to root and says so in its mode: does it run as root?
fn setuid() -> Tally {
    let mut tally = Tally::new("setuid", "programs that run as root whoever starts them")
        .or_else("there is no such program");
    let ours = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let is_setuid = |path: &&Path| {
        fs::metadata(path)
            .is_ok_and(|found| found.uid() == 0 && found.permissions().mode() & 0o4000 != 0)
    };
    let Some(program) = PROGRAMS.iter().map(Path::new).find(is_setuid) else {
        return tally;
    };
    let child = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    match child {
        Ok(mut child) => {
            // By now it is that program; and though it may have ended, it is not forgotten before
            // it is waited for.
            let status = fs::read_to_string(format!("/proc/{}/status", child.id()));
            let status = status.unwrap_or_default();
            let _ = child.wait();
            let uid = |status: &str| {
                let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
                line.and_then(|ids| ids.split_whitespace().nth(1)?.parse::<u32>().ok())
            };
            let more = field(&status, "CapPrm") != field(&ours, "CapPrm");
            match uid(&status) {
                Some(0) if !geteuid().is_root() || more => {
                    tally.open(format!("{} runs as root", program.display()));
                }
                _ => tally.held(format!("{} gains nothing", program.display())),
            }
        }
        Err(error) => tally.held(name_of(&error)),
    }
    tally
}

/// Mounting, by the old calls and by the new ones.
fn mounts() -> Tally {
    let mut tally = Tally::new("mounts", "mounting a file system");
    let place = files::scratch("mount");
    if fs::create_dir(&place).is_ok() {
        let none = None::<&str>;
        let mounted = mount(Some("none"), &place, Some("tmpfs"), MsFlags::empty(), none);
        let bound = mount(Some("/"), &place, none, MsFlags::MS_BIND, none);
        for outcome in [mounted, bound] {
            if outcome.is_ok() {
                let _ = umount(&place);
            }
            tally.tried("a file system was mounted", outcome);
        }
        let _ = fs::remove_dir(&place);
    }
    let errno = |error: rustix::io::Errno| Errno::from_raw(error.raw_os_error());
    let opened = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).map_err(errno);
    tally.tried("a file system was opened (fsopen)", opened);
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let cloned = open_tree(rustix::fs::CWD, "/", flags).map_err(errno);
    tally.tried("a mount was copied (open_tree)", cloned);
    tally
}

fn namespaces() -> Tally {
    let mut tally = Tally::new(
        "new-namespaces",
        "namespaces of its own, in which it would be root (unshare)",
    );
    let tries = [
        "unshare-user",
        "unshare-net",
        "unshare-mount",
        "unshare-pid",
        "unshare-cgroup",
    ];
    alone::into(&mut tally, &tries);
    tally
}

/// Files that command the whole machine. They are opened to be written to, and nothing is written.
const SETTINGS: [&str; 11] = [
    "/proc/sysrq-trigger",
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/kernel/hostname",
    "/proc/sys/fs/binfmt_misc/register",
    "/proc/sys/vm/overcommit_memory",
    "/proc/irq/default_smp_affinity",
    "/sys/kernel/uevent_helper",
    "/sys/power/state",
    "/sys/fs/cgroup/release_agent",
    "/sys/fs/cgroup/cgroup.procs",
];

fn settings() -> Tally {
    let mut tally = Tally::new(
        "kernel-settings",
        "the kernel's settings: sysrq-trigger, core_pattern, modprobe, uevent_helper, cgroups",
    );
    let mut paths: Vec<PathBuf> = SETTINGS.iter().map(PathBuf::from).collect();
    // With cgroup v1, one for each controller.
    for controller in fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten()
    {
        paths.push(controller.path().join("release_agent"));
        paths.push(controller.path().join("cgroup.procs"));
    }
    for path in paths {
        let opened = OpenOptions::new().write(true).open(&path);
        let opened = opened.map_err(|error| errno(&error));
        tally.tried(&format!("{} can be written", path.display()), opened);
    }
    tally
}

/// Files that show the kernel's memory, its log, or what is debugged in it.
const MEMORY: [&str; 6] = [
    "/proc/kcore",
    "/proc/kmsg",
    "/dev/kmsg",
    "/dev/mem",
    "/dev/port",
    "/sys/kernel/debug/sched/features",
];

fn memory() -> Tally {
    let mut tally = Tally::new(
        "kernel-memory",
        "the kernel's memory and log: kcore, kmsg, /dev/mem",
    );
    for path in MEMORY {
        // Nothing is read: what is read of the log is gone from it.
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_NONBLOCK)
            .open(path);
        match opened.and_then(|file| file.metadata()) {
            Ok(found) if found.rdev() == makedev(1, 3) => tally.held("covered with /dev/null"),
            Ok(_) => tally.open(format!("{path} can be read")),
            Err(error) => tally.held(name_of(&error)),
        }
    }
    tally
}

/// A module that is none: whoever may load one is told that it is no module.
fn modules() -> Tally {
    let mut tally = Tally::new("modules", "loading a module into the kernel");
    let outcome = File::open("/dev/null")
        .map_err(|error| errno(&error))
        .and_then(|file| finit_module(file, c"", ModuleInitFlags::empty()));
    match outcome {
        Err(errno @ (Errno::EPERM | Errno::EACCES | Errno::ENOSYS)) => {
            tally.held(format!("{errno:?}"));
        }
        _ => tally.open("the call is let through"),
    }
    tally
}
