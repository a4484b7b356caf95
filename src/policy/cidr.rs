//! Networks as people write them: `192.0.2.0/24`, `2001:db8::/32`, nothing looser.

use std::net::IpAddr;

use ipnet::IpNet;
use thiserror::Error;

/// Why a network cannot be one. Each names what to write instead where that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CidrError {
    /// There is no slash, or no address before it, or no number after it.
    #[error("it is not a network: write an address, a slash and a number, such as 192.0.2.0/24")]
    Malformed,
    /// A single address.
    #[error("it is an address, not a network: write {0}")]
    Address(IpNet),
    /// The number after the slash is too large for the address.
    #[error("the number after the slash is at most {0}")]
    TooLong(u8),
    /// Every address there is.
    #[error("it covers every address there is: name a smaller network")]
    Everything,
    /// The address has bits beyond the prefix.
    #[error("its address is not the first of its network: write {0}")]
    HostBits(IpNet),
}

/// Reads one entry of `allow_cidr`: a network, never all of them.
///
/// An IPv4 network in its IPv4-mapped spelling is read as the IPv4 network it is.
pub fn parse_allow_cidr(text: &str) -> Result<IpNet, CidrError> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Err(CidrError::Address(ip.into()));
    }
    let (address, length) = text.split_once('/').ok_or(CidrError::Malformed)?;
    canonical(parse_network(address, length)?)
}

/// Reads a network from its two halves.
pub(super) fn parse_network(address: &str, length: &str) -> Result<IpNet, CidrError> {
    let address: IpAddr = address.parse().map_err(|_| CidrError::Malformed)?;
    let padded = length.len() > 1 && length.starts_with('0');
    if length.is_empty() || padded || !length.bytes().all(|b| b.is_ascii_digit()) {
        return Err(CidrError::Malformed);
    }
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = length.parse().map_err(|_| CidrError::TooLong(longest))?;
    let net = IpNet::new(address, length).map_err(|_| CidrError::TooLong(longest))?;
    if length == 0 {
        return Err(CidrError::Everything);
    }
    if net.trunc() != net {
        return Err(CidrError::HostBits(net.trunc()));
    }
    Ok(net)
}

/// The IPv4 network that an IPv4-mapped one (`::ffff:0:0/96` and longer, RFC 4291) stands for;
/// any other network as it is.
pub(super) fn canonical(net: IpNet) -> Result<IpNet, CidrError> {
    let IpNet::V6(v6) = net else { return Ok(net) };
    match (v6.addr().to_ipv4_mapped(), v6.prefix_len().checked_sub(96)) {
        (Some(_), Some(0)) => Err(CidrError::Everything),
        (Some(v4), Some(length)) => IpNet::new(v4.into(), length).map_err(|_| CidrError::Malformed),
        _ => Ok(net),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse_allow_cidr(text).unwrap_err().to_string()
    }

    #[test]
    fn networks_are_read_as_they_are_written() {
        for text in [
            "10.0.0.0/8",
            "192.0.2.7/32",
            "fd00::/8",
            "2001:db8::/32",
            "::1/128",
        ] {
            assert_eq!(parse_allow_cidr(text).unwrap().to_string(), text);
        }
        assert_eq!(
            parse_allow_cidr("::ffff:10.0.0.0/104").unwrap().to_string(),
            "10.0.0.0/8"
        );
    }

    #[test]
    fn what_covers_everything_is_refused() {
        for text in ["0.0.0.0/0", "::/0", "10.0.0.0/0", "::ffff:0:0/96"] {
            assert_eq!(parse_allow_cidr(text), Err(CidrError::Everything), "{text}");
        }
    }

    #[test]
    fn the_network_that_was_meant_is_named() {
        assert!(
            error("10.1.2.3/8").ends_with("write 10.0.0.0/8"),
            "{}",
            error("10.1.2.3/8")
        );
        assert!(
            error("10.1.2.3").ends_with("write 10.1.2.3/32"),
            "{}",
            error("10.1.2.3")
        );
        assert!(
            error("fd00::1").ends_with("write fd00::1/128"),
            "{}",
            error("fd00::1")
        );
    }

    #[test]
    fn looser_spellings_are_refused() {
        for text in [
            "10/8",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/8/8",
            "",
            "10.0.0.0/255.0.0.0",
            "010.0.0.0/8",
            " 10.0.0.0/8",
            "a.test/8",
            "[fd00::]/8",
        ] {
            assert_eq!(parse_allow_cidr(text), Err(CidrError::Malformed), "{text}");
        }
        assert_eq!(parse_allow_cidr("10.0.0.0/33"), Err(CidrError::TooLong(32)));
        assert_eq!(parse_allow_cidr("fd00::/999"), Err(CidrError::TooLong(128)));
    }
}
