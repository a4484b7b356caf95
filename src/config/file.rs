//! `config.toml`: what may stand in it. Unknown keys and bad values are errors that name file,
//! line and column; nothing is guessed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

use crate::policy::{Entry, parse_allow_cidr};

/// The port of a resolver that is named without one.
const DNS: u16 = 53;

/// The person's own configuration.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What every session may reach.
    pub allow: Vec<Entry>,
    /// What no session may reach.
    pub deny: Vec<Entry>,
    /// Screened networks that are opened on purpose.
    pub allow_cidr: Vec<Cidr>,
    /// Ports of the host's loopback that sandboxes reach at `host.vibepit`.
    pub allow_host_ports: Vec<HostPort>,
    /// The image of sandboxes; without one they have the host's own userland.
    pub image: Option<String>,
    /// Resolvers to ask, in the place of the host's.
    pub upstream_dns: Vec<ResolverAddress>,
    /// What happens to a target that no rule covers.
    pub unlisted_domain_behavior: Unlisted,
    approval_timeout: Later,
    presets: Later,
    sni_check: Later,
    notify_command: Later,
}

/// A network of `allow_cidr`.
#[derive(Debug, Clone, Copy)]
pub struct Cidr(pub IpNet);

/// A port of `allow_host_ports`: 1 to 65535.
#[derive(Debug, Clone, Copy)]
pub struct HostPort(pub u16);

/// An address of `upstream_dns`, with a port or without.
#[derive(Debug, Clone, Copy)]
pub struct ResolverAddress(pub SocketAddr);

/// What happens to a target that no rule covers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unlisted {
    /// It is refused at once.
    #[default]
    Reject,
}

/// A key that the design has and this version does not do: to accept it would promise it.
#[derive(Debug, Default, Clone)]
struct Later;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It does not say what it must.
    #[error("{path}:{line}:{column}: {what}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

impl Config {
    /// Reads a file; one that is not there says nothing.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that it must not.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError::Read {
                path: path.to_owned(),
                error,
            }),
        }
    }

    /// Reads a file that has to be there, because somebody named it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_named(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let before = text.get(..at).unwrap_or_default();
            ConfigError::Content {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before
                    .rsplit('\n')
                    .next()
                    .map_or(0, |line| line.chars().count())
                    + 1,
                what: error.message().to_owned(),
            }
        })
    }
}

impl<'de> Deserialize<'de> for Cidr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_allow_cidr(&text).map(Self).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for HostPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        match u16::try_from(number) {
            Ok(port @ 1..) => Ok(Self(port)),
            _ => Err(D::Error::custom(format!(
                "{number} is not a port: 1 to 65535"
            ))),
        }
    }
}

impl<'de> Deserialize<'de> for ResolverAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let with_port = text.parse::<SocketAddr>().ok();
        let plain = || {
            text.parse::<IpAddr>()
                .ok()
                .map(|ip| SocketAddr::new(ip, DNS))
        };
        with_port.or_else(plain).map(Self).ok_or_else(|| {
            D::Error::custom(format!(
                "{text:?} is not a resolver's address, such as \"192.0.2.53\" or \"[2001:db8::53]:53\""
            ))
        })
    }
}

impl<'de> Deserialize<'de> for Unlisted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "reject" => Ok(Self::Reject),
            "request_approval" => Err(D::Error::custom(
                "this version does not hold requests yet: write \"reject\", or leave it out",
            )),
            other => Err(D::Error::custom(format!("{other:?} is not \"reject\""))),
        }
    }
}

impl<'de> Deserialize<'de> for Later {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde::de::IgnoredAny::deserialize(deserializer)?;
        Err(D::Error::custom(
            "this version does not have that setting yet: take it out",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text, Path::new("c.toml"))
            .expect_err(text)
            .to_string()
    }

    #[test]
    fn a_bad_entry_is_named_with_line_and_column() {
        let error = refused("allow = [\n  \"a.example.com\",\n  \"https://x/\",\n]\n");
        assert!(error.starts_with("c.toml:3:3: "), "{error}");
    }

    #[test]
    fn what_is_not_known_or_not_there_yet_is_an_error() {
        assert!(refused("alow = []").contains("unknown field `alow`"));
        assert!(refused("notify_command = [\"x\"]").contains("yet"));
        assert!(refused("unlisted_domain_behavior = \"request_approval\"").contains("reject"));
    }

    #[test]
    fn values_of_the_wrong_type_or_range_are_refused() {
        for text in [
            "allow = true",
            "allow = [1]",
            "allow = []\nallow = []",
            "allow_cidr = [\"0.0.0.0/0\"]",
            "allow_host_ports = [0]",
            "allow_host_ports = [65536]",
            "upstream_dns = [\"resolver\"]",
            "image = 3",
        ] {
            refused(text);
        }
    }

    #[test]
    fn everything_that_may_stand_there_is_read() {
        let text = "allow = [\"a.example.com\"]\ndeny = [\"b.example.com:443\"]\n\
                    allow_cidr = [\"10.0.0.0/8\"]\nallow_host_ports = [5432]\nimage = \"x\"\n\
                    upstream_dns = [\"192.0.2.1\", \"[2001:db8::1]:5353\"]\n\
                    unlisted_domain_behavior = \"reject\"\n";
        let config = Config::parse(text, Path::new("c.toml")).expect("config");
        assert_eq!(
            config.allow.len() + config.deny.len() + config.allow_cidr.len(),
            3
        );
        assert_eq!(config.upstream_dns[0].0.port(), 53);
        assert_eq!(config.upstream_dns[1].0.port(), 5353);
    }
}
