//! What a rule with a budget lets through: who is admitted under it still, and how many bytes.
//!
//! Every byte that is sent counts, the heads of requests too, and so does a name that the sandbox
//! chose under a wildcard: it goes to a resolver. What the budget does not cover is not sent.

use std::error::Error;
use std::io;
use std::sync::Arc;

use super::snapshot::{Snapshot, Which};
use super::{Gate, Permit, Refusal};
use crate::policy::{Budget, Door, Host, Pattern, Target};
use crate::proxy::ledger::Ledger;

/// Counts what is sent to a target against the budget of the rule that lets it through.
pub(in crate::proxy) struct Meter {
    budget: Arc<Budget>,
    target: Target,
    door: Door,
    rule: String,
    ledger: Ledger,
    told: bool,
}

/// Why nothing more is sent. Comes as the inside of an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.why)]
struct OverBudget(Refusal);

/// Whether it was a budget that something failed for, and what is to be answered then.
pub(in crate::proxy) fn over_budget(error: &(dyn Error + 'static)) -> Option<Refusal> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let inside = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(OverBudget(refusal)) = inside.and_then(|inside| inside.downcast_ref()) {
            return Some(refusal.clone());
        }
        cause = error.source();
    }
    None
}

impl Meter {
    /// How many of so many bytes may be sent now, one at least. What of them is not sent after all
    /// is given back.
    ///
    /// # Errors
    /// When none may; the log says it then.
    pub(in crate::proxy) fn take(&mut self, wanted: usize) -> io::Result<usize> {
        let granted = self.budget.take(wanted as u64);
        if granted == 0 && wanted > 0 {
            let refusal = Refusal::over_budget(&self.target, &self.rule, &self.budget);
            if !std::mem::replace(&mut self.told, true) {
                let rule = Some(self.rule.clone());
                self.ledger
                    .cut(refusal.as_entered(&self.target, self.door, rule));
            }
            return Err(io::Error::other(OverBudget(refusal)));
        }
        // No more than was wanted, so it fits.
        Ok(usize::try_from(granted).unwrap_or(wanted))
    }

    /// Puts back what was taken and not sent.
    pub(in crate::proxy) fn give_back(&self, bytes: usize) {
        self.budget.give_back(bytes as u64);
    }
}

impl Permit {
    /// What may still be sent under the rule that gives the right, if that is limited.
    pub(in crate::proxy) fn budget(&self) -> Option<&Arc<Budget>> {
        self.snapshot.budget(self.which)
    }
}

impl Snapshot {
    /// What may still be sent under a rule, if that is limited.
    pub(super) fn budget(&self, which: Which) -> Option<&Arc<Budget>> {
        self.rule(which)?.budget()
    }

    /// Whether what is sent under a permit is counted against a rule's budget, if that has one.
    pub(super) fn counts_with(&self, which: Which, permit: &Permit) -> bool {
        let own = permit.budget();
        self.budget(which)
            .is_none_or(|budget| own.is_some_and(|own| Arc::ptr_eq(own, budget)))
    }

    /// Why a rule that allows a target admits nothing more to it, if it does not.
    pub(super) fn used_up(&self, which: Which, target: &Target) -> Option<Refusal> {
        let budget = self.budget(which)?;
        (budget.left() == 0).then(|| Refusal::over_budget(target, &self.entry(which), budget))
    }

    /// Admits something to a target under a rule that allows it, if the rule still does.
    pub(super) fn charge(&self, which: Which, target: &Target) -> Result<(), Refusal> {
        let Some(rule) = self.rule(which) else {
            return Ok(());
        };
        if let (Some(budget), Host::Name(name), Pattern::Wildcard(_)) =
            (rule.budget(), &target.host, rule.entry.pattern())
        {
            // One that does not fit takes what there is, so that nothing more is admitted.
            budget.take(name.as_str().len() as u64);
        }
        self.used_up(which, target).map_or(Ok(()), Err)
    }
}

impl Gate {
    /// What counts the bytes that are sent under a permit, if they are to be counted.
    pub(in crate::proxy) fn meter(&self, permit: &Permit) -> Option<Box<Meter>> {
        let budget = Arc::clone(permit.budget()?);
        Some(Box::new(Meter {
            budget,
            target: permit.target().clone(),
            door: permit.door(),
            rule: permit.rule(),
            ledger: self.ledger.clone(),
            told: false,
        }))
    }
}
