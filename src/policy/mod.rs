//! Who may be reached: hosts, patterns, addresses, rules. Pure: no I/O, no async, no clock.

mod verdict;

pub use verdict::{Door, Origin, Reason, Scope, Verdict};
