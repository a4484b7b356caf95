//! Entries: the text of a rule, read and written. One grammar for the command line, the
//! configuration and the API.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::str::FromStr;

use ipnet::IpNet;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::cidr;
use super::entry_error::{EntryError, Problem};
use super::host::{Host, HostError, Target};
use super::name;
use super::pattern::{Pattern, Wildcard};
use super::ports::Ports;

/// What a rule covers: hosts and ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Entry {
    pattern: Pattern,
    ports: Ports,
}

impl Entry {
    /// Reads an entry and accepts what covers a whole public suffix (`*.com`), because somebody
    /// insisted. Everything else is checked as ever.
    pub fn parse_forced(text: &str) -> Result<Self, EntryError> {
        parse(text).map_err(|problem| EntryError::new(text, problem))
    }

    /// Reads an entry; what is wrong with it is not yet put into words.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let entry = parse(text)?;
        match &entry.pattern {
            Pattern::Wildcard(wildcard) if is_public_suffix(wildcard.suffix()) => {
                Err(Problem::PublicSuffix(wildcard.suffix().to_owned()))
            }
            _ => Ok(entry),
        }
    }

    /// The entry that covers exactly this target. `None` for port 0, which no entry can name.
    pub fn for_target(target: &Target) -> Option<Self> {
        let ports = Ports::One(NonZeroU16::new(target.port)?);
        Some(Self {
            pattern: Pattern::from(&target.host),
            ports,
        })
    }

    /// Which hosts.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// Which ports.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// The same hosts on the port that somebody asked about, if the entry names no port and would
    /// not cover it.
    pub fn reaching(&self, port: u16) -> Self {
        match (self.ports, NonZeroU16::new(port)) {
            (Ports::Web, Some(port)) if !self.ports.covers(port.get()) => {
                self.clone().with_ports(Ports::One(port))
            }
            _ => self.clone(),
        }
    }

    /// Whether this host on this port is covered.
    pub fn covers(&self, host: &Host, port: u16) -> bool {
        self.ports.covers(port) && self.pattern.covers(host)
    }

    /// Whether a deny of this entry takes effect on all hosts of another one, on one of its ports
    /// at least: what is said to a person who allows that one.
    pub fn shadows(&self, other: &Self) -> bool {
        self.ports.meets(other.ports) && self.pattern.includes(&other.pattern)
    }

    pub(super) fn with_ports(self, ports: Ports) -> Self {
        Self { ports, ..self }
    }
}

impl FromStr for Entry {
    type Err = EntryError;

    fn from_str(text: &str) -> Result<Self, EntryError> {
        Self::read(text).map_err(|problem| EntryError::new(text, problem))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bracketed = match &self.pattern {
            Pattern::Ip(IpAddr::V6(_)) => true,
            Pattern::Net(IpNet::V6(_)) => self.ports != Ports::Web,
            _ => false,
        };
        if bracketed {
            write!(f, "[{}]", self.pattern)?;
        } else {
            self.pattern.fmt(f)?;
        }
        match self.ports {
            Ports::One(port) => write!(f, ":{port}"),
            Ports::Web => Ok(()),
            Ports::Any => f.write_str(":*"),
        }
    }
}

impl Serialize for Entry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(EntryVisitor)
    }
}

/// Parses in place, so that a million entries cost no string each.
struct EntryVisitor;

impl Visitor<'_> for EntryVisitor {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry such as \"api.example.com:443\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Entry, E> {
        text.parse().map_err(E::custom)
    }
}

fn parse(text: &str) -> Result<Entry, Problem> {
    let (pattern, ports) = if let Some(rest) = text.strip_prefix('[') {
        let (inside, rest) = rest.split_once(']').ok_or(Problem::Brackets)?;
        let port = match rest.split_at_checked(1) {
            None => None,
            Some((":", port)) => Some(port),
            Some(_) => return Err(Problem::Brackets),
        };
        (parse_bracketed(inside)?, port)
    } else if let Some((address, rest)) = text.split_once('/') {
        let (length, port) = split_port(rest);
        (Pattern::Net(cidr::parse_network(address, length)?), port)
    } else {
        let (host, port) = split_port(text);
        (parse_host(host)?, port)
    };
    let ports = ports.map_or(Ok(Ports::Web), Ports::read)?;
    Ok(Entry { pattern, ports })
}

fn split_port(text: &str) -> (&str, Option<&str>) {
    text.rsplit_once(':')
        .map_or((text, None), |(host, port)| (host, Some(port)))
}

fn parse_bracketed(inside: &str) -> Result<Pattern, Problem> {
    let Some((address, length)) = inside.split_once('/') else {
        let address: Ipv6Addr = inside.parse().map_err(|_| Problem::Brackets)?;
        return Ok(Pattern::Ip(address.into()));
    };
    match cidr::parse_network(address, length)? {
        net @ IpNet::V6(_) => Ok(Pattern::Net(net)),
        IpNet::V4(_) => Err(Problem::Brackets),
    }
}

fn parse_host(text: &str) -> Result<Pattern, Problem> {
    if text.contains('*') {
        return parse_wildcard(text);
    }
    Ok(match Host::from_text(text)? {
        Host::Name(name) => Pattern::Name(name),
        Host::Ip(ip) => Pattern::Ip(ip),
    })
}

fn parse_wildcard(text: &str) -> Result<Pattern, Problem> {
    let mapped = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        map_between_stars(text)?
    };
    let folded = mapped.strip_suffix('.').unwrap_or(&mapped);
    if folded.len() > name::NAME_MAX {
        return Err(HostError::NameTooLong.into());
    }
    for label in folded.split('.') {
        match label {
            "*" | "**" => {}
            label if label.contains('*') => return Err(Problem::PartialStar),
            label => name::check_label(label.as_bytes())?,
        }
    }
    if folded.ends_with('*') {
        return Err(Problem::NothingFixed);
    }
    if folded.matches("**").count() > 1 {
        return Err(Problem::TwoDoubleStars);
    }
    if name::ends_in_a_number(folded.as_bytes()) {
        return Err(HostError::Number.into());
    }
    Ok(Pattern::Wildcard(Wildcard::from_checked(folded)))
}

/// Maps Unicode labels to A-labels. Each run of labels between stars is mapped alone: to the
/// reading-direction rule of IDNA a star would be a label that begins with the wrong character.
fn map_between_stars(text: &str) -> Result<String, HostError> {
    let mut mapped = String::with_capacity(text.len() + 16);
    for (at, run) in text.split('*').enumerate() {
        if at > 0 {
            mapped.push('*');
        }
        if run.is_ascii() {
            mapped.push_str(&run.to_ascii_lowercase());
        } else {
            mapped.push_str(&name::to_ascii(run)?);
        }
    }
    Ok(mapped)
}

/// Whether a wildcard right before this name would cover names of many owners: the name is a
/// public suffix (a top-level domain that the list does not know is one), or the parent of a
/// wildcard entry of the list, whose children are.
fn is_public_suffix(suffix: &str) -> bool {
    let child = format!("*.{suffix}");
    psl::domain_str(suffix).is_none() || psl::suffix_str(&child) == Some(&child)
}

#[cfg(test)]
mod tests {
    use super::super::cases::{rows, unescape};
    use super::*;

    fn entry(text: &str) -> Entry {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn every_entry_of_the_table_is_valid_or_invalid_as_it_says() {
        for row in rows("rules-valid.csv") {
            let text = unescape(&row[0]);
            let valid = match row[1].as_str() {
                "valid" => true,
                "invalid" => false,
                other => panic!("{other}"),
            };
            let parsed = text.parse::<Entry>();
            assert_eq!(parsed.is_ok(), valid, "{text:?}: {parsed:?}");
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(
                serde_json::from_str::<Entry>(&json).is_ok(),
                valid,
                "{json}"
            );
        }
    }

    #[test]
    fn every_entry_of_the_table_covers_what_it_says() {
        for row in rows("rules-match.csv") {
            let [rule, host, port, expected] = &row[..] else {
                panic!("{row:?}")
            };
            let host = match host.parse() {
                Ok(ip) => Host::Ip(ip),
                Err(_) => Host::from_wire(host.as_bytes()).unwrap(),
            };
            let covers = entry(rule).covers(&host, port.parse().unwrap());
            assert_eq!(covers, expected == "match", "{rule} {host}:{port}");
        }
    }

    #[test]
    fn entries_are_printed_in_one_canonical_form() {
        for (text, printed) in [
            ("EXAMPLE.com.", "example.com"),
            ("example.com:443", "example.com:443"),
            ("example.com:*", "example.com:*"),
            ("bücher.test:80", "xn--bcher-kva.test:80"),
            ("*.Bücher.example:80", "*.xn--bcher-kva.example:80"),
            ("**.x.*.EXAMPLE.com.:8443", "**.x.*.example.com:8443"),
            ("192.0.2.7:8080", "192.0.2.7:8080"),
            ("192.0.2.7.", "192.0.2.7"),
            ("[2001:DB8::1]", "[2001:db8::1]"),
            ("[2001:db8:0::1]:443", "[2001:db8::1]:443"),
            ("192.0.2.0/24:443", "192.0.2.0/24:443"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("[2001:db8::/32]", "2001:db8::/32"),
            ("[2001:db8::/32]:443", "[2001:db8::/32]:443"),
            ("2001:db8::/32:443", "[2001:db8::/32]:443"),
            ("[2001:db8::/32]:*", "[2001:db8::/32]:*"),
        ] {
            let parsed = entry(text);
            assert_eq!(parsed.to_string(), printed);
            assert_eq!(entry(printed), parsed);
        }
    }

    #[test]
    fn what_is_no_entry_is_refused() {
        for text in [
            "*",
            "**",
            "**:*",
            "*.*",
            "*.",
            "a.*",
            "a.**",
            "192.0.2.*",
            "*.192.0.2.7",
            "*.1",
            "**.**.example.com",
            "***.example.com",
            "a.b*.example.com",
            "*..example.com",
            "*.-a.example.com",
            ".example.com",
            "example..com",
            "127.1",
            "0x7f.1",
            "0177.0.0.1",
            "2130706433:80",
            "1.2.3.4.5",
            "foo.0x7f",
            "::1",
            "2001:db8::1",
            "2001:db8::1:443",
            "[192.0.2.7]",
            "[192.0.2.0/24]",
            "[2001:db8::]/32",
            "[fe80::1%eth0]",
            "[]",
            "[::1]x",
            "[::1]443",
            "[::1]:",
            "192.0.2.1/24",
            "192.0.2.0/33",
            "0.0.0.0/0",
            "::/0",
            "[::/0]:443",
            "2001:db8::1/32",
            "192.0.2.0/024",
            "192.0.2.0/",
            "/24",
            "example.com/24",
            "a.test:443,80",
            "a.test:80-443",
            "a.test:https",
            "a.test:65536",
            "a.test:443 ",
            " a.test",
            "a.test:443 # note",
            "exam\u{200b}ple.com",
            "exam\u{ad}ple.com",
            "\u{202e}a.test",
            "xn--allowed-.example",
            "a%2e.test",
            "a;b.test",
            "a,b.test",
            "*",
            "a\\b.test",
            "ftp://a.test",
            "a.test:443:80",
            "-a.test",
            "a_.test/",
            "@a.test",
            "＊.com",
            "a＊.example.com",
            "a／b.test",
            "a：80",
        ] {
            assert!(text.parse::<Entry>().is_err(), "{text:?}");
            assert!(Entry::parse_forced(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_wildcard_over_a_public_suffix_needs_force() {
        for text in [
            "*.com",
            "**.co.uk",
            "*.github.io",
            "*.blogspot.com",
            "*.cloudfront.net:443",
            "*.workers.dev",
            "*.test",
            "**.example:443",
            "*.internal",
            "a.*.com",
            "*.*.com",
            "*.公司.cn",
            "*.xn--55qx5d.cn",
            "*.ck",
            "*.kawasaki.jp",
            "*.compute.amazonaws.com",
        ] {
            let error = text.parse::<Entry>().unwrap_err();
            assert!(error.can_be_forced(), "{error}");
            assert!(Entry::parse_forced(text).is_ok(), "{text}");
        }
        for text in [
            "*.example.com",
            "*.example.co.uk",
            "*.a.github.io",
            "**.amazonaws.com",
            "*.a.test",
            "com",
            "github.io",
            "co.uk:443",
            "*.www.ck",
            "*.city.kawasaki.jp",
        ] {
            assert!(text.parse::<Entry>().is_ok(), "{text}");
        }
    }

    #[test]
    fn the_entry_for_a_target_covers_that_target_only() {
        for text in ["a.test:8443", "192.0.2.7:1", "[2001:db8::1]:443"] {
            let target: Target = text.parse().unwrap();
            let entry = Entry::for_target(&target).unwrap();
            assert_eq!(entry.to_string(), text);
            assert!(entry.covers(&target.host, target.port));
            assert!(!entry.covers(&target.host, target.port + 1));
        }
        let nowhere = Target {
            port: 0,
            ..target("a.test:1")
        };
        assert_eq!(Entry::for_target(&nowhere), None);
    }

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn json_is_the_text() {
        let json = serde_json::to_string(&entry("a.test:*")).unwrap();
        assert_eq!(json, "\"a.test:*\"");
        assert_eq!(
            serde_json::from_str::<Entry>(&json).unwrap(),
            entry("a.test:*")
        );
        assert!(serde_json::from_str::<Entry>("\"*.com\"").is_err());
    }
}
