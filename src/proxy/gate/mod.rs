//! Admission: the only owner of the rules in force, and the only maker of a [`Permit`].
//!
//! A door asks the gate about a target and gets a permit or a [`Refusal`]; `dial` takes nothing
//! but a permit, so that going round the policy does not compile. The rules are a [`snapshot`]
//! behind one atomic pointer: the data path loads it, has it [`judge`] a target and never waits;
//! a [`change`] builds a new one and swaps it in. What people are shown is in [`explain`].
//!
//! The gate knows no protocol and no connection: it decides about a target, and says whether
//! what it decided still holds.

mod change;
mod explain;
mod judge;
mod meter;
mod offers;
mod pace;
mod refusal;
mod snapshot;

use std::sync::{Arc, Mutex};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use crate::api::PolicyDocument;
use crate::policy::{Door, Host, Reason, Screen, SniCheck, Target};

pub(super) use self::change::{AddedRules, is_of_host};
use self::judge::Judgement;
pub(super) use self::meter::{Meter, over_budget};
use self::pace::Limit;
pub(super) use self::refusal::{Refusal, RefusedName};
use self::snapshot::{Snapshot, Which};
use super::ledger::Ledger;
use super::queue::{Answer, Queue};

/// The name under which the sandbox reaches services of the host.
pub(super) const HOST_NAME: &str = "host.vibepit";

/// The policy of a session, as it stands.
pub(super) struct Gate {
    rules: ArcSwap<Snapshot>,
    /// Held while a change is made, so that changes follow one another. The data path never
    /// touches it.
    change: Mutex<()>,
    ledger: Ledger,
    /// How many questions the name server answers.
    pub(super) questions: Limit,
    /// What waits for a person.
    pub(super) queue: Arc<Queue>,
    /// Wakes whoever removes rules whose time is up.
    pub(super) expiry_changed: Notify,
}

/// The right to reach one target, once. Only the gate makes one.
pub(super) struct Permit {
    target: Target,
    door: Door,
    snapshot: Arc<Snapshot>,
    which: Which,
}

/// How a name stands with the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admissible {
    /// A rule allows it.
    Allowed,
    /// A rule allows it, and limits what is sent.
    Limited,
    /// Somebody would be asked about a request for it.
    IfAskedAbout,
}

impl Permit {
    /// What may be reached.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The door it was asked for through.
    pub(super) fn door(&self) -> Door {
        self.door
    }

    /// The rule that gives the right, for people.
    pub(super) fn rule(&self) -> String {
        self.snapshot.entry(self.which)
    }

    /// The screen that the target's addresses have to pass.
    pub(super) fn screen(&self) -> &Screen {
        self.snapshot.screen()
    }

    /// The port of the host's loopback that this permit is for, if it is for one.
    pub(super) fn host_port(&self) -> Option<u16> {
        matches!(self.which, Which::HostPort).then_some(self.target.port)
    }
}

impl Gate {
    /// A gate with the rules that a document says hold from the start. `places` is how many
    /// connections the sandbox can have.
    pub(super) fn new(document: PolicyDocument, ledger: Ledger, places: usize) -> Self {
        Self {
            rules: ArcSwap::from_pointee(Snapshot::new(document)),
            change: Mutex::new(()),
            questions: Limit::new(),
            queue: Queue::new(ledger.clone(), places),
            ledger,
            expiry_changed: Notify::new(),
        }
    }

    /// Decides about a request, and notes a refusal. What no rule covers waits here for a person;
    /// after the wait the rules are asked again, so that a deny that came meanwhile wins.
    pub(super) async fn admit(&self, target: Target, door: Door) -> Result<Permit, Refusal> {
        let mut snapshot = self.rules.load_full();
        let mut judgement = snapshot.judge(&target, Instant::now());
        let mut answer = None;
        if let (Judgement::Unlisted, Some(asking)) = (&judgement, snapshot.asking()) {
            // What waits holds on to no rules.
            drop(snapshot);
            let offers = || self.rules.load().offers(&target);
            answer = Some(self.queue.ask(&target, door, asking, offers).await);
            snapshot = self.rules.load_full();
            judgement = snapshot.judge(&target, Instant::now());
        }
        let (refusal, rule) = match (judgement, answer) {
            (Judgement::Allow(which), _) => {
                snapshot.hit(which);
                match snapshot.charge(which, &target) {
                    Ok(()) => {
                        return Ok(Permit {
                            target,
                            door,
                            snapshot,
                            which,
                        });
                    }
                    // No other rule that covers it stands in for the one that decides.
                    Err(refusal) => (refusal, Some(snapshot.entry(which))),
                }
            }
            (Judgement::Unlisted, Some(Answer::Once)) => {
                return Ok(Permit {
                    target,
                    door,
                    snapshot,
                    which: Which::Once,
                });
            }
            (Judgement::Deny(which), Some(Answer::Denied { reason })) => {
                let rule = snapshot.entry(which);
                (
                    Refusal::denied_by_person(&target, reason.as_deref()),
                    Some(rule),
                )
            }
            (Judgement::Deny(which), _) => {
                snapshot.hit(which);
                let rule = snapshot.entry(which);
                (Refusal::denied(&target, &rule), Some(rule))
            }
            (Judgement::Screened(why), _) => (Refusal::screened(&target, why), None),
            (Judgement::Unlisted, None | Some(Answer::Judge)) => (Refusal::unlisted(&target), None),
            (Judgement::Unlisted, Some(answer)) => (Refusal::undecided(&target, &answer), None),
        };
        self.note(&target, door, &refusal, rule).await;
        Err(refusal)
    }

    /// Whether a person is asked about what no rule covers.
    pub(super) fn asks(&self) -> bool {
        self.rules.load().asking().is_some()
    }

    /// Whether a rule allows a target, without a question and without a hit.
    pub(super) fn allows(&self, target: &Target) -> bool {
        let judgement = self.rules.load().judge(target, Instant::now());
        matches!(judgement, Judgement::Allow(_))
    }

    /// Whether a rule allows a target within what a permit let through: its bytes are counted as
    /// those of the permit are.
    pub(super) fn allows_within(&self, permit: &Permit, target: &Target) -> bool {
        let now = self.rules.load();
        match now.judge(target, Instant::now()) {
            Judgement::Allow(which) => now.counts_with(which, permit),
            _ => false,
        }
    }

    /// What becomes of a tunnel whose content is for another host.
    pub(super) fn sni_check(&self) -> SniCheck {
        self.rules.load().sni_check()
    }

    /// Whether a name would be admitted on some port: what the DNS door has to know. If not, why.
    pub(super) fn admits_name(&self, host: &Host) -> Result<Admissible, RefusedName> {
        let snapshot = self.rules.load();
        match snapshot.judge_name(host, Instant::now()) {
            Judgement::Allow(which) => Ok(match snapshot.budget(which) {
                Some(_) => Admissible::Limited,
                None => Admissible::Allowed,
            }),
            Judgement::Deny(which) => {
                let rule = snapshot.entry(which);
                Err(RefusedName {
                    reason: Reason::DeniedByRule,
                    why: format!("denied by the rule {rule}"),
                    rule: Some(rule),
                })
            }
            Judgement::Screened(why) => Err(RefusedName {
                reason: Reason::ScreenedAddress,
                why: why.to_owned(),
                rule: None,
            }),
            Judgement::Unlisted if snapshot.asking().is_some() => Ok(Admissible::IfAskedAbout),
            Judgement::Unlisted => Err(RefusedName::unlisted("no rule allows it")),
        }
    }

    /// Whether what a permit gave still holds. Asked when rules have changed under an open
    /// connection.
    pub(super) fn still_admits(&self, permit: &Permit) -> bool {
        let now = self.rules.load();
        if now.generation() == permit.snapshot.generation() {
            return true;
        }
        match now.judge(&permit.target, Instant::now()) {
            // Whoever limits what may be sent means what is open, too.
            Judgement::Allow(which) => now.counts_with(which, permit),
            // No rule let it through, so none is missing.
            Judgement::Unlisted => permit.which == Which::Once,
            Judgement::Deny(_) | Judgement::Screened(_) => false,
        }
    }
}
