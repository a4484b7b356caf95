//! The host's resolvers (resolv.conf(5)).

use std::net::{IpAddr, SocketAddr};

/// The resolvers this host asks itself.
pub fn of_this_host() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver"))
        .filter_map(|address| address.trim().parse::<IpAddr>().ok())
        .map(|ip| SocketAddr::new(ip, 53))
        .collect()
}
