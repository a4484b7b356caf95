//! The proxy's container: as little as a program needs, and the way out. What runs in it is this
//! very executable; what it does there is not known here.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, Mount, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::super::container::{self, MIB};
use super::super::engine::{Engine, Facts, Kind};
use super::super::image::Executable;
use super::super::labels::{CONTROL_PORT, Names};
use super::super::mounts::{Bind, MountTable, bind, volume};
use crate::api::ControlPoints;

/// The network every engine starts with, through which the proxy reaches the world.
const OUTSIDE: &str = "bridge";
/// The mTLS control port.
const CONTROL: &str = "3129/tcp";
pub(super) const CONTROL_PORT_NUMBER: u16 = 3129;

/// Where the session's socket directory is in the container.
pub(super) const SOCKET_DIR: &str = "/socket";
/// Where saved decisions are in the container.
pub(super) const DECISIONS_DIR: &str = "/decisions";
/// Where the session's audit files are in the container.
pub(super) const AUDIT_DIR: &str = "/audit";

/// Room for a million rules and ten thousand tunnels, several times over.
const MEMORY: i64 = 1024 * MIB;
/// A handful of threads; a proxy starts no process.
const PIDS: i64 = 256;

/// What the container gets from outside.
pub(super) enum Plan {
    /// Directories of this machine.
    Here {
        /// The session's socket directory, and nothing else of its directory.
        socket_dir: PathBuf,
        /// The directory of saved decisions, which all sessions share.
        decisions: PathBuf,
        /// The directory of the session's audit files. Other sessions' are not the proxy's to see.
        audit: PathBuf,
    },
    /// On another machine: a volume in the place of the socket directory.
    Far {
        /// Its name.
        socket_volume: String,
    },
}

impl Plan {
    fn mounts(&self) -> Vec<Mount> {
        match self {
            Self::Here {
                socket_dir,
                decisions,
                audit,
            } => MountTable::read().mounts(&[
                Bind::writable(socket_dir, SOCKET_DIR),
                Bind::writable(decisions, DECISIONS_DIR),
                Bind::writable(audit, AUDIT_DIR),
            ]),
            Self::Far { .. } => vec![self.socket_dir()],
        }
    }

    /// The socket directory, which the holder has too.
    pub(super) fn socket_dir(&self) -> Mount {
        match self {
            Self::Here { socket_dir, .. } => bind(&Bind::writable(socket_dir, SOCKET_DIR)),
            Self::Far { socket_volume } => volume(Some(socket_volume), Path::new(SOCKET_DIR)),
        }
    }

    fn is_far(&self) -> bool {
        matches!(self, Self::Far { .. })
    }
}

/// Makes the container. It does not run yet.
pub(super) async fn create(
    engine: &Engine,
    names: &Names,
    plan: &Plan,
    executable: &Executable,
) -> Result<()> {
    let body = body(engine.facts(), names, plan, executable);
    container::create(engine, &names.proxy(), body).await
}

fn body(facts: &Facts, names: &Names, plan: &Plan, executable: &Executable) -> ContainerCreateBody {
    let mut labels = names.labels("proxy");
    labels.insert(CONTROL_PORT.to_owned(), CONTROL_PORT_NUMBER.to_string());
    ContainerCreateBody {
        labels: Some(labels),
        exposed_ports: (!plan.is_far()).then(|| vec![CONTROL.to_owned()]),
        host_config: Some(host_config(facts, plan)),
        ..container::vibepit(facts, executable, &["proxy", "--stdin"])
    }
}

fn host_config(facts: &Facts, plan: &Plan) -> HostConfig {
    // On another machine the port is reached through the engine, and nobody else is to reach it.
    let published = (!plan.is_far()).then(|| {
        HashMap::from([(
            CONTROL.to_owned(),
            Some(vec![PortBinding {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: Some(String::new()),
            }]),
        )])
    });
    HostConfig {
        network_mode: Some(OUTSIDE.to_owned()),
        port_bindings: published,
        mounts: Some(plan.mounts()),
        memory: container::limit(facts, MEMORY),
        pids_limit: container::limit(facts, PIDS),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            ..RestartPolicy::default()
        }),
        ..container::hardened(facts)
    }
}

/// Where the control plane is, as the proxy sees it.
pub(super) fn control(facts: &Facts, proxy: &ContainerInspectResponse) -> Result<ControlPoints> {
    let ip = match facts.kind {
        _ if facts.remote => Ipv4Addr::LOCALHOST,
        Kind::Docker => address(proxy)?,
        // Without root, what comes in at the published port comes from the container's own
        // loopback or from an address that no inspection tells.
        Kind::Podman => Ipv4Addr::UNSPECIFIED,
    };
    Ok(ControlPoints {
        sockets: vec![Path::new(SOCKET_DIR).join("control.sock")],
        tcp: Some(SocketAddr::from((ip, CONTROL_PORT_NUMBER))),
    })
}

/// A running proxy's address, where the published control port ends.
fn address(proxy: &ContainerInspectResponse) -> Result<Ipv4Addr> {
    let networks = proxy
        .network_settings
        .as_ref()
        .and_then(|settings| settings.networks.as_ref());
    let text = networks
        .and_then(|networks| networks.get(OUTSIDE))
        .and_then(|endpoint| endpoint.ip_address.as_deref())
        .unwrap_or_default();
    text.parse().with_context(|| {
        format!("the engine gave the proxy no IPv4 address on its network {OUTSIDE:?} ({text:?})")
    })
}

/// The control port as this machine sees it.
pub(super) fn published(proxy: &ContainerInspectResponse) -> Result<SocketAddr> {
    let ports = proxy
        .network_settings
        .as_ref()
        .and_then(|settings| settings.ports.as_ref());
    let bindings = ports
        .and_then(|ports| ports.get(CONTROL))
        .and_then(Option::as_ref);
    let port = bindings
        .and_then(|bindings| bindings.first())
        .and_then(|binding| binding.host_port.as_deref())
        .and_then(|port| port.parse().ok())
        .context("the engine did not publish the proxy's control port on 127.0.0.1")?;
    Ok(SocketAddr::from(([127, 0, 0, 1], port)))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::super::engine::tests::rootful;
    use super::super::super::image::Image;
    use super::*;

    pub(in crate::launcher::proxy) fn names() -> Names {
        let id = "0123456789abcdef".parse().unwrap();
        Names::new(id, Path::new("/p"), Path::new("/run/user/1/vibepit"))
    }

    pub(in crate::launcher::proxy) fn executable() -> Executable {
        Executable {
            image: Image("vibepit-proxy:x".to_owned()),
            program: "/vibepit".to_owned(),
            library_path: "/usr/lib".to_owned(),
        }
    }

    pub(in crate::launcher::proxy) fn plan() -> Plan {
        Plan::Here {
            socket_dir: PathBuf::from("/run/user/1/vibepit/0123456789abcdef/socket"),
            decisions: PathBuf::from("/state/decisions"),
            audit: PathBuf::from("/state/audit/0123456789abcdef"),
        }
    }

    fn proxy_body() -> ContainerCreateBody {
        body(&rootful(), &names(), &plan(), &executable())
    }

    #[test]
    fn on_another_machine_nothing_is_mounted_but_a_volume_and_no_port_is_published() {
        let plan = Plan::Far {
            socket_volume: names().socket_volume(),
        };
        let host = body(&rootful(), &names(), &plan, &executable())
            .host_config
            .unwrap();
        assert!(host.port_bindings.is_none());
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts.len(), 1);
        assert_eq!(mounts[0].typ, Some(bollard::models::MountType::VOLUME));
    }

    #[test]
    fn a_proxy_gets_its_sockets_its_audit_files_and_the_decisions_and_no_more_of_the_host() {
        let mounts = proxy_body().host_config.unwrap().mounts.unwrap();
        let places: BTreeMap<_, _> = mounts
            .into_iter()
            .map(|m| (m.target.unwrap(), m.source.unwrap()))
            .collect();
        let expected = [
            (AUDIT_DIR, "/state/audit/0123456789abcdef"),
            (DECISIONS_DIR, "/state/decisions"),
            (SOCKET_DIR, "/run/user/1/vibepit/0123456789abcdef/socket"),
        ];
        assert_eq!(
            places,
            expected.map(|(a, b)| (a.to_owned(), b.to_owned())).into()
        );
    }

    #[test]
    fn no_secret_stands_in_a_proxys_environment_and_its_port_is_on_the_loopback_alone() {
        let body = proxy_body();
        assert_eq!(body.env, Some(vec!["LD_LIBRARY_PATH=/usr/lib".to_owned()]));
        let ports = body.host_config.unwrap().port_bindings.unwrap();
        let bindings: Vec<_> = ports.into_values().flatten().flatten().collect();
        assert_eq!(bindings.len(), 1);
        assert_eq!(bindings[0].host_ip.as_deref(), Some("127.0.0.1"));
    }

    #[test]
    fn a_proxy_ends_with_its_launcher_and_is_on_the_engines_own_network_alone() {
        let body = proxy_body();
        assert_eq!((body.open_stdin, body.stdin_once), (Some(true), Some(true)));
        let host = body.host_config.unwrap();
        assert_eq!(host.network_mode.as_deref(), Some("bridge"));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
    }
}
