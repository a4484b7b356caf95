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
/// (see [`embedded`]), and what stands around it. 2001::/23 holds all the protocol assignments.
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
