//! The first process: it makes the sandbox's network and opens the doors in it, then the namespaces
//! that the sandbox owns, starts its init there and waits for its end.

use std::fs;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Command, ExitCode, ExitStatus, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid, setgroups, setsid};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, configure_capability_in_ambient_set,
    set_capabilities,
};

use super::{Doing, Failure, close_inherited, network, say};
use crate::api::enclosure::FromEnclosure;

/// What init needs to make the sandbox's root: mounts, its host name, and the right to give
/// everything up.
const FOR_INIT: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SETPCAP];

/// Makes a sandbox and holds it to its end, with doors for these ports of the host. Standard input is
/// the channel to the launcher. Must be called while the process has one thread.
pub fn enclose(ports: &[&str]) -> ExitCode {
    let channel = io::stdin();
    match hold(channel.as_fd(), ports) {
        Ok(status) => ExitCode::from(u8::from(!status.success())),
        Err(why) => {
            // One of the two reaches the person.
            let _ = writeln!(io::stderr(), "{why}");
            let _ = say(channel, &FromEnclosure::Refused(why), &[]);
            ExitCode::FAILURE
        }
    }
}

fn hold(channel: BorrowedFd<'_>, ports: &[&str]) -> Result<ExitStatus, Failure> {
    close_inherited()?;
    // Away from the person's terminal: what is in its session can open it as /dev/tty and type
    // into it.
    setsid().doing("the sandbox's session cannot be made")?;
    let (uid, gid) = (geteuid(), getegid());
    if uid.is_root() {
        // Their rights would stay with the sandbox. Nobody but root can give them up.
        setgroups(&[]).doing("the groups of root cannot be given up")?;
    }
    let outer = CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET;
    unshare(outer).doing("a user namespace cannot be made")?;
    map(uid, gid)?;
    {
        let doors = network::open(ports)?;
        let doors: Vec<BorrowedFd<'_>> = doors.iter().map(OwnedFd::as_fd).collect();
        say(channel, &FromEnclosure::Doors, &doors).doing("the launcher is gone")?;
    }
    // The plan comes when this process is where its namespaces are to be rooted (cgroups(7)). It is
    // for init to read.
    let mut ready = [PollFd::new(channel, PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::NONE).doing("the launcher is gone")?;
    let inner = CloneFlags::CLONE_NEWUSER
        | CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWCGROUP;
    unshare(inner).doing("the sandbox's namespaces cannot be made")?;
    map(uid, gid)?;
    let init = start_init(channel)?;
    give_up()?;
    let mut init = init;
    init.wait().doing("the sandbox cannot be waited for")
}

/// Every file keeps its owner: the person is who they are, and everybody else is nobody.
fn map(uid: Uid, gid: Gid) -> Result<(), Failure> {
    let write = |file: &str, text: String| {
        let path = format!("/proc/self/{file}");
        fs::write(&path, text).doing(format!("{path} cannot be written"))
    };
    write("uid_map", format!("{uid} {uid} 1"))?;
    write("setgroups", "deny".to_owned())?;
    write("gid_map", format!("{gid} {gid} 1"))
}

fn start_init(channel: BorrowedFd<'_>) -> Result<std::process::Child, Failure> {
    let own = capabilities(None).doing("the capabilities cannot be read")?;
    let inheritable = FOR_INIT
        .into_iter()
        .fold(CapabilitySet::empty(), |set, one| set | one);
    set_capabilities(None, CapabilitySets { inheritable, ..own })
        .doing("the capabilities cannot be handed on")?;
    for one in FOR_INIT {
        // An ordinary user's capabilities end with exec(2), but for these (capabilities(7)).
        configure_capability_in_ambient_set(one, true)
            .doing("the capabilities cannot be handed on")?;
    }
    let channel = channel.try_clone_to_owned();
    Command::new("/proc/self/exe")
        .args(["inside", "init"])
        .env_clear()
        .stdin(Stdio::from(
            channel.doing("the channel cannot be handed on")?,
        ))
        .stdout(Stdio::null())
        .spawn()
        .doing("the sandbox's first process cannot be started")
}

/// This process has nothing left to do but to wait.
fn give_up() -> Result<(), Failure> {
    let nothing = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: nothing,
        permitted: nothing,
        inheritable: nothing,
    };
    set_capabilities(None, none).doing("the capabilities cannot be given up")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing("the enclosure cannot hide its memory")
}
