//! Names to addresses, asked of the resolvers the document names, never of the sandbox's.
//!
//! The hosts file and search domains are not consulted: a name means what the DNS says of it.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{Name as DnsName, Record, RecordType};

use crate::policy::Name;

/// How long one question to one resolver may take; there are two attempts.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the upstream resolvers.
pub(super) struct Resolver(Option<TokioResolver>);

/// Why a name has no address.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// The answer is that there is none (NXDOMAIN, or no such records).
    NoAddress,
    /// No resolver answered in time.
    TimedOut,
    /// A resolver failed, or there is none.
    Failed(String),
}

impl Resolver {
    /// A resolver that asks these servers, over UDP and then TCP.
    pub(super) fn new(servers: &[SocketAddr]) -> Result<Self, NetError> {
        if servers.is_empty() {
            return Ok(Self(None));
        }
        let servers = servers.iter().map(server).collect();
        let mut builder = TokioResolver::builder_with_config(
            ResolverConfig::from_name_servers(servers),
            TokioRuntimeProvider::default(),
        );
        *builder.options_mut() = options();
        Ok(Self(Some(builder.build()?)))
    }

    /// Every address of a name.
    pub(super) async fn addresses(&self, name: &Name) -> Result<Vec<IpAddr>, Unresolved> {
        let answer = self
            .resolver()?
            .lookup_ip(absolute(name)?)
            .await
            .map_err(why)?;
        let addresses: Vec<IpAddr> = answer.iter().collect();
        if addresses.is_empty() {
            Err(Unresolved::NoAddress)
        } else {
            Ok(addresses)
        }
    }

    /// The records of one type, for a name that a rule allows. The question is made here: no
    /// byte of what the sandbox sent goes out.
    pub(super) async fn records(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> Result<Vec<Record>, Unresolved> {
        let lookup = self
            .resolver()?
            .lookup(absolute(name)?, kind)
            .await
            .map_err(why)?;
        Ok(lookup.answers().to_vec())
    }

    fn resolver(&self) -> Result<&TokioResolver, Unresolved> {
        self.0.as_ref().ok_or_else(|| {
            Unresolved::Failed("no resolver is known: set upstream_dns in config.toml".to_owned())
        })
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
    for connection in &mut connections {
        connection.port = address.port();
    }
    NameServerConfig::new(address.ip(), true, connections)
}

fn options() -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.timeout = TIMEOUT;
    options.attempts = 2;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    options.try_tcp_on_error = true;
    options
}

fn absolute(name: &Name) -> Result<DnsName, Unresolved> {
    let mut absolute = DnsName::from_ascii(name.as_str())
        .map_err(|error| Unresolved::Failed(error.to_string()))?;
    absolute.set_fqdn(true);
    Ok(absolute)
}

fn why(error: NetError) -> Unresolved {
    if error.is_no_records_found() || error.is_nx_domain() {
        Unresolved::NoAddress
    } else if matches!(error, NetError::Timeout) {
        Unresolved::TimedOut
    } else {
        Unresolved::Failed(error.to_string())
    }
}
