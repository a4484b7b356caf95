//! Who may be reached: hosts, patterns, addresses, rules. Pure: no I/O, no async, no clock.

pub mod address;
mod budget;
#[cfg(test)]
mod cases;
mod cidr;
mod entry;
mod entry_error;
mod host;
mod index;
mod name;
mod pattern;
mod ports;
mod presets;
#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod readings;
mod resemble;
mod rules;
mod show;
mod suggest;
mod verdict;

pub use address::{Screen, Screened, screened};
pub use budget::{Budget, Size, SizeError, about};
pub use cidr::{CidrError, parse_allow_cidr};
pub use entry::Entry;
pub use entry_error::EntryError;
pub use host::{Host, HostError, Target, TargetError};
pub use name::Name;
pub use pattern::{Pattern, Wildcard};
pub use ports::Ports;
pub use presets::{NoPreset, Preset, PresetName, Tool};
pub use resemble::Known;
pub use rules::{Expiry, Made, Rule, RuleSet};
pub use show::{as_text, printable, shortened, shown_target};
pub use suggest::{registrable, suggested_pattern};
pub use verdict::{Door, Origin, Reason, Scope, SniCheck, Verdict};
