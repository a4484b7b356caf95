//! Rules, and the set of them that every request is looked up in.
//!
//! A set is built once and never changed, so that looking up takes no lock. The cost of a lookup
//! depends on the labels of the name that is asked about, not on the number of rules.

use std::borrow::Borrow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::entry::{Entry, Ports};
use super::host::{Host, Target};
use super::index::{Index, Run};
use super::verdict::{Origin, Scope, Verdict};

/// An entry with what is said of it, by whom and for how long.
#[derive(Debug)]
pub struct Rule {
    /// What it covers.
    pub entry: Entry,
    /// What it says.
    pub verdict: Verdict,
    /// Where it came from.
    pub origin: Origin,
    /// How long it was meant to last.
    pub scope: Scope,
    /// When it ends before its scope does.
    pub expires: Option<Box<Expiry>>,
    hits: AtomicU64,
}

/// The end of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expiry {
    /// From this instant on the rule is no more.
    pub at: Instant,
    /// The same as wall-clock time, in RFC 3339.
    pub shown: String,
}

impl Rule {
    /// A rule without an end that was never used.
    pub fn new(entry: Entry, verdict: Verdict, origin: Origin, scope: Scope) -> Self {
        Self {
            entry,
            verdict,
            origin,
            scope,
            expires: None,
            hits: AtomicU64::new(0),
        }
    }

    /// Whether the rule still holds.
    pub fn is_live(&self, now: Instant) -> bool {
        self.expires.as_ref().is_none_or(|end| now < end.at)
    }

    /// Counts one decision that this rule made.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// How many decisions this rule made.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

/// Rules, indexed. `R` is a [`Rule`] or a shared one.
#[derive(Debug)]
pub struct RuleSet<R> {
    rules: Vec<R>,
    index: Index,
}

impl<R: Borrow<Rule>> RuleSet<R> {
    /// Indexes the rules. The order among them decides nothing but ties between equal ones.
    ///
    /// # Panics
    ///
    /// With more than 2^31 rules, which do not fit into memory.
    pub fn new(rules: Vec<R>) -> Self {
        let index = Index::new(&rules);
        Self { rules, index }
    }

    /// All the rules, in the order they were given.
    pub fn rules(&self) -> &[R] {
        &self.rules
    }

    /// The rule that decides about a target: the most specific live deny, else the most specific
    /// live allow. An index into [`rules`](Self::rules); `None` when no live rule covers it.
    pub fn decide(&self, host: &Host, port: u16, now: Instant) -> Option<usize> {
        let mut allow = None;
        for run in self.index.candidates(&self.rules, host) {
            if let Some(deny) = run.best(&self.rules, Verdict::Deny, port, now) {
                return Some(deny);
            }
            if allow.is_none() {
                allow = run.best(&self.rules, Verdict::Allow, port, now);
                if allow.is_some() && !self.index.has_denies() {
                    return allow;
                }
            }
        }
        allow
    }

    /// Every rule that covers a target, ended ones too, the most specific first; of those for the
    /// same hosts the denies first.
    pub fn matching<'a>(&'a self, host: &'a Host, port: u16) -> impl Iterator<Item = usize> + 'a {
        self.index
            .candidates(&self.rules, host)
            .flat_map(Run::iter)
            .filter(move |&at| self.rule(at).entry.ports().covers(port))
    }

    /// The live allow rule that comes closest to covering a target: one for its host on other
    /// ports, else one for other names under the longest suffix that both share. To be shown to a
    /// person; nothing is decided by it.
    pub fn nearest(&self, target: &Target, now: Instant) -> Option<usize> {
        let is_allow = |at: &usize| {
            let rule = self.rule(*at);
            rule.verdict == Verdict::Allow && rule.is_live(now)
        };
        let same_host = self.index.candidates(&self.rules, &target.host);
        same_host
            .flat_map(Run::iter)
            .find(is_allow)
            .or_else(|| match &target.host {
                Host::Name(name) => {
                    let relatives = self.index.relatives(&self.rules, name.as_str());
                    relatives.flat_map(Run::iter).find(is_allow)
                }
                Host::Ip(_) => None,
            })
    }

    /// As [`decide`](Self::decide), for a host on whatever port: the allow rule that admits it
    /// somewhere, unless a deny rule refuses it everywhere.
    pub fn decide_host(&self, host: &Host, now: Instant) -> Option<usize> {
        let mut allow = None;
        let runs = self.index.candidates(&self.rules, host);
        for at in runs
            .flat_map(Run::iter)
            .filter(|&at| self.rule(at).is_live(now))
        {
            match self.rule(at).verdict {
                Verdict::Deny if self.rule(at).entry.ports() == Ports::Any => return Some(at),
                Verdict::Deny => {}
                Verdict::Allow => allow = allow.or(Some(at)),
            }
        }
        allow
    }

    /// The rule with exactly this entry and verdict, live or not.
    pub fn find(&self, entry: &Entry, verdict: Verdict) -> Option<usize> {
        let same = self.index.with_key_of(&self.rules, entry.pattern());
        same.iter().map(|&at| at as usize).find(|&at| {
            let rule = self.rule(at);
            rule.entry == *entry && rule.verdict == verdict
        })
    }

    fn rule(&self, at: usize) -> &Rule {
        self.rules[at].borrow()
    }
}
