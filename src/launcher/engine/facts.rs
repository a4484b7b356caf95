//! What an engine is, as far as a session depends on it.

use std::fmt;

use bollard::models::{SystemInfo, SystemInfoCgroupVersionEnum};
use nix::unistd::{getegid, geteuid};
use serde::Deserialize;

use super::super::endpoint::Endpoint;

/// Who runs things on a machine where nobody says who we are: what the first ordinary user of a
/// Linux system has as a rule.
const STRANGER: (u32, u32) = (1000, 1000);

/// Which engine it is. Both speak one API, and differ in what it brings about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Docker, or what calls itself that.
    Docker,
    /// Podman's service.
    Podman,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Docker => "Docker",
            Self::Podman => "Podman",
        })
    }
}

/// What an engine is, as far as a session depends on it.
#[derive(Debug)]
pub struct Facts {
    /// Where it is.
    pub endpoint: Endpoint,
    /// Docker or Podman.
    pub kind: Kind,
    /// Its version, as it tells it.
    pub version: String,
    /// Major and minor number of that version.
    pub release: (u32, u32),
    /// Its root is not the host's root, but the person.
    pub rootless: bool,
    /// Its containers' ids are shifted against the host's (`userns-remap`).
    pub remapped: bool,
    /// It is on another machine, or on another kernel of this one: nothing of this machine can be
    /// mounted there.
    pub remote: bool,
    /// Uid and gid of the person where the engine is.
    pub person: (u32, u32),
    /// It can limit memory; without cgroups (rootless on cgroup v1) it cannot.
    pub limits: bool,
    /// Its containers are labelled apart by SELinux.
    pub selinux: bool,
    /// Memory of the machine, in bytes.
    pub memory: i64,
}

/// "rootless Podman 4.3.1".
impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rootless = if self.rootless { "rootless " } else { "" };
        write!(f, "{rootless}{} {}", self.kind, self.version)?;
        match self.endpoint.unix_socket() {
            Some(_) => Ok(()),
            None => write!(f, " at {}", self.endpoint),
        }
    }
}

/// What an engine says of itself: what the library knows of it, and what Podman adds.
#[derive(Deserialize)]
pub(super) struct Info {
    #[serde(flatten)]
    common: SystemInfo,
    /// Podman 4 says it here alone.
    #[serde(default, rename = "Rootless")]
    rootless: bool,
}

impl Facts {
    /// Reads what an engine says of itself.
    pub(super) fn read(
        endpoint: Endpoint,
        kind: Kind,
        info: &Info,
        person: Option<(u32, u32)>,
    ) -> Self {
        let Info {
            common: info,
            rootless,
        } = info;
        let option = |name: &str| {
            let prefixed = format!("name={name}");
            info.security_options
                .iter()
                .flatten()
                .any(|text| text.split(',').any(|part| part == prefixed))
        };
        let rootless = option("rootless") || *rootless;
        let first_cgroups = info.cgroup_version == Some(SystemInfoCgroupVersionEnum::_1);
        let version = info.server_version.clone().unwrap_or_default();
        let remote = endpoint.unix_socket().is_none() || is_elsewhere(info);
        let person = person.unwrap_or_else(|| match remote {
            true => STRANGER,
            false => (geteuid().as_raw(), getegid().as_raw()),
        });
        Self {
            endpoint,
            remote,
            person,
            kind,
            release: release(&version),
            version,
            rootless,
            remapped: option("userns"),
            // Podman says that the machine could, also where it may not itself.
            limits: info.memory_limit.unwrap_or(false) && !(rootless && first_cgroups),
            selinux: option("selinux"),
            memory: info.mem_total.unwrap_or(0),
        }
    }

    /// The uid and gid of a container whose processes are to be the person who runs vibepit: on a
    /// rootless engine the container's root already is that person.
    pub(crate) fn user(&self) -> (u32, u32) {
        if self.rootless { (0, 0) } else { self.person }
    }

    /// `UsernsMode` for containers that share files with the person.
    pub(crate) fn userns_mode(&self) -> Option<String> {
        self.remapped.then(|| "host".to_owned())
    }
}

/// Whether another kernel than this one answers: behind a forwarded socket, or in a virtual
/// machine.
fn is_elsewhere(info: &SystemInfo) -> bool {
    let here = nix::sys::utsname::uname().ok();
    let here = here.as_ref().and_then(|name| name.release().to_str());
    matches!((info.kernel_version.as_deref(), here), (Some(there), Some(here)) if there != here)
}

/// The first two numbers of a version; what is not there reads as 0.
fn release(version: &str) -> (u32, u32) {
    let mut numbers = version.split('.').map(|part| {
        let digits = part
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(part.len());
        part[..digits].parse().unwrap_or(0)
    });
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::tests::unix;
    use super::*;

    fn info(said: &Value) -> Info {
        serde_json::from_value(said.clone()).unwrap()
    }

    #[test]
    fn an_engine_on_another_kernel_is_remote() {
        let read = |said: &Value| Facts::read(unix("/s"), Kind::Docker, &info(said), None);
        let elsewhere = read(&json!({"KernelVersion": "6.6.0-linuxkit"}));
        assert!(elsewhere.remote);
        assert_eq!(elsewhere.user(), STRANGER);
        assert!(!read(&json!({})).remote);
    }

    #[test]
    fn podman_without_root_says_so_in_a_field_of_its_own_and_has_no_limits_on_old_cgroups() {
        let read = |version: &str, rootless: bool| {
            let said = json!({"Rootless": rootless, "CgroupVersion": version, "MemoryLimit": true});
            let facts = Facts::read(unix("/s"), Kind::Podman, &info(&said), None);
            (facts.rootless, facts.limits)
        };
        assert_eq!(read("1", true), (true, false));
        assert_eq!(read("2", true), (true, true));
        assert_eq!(read("1", false), (false, true));
    }

    #[test]
    fn a_version_with_a_suffix_still_has_its_numbers() {
        assert_eq!(release("20.10.24+dfsg1"), (20, 10));
        assert_eq!(release("28.0-rc.1"), (28, 0));
        assert_eq!(release("unknown"), (0, 0));
    }

    #[test]
    fn a_rootless_or_remapped_engine_says_so_in_its_security_options() {
        let info = |options: &[&str]| info(&json!({"SecurityOptions": options}));
        let seccomp = "name=seccomp,profile=default";
        let of = |options: &[&str]| Facts::read(unix("/s"), Kind::Docker, &info(options), None);
        assert!(!of(&[seccomp]).rootless && !of(&[seccomp]).remapped);
        assert!(of(&[seccomp, "name=rootless"]).rootless);
        assert!(of(&["name=userns"]).remapped);
    }
}
