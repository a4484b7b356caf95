//! The ports of an entry: one, the web's, or all.

use std::num::NonZeroU16;

use super::entry_error::Problem;
use super::host::parse_port;

/// The ports a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ports {
    /// This one.
    One(NonZeroU16),
    /// 80 and 443: what an entry without a port means.
    Web,
    /// All of them.
    Any,
}

impl Ports {
    /// Reads what stands behind an entry's colon.
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if text.is_empty() {
            return Err(Problem::PortMissing);
        }
        parse_port(text.as_bytes())
            .and_then(NonZeroU16::new)
            .map(Self::One)
            .ok_or(Problem::Port)
    }

    /// Whether a port is one of them.
    pub fn covers(self, port: u16) -> bool {
        match self {
            Self::One(one) => one.get() == port,
            Self::Web => port == 80 || port == 443,
            Self::Any => true,
        }
    }

    /// Whether some port is one of both.
    pub(super) fn meets(self, other: Self) -> bool {
        match (self, other) {
            (Self::One(port), other) | (other, Self::One(port)) => other.covers(port.get()),
            (Self::Web | Self::Any, Self::Web | Self::Any) => true,
        }
    }

    /// Each value that covers a port, the most specific first.
    pub(super) fn all_that_cover(port: u16) -> impl Iterator<Item = Self> {
        let web = Some(Self::Web).filter(|web| web.covers(port));
        NonZeroU16::new(port)
            .map(Self::One)
            .into_iter()
            .chain(web)
            .chain([Self::Any])
    }
}
