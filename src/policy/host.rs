//! Hosts and targets: what the sandbox asks for, taken apart once and strictly.
//!
//! Two spellings of one destination must not become two targets, and one spelling must not mean
//! two destinations to two readers: what is not canonical is refused, not repaired.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

use super::name::{self, Name};

/// Where a connection goes: a name or an address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name.
    Name(Name),
    /// An address; an IPv4 address inside an IPv6 one stays as it was written.
    Ip(IpAddr),
}

/// Why a host cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HostError {
    /// There is nothing.
    #[error("the host is empty")]
    Empty,
    /// A byte of 128 or above, on the wire.
    #[error("the host is not ASCII (on the wire a name is written in its xn-- form)")]
    NotAscii,
    /// A character that no name has.
    #[error("the host has {:?} in it, which no name has", char::from(*.0))]
    Byte(u8),
    /// A character that cannot be seen.
    #[error("the host has the invisible character U+{:04X} in it", u32::from(*.0))]
    Invisible(char),
    /// IDNA has no mapping for it.
    #[error("the host has characters that no international name can have")]
    Unmapped,
    /// Two dots in a row, or a dot at the beginning.
    #[error("the host has an empty label (two dots in a row, or one at the start)")]
    EmptyLabel,
    /// A label of more than 63 bytes.
    #[error("the host has a label of more than 63 characters")]
    LabelTooLong,
    /// A name of more than 253 bytes.
    #[error("the host has more than 253 characters")]
    NameTooLong,
    /// A label with a hyphen at an end.
    #[error("the host has a label that begins or ends with a hyphen")]
    Hyphen,
    /// An `xn--` label that is not the one spelling of a Unicode label.
    #[error("the host has an xn-- label that is not valid Punycode")]
    Punycode,
    /// A number that is not a canonical dotted quad.
    #[error("the host ends in a number, but is not an IPv4 address written as four plain decimals")]
    Number,
    /// Brackets around something else than an IPv6 address.
    #[error("brackets belong around an IPv6 address (without a zone), and nothing else")]
    Brackets,
    /// An IPv6 address without brackets, or more than one colon.
    #[error("the host has a colon in it; an IPv6 address is written in brackets")]
    Colon,
}

impl Host {
    /// Takes a host as it stands in a protocol: ASCII, strict, IPv6 in brackets.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, HostError> {
        match Self::address(bytes)? {
            Some(ip) => Ok(Self::Ip(ip)),
            None => Name::from_wire(bytes).map(Self::Name),
        }
    }

    /// Takes a host as a person writes it: as on the wire, but Unicode is mapped (UTS 46).
    pub fn from_text(text: &str) -> Result<Self, HostError> {
        if text.is_ascii() {
            return Self::from_wire(text.as_bytes());
        }
        Self::from_wire(name::to_ascii(text)?.as_bytes())
    }

    /// The address if this is one, `None` if it can only be a name.
    fn address(bytes: &[u8]) -> Result<Option<IpAddr>, HostError> {
        if let Some(rest) = bytes.strip_prefix(b"[") {
            let inside = rest.strip_suffix(b"]").ok_or(HostError::Brackets)?;
            let address: Option<Ipv6Addr> = parse_ascii(inside);
            return address.map(|ip| Some(ip.into())).ok_or(HostError::Brackets);
        }
        if bytes.contains(&b':') {
            return Err(HostError::Colon);
        }
        let bytes = name::without_trailing_dot(bytes);
        if !name::ends_in_a_number(bytes) {
            return Ok(None);
        }
        let address: Option<Ipv4Addr> = parse_ascii(bytes);
        address.map(|ip| Some(ip.into())).ok_or(HostError::Number)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// One destination: a host and a port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where to.
    pub host: Host,
    /// TCP port, 1 to 65535.
    pub port: u16,
}

/// Why a target cannot be one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TargetError {
    /// The host part is wrong.
    #[error(transparent)]
    Host(#[from] HostError),
    /// There is no port, and none can be assumed.
    #[error("the port is missing: a target is written host:port")]
    PortMissing,
    /// The port is not a canonical decimal of 1 to 65535.
    #[error("the port is not a number from 1 to 65535 in plain decimals")]
    Port,
}

impl Target {
    /// Takes the authority of a CONNECT request: host and port, nothing else.
    pub fn from_authority(bytes: &[u8]) -> Result<Self, TargetError> {
        Self::parse(bytes, None)
    }

    /// Takes the authority of a URL whose scheme has a default port.
    pub fn from_authority_or(bytes: &[u8], default_port: u16) -> Result<Self, TargetError> {
        Self::parse(bytes, Some(default_port))
    }

    fn parse(bytes: &[u8], default_port: Option<u16>) -> Result<Self, TargetError> {
        let (host, port) = split_port(bytes);
        let host = Host::from_wire(host)?;
        let port = match port {
            Some(digits) => parse_port(digits).ok_or(TargetError::Port)?,
            None => default_port.ok_or(TargetError::PortMissing)?,
        };
        Ok(Self { host, port })
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// Takes `host:port` as a person writes it; Unicode names are mapped.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (host, port) = split_port(text.as_bytes());
        let host = Host::from_text(&text[..host.len()])?;
        let port = parse_port(port.ok_or(TargetError::PortMissing)?).ok_or(TargetError::Port)?;
        Ok(Self { host, port })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]:{}", self.port),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

/// Cuts at the last colon that is not inside brackets; the host keeps its brackets.
fn split_port(bytes: &[u8]) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().rposition(|&b| b == b':' || b == b']') {
        Some(at) if bytes[at] == b':' => (&bytes[..at], Some(&bytes[at + 1..])),
        _ => (bytes, None),
    }
}

/// A port in canonical decimal: no sign, no leading zero, 1 to 65535.
pub(super) fn parse_port(digits: &[u8]) -> Option<u16> {
    if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    parse_ascii(digits)
}

fn parse_ascii<T: FromStr>(bytes: &[u8]) -> Option<T> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}
