//! Where requests and rules are found among the sessions, and what names them for good: a place
//! holds until the sessions change, a key for as long as there is what it names.

use crate::api::{MissedView, PendingView, RuleView};
use crate::overview::Sight;
use crate::policy::{Host, Origin, Scope, Verdict, registrable, shown_target};
use crate::session::SessionId;

use super::desk::RequestKey;

/// Where a request of the list is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) session: usize,
    pub(super) at: usize,
    pub(super) missed: bool,
}

impl Place {
    pub(super) fn key(&self, sights: &[Sight]) -> RequestKey {
        let session = sights[self.session].record.id;
        (session, self.request(sights).id().to_owned())
    }

    pub(super) fn request<'s>(&self, sights: &'s [Sight]) -> Request<'s> {
        let sight = &sights[self.session];
        match self.missed {
            false => Request::Waiting(&sight.pending[self.at]),
            true => Request::Missed(&sight.missed[self.at]),
        }
    }
}

/// A request of the list: one that waits, or one that was missed.
#[derive(Clone, Copy)]
pub(super) enum Request<'s> {
    Waiting(&'s PendingView),
    Missed(&'s MissedView),
}

impl<'s> Request<'s> {
    pub(super) fn id(self) -> &'s str {
        match self {
            Self::Waiting(one) => &one.id,
            Self::Missed(one) => &one.id,
        }
    }

    pub(super) fn domain(self) -> &'s str {
        match self {
            Self::Waiting(one) => &one.domain,
            Self::Missed(one) => &one.domain,
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            Self::Waiting(one) => one.port,
            Self::Missed(one) => one.port,
        }
    }

    pub(super) fn suggestion(self) -> Option<&'s str> {
        match self {
            Self::Waiting(one) => one.suggested_pattern.as_deref(),
            Self::Missed(one) => one.suggested_pattern.as_deref(),
        }
    }

    /// What somebody registered of the name.
    pub(super) fn group(self) -> String {
        match self {
            Self::Waiting(one) => one.group.clone(),
            Self::Missed(one) => {
                let host = Host::from_text(&one.domain);
                host.map_or_else(|_| one.domain.clone(), |host| registrable(&host))
            }
        }
    }

    pub(super) fn target(self) -> String {
        shown_target(self.domain(), self.port())
    }
}

/// Where a rule is found.
#[derive(Debug, Clone, Copy)]
pub(super) struct RulePlace {
    pub(super) session: usize,
    pub(super) at: usize,
}

impl RulePlace {
    pub(super) fn rule<'s>(&self, sights: &'s [Sight]) -> (SessionId, &'s RuleView) {
        let sight = &sights[self.session];
        (sight.record.id, &sight.rules[self.at])
    }
}

/// Names a rule.
pub(super) type RuleKey = (SessionId, String, Verdict, Origin, Scope);

pub(super) fn rule_key(session: SessionId, rule: &RuleView) -> RuleKey {
    let entry = rule.entry.clone();
    (session, entry, rule.verdict, rule.origin, rule.scope)
}
