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
            None => Name::fold(bytes).map(Self::Name),
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

#[cfg(test)]
mod tests {
    use super::super::cases::{rows, unescape_bytes};
    use super::super::screened;
    use super::*;

    fn host(text: &str) -> Result<String, HostError> {
        Host::from_wire(text.as_bytes()).map(|host| host.to_string())
    }

    fn target(text: &str) -> Result<String, TargetError> {
        Target::from_authority(text.as_bytes()).map(|target| target.to_string())
    }

    #[test]
    fn only_the_canonical_dotted_quad_is_an_ipv4_address() {
        assert_eq!(host("192.0.2.7").unwrap(), "192.0.2.7");
        assert_eq!(host("169.254.169.254.").unwrap(), "169.254.169.254");
        for text in [
            "2130706433",
            "0x7f000001",
            "0177.0.0.1",
            "00000177.0.0.1",
            "127.1",
            "1.2.3",
            "1.2.3.4.5",
            "127.0.0.01",
            "256.0.0.1",
            "1.2.3.4..",
            "foo.0x7f",
            "1.2.3.0x4",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn brackets_hold_an_ipv6_address_and_nothing_else() {
        assert_eq!(host("[2001:DB8::1]").unwrap(), "2001:db8::1");
        assert_eq!(host("[::ffff:192.0.2.7]").unwrap(), "::ffff:192.0.2.7");
        for text in [
            "[a.test]",
            "[]",
            "[[::1]]",
            "[::1",
            "[fe80::1%eth0]",
            "[192.0.2.7]",
            "[::1].",
        ] {
            assert_eq!(host(text).unwrap_err(), HostError::Brackets, "{text}");
        }
        assert_eq!(host("::1").unwrap_err(), HostError::Colon);
    }

    #[test]
    fn a_port_is_a_canonical_decimal() {
        assert_eq!(target("a.test:1").unwrap(), "a.test:1");
        assert_eq!(target("a.test:65535").unwrap(), "a.test:65535");
        assert_eq!(target("[2001:db8::1]:443").unwrap(), "[2001:db8::1]:443");
        for port in [
            "0", "00", "0443", "+443", "-1", "65536", "443x", " 443", "4 3", "*", "", "٤",
        ] {
            let text = format!("a.test:{port}");
            assert_eq!(target(&text).unwrap_err(), TargetError::Port, "{text}");
        }
    }

    #[test]
    fn a_missing_port_is_assumed_only_where_the_scheme_has_one() {
        assert_eq!(target("a.test").unwrap_err(), TargetError::PortMissing);
        assert_eq!(target("[::1]").unwrap_err(), TargetError::PortMissing);
        let with_default = |text: &str| {
            Target::from_authority_or(text.as_bytes(), 80).map(|target| target.to_string())
        };
        assert_eq!(with_default("a.test").unwrap(), "a.test:80");
        assert_eq!(with_default("[::1]").unwrap(), "[::1]:80");
        assert_eq!(with_default("a.test:8080").unwrap(), "a.test:8080");
        assert_eq!(with_default("a.test:").unwrap_err(), TargetError::Port);
    }

    #[test]
    fn people_may_write_unicode_and_the_wire_may_not() {
        let bücher: Target = "Bücher.test:443".parse().unwrap();
        assert_eq!(bücher.to_string(), "xn--bcher-kva.test:443");
        assert_eq!(
            target("bücher.test:443").unwrap_err(),
            TargetError::Host(HostError::NotAscii)
        );
        let hidden = "al\u{200b}lowed.test:443".parse::<Target>().unwrap_err();
        assert_eq!(hidden, TargetError::Host(HostError::Invisible('\u{200b}')));
        assert!("a.test:٤".parse::<Target>().is_err());
    }

    #[test]
    fn errors_show_control_characters_escaped() {
        let error = Host::from_wire(b"a\x1b[2J.test").unwrap_err().to_string();
        assert!(
            !error.contains('\x1b') && error.contains("\\u{1b}"),
            "{error}"
        );
    }

    /// The authority of each request in the table of attacks, as the HTTP door would cut it out.
    fn authority(vector: &str, input: &str) -> Option<(Vec<u8>, Option<u16>)> {
        let input = unescape_bytes(input);
        let line = input.split(|&b| b == b'\r').next()?;
        if vector.starts_with("HTTP CONNECT") {
            let rest = line.strip_prefix(b"CONNECT ")?;
            let rest = rest.strip_suffix(b" HTTP/1.1").unwrap_or(rest);
            return Some((rest.to_vec(), None));
        }
        if vector.starts_with("HTTP absolute-form") {
            let rest = &line[line.windows(3).position(|window| window == b"://")? + 3..];
            let end = rest
                .iter()
                .position(|b| b"/?# ".contains(b))
                .unwrap_or(rest.len());
            return Some((rest[..end].to_vec(), Some(80)));
        }
        None
    }

    #[test]
    fn every_authority_of_the_table_of_attacks_is_taken_or_refused_as_it_says() {
        let (mut refused, mut closed, mut taken) = (0, 0, 0);
        for row in rows("attacks.csv") {
            let [id, class, vector, input, outcome] = &row[..] else {
                panic!("{row:?}")
            };
            let Some((bytes, port)) = authority(vector, input) else {
                continue;
            };
            let parsed = Target::parse(&bytes, port);
            if outcome.starts_with("reject") {
                assert!(parsed.is_err(), "{id} {class}: {parsed:?}");
                refused += 1;
            } else if outcome.contains("never approvable") || outcome.contains("without prompt") {
                match &parsed.as_ref().unwrap().host {
                    Host::Ip(ip) => assert!(screened(*ip).is_some(), "{id}: {ip}"),
                    Host::Name(name) => assert!(name.is_special(), "{id}: {name}"),
                }
                closed += 1;
            } else if outcome.starts_with("allow") {
                let host = parsed.as_ref().unwrap().host.to_string();
                assert_eq!(host, "allowed.example", "{id}");
                taken += 1;
            }
        }
        assert!(
            refused > 40 && closed > 40 && taken > 2,
            "{refused} {closed} {taken}"
        );
    }
}
