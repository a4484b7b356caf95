//! The proxy's container: as little as a program needs, between the session's network and the
//! world. What runs in it is this very executable; what it does there is not known here.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bollard::models::{
    ContainerCreateBody, ContainerInspectResponse, HostConfig, PortBinding, RestartPolicy,
    RestartPolicyNameEnum,
};

use super::super::container::{self, MIB};
use super::super::engine::{Engine, Facts};
use super::super::image::Executable;
use super::super::labels::{CONTROL_PORT, Names};
use super::super::mounts::{Bind, MountTable};
use super::network::Addresses;
use crate::api::{ControlPoints, Doors};

/// The HTTP door.
const HTTP_PORT: u16 = 3128;
/// The name server.
const DNS_PORT: u16 = 53;
/// The mTLS control port.
const CONTROL: &str = "3129/tcp";
const CONTROL_PORT_NUMBER: u16 = 3129;

/// Where the session's socket directory is in the container.
pub(super) const SOCKET_DIR: &str = "/socket";
/// Where the session's audit file is in the container.
pub(super) const AUDIT_FILE: &str = "/audit.jsonl";

/// Room for a million rules and ten thousand tunnels, several times over.
const MEMORY: i64 = 1024 * MIB;
/// A handful of threads; a proxy starts no process.
const PIDS: i64 = 256;

/// What the container gets from the host.
pub(super) struct Plan {
    /// The session's socket directory, and nothing else of its directory.
    pub(super) socket_dir: PathBuf,
    /// The session's audit file, made by the caller.
    pub(super) audit: PathBuf,
}

/// Makes the container, on the session's network. It does not run yet.
pub(super) async fn create(
    engine: &Engine,
    names: &Names,
    plan: &Plan,
    executable: Executable,
) -> Result<()> {
    container::create(
        engine,
        &names.proxy(),
        body(engine.facts(), names, plan, &executable),
    )
    .await
}

fn body(facts: &Facts, names: &Names, plan: &Plan, executable: &Executable) -> ContainerCreateBody {
    let mut labels = names.labels("proxy");
    labels.insert(CONTROL_PORT.to_owned(), CONTROL_PORT_NUMBER.to_string());
    let library_path = &executable.library_path;
    let env = (!library_path.is_empty()).then(|| vec![format!("LD_LIBRARY_PATH={library_path}")]);
    ContainerCreateBody {
        image: Some(executable.image.0.clone()),
        user: Some(container::user(facts)),
        entrypoint: Some(vec![executable.program.clone()]),
        cmd: Some(vec!["proxy".to_owned(), "--stdin".to_owned()]),
        env,
        labels: Some(labels),
        working_dir: Some("/".to_owned()),
        exposed_ports: Some(vec![CONTROL.to_owned()]),
        open_stdin: Some(true),
        // The engine closes the input when its one client is gone, however it went: this is what
        // ends the proxy of a launcher that was killed (measured).
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        host_config: Some(host_config(facts, names, plan)),
        ..ContainerCreateBody::default()
    }
}

fn host_config(facts: &Facts, names: &Names, plan: &Plan) -> HostConfig {
    let binds = [
        Bind::writable(&plan.socket_dir, SOCKET_DIR),
        Bind::writable(&plan.audit, AUDIT_FILE),
    ];
    HostConfig {
        network_mode: Some(names.network()),
        port_bindings: Some(HashMap::from([(
            CONTROL.to_owned(),
            Some(vec![PortBinding {
                host_ip: Some("127.0.0.1".to_owned()),
                host_port: Some(String::new()),
            }]),
        )])),
        mounts: Some(MountTable::read().mounts(&binds)),
        sysctls: Some(sysctls()),
        memory: container::limit(facts, MEMORY),
        pids_limit: container::limit(facts, PIDS),
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            ..RestartPolicy::default()
        }),
        ..container::hardened(facts)
    }
}

/// The proxy stands in two networks and must join them in one way only: by what it relays.
fn sysctls() -> HashMap<String, String> {
    [
        // The name server's port, without a capability.
        ("net.ipv4.ip_unprivileged_port_start", "0"),
        // A container inherits forwarding from the host: the kernel would route packets from the
        // sandbox past the proxy if the sandbox found a way to address them.
        ("net.ipv4.ip_forward", "0"),
        ("net.ipv4.conf.all.accept_source_route", "0"),
        // Nor does the sandbox's side answer for the address on the other side, where the control
        // port is.
        ("net.ipv4.conf.all.arp_ignore", "1"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// Where the doors are.
pub(super) fn doors(addresses: Addresses) -> Doors {
    Doors {
        http: Some(SocketAddr::from((addresses.inside, HTTP_PORT))),
        dns: Some(SocketAddr::from((addresses.inside, DNS_PORT))),
    }
}

/// Where the control plane is, as the proxy sees it: the port is bound to the outer address
/// alone.
pub(super) fn control(addresses: Addresses) -> ControlPoints {
    ControlPoints {
        sockets: vec![Path::new(SOCKET_DIR).join("control.sock")],
        tcp: Some(SocketAddr::from((addresses.outside, CONTROL_PORT_NUMBER))),
    }
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
mod tests {
    use std::collections::BTreeMap;

    use super::super::super::engine::tests::rootful;
    use super::super::super::image::Image;
    use super::*;

    fn proxy_body() -> ContainerCreateBody {
        let id = "0123456789abcdef".parse().unwrap();
        let names = Names::new(id, Path::new("/p"), Path::new("/run/user/1/vibepit"));
        let plan = Plan {
            socket_dir: PathBuf::from("/run/user/1/vibepit/0123456789abcdef/socket"),
            audit: PathBuf::from("/state/0123456789abcdef.jsonl"),
        };
        let executable = Executable {
            image: Image("vibepit-proxy:x".to_owned()),
            program: "/vibepit".to_owned(),
            library_path: "/usr/lib".to_owned(),
        };
        body(&rootful(), &names, &plan, &executable)
    }

    #[test]
    fn a_proxy_gets_the_socket_directory_and_its_audit_file_and_no_more_of_the_host() {
        let mounts = proxy_body().host_config.unwrap().mounts.unwrap();
        let places: BTreeMap<_, _> = mounts
            .into_iter()
            .map(|m| (m.target.unwrap(), m.source.unwrap()))
            .collect();
        let expected = [
            (AUDIT_FILE, "/state/0123456789abcdef.jsonl"),
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
    fn a_proxy_ends_with_its_launcher_and_routes_nothing() {
        let body = proxy_body();
        assert_eq!((body.open_stdin, body.stdin_once), (Some(true), Some(true)));
        let host = body.host_config.unwrap();
        let sysctls = host.sysctls.unwrap();
        assert_eq!(sysctls["net.ipv4.ip_forward"], "0");
        assert_eq!(sysctls["net.ipv4.conf.all.arp_ignore"], "1");
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.readonly_rootfs, Some(true));
    }
}
