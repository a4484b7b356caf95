//! Rules, and the set of them that every request is looked up in.
//!
//! A set is built once and never changed, so that looking up takes no lock. The cost of a lookup
//! depends on the labels of the name that is asked about, not on the number of rules.

use std::borrow::Borrow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::budget::Budget;
use super::entry::Entry;
use super::host::{Host, Target};
use super::index::{Index, Run};
use super::presets::PresetName;
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
    /// The preset it came with.
    pub preset: Option<PresetName>,
    /// What few rules have: a million of them come from lists that nobody decided one by one.
    life: Option<Box<Life>>,
    hits: AtomicU64,
}

#[derive(Debug, Default)]
struct Life {
    made: Option<Made>,
    expires: Option<Expiry>,
    budget: Option<Arc<Budget>>,
}

/// Who made a rule, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// As the control plane saw them: `uid:1000`, `cn:vibepit CLI`.
    pub by: String,
    /// RFC 3339.
    pub at: String,
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
            preset: None,
            life: None,
            hits: AtomicU64::new(0),
        }
    }

    /// The same, which ends before its scope does.
    #[must_use]
    pub fn ending(mut self, end: Expiry) -> Self {
        self.life.get_or_insert_default().expires = Some(end);
        self
    }

    /// The same, under which no more may be sent than this.
    #[must_use]
    pub fn limited(mut self, budget: Arc<Budget>) -> Self {
        self.life.get_or_insert_default().budget = Some(budget);
        self
    }

    /// The same, with whoever made it.
    #[must_use]
    pub fn made_by(mut self, made: Made) -> Self {
        self.life.get_or_insert_default().made = Some(made);
        self
    }

    /// When it ends, if it ends before its scope does.
    pub fn expires(&self) -> Option<&Expiry> {
        self.life.as_ref()?.expires.as_ref()
    }

    /// What may still be sent under it, if that is limited.
    pub fn budget(&self) -> Option<&Arc<Budget>> {
        self.life.as_ref()?.budget.as_ref()
    }

    /// Who made it, where that is known.
    pub fn made(&self) -> Option<&Made> {
        self.life.as_ref()?.made.as_ref()
    }

    /// Whether the rule still holds.
    pub fn is_live(&self, now: Instant) -> bool {
        self.expires().is_none_or(|end| now < end.at)
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
            if self.index.has_denies() {
                let deny = run.best(&self.rules, Verdict::Deny, port, now);
                if deny.is_some() {
                    return deny;
                }
            }
            allow = allow.or_else(|| run.best(&self.rules, Verdict::Allow, port, now));
            if allow.is_some() && !self.index.has_denies() {
                return allow;
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

    /// Every live rule that covers a host on whatever port, the most specific first.
    pub fn covering<'a>(
        &'a self,
        host: &'a Host,
        now: Instant,
    ) -> impl Iterator<Item = usize> + 'a {
        self.index
            .candidates(&self.rules, host)
            .flat_map(Run::iter)
            .filter(move |&at| self.rule(at).is_live(now))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::ports::Ports;
    use super::*;

    fn rule(text: &str) -> Rule {
        let (verdict, entry) = match text.strip_prefix('!') {
            Some(entry) => (Verdict::Deny, entry),
            None => (Verdict::Allow, text),
        };
        let entry = entry.parse().unwrap_or_else(|error| panic!("{error}"));
        Rule::new(entry, verdict, Origin::Flag, Scope::Session)
    }

    fn ending(text: &str, at: Instant) -> Rule {
        rule(text).ending(Expiry {
            at,
            shown: String::new(),
        })
    }

    /// What decides about each target, as the text of the entry.
    fn decides(rules: &[&str], target: &str) -> Option<String> {
        let set = RuleSet::new(rules.iter().map(|text| rule(text)).collect());
        let target: Target = target.parse().unwrap();
        let at = set.decide(&target.host, target.port, Instant::now())?;
        let rule = &set.rules()[at];
        let mark = if rule.verdict == Verdict::Deny {
            "!"
        } else {
            ""
        };
        Some(format!("{mark}{}", rule.entry))
    }

    #[test]
    fn a_deny_outranks_every_allow() {
        let rules = ["a.b.test:443", "!**.b.test", "*.b.test:*"];
        assert_eq!(decides(&rules, "a.b.test:443").unwrap(), "!**.b.test");
        assert_eq!(decides(&rules, "a.b.test:8443").unwrap(), "*.b.test:*");
        assert_eq!(decides(&rules, "b.test:443"), None);
    }

    #[test]
    fn of_the_allows_the_most_specific_decides() {
        let rules = [
            "**.b.test",
            "*.b.test",
            "**.a.b.test",
            "x.*.b.test",
            "c.a.b.test:*",
        ];
        for (target, by) in [
            ("c.a.b.test:443", "c.a.b.test:*"),
            ("d.a.b.test:443", "**.a.b.test"),
            ("x.y.b.test:80", "x.*.b.test"),
            ("y.b.test:80", "*.b.test"),
            ("x.y.z.b.test:80", "**.b.test"),
        ] {
            assert_eq!(decides(&rules, target).as_deref(), Some(by), "{target}");
        }
    }

    #[test]
    fn the_smallest_network_decides_and_a_literal_address_before_it() {
        let rules = [
            "192.0.0.0/8",
            "192.0.2.0/24",
            "192.0.2.7",
            "2001:db8::/32",
            "[2001:db8::1]",
        ];
        for (target, by) in [
            ("192.0.2.7:443", "192.0.2.7"),
            ("192.0.2.8:443", "192.0.2.0/24"),
            ("192.9.9.9:443", "192.0.0.0/8"),
            ("[2001:db8::1]:443", "[2001:db8::1]"),
            ("[2001:db8::2]:443", "2001:db8::/32"),
        ] {
            assert_eq!(decides(&rules, target).as_deref(), Some(by), "{target}");
        }
        assert_eq!(decides(&rules, "192.0.2.7:22"), None);
        assert_eq!(decides(&rules, "[2001:db9::1]:443"), None);
    }

    #[test]
    fn a_denied_address_is_denied_in_its_mapped_spelling() {
        for deny in ["!192.0.2.7:*", "!192.0.2.0/24:*"] {
            let rules = [deny, "[::ffff:192.0.2.7]:*"];
            for target in ["192.0.2.7:443", "[::ffff:192.0.2.7]:443"] {
                assert_eq!(decides(&rules, target).as_deref(), Some(deny), "{target}");
            }
        }
    }

    #[test]
    fn wildcards_never_cover_addresses() {
        assert_eq!(
            decides(&["**.b.test:*", "*.a.b.test:*"], "192.0.2.7:443"),
            None
        );
    }

    #[test]
    fn a_rule_decides_until_it_ends() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let set = RuleSet::new(vec![
            ending("!a.test:443", later),
            ending("!a.test:443", now),
            rule("a.test:443"),
        ]);
        let host = Host::from_text("a.test").unwrap();
        assert_eq!(set.decide(&host, 443, now), Some(0));
        assert_eq!(set.decide(&host, 443, later), Some(2));
        assert_eq!(set.matching(&host, 443).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn many_ports_and_many_copies_of_one_name_do_not_hide_each_other() {
        let mut rules: Vec<_> = (1..=2000)
            .rev()
            .map(|port| rule(&format!("a.test:{port}")))
            .collect();
        rules.extend((0..100).map(|_| rule("a.test:7")));
        rules.push(rule("!a.test:9"));
        let set = RuleSet::new(rules);
        let host = Host::from_text("a.test").unwrap();
        let port_of = |port| {
            let at = set.decide(&host, port, Instant::now())?;
            Some((set.rules()[at].entry.ports(), set.rules()[at].verdict))
        };
        for port in 1..=2000 {
            let verdict = if port == 9 {
                Verdict::Deny
            } else {
                Verdict::Allow
            };
            let ports = Ports::One(port.try_into().unwrap());
            assert_eq!(port_of(port), Some((ports, verdict)));
        }
        assert_eq!(port_of(2001), None);
        assert_eq!(set.matching(&host, 7).count(), 101);
    }

    #[test]
    fn shared_rules_count_their_hits_in_one_place() {
        let shared = Arc::new(rule("a.test"));
        let set = RuleSet::new(vec![Arc::clone(&shared)]);
        set.rules()[0].hit();
        set.rules()[0].hit();
        assert_eq!(shared.hits(), 2);
        assert_eq!(size_of::<Rule>(), 64, "a million of them are held");
    }

    #[test]
    fn of_two_rules_for_the_same_the_one_with_a_budget_decides_until_it_ends() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let budget = || Arc::new(Budget::new("1MB".parse().unwrap()));
        let set = RuleSet::new(vec![
            rule("a.test"),
            ending("a.test", later).limited(budget()),
            rule("a.test:443"),
        ]);
        let host = Host::from_text("a.test").unwrap();
        assert_eq!(set.decide(&host, 80, now), Some(1));
        assert_eq!(set.decide(&host, 80, later), Some(0));
        assert_eq!(set.decide(&host, 443, now), Some(2));
    }

    #[test]
    fn the_nearest_rule_is_of_the_same_host_or_of_the_longest_shared_suffix() {
        let now = Instant::now();
        let rules = [
            "a.test:443",
            "*.b.test:443",
            "**.x.b.test:22",
            "!c.test",
            "192.0.2.0/24",
        ];
        let set = RuleSet::new(rules.map(rule).into());
        for (target, nearest) in [
            ("a.test:8443", Some("a.test:443")),
            ("y.b.test:80", Some("*.b.test:443")),
            ("b.test:443", Some("*.b.test:443")),
            ("z.y.b.test:443", Some("*.b.test:443")),
            ("y.x.b.test:443", Some("**.x.b.test:22")),
            ("api.a.test:443", Some("a.test:443")),
            ("c.test:443", None),
            ("d.test:443", None),
            ("192.0.2.9:22", Some("192.0.2.0/24")),
            ("192.0.3.9:22", None),
        ] {
            let at = set.nearest(&target.parse().unwrap(), now);
            let at = at.map(|at| set.rules()[at].entry.to_string());
            assert_eq!(at.as_deref(), nearest, "{target}");
        }
        let ended = RuleSet::new(vec![ending("a.test:443", now)]);
        assert_eq!(ended.nearest(&"a.test:22".parse().unwrap(), now), None);
    }
}
