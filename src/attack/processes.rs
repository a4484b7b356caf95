//! Processes of the host, and what `/proc` gives away of them: environments, roots, open files,
//! namespaces.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::ptrace;
use nix::sys::signal::kill;
use nix::unistd::Pid;

use super::alone;
use super::tally::{Tally, errno, name_of};
use crate::api::Targets;

pub(super) fn tries(targets: &Targets) -> Vec<Tally> {
    vec![
        namespaces(targets),
        steering(targets),
        environment(&targets.variables),
        roots(targets.secret.as_deref()),
        open_files(targets.secret.as_deref()),
        joining(),
    ]
}

/// Namespaces that are the host's own.
fn namespaces(targets: &Targets) -> Tally {
    let mut tally = Tally::new("namespaces", "namespaces shared with the host");
    for (name, of_host) in &targets.namespaces {
        match fs::read_link(format!("/proc/self/ns/{name}")) {
            Ok(ours) if ours == Path::new(of_host) => tally.open(format!("{name} is the host's")),
            Ok(_) => tally.held("all are its own"),
            Err(error) => tally.held(name_of(&error)),
        }
    }
    tally
}

/// Signals to, and tracing of, processes of the host.
fn steering(targets: &Targets) -> Tally {
    let mut tally = Tally::new(
        "host-processes",
        "signals to processes of the host, and tracing them",
    );
    let space = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
    let ours = space("self");
    let of_host = targets.namespaces.get("pid").map(PathBuf::from);
    for process in &targets.processes {
        // One of the sandbox's own that has the same number.
        if ours.is_some() && space(&process.to_string()) == ours && ours != of_host {
            continue;
        }
        let pid = Pid::from_raw(*process);
        // Signal 0 is sent to nobody: it only asks whether one could be (kill(2)).
        tally.tried(
            &format!("a signal could be sent to process {pid}"),
            kill(pid, None),
        );
        let traced = ptrace::seize(pid, ptrace::Options::empty());
        if traced.is_ok() {
            let _ = ptrace::detach(pid, None);
        }
        tally.tried(&format!("process {pid} could be traced"), traced);
    }
    tally
}

/// Variables of any process in sight that nobody gave to the sandbox.
fn environment(allowed: &[String]) -> Tally {
    let mut tally = Tally::new(
        "environment",
        "variables that nobody passed on, of every process in sight",
    );
    if allowed.is_empty() {
        return tally;
    }
    for pid in pids() {
        match fs::read(pid.join("environ")) {
            Ok(environment) => {
                let names = environment
                    .split(|byte| *byte == 0)
                    .filter_map(|variable| variable.split(|byte| *byte == b'=').next())
                    .filter(|name| !name.is_empty())
                    .map(String::from_utf8_lossy);
                let strange: BTreeSet<_> = names
                    .filter(|name| !allowed.iter().any(|allowed| allowed == name))
                    .collect();
                match strange.is_empty() {
                    true => tally.held("only those that were passed on"),
                    // The names alone: a value may be a secret, and this is shown.
                    false => tally.open(format!("{} has {}", pid.display(), joined(strange))),
                }
            }
            Err(error) => tally.held(name_of(&error)),
        }
    }
    tally
}

fn joined<'a>(names: impl IntoIterator<Item = std::borrow::Cow<'a, str>>) -> String {
    let names: Vec<_> = names.into_iter().take(8).collect();
    names.join(" ")
}

/// The host's files by way of another process's root or working directory.
fn roots(secret: Option<&Path>) -> Tally {
    let mut tally = Tally::new(
        "proc-roots",
        "a file of the host by /proc/PID/root and /proc/PID/cwd",
    );
    let Some(secret) = secret else { return tally };
    for pid in pids() {
        for link in ["root", "cwd"] {
            let from = pid.join(link);
            for path in ways(&from, secret) {
                try_to_read(&mut tally, &path);
            }
        }
    }
    tally
}

/// The host's files by way of a descriptor that was left open, as in CVE-2024-21626.
fn open_files(secret: Option<&Path>) -> Tally {
    let mut tally = Tally::new(
        "open-files",
        "a file of the host by a descriptor that was left open (CVE-2024-21626)",
    );
    let Some(secret) = secret else { return tally };
    for pid in pids() {
        let Ok(descriptors) = fs::read_dir(pid.join("fd")) else {
            tally.held("EACCES");
            continue;
        };
        for descriptor in descriptors.flatten() {
            // Through a file or a pipe there is no way on: ENOTDIR.
            for path in ways(&descriptor.path(), secret) {
                try_to_read(&mut tally, &path);
            }
        }
    }
    tally
}

/// The secret below a directory, and above it: a directory outside the root has no root above it.
fn ways(from: &Path, secret: &Path) -> [PathBuf; 2] {
    let below = secret.strip_prefix("/").unwrap_or(secret);
    [
        from.join(below),
        from.join("../../../../../../../../..").join(below),
    ]
}

fn try_to_read(tally: &mut Tally, path: &Path) {
    let outcome = File::open(path).map_err(|error| errno(&error));
    tally.tried(&format!("{} was opened", path.display()), outcome);
}

/// Joining the namespaces of another process.
fn joining() -> Tally {
    let mut tally = Tally::new(
        "joining-namespaces",
        "joining the namespaces of process 1 (setns)",
    );
    alone::into(&mut tally, &["setns-mnt", "setns-net", "setns-pid"]);
    tally
}

/// `/proc/PID` of every process in sight.
fn pids() -> Vec<PathBuf> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let is_pid = |name: &std::ffi::OsStr| {
        name.to_str()
            .is_some_and(|name| name.parse::<u32>().is_ok())
    };
    entries
        .filter(|entry| is_pid(&entry.file_name()))
        .map(|entry| entry.path())
        .collect()
}

/// Joins a namespace of process 1.
pub(super) fn set_namespace(name: &str) -> Result<(), Errno> {
    let file = File::open(format!("/proc/1/ns/{name}")).map_err(|error| errno(&error))?;
    nix::sched::setns(file, nix::sched::CloneFlags::empty())
}
