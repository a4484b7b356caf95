//! Who is measured: nothing at all, the bare relays, other proxies, and vibepit.

mod relay;
mod squid;
mod tinyproxy;
pub(crate) mod vibepit;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::str::FromStr;

use anyhow::{Result, bail};

use crate::process::Process;
use crate::relay::RelayKind;

/// The one host that every allowlist allows: that of the origin, on all ports.
const ALLOWED: &str = "127.0.0.1";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Direct,
    Tokio,
    Tokio64,
    Splice,
    Squid,
    Tinyproxy,
    Vibepit,
}

impl Kind {
    /// Everybody that vibepit is compared with.
    pub(crate) const OTHERS: [Self; 6] = [
        Self::Direct,
        Self::Tokio,
        Self::Tokio64,
        Self::Splice,
        Self::Squid,
        Self::Tinyproxy,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Tokio => "tokio",
            Self::Tokio64 => "tokio64",
            Self::Splice => "splice",
            Self::Squid => "squid",
            Self::Tinyproxy => "tinyproxy",
            Self::Vibepit => "vibepit",
        }
    }

    /// Whether it knows rules, and thus what to refuse.
    pub(crate) fn filters(self) -> bool {
        matches!(self, Self::Squid | Self::Tinyproxy | Self::Vibepit)
    }

    /// Whether a GET reaches the origin: a bare relay understands CONNECT only.
    pub(crate) fn forwards(self) -> bool {
        self.filters() || self == Self::Direct
    }

    /// Starts one, with a connection accepted when this returns.
    pub(crate) fn start(self, place: &Place) -> Result<Contender> {
        let (address, process) = match self {
            Self::Direct => {
                return Ok(Contender {
                    kind: self,
                    proxy: None,
                    process: None,
                });
            }
            Self::Tokio => relay::start(RelayKind::Tokio)?,
            Self::Tokio64 => relay::start(RelayKind::Tokio64)?,
            Self::Splice => relay::start(RelayKind::Splice)?,
            Self::Squid => squid::start(place)?,
            Self::Tinyproxy => tinyproxy::start(place)?,
            Self::Vibepit => {
                let started = vibepit::start(place, 0)?;
                (started.http, started.process)
            }
        };
        Ok(Contender {
            kind: self,
            proxy: Some(address),
            process: Some(process),
        })
    }

    /// What to put under the table: the program's own words.
    pub(crate) fn version(self, place: &Place) -> Option<String> {
        let mut command = match self {
            Self::Squid => Command::new(squid::PROGRAM),
            Self::Tinyproxy => Command::new(tinyproxy::PROGRAM),
            Self::Vibepit => Command::new(&place.vibepit),
            _ => return None,
        };
        command.arg(if self == Self::Vibepit {
            "--version"
        } else {
            "-v"
        });
        let output = command.output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().next().map(|line| line.trim().to_owned())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut all = Self::OTHERS.into_iter().chain([Self::Vibepit]);
        let Some(kind) = all.find(|kind| kind.name() == text) else {
            bail!("no contender is called {text:?}; --help lists them");
        };
        Ok(kind)
    }
}

/// Where contenders find their files.
#[derive(Debug)]
pub(crate) struct Place {
    /// A directory of the run's own, readable by every user: squid and tinyproxy change theirs.
    pub(crate) directory: PathBuf,
    /// The vibepit binary.
    pub(crate) vibepit: PathBuf,
    /// How many files a process may open.
    pub(crate) descriptors: u64,
}

/// A contender that runs.
pub(crate) struct Contender {
    pub(crate) kind: Kind,
    /// Where it listens; `None`: clients go straight to the origin.
    pub(crate) proxy: Option<SocketAddr>,
    pub(crate) process: Option<Process>,
}
