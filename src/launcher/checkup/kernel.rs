//! The kernel: namespaces, cgroups, landlock, seccomp, and what a rootless engine needs besides.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{AccessFlags, access, geteuid};

use super::super::local;
use super::{Check, Group};

const KERNEL: Group = Group("kernel");

pub(super) fn look() -> Vec<Check> {
    vec![
        user_namespaces(),
        cgroups(),
        landlock(),
        seccomp(),
        helpers(),
    ]
}

/// Whether this kernel parts a sandbox off without an engine: one is made, with nothing in it.
pub(super) async fn sandbox() -> (bool, Check) {
    let name = "local-sandbox";
    match local::possible().await {
        Ok(facts) => {
            let says = format!(
                "Linux {} parts a sandbox off without an engine",
                facts.kernel
            );
            (true, KERNEL.ok(name, says))
        }
        Err(error) => {
            let todo = "sandboxes in containers do not need this";
            (false, KERNEL.warning(name, error.to_string(), todo))
        }
    }
}

/// What forbids user namespaces: the file, what it says then, and what to type.
const FORBID: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "sudo sysctl user.max_user_namespaces=15000",
    ),
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "an AppArmor profile for vibepit that has `userns,`, or sudo sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0",
    ),
];

/// They are tried, by a process of its own; the settings say why they cannot be had.
fn user_namespaces() -> Check {
    let name = "user-namespaces";
    let forbids = FORBID.iter().find(|(file, says, _)| {
        // AppArmor lets a namespace be made and nothing be done in it; root is not asked.
        let of_others = file.contains("apparmor") && geteuid().is_root();
        !of_others && fs::read_to_string(file).is_ok_and(|text| text.trim() == *says)
    });
    let tried = alone("unshare-user");
    match (forbids, tried.as_deref()) {
        (None, Some("")) => KERNEL.ok(name, "user namespaces can be made"),
        (Some((file, says, todo)), _) => KERNEL.warning(
            name,
            format!("{file} is {says}, so that no user namespace is of use without root"),
            format!("{todo}; sandboxes in containers of a rootful engine need none"),
        ),
        (None, Some(errno)) => KERNEL.warning(
            name,
            format!("no user namespace can be made ({errno}), and no setting says why"),
            "a container around this, or a kernel without CONFIG_USER_NS, forbids them: sandboxes \
             in containers of a rootful engine need none",
        ),
        (None, None) => KERNEL.warning(
            name,
            "whether user namespaces can be made could not be tried",
            "start vibepit again if it was updated just now",
        ),
    }
}

/// What a process of this executable says of one try; nothing if it does not run.
fn alone(what: &str) -> Option<String> {
    let output = Command::new("/proc/self/exe")
        .args(["attack", "--alone", what])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(said)
}

const CGROUPS: &str = "/sys/fs/cgroup";

fn cgroups() -> Check {
    let name = "cgroups";
    let root = Path::new(CGROUPS);
    if !root.join("cgroup.controllers").exists() {
        return KERNEL.warning(
            name,
            "this machine has cgroup v1, or none: only an engine that is root can limit a sandbox",
            "boot with systemd.unified_cgroup_hierarchy=1 for cgroup v2",
        );
    }
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let own: PathBuf = root.join(own.unwrap_or_default());
    let controllers = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let missing: Vec<&str> = ["memory", "pids"]
        .into_iter()
        .filter(|wanted| !controllers.split_whitespace().any(|has| has == *wanted))
        .collect();
    let ours = access(&own.join("cgroup.procs"), AccessFlags::W_OK).is_ok();
    match (missing.is_empty(), ours) {
        (true, true) => KERNEL.ok(
            name,
            "cgroup v2, with memory and processes delegated to this user",
        ),
        (false, _) => KERNEL.warning(
            name,
            format!("cgroup v2, but {} is not delegated here", missing.join(" and ")),
            "start vibepit in a session of systemd's (Delegate=yes), or use a rootful engine",
        ),
        (true, false) => KERNEL.warning(
            name,
            "cgroup v2, but this user may make no group of its own here",
            "start vibepit with `systemd-run --user --scope -p Delegate=yes`, or use a rootful engine",
        ),
    }
}

fn landlock() -> Check {
    let said = alone("landlock");
    match said.as_deref().and_then(|said| said.parse::<u32>().ok()) {
        Some(abi) => KERNEL.ok("landlock", format!("landlock, ABI {abi}")),
        None => KERNEL.warning(
            "landlock",
            format!(
                "this kernel has no landlock ({}): a sandbox without an engine has one wall less",
                said.unwrap_or_default()
            ),
            "Linux 5.13 and newer have it; lsm= on the kernel's command line must name it",
        ),
    }
}

fn seccomp() -> Check {
    match fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail") {
        Ok(actions) if actions.contains("errno") => {
            KERNEL.ok("seccomp", "kernel calls can be filtered")
        }
        _ => KERNEL.problem(
            "seccomp",
            "this kernel does not filter kernel calls",
            "use a kernel with CONFIG_SECCOMP_FILTER",
        ),
    }
}

/// What engines that run without root are made of.
fn helpers() -> Check {
    let name = "rootless-helpers";
    if geteuid().is_root() {
        return KERNEL.none(name, "engines without root are for other users than root");
    }
    let found = |program: &str| {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
    };
    let mut missing: Vec<&str> = ["newuidmap", "newgidmap"]
        .into_iter()
        .filter(|program| !found(program))
        .collect();
    if !found("slirp4netns") && !found("pasta") {
        missing.push("slirp4netns or pasta");
    }
    match missing.is_empty() {
        true => KERNEL.ok(name, "newuidmap, newgidmap and slirp4netns are there"),
        false => KERNEL.warning(
            name,
            format!("an engine without root needs {}", missing.join(", ")),
            "install uidmap and slirp4netns, if you want one",
        ),
    }
}
