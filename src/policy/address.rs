//! Addresses that are never dialled, and the networks a person opened on purpose.
//!
//! Anybody who owns a name can point it anywhere, so every address is judged after it was
//! resolved and before it is dialled. Tables and bits; knows nothing of names or rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use thiserror::Error;

/// Blocks and addresses whose name is told before the general table is asked.
const NAMED: [(IpAddr, &str); 7] = [
    (v4(169, 254, 169, 254), METADATA),
    // Azure's: in a public block, so no other entry covers it.
    (v4(168, 63, 129, 16), METADATA),
    (v4(100, 100, 100, 200), METADATA),
    (v4(192, 0, 0, 192), METADATA),
    (
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
        METADATA,
    ),
    (IpAddr::V6(Ipv6Addr::UNSPECIFIED), "the unspecified address"),
    (IpAddr::V6(Ipv6Addr::LOCALHOST), "a loopback address"),
];
const METADATA: &str = "a cloud metadata address";

/// The IANA IPv4 Special-Purpose Address Registry (RFC 6890), every block of it whether or not it
/// is marked globally reachable, and multicast (RFC 5771).
const IPV4: [(Ipv4Net, &str); 19] = [
    (net4([0, 0, 0, 0], 8), "an address of this very network"),
    (net4([10, 0, 0, 0], 8), "a private address"),
    (net4([100, 64, 0, 0], 10), "a carrier's shared address"),
    (net4([127, 0, 0, 0], 8), "a loopback address"),
    (net4([169, 254, 0, 0], 16), "a link-local address"),
    (net4([172, 16, 0, 0], 12), "a private address"),
    (net4([192, 0, 0, 0], 24), "a protocol assignment"),
    (net4([192, 0, 2, 0], 24), "a documentation address"),
    (net4([192, 31, 196, 0], 24), "an AS112 address"),
    (net4([192, 52, 193, 0], 24), "a multicast tunnel address"),
    (net4([192, 88, 99, 0], 24), "a 6to4 relay address"),
    (net4([192, 168, 0, 0], 16), "a private address"),
    (net4([192, 175, 48, 0], 24), "an AS112 address"),
    (net4([198, 18, 0, 0], 15), "a benchmarking address"),
    (net4([198, 51, 100, 0], 24), "a documentation address"),
    (net4([203, 0, 113, 0], 24), "a documentation address"),
    (net4([224, 0, 0, 0], 4), "a multicast address"),
    (net4([255, 255, 255, 255], 32), "the broadcast address"),
    (net4([240, 0, 0, 0], 4), "a reserved address"),
];

/// The IANA IPv6 Special-Purpose Address Registry, less the blocks that carry an IPv4 address
/// (see [`carried`]), and what stands around it. 2001::/23 holds all the protocol assignments.
const IPV6: [(Ipv6Net, &str); 12] = [
    (net6([0x64, 0xff9b, 1, 0], 48), "a local-use NAT64 address"),
    (net6([0x100, 0, 0, 0], 64), "a discard-only address"),
    (net6([0x100, 0, 0, 1], 64), "a dummy address"),
    (net6([0x2001, 0, 0, 0], 23), "a protocol assignment"),
    (net6([0x2001, 0xdb8, 0, 0], 32), "a documentation address"),
    (net6([0x2620, 0x4f, 0x8000, 0], 48), "an AS112 address"),
    (net6([0x3fff, 0, 0, 0], 20), "a documentation address"),
    (net6([0x5f00, 0, 0, 0], 16), "a segment routing address"),
    (net6([0xfc00, 0, 0, 0], 7), "a private address"),
    (net6([0xfe80, 0, 0, 0], 10), "a link-local address"),
    (net6([0xfec0, 0, 0, 0], 10), "a site-local address"),
    (net6([0xff00, 0, 0, 0], 8), "a multicast address"),
];

/// The only block of which IANA gives out global unicast addresses (RFC 4291, section 2.4).
const GLOBAL_UNICAST: Ipv6Net = net6([0x2000, 0, 0, 0], 3);

/// IPv6 blocks whose addresses carry IPv4 ones: compatible and mapped (RFC 4291), NAT64 (RFC
/// 6052), Teredo (RFC 4380) and 6to4 (RFC 3056).
const COMPATIBLE: Ipv6Net = net6([0, 0, 0, 0], 96);
const NAT64: Ipv6Net = net6([0x64, 0xff9b, 0, 0], 96);
const NAT64_LOCAL: Ipv6Net = net6([0x64, 0xff9b, 1, 0], 48);
const TEREDO: Ipv6Net = net6([0x2001, 0, 0, 0], 32);
const SIX_TO_FOUR: Ipv6Net = net6([0x2002, 0, 0, 0], 16);

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn net4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn net6([a, b, c, d]: [u16; 4], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), length)
}

/// What kind of address this is, if it is one that is not dialled unless opened on purpose:
/// `"a loopback address"`. An IPv4 address inside an IPv6 one is judged as itself.
pub fn screened(ip: IpAddr) -> Option<&'static str> {
    let ip = ip.to_canonical();
    if let Some((_, why)) = NAMED.iter().find(|(named, _)| *named == ip) {
        return Some(why);
    }
    match ip {
        IpAddr::V4(ip) => IPV4
            .iter()
            .find(|(net, _)| net.contains(&ip))
            .map(|(_, why)| *why),
        IpAddr::V6(ip) => screened_v6(ip),
    }
}

fn screened_v6(ip: Ipv6Addr) -> Option<&'static str> {
    if let Some(carried) = carried(ip) {
        return carried.addresses().find_map(|inner| screened(inner.into()));
    }
    if let Some((_, why)) = IPV6.iter().find(|(net, _)| net.contains(&ip)) {
        return Some(why);
    }
    (!GLOBAL_UNICAST.contains(&ip)).then_some("an address outside of the global ones")
}

/// IPv4 addresses inside an IPv6 one, and the block that says so.
struct Carried {
    block: Ipv6Net,
    first: Ipv4Addr,
    second: Option<Ipv4Addr>,
}

impl Carried {
    fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> {
        std::iter::once(self.first).chain(self.second)
    }
}

/// What an address carries, unless it is IPv4-mapped: that one is an IPv4 address to the kernel
/// too, and the canonical form has taken it out before.
fn carried(ip: Ipv6Addr) -> Option<Carried> {
    let block = [COMPATIBLE, NAT64, TEREDO, SIX_TO_FOUR]
        .into_iter()
        .find(|b| b.contains(&ip))?;
    let bits = ip.to_bits();
    let quad = |shift: u32| Ipv4Addr::from_bits((bits >> shift) as u32);
    let (first, second) = match block {
        SIX_TO_FOUR => (quad(80), None),
        // The client stands at the end with every bit inverted (RFC 4380, section 4), the server
        // right after the prefix.
        TEREDO => (Ipv4Addr::from_bits(!(bits as u32)), Some(quad(64))),
        _ => (quad(0), None),
    };
    Some(Carried {
        block,
        first,
        second,
    })
}

/// Decides of each resolved address whether it may be dialled.
#[derive(Debug, Clone, Default)]
pub struct Screen {
    opened: Vec<IpNet>,
    own: Vec<IpAddr>,
}

/// An address that is not dialled, and what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("{address} is {why}")]
pub struct Screened {
    /// The address as it was resolved or written.
    pub address: IpAddr,
    /// What it is, with its article: "a loopback address".
    pub why: &'static str,
}

impl Screen {
    /// `allow_cidr`: networks that are opened on purpose (see
    /// [`parse_allow_cidr`](super::parse_allow_cidr)). `own`: addresses of the host itself, which
    /// are closed even where they are public, unless `allow_cidr` opens them.
    pub fn new(allow_cidr: Vec<IpNet>, own: Vec<IpAddr>) -> Self {
        Self {
            opened: allow_cidr,
            own: own.iter().map(IpAddr::to_canonical).collect(),
        }
    }

    /// Whether this address may be dialled.
    pub fn check(&self, address: IpAddr) -> Result<(), Screened> {
        let ip = address.to_canonical();
        let why = if self.is_own(ip) {
            Some("an address of this host")
        } else {
            screened(ip)
        };
        match why {
            Some(why) if !self.is_opened(ip) => Err(Screened { address, why }),
            _ => Ok(()),
        }
    }

    /// Also the host's IPv4 addresses in an IPv6 disguise, which a gateway might translate back.
    fn is_own(&self, ip: IpAddr) -> bool {
        let inside = match ip {
            IpAddr::V4(_) => None,
            IpAddr::V6(ip) => carried(ip),
        };
        self.own.iter().any(|own| {
            *own == ip
                || inside
                    .iter()
                    .flat_map(Carried::addresses)
                    .any(|inner| *own == inner)
        })
    }

    fn is_opened(&self, ip: IpAddr) -> bool {
        // Somebody who opens 2000::/3 has not thought of 2002:7f00:1::, which is 127.0.0.1: a
        // block that carries IPv4 addresses is opened by its own name only.
        let at_least = match ip {
            IpAddr::V4(_) => 0,
            IpAddr::V6(ip) if NAT64_LOCAL.contains(&ip) => NAT64_LOCAL.prefix_len(),
            IpAddr::V6(ip) => carried(ip).map_or(0, |c| c.block.prefix_len()),
        };
        self.opened
            .iter()
            .any(|net| net.prefix_len() >= at_least && net.contains(&ip))
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::rows;
    use super::super::parse_allow_cidr;
    use super::*;

    fn why(text: &str) -> Option<&'static str> {
        screened(text.parse().unwrap())
    }

    fn opening(nets: &[&str]) -> Screen {
        Screen::new(
            nets.iter()
                .map(|net| parse_allow_cidr(net).unwrap())
                .collect(),
            Vec::new(),
        )
    }

    fn opens(screen: &Screen, text: &str) -> bool {
        screen.check(text.parse().unwrap()).is_ok()
    }

    #[test]
    fn every_address_of_the_table_is_judged_as_it_says() {
        for row in rows("addresses.csv") {
            let expected = match row[1].as_str() {
                "screened" => true,
                "public" => false,
                other => panic!("{other}"),
            };
            assert_eq!(why(&row[0]).is_some(), expected, "{}", row[0]);
            assert_eq!(opens(&Screen::default(), &row[0]), !expected, "{}", row[0]);
        }
    }

    #[test]
    fn every_special_ipv4_block_is_closed_from_its_first_address_to_its_last() {
        // Registry "IANA IPv4 Special-Purpose Address Space", RFC 5771 and RFC 1112, section 4.
        for block in [
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.0.8/32",
            "192.0.0.9/32",
            "192.0.0.10/32",
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "255.255.255.255/32",
        ] {
            let net: Ipv4Net = block.parse().unwrap();
            for ip in [net.network(), net.broadcast()] {
                assert!(screened(ip.into()).is_some(), "{ip} of {block}");
            }
        }
        for edge in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.1.255",
            "192.0.3.0",
            "192.31.195.255",
            "192.31.197.0",
            "192.52.192.255",
            "192.52.194.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "192.175.47.255",
            "192.175.49.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "168.63.129.15",
            "168.63.129.17",
        ] {
            assert_eq!(why(edge), None, "{edge}");
        }
    }

    #[test]
    fn every_special_ipv6_block_is_closed_from_its_first_address_to_its_last() {
        // Registry "IANA IPv6 Special-Purpose Address Space", multicast, and the space that was
        // never given out.
        for block in [
            "::/128",
            "::1/128",
            "64:ff9b:1::/48",
            "100::/64",
            "100:0:0:1::/64",
            "2001:1::1/128",
            "2001:1::2/128",
            "2001:1::3/128",
            "2001:2::/48",
            "2001:3::/32",
            "2001:4:112::/48",
            "2001:10::/28",
            "2001:20::/28",
            "2001:30::/28",
            "2001:1ff::/32",
            "2001:db8::/32",
            "2620:4f:8000::/48",
            "3fff::/20",
            "5f00::/16",
            "fc00::/7",
            "fe80::/10",
            "fec0::/10",
            "ff00::/8",
            "4000::/3",
            "8000::/1",
            "200::/7",
            "1000::/4",
        ] {
            let net: Ipv6Net = block.parse().unwrap();
            for ip in [net.network(), net.broadcast()] {
                assert!(screened(ip.into()).is_some(), "{ip} of {block}");
            }
        }
        for edge in [
            "2001:200::",
            "2001:db7:ffff::1",
            "2001:db9::",
            "2003::",
            "3ffe::1",
            "2620:4f:7fff::1",
            "2620:4f:8001::",
            "3fff:1000::",
            "2000::1",
        ] {
            assert_eq!(why(edge), None, "{edge}");
        }
    }

    #[test]
    fn an_ipv4_address_inside_an_ipv6_one_is_judged_as_itself() {
        let forms = |v4: Ipv4Addr| -> Vec<Ipv6Addr> {
            let bits = u128::from(v4.to_bits());
            let public = u128::from(Ipv4Addr::new(9, 9, 9, 9).to_bits());
            let inverted = |bits: u128| bits ^ 0xffff_ffff;
            let teredo = 0x2001_0000_u128 << 96;
            [
                0xffff_u128 << 32 | bits,
                bits,
                0x64_ff9b_u128 << 96 | bits,
                0x2002_u128 << 112 | bits << 80 | 1,
                teredo | bits << 64 | inverted(public),
                teredo | public << 64 | inverted(bits),
            ]
            .map(Ipv6Addr::from_bits)
            .into()
        };
        for inner in [
            "127.0.0.1",
            "10.0.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "192.0.2.1",
        ] {
            for ip in forms(inner.parse().unwrap()) {
                assert_eq!(screened(ip.into()), why(inner), "{ip} holds {inner}");
            }
        }
        for ip in forms(Ipv4Addr::new(8, 8, 8, 8)) {
            assert_eq!(screened(ip.into()), None, "{ip}");
        }
        assert!(
            why("64:ff9b:1::808:808").is_some(),
            "local-use NAT64 may lead anywhere"
        );
    }

    #[test]
    fn metadata_services_are_told_by_name() {
        for ip in [
            "169.254.169.254",
            "168.63.129.16",
            "100.100.100.200",
            "fd00:ec2::254",
            "::ffff:169.254.169.254",
        ] {
            assert_eq!(why(ip), Some("a cloud metadata address"), "{ip}");
        }
        let refusal = Screen::default()
            .check("::ffff:127.0.0.1".parse().unwrap())
            .unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "::ffff:127.0.0.1 is a loopback address"
        );
    }

    #[test]
    fn an_opened_network_opens_its_mapped_form_and_nothing_else() {
        let screen = opening(&["10.0.0.0/8"]);
        for ip in ["10.1.2.3", "::ffff:10.1.2.3"] {
            assert!(opens(&screen, ip), "{ip}");
        }
        for ip in [
            "192.168.0.1",
            "127.0.0.1",
            "64:ff9b::a01:203",
            "2002:a01:203::",
            "::10.1.2.3",
            "64:ff9b:1::a01:203",
            "2001:0:a01:203::",
        ] {
            assert!(!opens(&screen, ip), "{ip}");
        }
    }

    #[test]
    fn a_block_that_carries_ipv4_addresses_is_opened_by_its_own_name_only() {
        let screen = opening(&["2000::/3", "::/2"]);
        assert!(opens(&screen, "2001:db8::1"));
        for ip in [
            "2002:7f00:1::",
            "2001:0:7f00:1::",
            "64:ff9b::7f00:1",
            "64:ff9b:1::7f00:1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
        ] {
            assert!(!opens(&screen, ip), "{ip}");
        }
        assert!(opens(&opening(&["64:ff9b::/96"]), "64:ff9b::a00:1"));
        assert!(opens(&opening(&["::1/128"]), "::1"));
    }

    #[test]
    fn the_hosts_own_addresses_are_closed_even_where_they_are_public() {
        let own = ["9.9.9.9", "2620:fe::9"].map(|ip| ip.parse().unwrap());
        let screen = Screen::new(Vec::new(), own.into());
        for ip in [
            "9.9.9.9",
            "::ffff:9.9.9.9",
            "2620:fe::9",
            "64:ff9b::909:909",
            "2002:909:909::",
        ] {
            let refused = screen.check(ip.parse().unwrap()).unwrap_err();
            assert_eq!(refused.why, "an address of this host", "{ip}");
        }
        assert!(opens(&screen, "9.9.9.10"));
        let opened = Screen::new(vec!["9.9.9.9/32".parse().unwrap()], own.into());
        assert!(opens(&opened, "9.9.9.9") && !opens(&opened, "2620:fe::9"));
    }
}
