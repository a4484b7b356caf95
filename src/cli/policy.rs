//! From what was typed and what files say to the policy a proxy gets.

use std::time::Duration;

use crate::api::{Asking, PolicyDocument, RuleGroup};
use crate::config::{Config, ConfigError, Unlisted, patience};
use crate::policy::{Entry, Origin, Verdict};

use super::args::AskArgs;
use super::failure::Failure;

/// What was said on the command line; it outranks what files say.
pub(super) struct Flags {
    allow: Vec<Entry>,
    unlisted: Option<Unlisted>,
    /// Where neither the command line nor a file says.
    otherwise: Unlisted,
    approval_timeout: Option<Duration>,
}

impl Flags {
    /// Reads what was typed.
    ///
    /// # Errors
    /// Names the first entry that is none, or a time that is none.
    pub(super) fn read(
        allow: &[String],
        asking: &AskArgs,
        otherwise: Unlisted,
    ) -> Result<Self, Failure> {
        let entries = allow
            .iter()
            .map(|text| text.parse().map_err(Failure::usage));
        let patience = asking.approval_timeout.as_deref().map(patience);
        Ok(Self {
            allow: entries.collect::<Result<_, _>>()?,
            unlisted: match (asking.ask, asking.reject) {
                (true, _) => Some(Unlisted::RequestApproval),
                (_, true) => Some(Unlisted::Reject),
                _ => None,
            },
            otherwise,
            approval_timeout: patience.transpose().map_err(Failure::usage)?,
        })
    }
}

/// What a session admits from the start, or from a reload on.
pub(super) fn document(mut config: Config, flags: &Flags) -> PolicyDocument {
    let unlisted = flags.unlisted.or(config.unlisted);
    let unlisted = unlisted.unwrap_or(flags.otherwise);
    config.approval_timeout = flags.approval_timeout.or(config.approval_timeout);
    let group = |verdict, origin, entries: Vec<Entry>| {
        (!entries.is_empty()).then_some(RuleGroup {
            verdict,
            origin,
            entries,
        })
    };
    let asking = (unlisted == Unlisted::RequestApproval).then(|| asking(&config));
    let rules = [
        group(Verdict::Allow, Origin::Flag, flags.allow.clone()),
        group(Verdict::Allow, Origin::Config, config.allow),
        group(Verdict::Deny, Origin::Config, config.deny),
    ];
    PolicyDocument {
        asking,
        rules: rules.into_iter().flatten().collect(),
        allow_cidr: config.allow_cidr,
        allow_host_ports: config.allow_host_ports,
        upstream_dns: config.upstream_dns,
        screened: Vec::new(),
        sni_check: config.sni_check,
    }
}

/// How long what no rule covers waits for a person.
fn asking(config: &Config) -> Asking {
    let seconds = |time: Duration| u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
    let approval_timeout = config
        .approval_timeout
        .map_or_else(|| Asking::default().approval_timeout, seconds);
    Asking {
        approval_timeout,
        unattended_timeout: config.unattended_timeout.map_or(approval_timeout, seconds),
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
