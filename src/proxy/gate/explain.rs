//! What people are shown of the rules: the list of them, and why a target goes through or not.

use std::time::Instant;

use crate::api::{Admission, Explanation, RuleView, allow_command, revoke_command};
use crate::policy::{Reason, Rule, Target};

use super::Gate;
use super::judge::Judgement;
use super::refusal::screened_remedy;
use super::snapshot::Which;

impl Gate {
    /// Every rule in force, files first.
    pub(in crate::proxy) fn rules(&self) -> Vec<RuleView> {
        let now = Instant::now();
        let snapshot = self.rules.load();
        let in_force = snapshot.rules().filter(|rule| rule.is_live(now));
        in_force.map(view).collect()
    }

    /// How many rules are in force.
    pub(in crate::proxy) fn rule_count(&self) -> usize {
        self.rules.load().rule_count()
    }

    /// What happens to a request for a target, and why.
    pub(in crate::proxy) fn explain(&self, target: &Target) -> Explanation {
        let snapshot = self.rules.load();
        let now = Instant::now();
        let judgement = snapshot.judge(target, now);
        let used_up = match judgement {
            Judgement::Allow(which) => snapshot.used_up(which, target),
            _ => None,
        };
        let (admission, reason, which, says) = match (judgement, &used_up) {
            (Judgement::Allow(Which::HostPort), _) => (
                Admission::Allow,
                Reason::Allowed,
                None,
                format!("port {} is in allow_host_ports", target.port),
            ),
            (Judgement::Allow(which), Some(refusal)) => (
                Admission::Deny,
                Reason::OverBudget,
                Some(which),
                refusal.why.clone(),
            ),
            (Judgement::Allow(which), None) => {
                let rule = snapshot.rule(which);
                let from = rule.map_or_else(String::new, |rule| view(rule).came_from());
                let left = rule.and_then(|rule| view(rule).upload_shown());
                let left =
                    left.map_or_else(String::new, |left| format!("; {left} may still be sent"));
                let says = format!(
                    "the rule \"allow {}\" ({from}) covers it{left}",
                    snapshot.entry(which)
                );
                (Admission::Allow, Reason::Allowed, Some(which), says)
            }
            (Judgement::Deny(which), _) => {
                let says = format!("the rule \"deny {}\" refuses it", snapshot.entry(which));
                (Admission::Deny, Reason::DeniedByRule, Some(which), says)
            }
            (Judgement::Screened(why), _) => (
                Admission::Deny,
                Reason::ScreenedAddress,
                None,
                format!("it is never dialled: {why}"),
            ),
            (Judgement::Unlisted, _) if snapshot.asking().is_some() => {
                let says = "no rule covers it: it waits until somebody decides".to_owned();
                (Admission::Ask, Reason::Unlisted, None, says)
            }
            (Judgement::Unlisted, _) => {
                let says = "no rule covers it".to_owned();
                (Admission::Deny, Reason::Unlisted, None, says)
            }
        };
        let rule = which.and_then(|which| snapshot.rule(which)).map(view);
        let remedy = match reason {
            Reason::Unlisted => Some(allow_command(&target.to_string())),
            Reason::DeniedByRule => rule.as_ref().map(|rule| revoke_command(&rule.entry)),
            Reason::ScreenedAddress => Some(screened_remedy(target)),
            Reason::OverBudget => used_up.map(|refusal| refusal.remedy),
            _ => None,
        };
        let outranked = snapshot
            .matching(target)
            .filter(|other| other.is_live(now))
            .map(view)
            .filter(|other| Some(other) != rule.as_ref())
            .collect();
        let nearest = match reason {
            Reason::Unlisted => snapshot.nearest(target, now).map(view),
            _ => None,
        };
        Explanation {
            target: target.to_string(),
            admission,
            reason,
            says,
            rule,
            outranked,
            nearest,
            remedy,
        }
    }
}

/// A rule as it is shown.
pub(super) fn view(rule: &Rule) -> RuleView {
    RuleView {
        entry: rule.entry.to_string(),
        verdict: rule.verdict,
        origin: rule.origin,
        preset: rule.preset.map(|preset| preset.to_string()),
        scope: rule.scope,
        expires_at: rule.expires().map(|expiry| expiry.shown.clone()),
        made_by: rule.made().map(|made| made.by.clone()),
        made_at: rule.made().map(|made| made.at.clone()),
        max_upload: rule.budget().map(|budget| budget.of().to_string()),
        upload_left: rule.budget().map(|budget| budget.left()),
        hits: rule.hits(),
    }
}
