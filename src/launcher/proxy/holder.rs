//! The sandbox's network: a namespace with a loopback and nothing else, in which nobody but the
//! sandbox is. A small container holds it. It opens the proxy's doors in there and hands their
//! sockets to the proxy outside, so no packet ever has a way out: what gets out, the proxy sends.
//!
//! Not a bridge of the engine's: the host is on it, if without an address, and takes datagrams
//! that are broadcast or sent around the routing table (measured on Docker 20.10).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use bollard::models::{ContainerCreateBody, HostConfig, Mount};

use super::super::attach;
use super::super::container::{self, MIB};
use super::super::engine::{Engine, Facts};
use super::super::image::Executable;
use super::super::labels::Names;
use super::PATIENCE;
use super::container::Plan;
use super::link::Link;
use crate::api::enclosure::{
    DNS_DOOR, HOSTNAME, HTTP_DOOR, PLAIN_DOOR, SOCKS5_DOOR, TLS_DOOR, host_door,
};

/// Where the proxy gets the doors, as both containers see it.
pub(super) const DOORS: &str = "/socket/doors.sock";

/// A few threads and two listeners.
const MEMORY: i64 = 64 * MIB;
const PIDS: i64 = 32;

/// Makes the container, which has the project too where the sandbox gets it from there. It does not
/// run yet.
pub(super) async fn create(
    engine: &Engine,
    names: &Names,
    plan: &Plan,
    host_ports: &[u16],
    project: Option<Mount>,
    executable: &Executable,
) -> Result<()> {
    let body = body(engine.facts(), names, plan, host_ports, project, executable);
    container::create(engine, &names.holder(), body).await
}

/// Starts it and waits until the doors are open.
pub(super) async fn start(engine: &Engine, names: &Names) -> Result<Link> {
    let name = names.holder();
    let (output, input) = attach::attach(engine, &name).await?;
    engine
        .docker
        .start_container(&name, None)
        .await
        .context("the container that holds the sandbox's network could not be started")?;
    let again = engine.facts().remote.then(|| attach::again(engine, name));
    let mut link = Link::to_holder(output, input, again);
    link.ready().await?;
    Ok(link)
}

fn body(
    facts: &Facts,
    names: &Names,
    plan: &Plan,
    host_ports: &[u16],
    project: Option<Mount>,
    executable: &Executable,
) -> ContainerCreateBody {
    let of_host = host_ports.iter().map(|port| ("--host", host_door(*port)));
    let doors: Vec<_> = [
        ("--http", HTTP_DOOR),
        ("--socks5", SOCKS5_DOOR),
        ("--dns", DNS_DOOR),
        ("--plain", PLAIN_DOOR),
        ("--tls", TLS_DOOR),
    ]
    .into_iter()
    .chain(of_host)
    .map(|(option, address)| (option, address.to_string()))
    .collect();
    let patience = PATIENCE.to_string();
    let mut arguments = vec!["proxy", "--hand-over", DOORS];
    for (option, address) in &doors {
        arguments.extend([option, address.as_str()]);
    }
    if facts.remote {
        arguments.extend(["--patience", &patience]);
    }
    ContainerCreateBody {
        hostname: Some(HOSTNAME.to_owned()),
        labels: Some(names.labels("holder")),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            // The sandbox has the same /etc/hosts, and looks itself up in it.
            extra_hosts: Some(vec![format!("{HOSTNAME}:127.0.0.1")]),
            mounts: Some(std::iter::once(plan.socket_dir()).chain(project).collect()),
            // The sandbox has the same file, unless this machine's own is mounted over it.
            dns: facts.remote.then(|| vec![DNS_DOOR.ip().to_string()]),
            sysctls: Some(sysctls()),
            memory: container::limit(facts, MEMORY),
            pids_limit: container::limit(facts, PIDS),
            ..container::hardened(facts)
        }),
        ..container::vibepit(facts, executable, &arguments)
    }
}

/// Settings of the namespace, which the sandbox cannot change: it has no capability in it.
fn sysctls() -> HashMap<String, String> {
    let mut sysctls = vec![
        // The name server's port, without a capability.
        ("net.ipv4.ip_unprivileged_port_start", "0"),
    ];
    // A kernel without IPv6 has no such switch, and an engine would refuse to set it.
    if Path::new("/proc/sys/net/ipv6").exists() {
        sysctls.extend([
            ("net.ipv6.conf.all.disable_ipv6", "1"),
            ("net.ipv6.conf.default.disable_ipv6", "1"),
        ]);
    }
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    sysctls.into_iter().map(owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::super::engine::tests::rootful;
    use super::super::container::tests::{executable, names, plan};
    use super::*;

    #[test]
    fn a_holder_has_no_network_no_capability_and_ends_with_its_launcher() {
        let body = body(&rootful(), &names(), &plan(), &[], None, &executable());
        assert_eq!((body.open_stdin, body.stdin_once), (Some(true), Some(true)));
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.mounts.unwrap().len(), 1);
    }
}
