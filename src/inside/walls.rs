//! What the sandbox's first process gives up before any command is started, and all that come after
//! it with it: capabilities, ways to get any, files beyond the plan's, memory of others, calls of
//! the kernel.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::{Doing, Failure, syscalls};
use crate::api::enclosure::{Mounted, Plan};

/// Out of 1000 (proc_pid_oom_score_adj(5)).
const OUT_OF_MEMORY_FIRST: &str = "500";

/// Raises every wall. There is no way back.
pub(super) fn raise(plan: &Plan) -> Result<(), Failure> {
    limit(plan)?;
    drop_capabilities()?;
    set_no_new_privs(true).doing("new privileges cannot be ruled out")?;
    // Neither its memory nor what it has open is for those it starts.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .doing("the sandbox's first process cannot hide its memory")?;
    // It forbids every mount, also those of a namespace's own.
    if !plan.allow_userns {
        confine(plan).doing("the sandbox's files cannot be closed off (landlock)")?;
    }
    syscalls::filter(plan.allow_userns)
}

fn limit(plan: &Plan) -> Result<(), Failure> {
    // Not 0: a program of the host's that takes core dumps over a pipe gets them all the same
    // then. 1 is what it gets none at (fs/coredump.c), and too little for a file.
    setrlimit(Resource::RLIMIT_CORE, 1, 1).doing("core dumps cannot be ruled out")?;
    if let Some(processes) = plan.processes {
        let (_, hard) = getrlimit(Resource::RLIMIT_NPROC).doing("the limits cannot be read")?;
        let most = processes.min(hard);
        setrlimit(Resource::RLIMIT_NPROC, most, most)
            .doing("the number of processes cannot be limited")?;
    }
    // When the machine's memory is used up, the sandbox goes first. (No limit of a process will do:
    // what sanitizers and race detectors reserve is more than any machine has.)
    fs::write("/proc/self/oom_score_adj", OUT_OF_MEMORY_FIRST)
        .doing("the sandbox cannot be put before what is the person's own")?;
    Ok(())
}

/// All of them, also those that a program could get by its file or by being root here.
fn drop_capabilities() -> Result<(), Failure> {
    clear_ambient_capability_set().doing("capabilities cannot be given up")?;
    for bit in 0..u64::BITS {
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // Beyond the last one of this kernel.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(error).doing("capabilities cannot be given up"),
        }
    }
    let nothing = CapabilitySet::empty();
    let none = CapabilitySets {
        effective: nothing,
        permitted: nothing,
        inheritable: nothing,
    };
    set_capabilities(None, none).doing("capabilities cannot be given up")
}

/// A second wall around what the mounts leave open: everything in sight may be read and run, and
/// only the plan's writable places may be written to. Not on kernels whose landlock cannot tell a
/// rename from a theft (before Linux 5.19), where it would break renames between directories.
fn confine(plan: &Plan) -> Result<(), landlock::RulesetError> {
    if !has_landlock(ABI::V2) {
        return Ok(());
    }
    let everything = AccessFs::from_all(ABI::V5);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(everything)?
        .create()?;
    let reading = AccessFs::from_read(ABI::V5);
    rules = add(rules, Path::new("/"), reading)?;
    for place in writable(plan) {
        rules = add(rules, &place, everything)?;
    }
    rules.restrict_self().map(drop)
}

fn add(
    rules: landlock::RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<landlock::RulesetCreated, landlock::RulesetError> {
    // A place that is not there needs no rule. A file takes those of a file.
    let Ok(place) = PathFd::new(path) else {
        return Ok(rules);
    };
    let access = match path.is_dir() {
        true => access,
        false => access & AccessFs::from_file(ABI::V5),
    };
    rules.add_rule(PathBeneath::new(place, access))
}

/// Where the sandbox may write: the plan's places, and those of the kernel's whose own rules do.
fn writable(plan: &Plan) -> Vec<PathBuf> {
    let planned = plan.mounts.iter().filter(|mount| {
        matches!(
            mount.what,
            Mounted::Scratch
                | Mounted::Host {
                    read_only: false,
                    ..
                }
        )
    });
    let planned = planned.map(|mount| mount.target.clone());
    planned
        .chain(["/dev", "/proc"].map(PathBuf::from))
        .collect()
}

/// Whether the kernel has landlock, of this version at least.
fn has_landlock(least: ABI) -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(least))
        .and_then(Ruleset::create)
        .is_ok()
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::api::enclosure::PlannedMount;

    #[test]
    fn what_the_plan_does_not_open_is_closed_a_second_time() {
        if !has_landlock(ABI::V2) {
            return;
        }
        let (open, closed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(closed.path().join("file"), "text").unwrap();
        let mounted = |place: &tempfile::TempDir, read_only| PlannedMount {
            target: place.path().to_owned(),
            what: Mounted::Host {
                source: place.path().to_owned(),
                identity: None,
                read_only,
            },
        };
        let plan = Plan {
            mounts: vec![mounted(&open, false), mounted(&closed, true)],
            links: Vec::new(),
            files: Vec::new(),
            allow_userns: false,
            processes: None,
            scratch_percent: 50,
        };
        // A thread is confined for itself, and ends with that.
        let confined = std::thread::spawn(move || {
            set_no_new_privs(true).unwrap();
            confine(&plan).unwrap();
            fs::create_dir(open.path().join("directory")).unwrap();
            fs::write(open.path().join("file"), "text").unwrap();
            fs::rename(open.path().join("file"), open.path().join("directory/file")).unwrap();
            let file = closed.path().join("file");
            assert_eq!(fs::read_to_string(&file).unwrap(), "text");
            for refused in [
                fs::write(&file, "other"),
                fs::remove_file(&file),
                fs::create_dir(closed.path().join("directory")),
            ] {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::PermissionDenied);
            }
            (open, closed)
        });
        confined.join().unwrap();
    }
}
