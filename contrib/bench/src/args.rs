//! The command line of the harness, and of the two servers it starts from the same binary.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::contender::Kind;
use crate::relay::RelayKind;

pub(crate) const HELP: &str = "\
Measures the vibepit proxy beside bare relays and other proxies.

usage: contrib/bench/run [options]

  --rounds N         rounds A B C … A B C … (5)
  --seconds S        length of one cell of a timed workload (2)
  --only NAMES       workloads, by name or first part of one: bulk,setup-32 (all)
  --against NAMES    contenders: direct,tokio,tokio64,splice,squid,tinyproxy (all)
  --subject NAME     whose numbers are compared with everybody's (vibepit)
  --tunnels N        idle tunnels (10000, or what the limit of open files allows)
  --raw FILE         also write every cell as a line of JSON
  --vibepit PATH     the binary to measure (set by the run script)

workloads: bulk-down-1 bulk-up-1 bulk-down-8 bulk-up-8 setup-1 setup-32 setup-256
           get-1 get-64 refuse-32 ping-64 tls-16 doors-16 idle rules allow ask held
           start-local start-docker";

/// What this process is.
#[derive(Debug)]
pub(crate) enum Role {
    Help,
    Origin,
    Relay(RelayKind, SocketAddr),
    Soak(PathBuf, f64),
    Run(Options),
}

/// What to measure, and for how long.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) rounds: usize,
    pub(crate) seconds: f64,
    /// Prefixes of workload names; empty means all.
    pub(crate) only: Vec<String>,
    pub(crate) against: Vec<Kind>,
    pub(crate) subject: Kind,
    pub(crate) tunnels: usize,
    pub(crate) raw: Option<PathBuf>,
    pub(crate) vibepit: PathBuf,
    /// The arguments as they were given, for the report.
    pub(crate) command: Vec<String>,
}

impl Options {
    /// Whether a workload of this name was asked for.
    pub(crate) fn wants(&self, workload: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|prefix| workload.starts_with(prefix))
    }

    /// The contenders of the run, the subject last.
    pub(crate) fn contenders(&self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self
            .against
            .iter()
            .copied()
            .filter(|kind| *kind != self.subject)
            .collect();
        kinds.push(self.subject);
        kinds
    }
}

pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Role> {
    let arguments: Vec<String> = arguments.collect();
    let mut words = arguments.iter().map(String::as_str);
    let mut options = Options {
        rounds: 5,
        seconds: 2.0,
        only: Vec::new(),
        against: Kind::OTHERS.to_vec(),
        subject: Kind::Vibepit,
        tunnels: 10_000,
        raw: None,
        vibepit: PathBuf::from("target/release/vibepit"),
        command: shown(&arguments),
    };
    while let Some(word) = words.next() {
        let mut value = || {
            words
                .next()
                .with_context(|| format!("{word} needs a value"))
        };
        match word {
            "--help" | "-h" => return Ok(Role::Help),
            "origin" => return Ok(Role::Origin),
            "relay" => return Ok(Role::Relay(value()?.parse()?, value()?.parse()?)),
            "soak" => {
                let program = PathBuf::from(value()?);
                return Ok(Role::Soak(program, number(word, value()?)?));
            }
            "--rounds" => options.rounds = number(word, value()?)?,
            "--seconds" => options.seconds = number(word, value()?)?,
            "--tunnels" => options.tunnels = number(word, value()?)?,
            "--only" => options.only = list(value()?).map(str::to_owned).collect(),
            "--against" => {
                options.against = list(value()?).map(str::parse).collect::<Result<_>>()?
            }
            "--subject" => options.subject = value()?.parse()?,
            "--raw" => options.raw = Some(value()?.into()),
            "--vibepit" => options.vibepit = value()?.into(),
            _ => bail!("unknown argument {word:?}; --help lists them"),
        }
    }
    if options.rounds == 0 || options.seconds.is_nan() || options.seconds <= 0.0 {
        bail!("--rounds and --seconds must be above 0");
    }
    Ok(Role::Run(options))
}

/// The arguments a person gave: without the path that the run script adds.
fn shown(arguments: &[String]) -> Vec<String> {
    match arguments {
        [flag, _, rest @ ..] if flag == "--vibepit" => rest.to_vec(),
        _ => arguments.to_vec(),
    }
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(|part| !part.is_empty())
}

fn number<T: std::str::FromStr>(name: &str, text: &str) -> Result<T> {
    text.parse()
        .ok()
        .with_context(|| format!("{name} needs a number, not {text:?}"))
}
