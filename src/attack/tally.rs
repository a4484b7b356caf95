//! What the tries of one line came to. One that got through outweighs all that did not.

use std::collections::BTreeSet;
use std::io;

use nix::errno::Errno;

use crate::api::{Finding, Held};

/// How many ways out one line names.
const NAMED: usize = 4;

/// The tries of one line.
#[derive(Debug)]
pub(super) struct Tally {
    name: String,
    what: String,
    /// Why nothing came of those that were held.
    held: BTreeSet<String>,
    /// What came of those that were not.
    open: Vec<String>,
    /// Why there may be nothing to try.
    otherwise: &'static str,
}

impl Tally {
    pub(super) fn new(name: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            what: what.into(),
            held: BTreeSet::new(),
            open: Vec::new(),
            otherwise: "there is nothing to try",
        }
    }

    /// Says why there may be nothing to try.
    pub(super) fn or_else(mut self, otherwise: &'static str) -> Self {
        self.otherwise = otherwise;
        self
    }

    pub(super) fn held(&mut self, why: impl Into<String>) {
        self.held.insert(why.into());
    }

    pub(super) fn open(&mut self, how: impl Into<String>) {
        self.open.push(how.into());
    }

    /// A try that is held with what it failed with, and is a way out when it did not fail.
    pub(super) fn tried<T>(&mut self, what: &str, outcome: Result<T, Errno>) {
        match outcome {
            Ok(_) => self.open(what),
            Err(errno) => self.held(format!("{errno:?}")),
        }
    }

    /// The line.
    pub(super) fn finding(mut self) -> Finding {
        let outcome = match (self.open.is_empty(), self.held.is_empty()) {
            (false, _) => Held::NotHeld,
            (true, false) => Held::Held,
            (true, true) => Held::NotApplicable,
        };
        let seen = match outcome {
            Held::NotHeld => {
                let more = self.open.len().saturating_sub(NAMED);
                self.open.truncate(NAMED);
                let named = self.open.join("; ");
                match more {
                    0 => named,
                    more => format!("{named}; and {more} more"),
                }
            }
            Held::Held => self.held.into_iter().collect::<Vec<_>>().join(", "),
            Held::NotApplicable => self.otherwise.to_owned(),
        };
        Finding {
            name: self.name,
            what: self.what,
            outcome,
            seen,
        }
    }
}

/// The kernel's name for an error, as `ENETUNREACH`; its text where it has no number.
pub(super) fn name_of(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => format!("{:?}", Errno::from_raw(number)),
        None => error.to_string(),
    }
}

/// The kernel's error, for calls that go through std.
pub(super) fn errno(error: &io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_out_outweighs_all_that_were_held() {
        let mut tally = Tally::new("n", "w");
        assert_eq!(tally_of(&[], &[]).outcome, Held::NotApplicable);
        tally.tried("a", Err::<(), _>(Errno::EPERM));
        tally.tried("b", Err::<(), _>(Errno::EPERM));
        tally.tried("c", Err::<(), _>(Errno::ENOSYS));
        let finding = tally.finding();
        assert_eq!(
            (finding.outcome, finding.seen.as_str()),
            (Held::Held, "ENOSYS, EPERM")
        );
        let finding = tally_of(&["EPERM"], &["1", "2", "3", "4", "5", "6"]);
        assert_eq!(finding.outcome, Held::NotHeld);
        assert_eq!(finding.seen, "1; 2; 3; 4; and 2 more");
    }

    fn tally_of(held: &[&str], open: &[&str]) -> Finding {
        let mut tally = Tally::new("n", "w");
        held.iter().for_each(|why| tally.held(*why));
        open.iter().for_each(|how| tally.open(*how));
        tally.finding()
    }
}
