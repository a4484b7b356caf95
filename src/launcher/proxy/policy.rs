//! The policy that a proxy is given: what the configuration says, what the host adds to it, and
//! the host's services that it names.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::Mutex;

use super::super::request::Policy;
use super::super::resolvers;
use super::host_ports::HostPorts;
use super::talk::Reload;
use crate::api::PolicyDocument;

/// Where a session's policy comes from, as often as it is asked for. The host's ports that it
/// names are served while this lives, and follow every reading.
#[derive(Clone)]
pub(crate) struct Source {
    policy: Policy,
    proxy: Whereabouts,
}

/// Where the proxy is, seen from here.
#[derive(Clone)]
enum Whereabouts {
    /// A process of this machine, which reaches its ports by itself.
    Here,
    /// In a container, for which they are served.
    Beside(Arc<Mutex<HostPorts>>),
    /// On another machine, with name servers of its own.
    Far,
}

impl Source {
    /// The ports' sockets will be in `socket_dir`.
    pub(super) fn new(policy: &Policy, socket_dir: PathBuf) -> Self {
        Self {
            policy: Arc::clone(policy),
            proxy: Whereabouts::Beside(Arc::new(Mutex::new(HostPorts::new(socket_dir)))),
        }
    }

    /// For a proxy that runs on this machine.
    pub(crate) fn here(policy: &Policy) -> Self {
        Self {
            policy: Arc::clone(policy),
            proxy: Whereabouts::Here,
        }
    }

    /// For a proxy on another machine.
    pub(super) fn far(policy: &Policy) -> Self {
        Self {
            policy: Arc::clone(policy),
            proxy: Whereabouts::Far,
        }
    }

    /// Reads the configuration and adds what the person need not say.
    pub(crate) async fn read(&self) -> Result<PolicyDocument> {
        let policy = Arc::clone(&self.policy);
        let mut document = tokio::task::spawn_blocking(move || policy())
            .await
            .context("the configuration could not be read")??;
        let servers = match &self.proxy {
            Whereabouts::Here => resolvers::of_this_host(),
            Whereabouts::Beside(_) if document.upstream_dns.is_empty() => resolvers::reachable()?,
            Whereabouts::Beside(_) => Vec::new(),
            Whereabouts::Far => return Ok(document),
        };
        if document.upstream_dns.is_empty() {
            document.upstream_dns = servers;
        }
        document.screened.extend(resolvers::own_addresses());
        if let Whereabouts::Beside(ports) = &self.proxy {
            ports
                .lock()
                .await
                .serve(&document.allow_host_ports)
                .context("the host's ports cannot be served to the session")?;
        }
        Ok(document)
    }

    /// The same, as an answer to a proxy that asks.
    pub(super) fn into_reload(self) -> Reload {
        Box::new(move || {
            let source = self.clone();
            Box::pin(async move { source.read().await.map_err(|error| format!("{error:#}")) })
        })
    }
}
