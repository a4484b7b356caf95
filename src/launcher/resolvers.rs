//! The host's name servers and addresses, as the proxy is told them: it resolves through the one
//! and never dials the other.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use nix::ifaddrs::getifaddrs;

/// Where the real servers are listed when resolv.conf names only a stub on the loopback:
/// systemd-resolved's list (resolved.conf(5)) and NetworkManager's.
const LISTS: [&str; 3] = [
    "/etc/resolv.conf",
    "/run/systemd/resolve/resolv.conf",
    "/run/NetworkManager/no-stub-resolv.conf",
];

/// The port of DNS.
const PORT: u16 = 53;

/// Why there is no name server to use.
#[derive(Debug, thiserror::Error)]
pub enum ResolverError {
    /// Only addresses that a container cannot reach.
    #[error(
        "this machine's name server answers on {0} only, which cannot be reached from the proxy's \
         container; name one that can in your configuration: upstream_dns = [\"192.0.2.53\"]"
    )]
    LoopbackOnly(IpAddr),
    /// None at all.
    #[error(
        "no name server is configured on this machine (looked in {}); name one in your \
         configuration: upstream_dns = [\"192.0.2.53\"]", LISTS.join(", ")
    )]
    None,
}

/// The name servers this machine asks itself, in their order: for a proxy that runs on it.
pub fn of_this_host() -> Vec<SocketAddr> {
    let list = std::fs::read_to_string(LISTS[0]).unwrap_or_default();
    servers(&list).map(|ip| SocketAddr::new(ip, PORT)).collect()
}

/// The host's name servers that a container can reach.
pub(crate) fn reachable() -> Result<Vec<SocketAddr>, ResolverError> {
    choose(
        LISTS
            .iter()
            .filter_map(|list| std::fs::read_to_string(Path::new(list)).ok()),
    )
}

fn choose(lists: impl Iterator<Item = String>) -> Result<Vec<SocketAddr>, ResolverError> {
    let mut loopback = None;
    for list in lists {
        let (near, far): (Vec<_>, Vec<_>) =
            servers(&list).partition(|ip| ip.is_loopback() || ip.is_unspecified());
        loopback = loopback.or_else(|| near.first().copied());
        // The proxy's container has no IPv6 unless the engine was set up for it.
        let v4: Vec<_> = far.iter().copied().filter(IpAddr::is_ipv4).collect();
        let usable = if v4.is_empty() { far } else { v4 };
        if !usable.is_empty() {
            return Ok(usable
                .into_iter()
                .map(|ip| SocketAddr::new(ip, PORT))
                .collect());
        }
    }
    Err(loopback.map_or(ResolverError::None, ResolverError::LoopbackOnly))
}

/// Lines `nameserver ADDRESS` (resolv.conf(5)). An address with a zone means something on this
/// machine's links only, does not parse, and is left out.
fn servers(list: &str) -> impl Iterator<Item = IpAddr> + '_ {
    list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver"))
            .then(|| words.next())??
            .parse()
            .ok()
    })
}

/// Every address of the host's interfaces. The loopback is left out: it is never dialled anyway.
pub(crate) fn own_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = getifaddrs() else {
        return Vec::new();
    };
    let mut addresses: Vec<IpAddr> = interfaces
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .filter(|ip| !ip.is_loopback())
        .collect();
    addresses.sort();
    addresses.dedup();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose_from(lists: &[&str]) -> Result<Vec<String>, ResolverError> {
        let chosen = choose(lists.iter().map(ToString::to_string))?;
        Ok(chosen.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn name_servers_are_taken_in_their_order() {
        let list =
            "# a comment\nsearch corp.test\nnameserver 192.0.2.1\n nameserver\t192.0.2.2 x\n";
        assert_eq!(
            choose_from(&[list]).unwrap(),
            ["192.0.2.1:53", "192.0.2.2:53"]
        );
    }

    #[test]
    fn a_stub_on_the_loopback_is_passed_over_for_the_real_servers() {
        let stub = "nameserver 127.0.0.53\noptions edns0\n";
        assert_eq!(
            choose_from(&[stub, "nameserver 192.0.2.9\n"]).unwrap(),
            ["192.0.2.9:53"]
        );
    }

    #[test]
    fn ipv6_servers_count_only_where_there_is_no_other() {
        let both = "nameserver 2001:db8::53\nnameserver 192.0.2.1\nnameserver fe80::1%eth0\n";
        assert_eq!(choose_from(&[both]).unwrap(), ["192.0.2.1:53"]);
        assert_eq!(
            choose_from(&["nameserver 2001:db8::53\n"]).unwrap(),
            ["[2001:db8::53]:53"]
        );
    }

    #[test]
    fn a_machine_with_nothing_but_a_stub_is_told_what_to_configure() {
        let error = choose_from(&["nameserver 127.0.0.1\n", ""])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("127.0.0.1") && error.contains("upstream_dns"),
            "{error}"
        );
        let error = choose_from(&[]).unwrap_err().to_string();
        assert!(error.contains("upstream_dns"), "{error}");
    }
}
