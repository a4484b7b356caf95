//! Tries that would change the process that makes them: each is made by a process of its own, which
//! ends with it.

use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};

use super::processes::set_namespace;
use super::raw::landlock;
use super::tally::{Tally, name_of};

/// A try that a process makes alone.
struct Try {
    name: &'static str,
    /// What is said of it when it did not fail.
    done: &'static str,
    make: fn() -> Result<(), Errno>,
}

const TRIES: [Try; 8] = [
    Try {
        name: "unshare-user",
        done: "a user namespace was made",
        make: || unshare(CloneFlags::CLONE_NEWUSER),
    },
    Try {
        name: "unshare-net",
        done: "a network namespace was made",
        make: || unshare(CloneFlags::CLONE_NEWNET),
    },
    Try {
        name: "unshare-mount",
        done: "a mount namespace was made",
        make: || unshare(CloneFlags::CLONE_NEWNS),
    },
    Try {
        name: "unshare-pid",
        done: "a process namespace was made",
        make: || unshare(CloneFlags::CLONE_NEWPID),
    },
    Try {
        name: "unshare-cgroup",
        done: "a cgroup namespace was made",
        make: || unshare(CloneFlags::CLONE_NEWCGROUP),
    },
    Try {
        name: "setns-mnt",
        done: "its mount namespace was joined",
        make: || set_namespace("mnt"),
    },
    Try {
        name: "setns-net",
        done: "its network namespace was joined",
        make: || set_namespace("net"),
    },
    Try {
        name: "setns-pid",
        done: "its process namespace was joined",
        make: || set_namespace("pid"),
    },
];

fn named(name: &str) -> Option<&'static Try> {
    TRIES.iter().find(|known| known.name == name)
}

/// Makes one try in this process and says what came of it: the kernel's name for an error, or
/// nothing. `landlock` is no try, but what the kernel has of it. `None`: there is no such try.
pub fn alone(name: &str) -> Option<String> {
    if name == "landlock" {
        return Some(match landlock() {
            Ok(abi) => abi.to_string(),
            Err(errno) => format!("{errno:?}"),
        });
    }
    Some(match (named(name)?.make)() {
        Ok(()) => String::new(),
        Err(errno) => format!("{errno:?}"),
    })
}

/// Has these tries made, and adds what came of them to a line.
pub(super) fn into(tally: &mut Tally, names: &[&str]) {
    let children: Vec<_> = names
        .iter()
        .filter_map(|name| named(name))
        .map(|one| {
            let child = Command::new("/proc/self/exe")
                .args(["attack", "--alone", one.name])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn();
            (one.done, child)
        })
        .collect();
    for (done, child) in children {
        match child.and_then(std::process::Child::wait_with_output) {
            Ok(output) if output.status.success() => {
                match String::from_utf8_lossy(&output.stdout).trim() {
                    "" => tally.open(done),
                    errno => tally.held(errno),
                }
            }
            // Some filters end the process that makes a forbidden call.
            Ok(output) => tally.held(output.status.to_string()),
            Err(error) => tally.held(format!("it cannot be tried: {}", name_of(&error))),
        }
    }
}
