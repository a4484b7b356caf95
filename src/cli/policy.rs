//! From what was typed and what files say to the policy a proxy gets.

use crate::api::{PolicyDocument, RuleGroup};
use crate::config::{Config, ConfigError};
use crate::policy::{Entry, Origin, Verdict};

use super::failure::Failure;

/// Entries as they were typed; the first that is none is named.
pub(super) fn entries(texts: &[String]) -> Result<Vec<Entry>, Failure> {
    texts
        .iter()
        .map(|text| text.parse().map_err(Failure::usage))
        .collect()
}

/// What a session admits from the start, or from a reload on.
pub(super) fn document(config: Config, flags: &[Entry]) -> PolicyDocument {
    let group = |verdict, origin, entries: Vec<Entry>| {
        (!entries.is_empty()).then_some(RuleGroup {
            verdict,
            origin,
            entries,
        })
    };
    let rules = [
        group(Verdict::Allow, Origin::Flag, flags.to_vec()),
        group(Verdict::Allow, Origin::Config, config.allow),
        group(Verdict::Deny, Origin::Config, config.deny),
    ];
    PolicyDocument {
        rules: rules.into_iter().flatten().collect(),
        allow_cidr: config.allow_cidr,
        allow_host_ports: config.allow_host_ports,
        upstream_dns: config.upstream_dns,
        screened: Vec::new(),
    }
}

/// The person's configuration.
pub(super) fn config() -> Result<Config, Failure> {
    let path = crate::config::config_file().map_err(Failure::failed)?;
    load(&path)
}

fn load(path: &std::path::Path) -> Result<Config, Failure> {
    Config::load(path).map_err(invalid)
}

/// A configuration that cannot be used, with what to do about it.
pub(super) fn invalid(error: ConfigError) -> Failure {
    Failure::failed(error).hint(
        "vibepit config check says whether it can be used; man vibepit lists what may stand there",
    )
}
