//! The network of one session: the sandbox and its proxy, and nobody else. The host has no
//! address on it.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, NetworkConnectRequest, NetworkCreateRequest};

use super::super::engine::Engine;
use super::super::image::is_missing;
use super::super::labels::Names;

/// The network every engine starts with, through which the proxy reaches the world.
const OUTSIDE: &str = "bridge";

/// From this Docker on a bridge can be told to have no gateway on the host at all; before, that
/// its address is not to be set.
const ISOLATED_GATEWAYS_SINCE: (u32, u32) = (28, 0);

/// Makes the session's network.
///
/// `internal` alone would leave every service of the host reachable at the gateway's address.
pub(super) async fn create(engine: &Engine, names: &Names) -> Result<()> {
    let option = match engine.facts().release >= ISOLATED_GATEWAYS_SINCE {
        true => ("com.docker.network.bridge.gateway_mode_ipv4", "isolated"),
        false => ("com.docker.network.bridge.inhibit_ipv4", "true"),
    };
    let request = NetworkCreateRequest {
        name: names.network(),
        driver: Some("bridge".to_owned()),
        internal: Some(true),
        enable_ipv6: Some(false),
        options: Some(HashMap::from([(option.0.to_owned(), option.1.to_owned())])),
        labels: Some(names.labels("network")),
        ..NetworkCreateRequest::default()
    };
    engine
        .docker
        .create_network(request)
        .await
        .map(drop)
        .map_err(|error| {
            match &error {
        Error::DockerResponseServerError { message, .. } if message.contains("address pool") => {
            anyhow::Error::new(error).context(
                "the engine has no address range left for another network; end a session, or run \
                 `vibepit prune` and `docker network prune` to remove those that nobody uses",
            )
        }
        _ => anyhow::Error::new(error).context("the session's network could not be made"),
    }
        })
}

/// Removes the session's network, if it is there.
pub(crate) async fn remove(engine: &Engine, name: &str) -> Result<()> {
    match engine.docker.remove_network(name).await {
        Err(error) if !is_missing(&error) => {
            Err(error).with_context(|| format!("the network {name} could not be removed"))
        }
        _ => Ok(()),
    }
}

/// Gives a container that is not running yet the way out.
pub(super) async fn open_to_the_outside(engine: &Engine, container: &str) -> Result<()> {
    let request = NetworkConnectRequest {
        container: container.to_owned(),
        endpoint_config: None,
    };
    engine
        .docker
        .connect_network(OUTSIDE, request)
        .await
        .with_context(|| {
            format!("the proxy could not be connected to the engine's network {OUTSIDE:?}")
        })
}

/// A running proxy's two addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    /// On the session's network: where the sandbox knocks.
    pub(super) inside: Ipv4Addr,
    /// On the engine's bridge: where the published control port ends.
    pub(super) outside: Ipv4Addr,
}

impl Addresses {
    pub(super) fn of(proxy: &ContainerInspectResponse, names: &Names) -> Result<Self> {
        Ok(Self {
            inside: address(proxy, &names.network())?,
            outside: address(proxy, OUTSIDE)?,
        })
    }
}

fn address(container: &ContainerInspectResponse, network: &str) -> Result<Ipv4Addr> {
    let networks = container
        .network_settings
        .as_ref()
        .and_then(|s| s.networks.as_ref());
    let endpoint = networks.and_then(|networks| networks.get(network));
    let text = endpoint
        .and_then(|endpoint| endpoint.ip_address.as_deref())
        .unwrap_or_default();
    text.parse().with_context(|| {
        format!("the engine gave the proxy no IPv4 address on the network {network} ({text:?})")
    })
}
