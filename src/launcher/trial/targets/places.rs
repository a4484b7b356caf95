//! Addresses: where this machine, the proxies and the engine are, and where everybody else would be.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::ifaddrs::getifaddrs;

use super::MOST;
use crate::api::{Reach, Through};

/// Where a control port is in a proxy's container, and where it would be beside the doors.
const CONTROL: u16 = 3129;

/// Where engines listen when somebody has told them to listen to the network.
const ENGINES: [u16; 2] = [2375, 2376];

/// Where things are, as the host sees them.
pub(super) struct Places {
    /// That of the listeners.
    pub(super) port: u16,
    pub(super) here: Vec<IpAddr>,
    pub(super) gateways: Vec<IpAddr>,
    /// The proxy's own address outside.
    pub(super) own: Option<IpAddr>,
    /// Those of other sessions' proxies.
    pub(super) others: Vec<IpAddr>,
    pub(super) control: SocketAddr,
    pub(super) other_controls: Vec<SocketAddr>,
    pub(super) door: Option<SocketAddr>,
}

impl Places {
    /// Addresses that nothing reaches.
    pub(super) fn network(&self) -> Vec<Reach> {
        let at = |ips: &[IpAddr], ports: &[u16]| -> Vec<SocketAddr> {
            let all = ips
                .iter()
                .flat_map(|ip| ports.iter().map(|port| (*ip, *port)));
            all.map(SocketAddr::from).take(MOST).collect()
        };
        let fixed = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        let reach = |name: &str, what: &str, tcp, udp| Reach {
            name: name.to_owned(),
            what: what.to_owned(),
            tcp,
            udp,
        };
        let mut loopback = vec![
            (Ipv4Addr::LOCALHOST, self.port).into(),
            (Ipv4Addr::LOCALHOST, self.control.port()).into(),
            (Ipv4Addr::LOCALHOST, CONTROL).into(),
        ];
        loopback.extend(at(&[Ipv4Addr::LOCALHOST.into()], &ENGINES));
        loopback.extend(self.other_controls.iter().copied());
        let beside_doors = self.door.map(|door| {
            [CONTROL, 22, 8080, self.port, self.control.port()]
                .map(|port| SocketAddr::new(door.ip(), port))
                .to_vec()
        });
        let mut v6 = fixed(&["[2001:db8::7]:443", "[2001:db8:1::1]:80"]);
        v6.push((std::net::Ipv6Addr::LOCALHOST, self.port).into());
        vec![
            reach(
                "direct",
                "the internet without the proxy, by TCP and UDP",
                fixed(&["198.51.100.7:443", "203.0.113.1:80", "192.0.2.1:22"]),
                fixed(&["198.51.100.7:443", "203.0.113.1:123", "192.0.2.1:53"]),
            ),
            reach(
                "ipv6",
                "the internet and this machine by IPv6",
                v6,
                fixed(&["[2001:db8::7]:443", "[ff02::1]:5353"]),
            ),
            reach(
                "multicast",
                "everybody on a link: multicast and broadcast",
                Vec::new(),
                fixed(&["224.0.0.251:5353", "239.255.255.250:1900"]),
            ),
            reach(
                "metadata",
                "the cloud's metadata service",
                fixed(&[
                    "169.254.169.254:80",
                    "168.63.129.16:80",
                    "[fd00:ec2::254]:80",
                ]),
                fixed(&["169.254.169.254:53"]),
            ),
            reach(
                "this-machine",
                "every address of this machine, by TCP and UDP",
                at(&self.here, &[self.port]),
                at(&self.here, &[self.port]),
            ),
            reach(
                "gateways",
                "the gateways of the engine's networks, docker0 among them",
                at(&self.gateways, &[self.port, 22, 53]),
                at(&self.gateways, &[self.port, 53]),
            ),
            reach(
                "engine-ports",
                "the engine's ports on this machine",
                at(&[&self.here[..], &self.gateways[..]].concat(), &ENGINES),
                Vec::new(),
            ),
            reach(
                "host-loopback",
                "this machine's loopback, with its control ports",
                loopback,
                vec![(Ipv4Addr::LOCALHOST, self.port).into()],
            ),
            reach(
                "beside-the-doors",
                "ports beside the proxy's doors, the control port among them",
                beside_doors.unwrap_or_default(),
                Vec::new(),
            ),
            reach(
                "proxy-outside",
                "the proxy's address outside, with its control port",
                at(
                    &self.own.map_or(Vec::new(), |ip| vec![ip]),
                    &[CONTROL, 3128, 53],
                ),
                Vec::new(),
            ),
            reach(
                "other-sessions",
                "the proxies of other sessions",
                at(&self.others, &[CONTROL, 3128, 53]),
                at(&self.others, &[53]),
            ),
        ]
    }

    /// Name servers that nobody asks.
    pub(super) fn name_servers(&self) -> Vec<SocketAddr> {
        let mut servers: Vec<SocketAddr> =
            ["127.0.0.11", "127.0.0.53", "203.0.113.53", "2001:db8::53"]
                .into_iter()
                .filter_map(|text| text.parse().ok())
                .map(|ip: IpAddr| (ip, 53).into())
                .collect();
        let more = self.here.iter().chain(&self.gateways);
        servers.extend(more.map(|ip| SocketAddr::from((*ip, 53))).take(MOST));
        servers
    }

    /// What the proxy refuses, too.
    pub(super) fn through_proxy(&self) -> Vec<Through> {
        let through = |name: &str, what: &str, authorities: Vec<String>| Through {
            name: name.to_owned(),
            what: what.to_owned(),
            authorities,
        };
        let control = self.control.port();
        let mut to_control: Vec<String> = vec![
            format!("127.0.0.1:{control}"),
            format!("localhost:{control}"),
            format!("[::1]:{control}"),
            format!("[::ffff:127.0.0.1]:{CONTROL}"),
            format!("127.0.0.1:{CONTROL}"),
            format!("0.0.0.0:{CONTROL}"),
            format!("2130706433:{CONTROL}"),
        ];
        let all = self.own.iter().chain(&self.others);
        to_control.extend(
            all.clone()
                .map(|ip| SocketAddr::from((*ip, CONTROL)).to_string()),
        );
        let mut itself: Vec<String> = all
            .map(|ip| SocketAddr::from((*ip, 3128)).to_string())
            .collect();
        itself.extend(self.door.map(|door| door.to_string()));
        let machine = self.here.iter().chain(&self.gateways).take(16);
        let machine = machine.flat_map(|ip| {
            [self.port, ENGINES[0]].map(|port| SocketAddr::from((*ip, port)).to_string())
        });
        vec![
            through(
                "proxy-to-control",
                "control ports, through the proxy",
                to_control,
            ),
            through(
                "proxy-to-metadata",
                "the cloud's metadata service, through the proxy",
                [
                    "169.254.169.254:80",
                    "[::ffff:169.254.169.254]:80",
                    "168.63.129.16:80",
                    "[fd00:ec2::254]:80",
                    "metadata.google.internal:80",
                ]
                .map(str::to_owned)
                .to_vec(),
            ),
            through(
                "proxy-to-host",
                "ports of this machine that nobody opened, through the proxy",
                [self.port, 22, ENGINES[0]]
                    .map(|port| format!("host.vibepit:{port}"))
                    .into_iter()
                    .chain(machine)
                    .collect(),
            ),
            through(
                "proxy-to-itself",
                "proxies' own doors, through the proxy",
                itself,
            ),
        ]
    }
}

/// Every address of this machine but its loopback's. Link-local ones of IPv6 mean nothing in
/// another network.
pub(super) fn addresses() -> Vec<IpAddr> {
    let mut ips = BTreeSet::new();
    for interface in getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else {
            continue;
        };
        if let Some(v4) = address.as_sockaddr_in() {
            ips.insert(IpAddr::from(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            ips.insert(IpAddr::from(v6.ip()));
        }
    }
    ips.retain(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    });
    ips.into_iter().take(MOST).collect()
}
