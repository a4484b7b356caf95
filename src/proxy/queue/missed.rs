//! What was refused while nobody decided, so that it can still be decided for the next try.

use std::collections::VecDeque;
use std::time::{Instant, SystemTime};

use super::entry::Entry;
use crate::api::{Asking, MissedView};
use crate::policy::{Reason, Target};
use crate::proxy::ledger::timestamp;

/// Targets that are remembered; the one that was missed longest ago goes first.
const MISSED: usize = 512;

/// Newest last.
#[derive(Default)]
pub(super) struct Missed(VecDeque<(Target, MissedView)>);

impl Missed {
    /// Notes a refusal. A target stands here once, under the id it had first.
    pub(super) fn put(&mut self, target: Target, mut view: MissedView) {
        if let Some(at) = self.0.iter().position(|(other, _)| *other == target)
            && let Some((_, before)) = self.0.remove(at)
        {
            view.attempts += before.attempts;
            view.id = before.id;
        }
        if self.0.len() == MISSED {
            self.0.pop_front();
        }
        self.0.push_back((target, view));
    }

    /// Notes one more refusal of a target that stands here; false if it does not.
    pub(super) fn again(&mut self, target: &Target, reason: Reason) -> bool {
        // Clients that try again do it soon.
        let Some(at) = self.0.iter().rposition(|(other, _)| other == target) else {
            return false;
        };
        if let Some((target, mut view)) = self.0.remove(at) {
            view.reason = reason;
            view.attempts += 1;
            view.last = timestamp(SystemTime::now());
            self.0.push_back((target, view));
        }
        true
    }

    /// Takes one out as an entry for which nobody waits.
    pub(super) fn take(&mut self, id: &str) -> Option<Entry> {
        let at = self.0.iter().position(|(_, view)| view.id == id)?;
        let (target, view) = self.0.remove(at)?;
        let mut entry = Entry::new(target, Asking::default(), Instant::now());
        entry.id = view.id;
        Some(entry)
    }

    pub(super) fn target_of(&self, id: &str) -> Option<Target> {
        let found = self.0.iter().find(|(_, view)| view.id == id);
        found.map(|(target, _)| target.clone())
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&Target) -> bool) {
        self.0.retain(|(target, _)| keeps(target));
    }

    /// Newest first.
    pub(super) fn views(&self) -> Vec<MissedView> {
        self.0.iter().rev().map(|(_, view)| view.clone()).collect()
    }
}
