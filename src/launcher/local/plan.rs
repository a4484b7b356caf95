//! What a sandbox of this runtime is made of, in the words that its inside understands.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::super::login;
use super::super::mounts::Bind;
use super::super::request::Request;
use super::super::sandbox::{Inside, SCRATCH, equipment};
use super::home;
use super::limits::Limits;
use crate::api::enclosure::{DNS_DOOR, HOSTNAME, Mounted, Plan, PlannedMount};

/// Puts together what was judged, and makes what the sandbox keeps.
pub(super) fn of(request: &Request, inside: &Inside, limits: &Limits) -> Result<Plan> {
    let project = request.project.path();
    // Whoever mounts it compares it with what it was when it was found.
    request.project.still_there()?;
    let identity = request.project.directory().identity();
    let (home, home_identity) = match &request.throw_away {
        Some(instead) => home::made_in(instead)?,
        None => home::of(project, request.agent.as_deref())?,
    };
    login::put(request, &home)?;
    let mut mounts = Vec::new();
    let userland = inside.userland.as_ref();
    for bind in userland.iter().flat_map(|userland| &userland.binds) {
        mounts.push(of_host(bind, None));
    }
    for place in SCRATCH {
        mounts.push(planned(place, Mounted::Scratch));
    }
    let home = Bind::writable(home, &inside.home);
    mounts.push(of_host(&home, Some(home_identity)));
    let own = Bind::writable(project, project);
    mounts.push(of_host(&own, Some(identity.numbers())));
    for volume in &inside.volumes {
        let bind = Bind {
            source: volume.source.clone(),
            target: volume.target.clone(),
            read_only: volume.read_only,
        };
        mounts.push(of_host(&bind, None));
    }
    let covered = userland.iter().flat_map(|userland| &userland.covered);
    for covered in covered.chain(&request.project.meta()) {
        mounts.push(planned(covered, Mounted::Cover));
    }
    let links = userland.map(|userland| userland.links.clone());
    Ok(Plan {
        mounts,
        links: links.unwrap_or_default(),
        files: files(inside, request),
        allow_userns: request.allow_userns,
        processes: limits.processes(),
        scratch_percent: limits.scratch_percent(),
    })
}

fn planned(target: impl AsRef<Path>, what: Mounted) -> PlannedMount {
    PlannedMount {
        target: target.as_ref().to_owned(),
        what,
    }
}

fn of_host(bind: &Bind, identity: Option<(u64, u64)>) -> PlannedMount {
    planned(
        &bind.target,
        Mounted::Host {
            source: bind.source.clone(),
            identity,
            read_only: bind.read_only,
        },
    )
}

/// What an engine would write: the only name server there is, and the sandbox's own name; and what
/// git and ssh find their way out with.
fn files(inside: &Inside, request: &Request) -> Vec<(PathBuf, String)> {
    let file = |path: &str, text: String| (PathBuf::from(path), text);
    let mut files = vec![
        file(
            "/etc/resolv.conf",
            format!("nameserver {}\n", DNS_DOOR.ip()),
        ),
        file(
            "/etc/hosts",
            format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.0.1\t{HOSTNAME}\n"),
        ),
        file("/etc/hostname", format!("{HOSTNAME}\n")),
    ];
    files.extend(equipment::files(inside, &request.git));
    files
}
