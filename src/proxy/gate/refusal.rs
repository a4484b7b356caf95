//! Refusals: why a request does not go on, in words, and the note of it in the ledger.

use std::time::SystemTime;

use crate::api::{allow_command, revoke_command};
use crate::policy::{Budget, Door, Host, Reason, Target};

use super::judge::is_host_name;
use super::{Gate, Permit};
use crate::proxy::ledger::Refused;
use crate::proxy::queue::Answer;

/// Why a request does not go on. What the door answers is made from this alone.
#[derive(Debug, Clone)]
pub(in crate::proxy) struct Refusal {
    /// From the closed list.
    pub(in crate::proxy) reason: Reason,
    /// `host:port`, or as much of what was sent as can be shown, escaped.
    pub(in crate::proxy) what: String,
    /// One clause for a person: why.
    pub(in crate::proxy) why: String,
    /// What would let it through, as the person outside would type it; empty if nothing would.
    pub(in crate::proxy) remedy: String,
}

impl Refusal {
    /// A deny rule covers it.
    pub(super) fn denied(target: &Target, rule: &str) -> Self {
        Self {
            reason: Reason::DeniedByRule,
            what: target.to_string(),
            why: format!("the rule \"deny {rule}\" refuses it"),
            remedy: revoke_command(rule),
        }
    }

    /// No rule can open it.
    pub(super) fn screened(target: &Target, why: &str) -> Self {
        Self {
            reason: Reason::ScreenedAddress,
            what: target.to_string(),
            why: format!("it is never asked about: {why}"),
            remedy: screened_remedy(target),
        }
    }

    /// Somebody was asked, and said no.
    pub(super) fn denied_by_person(target: &Target, reason: Option<&str>) -> Self {
        Self {
            reason: Reason::DeniedByPerson,
            what: target.to_string(),
            why: match reason {
                Some(reason) => format!("denied: {reason}"),
                None => "a person denied it".to_owned(),
            },
            remedy: allow_command(&target.to_string()),
        }
    }

    /// Somebody was asked, and this is what came of it.
    pub(super) fn undecided(target: &Target, answer: &Answer) -> Self {
        let (reason, why) = match answer {
            Answer::Denied { reason } => {
                return Self::denied_by_person(target, reason.as_deref());
            }
            Answer::TimedOut => (Reason::TimedOut, "nobody decided in time".to_owned()),
            Answer::Full => (
                Reason::QueueFull,
                "too many requests wait for a person already".to_owned(),
            ),
            Answer::Ended => (Reason::SessionEnded, "the session is ending".to_owned()),
            Answer::Once | Answer::Judge => return Self::unlisted(target),
        };
        Self {
            reason,
            what: target.to_string(),
            why,
            remedy: allow_command(&target.to_string()),
        }
    }

    /// What may be sent under the rule that allows it has been sent.
    pub(super) fn over_budget(target: &Target, rule: &str, budget: &Budget) -> Self {
        let size = budget.of();
        Self {
            reason: Reason::OverBudget,
            what: target.to_string(),
            why: format!("the {size} that may be sent under the rule \"allow {rule}\" are used up"),
            remedy: format!("{} --max-upload {size}", allow_command(rule)),
        }
    }

    /// The same as it is entered into the ledger.
    pub(super) fn as_entered(&self, target: &Target, door: Door, rule: Option<String>) -> Refused {
        Refused {
            at: SystemTime::now(),
            domain: target.host.to_string(),
            port: Some(target.port),
            door,
            reason: self.reason,
            rule,
            detail: Some(self.why.clone()),
            remedy: Some(self.remedy.clone()).filter(|remedy| !remedy.is_empty()),
            missed: matches!(self.reason, Reason::Unlisted | Reason::QueueFull)
                .then(|| target.clone()),
        }
    }

    /// No rule covers it.
    pub(super) fn unlisted(target: &Target) -> Self {
        let what = target.to_string();
        Self {
            reason: Reason::Unlisted,
            why: "no rule allows it".to_owned(),
            remedy: allow_command(&what),
            what,
        }
    }
}

/// Why a name is not admitted, on whatever port.
#[derive(Debug)]
pub(in crate::proxy) struct RefusedName {
    /// From the closed list.
    pub(in crate::proxy) reason: Reason,
    /// One clause for a person.
    pub(in crate::proxy) why: String,
    /// The rule that denies it.
    pub(in crate::proxy) rule: Option<String>,
}

impl RefusedName {
    /// It is allowed, and what would be asked about it elsewhere is nothing that a budget counts.
    pub(in crate::proxy) fn uncounted() -> Self {
        Self {
            reason: Reason::OverBudget,
            why: "the rule that allows it limits what is sent, and no question is counted"
                .to_owned(),
            rule: None,
        }
    }

    /// No rule covers it.
    pub(in crate::proxy) fn unlisted(why: &str) -> Self {
        Self {
            reason: Reason::Unlisted,
            why: why.to_owned(),
            rule: None,
        }
    }
}

impl Gate {
    /// A request that cannot be judged, because it cannot be parsed.
    pub(in crate::proxy) async fn malformed(
        &self,
        sent: &[u8],
        door: Door,
        why: String,
    ) -> Refusal {
        let what = shown(sent);
        let refused = Refused {
            at: SystemTime::now(),
            domain: what.clone(),
            port: None,
            door,
            reason: Reason::Malformed,
            rule: None,
            detail: Some(why.clone()),
            remedy: None,
            missed: None,
        };
        self.ledger.refused(refused).await;
        Refusal {
            reason: Reason::Malformed,
            what,
            why,
            remedy: String::new(),
        }
    }

    /// An admitted request that could not be carried out.
    pub(in crate::proxy) async fn failed(
        &self,
        target: &Target,
        door: Door,
        rule: String,
        reason: Reason,
        why: String,
    ) -> Refusal {
        let remedy = match reason {
            Reason::ScreenedAddress => screened_remedy(target),
            _ => String::new(),
        };
        let refusal = Refusal {
            reason,
            what: target.to_string(),
            why,
            remedy,
        };
        self.note(target, door, &refusal, Some(rule)).await;
        refusal
    }

    /// What a tunnel carries is for another host than it was admitted for.
    pub(in crate::proxy) async fn mismatched(
        &self,
        permit: &Permit,
        other: Option<&Target>,
        why: String,
    ) -> Refusal {
        let target = permit.target();
        let refusal = Refusal {
            reason: Reason::SniMismatch,
            what: target.to_string(),
            why,
            remedy: other.map_or_else(String::new, |other| format!("vibepit allow {other}")),
        };
        self.note(target, permit.door(), &refusal, Some(permit.rule()))
            .await;
        refusal
    }

    /// Notes a name that the DNS door refused.
    pub(in crate::proxy) async fn refused_name(&self, host: &Host, refusal: RefusedName) {
        let RefusedName { reason, why, rule } = refusal;
        let remedy = match (reason, &rule) {
            (Reason::Unlisted, _) => Some(allow_command(&host.to_string())),
            (_, Some(rule)) => Some(revoke_command(rule)),
            _ => None,
        };
        let refused = Refused {
            at: SystemTime::now(),
            domain: host.to_string(),
            port: None,
            door: Door::Dns,
            reason,
            rule,
            detail: Some(why),
            remedy,
            missed: None,
        };
        self.ledger.refused(refused).await;
    }

    /// Notes that the DNS door did not look at so many questions, of which this is the last.
    pub(in crate::proxy) async fn too_many_questions(&self, host: &Host, count: u64) {
        let refused = Refused {
            at: SystemTime::now(),
            domain: host.to_string(),
            port: None,
            door: Door::Dns,
            reason: Reason::OverBudget,
            rule: None,
            detail: Some(format!(
                "{count} questions beyond the limit were told to come back over TCP"
            )),
            remedy: None,
            missed: None,
        };
        self.ledger.refused(refused).await;
    }

    /// Notes a refusal of a target.
    pub(super) async fn note(
        &self,
        target: &Target,
        door: Door,
        refusal: &Refusal,
        rule: Option<String>,
    ) {
        let refused = refusal.as_entered(target, door, rule);
        self.ledger.refused(refused).await;
    }
}

/// What opens an address or a name that is never dialled.
pub(super) fn screened_remedy(target: &Target) -> String {
    if is_host_name(&target.host) {
        host_ports_remedy(&[target.port])
    } else {
        "allow_cidr in config.toml, if that network is meant to be reached".to_owned()
    }
}

/// What opens ports of the host.
pub(super) fn host_ports_remedy(ports: &[u16]) -> String {
    format!("allow_host_ports = {ports:?} in config.toml, then vibepit run again")
}

/// What the sandbox sent, made fit for a log: escaped, and no longer than a name can be.
fn shown(sent: &[u8]) -> String {
    let cut = &sent[..sent.len().min(256)];
    cut.escape_ascii().to_string()
}
