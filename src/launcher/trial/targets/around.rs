//! What an engine has around a session: its gateways, the proxy's address outside, and the proxies
//! of other sessions. Without an answer of the engine's there is nothing of them to try.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use bollard::models::ContainerInspectResponse;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions};
use ipnet::IpNet;

use super::super::super::container;
use super::super::super::engine::Engine;
use super::super::super::labels::{Names, OURS, ROLE};
use super::super::super::session::Launch;

/// What there is around a session whose runtime is an engine.
#[derive(Default)]
pub(super) struct Around {
    /// It is on another machine.
    pub(super) remote: bool,
    pub(super) socket: Option<PathBuf>,
    pub(super) gateways: Vec<IpAddr>,
    pub(super) own: Option<IpAddr>,
    /// The proxy's process, as the engine's machine counts it.
    pub(super) process: Option<i32>,
    pub(super) others: Vec<IpAddr>,
}

impl Around {
    pub(super) async fn of(engine: &Engine, launch: &Launch<'_>) -> Self {
        let request = launch.request;
        let names = Names::new(
            launch.id(),
            request.project.path(),
            request.runtime_dir.path(),
        );
        let proxy = names.proxy();
        let (gateways, inspected, others) = tokio::join!(
            gateways(engine),
            container::inspect(engine, &proxy),
            other_proxies(engine, &proxy)
        );
        let inspected = inspected.unwrap_or_default();
        let process = inspected.state.as_ref().and_then(|state| state.pid);
        Self {
            remote: engine.facts().remote,
            socket: engine.facts().endpoint.unix_socket().map(Path::to_owned),
            gateways,
            own: outside_address(inspected),
            process: process.and_then(|pid| pid.try_into().ok()),
            others,
        }
    }
}

/// The gateways of the engine's networks; without an answer there are none to try.
async fn gateways(engine: &Engine) -> Vec<IpAddr> {
    let networks = engine
        .docker
        .list_networks(None::<ListNetworksOptions>)
        .await;
    let ranges = networks
        .unwrap_or_default()
        .into_iter()
        .filter_map(|network| network.ipam?.config)
        .flatten();
    // An engine that chose it itself may not tell it; then it is the first of the range.
    ranges
        .filter_map(|range| {
            let first = || range.subnet?.parse::<IpNet>().ok()?.hosts().next();
            let told = range.gateway.and_then(|gateway| gateway.parse().ok());
            told.or_else(first)
        })
        .collect()
}

/// Addresses of the proxies of other sessions.
async fn other_proxies(engine: &Engine, own: &str) -> Vec<IpAddr> {
    let labels = vec![format!("{OURS}=true"), format!("{ROLE}=proxy")];
    let options = ListContainersOptionsBuilder::default()
        .filters(&[("label".to_owned(), labels)].into())
        .build();
    let found = engine.docker.list_containers(Some(options)).await;
    let mut ips = Vec::new();
    for container in found.unwrap_or_default() {
        let names = container.names.unwrap_or_default();
        if names.iter().any(|name| name.trim_start_matches('/') == own) {
            continue;
        }
        let networks = container
            .network_settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default();
        let addresses = networks
            .into_values()
            .filter_map(|endpoint| endpoint.ip_address);
        ips.extend(addresses.filter_map(|ip| ip.parse::<IpAddr>().ok()));
    }
    ips
}

/// A proxy's address on the engine's own network.
fn outside_address(proxy: ContainerInspectResponse) -> Option<IpAddr> {
    let networks = proxy.network_settings?.networks?;
    networks
        .into_values()
        .find_map(|endpoint| endpoint.ip_address?.parse().ok())
}
