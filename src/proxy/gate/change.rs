//! How the rules change: what a person says live, what files say anew, what time ends.
//!
//! Changes follow one another under a lock that the data path never touches. Each makes the next
//! snapshot from the one that stands and swaps it in whole; only then does it say what came and
//! what went.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use crate::api::{Addition, PolicyDocument, RuleChange, RuleView, Saved, Shadowed, revoke_command};
use crate::policy::{Budget, Entry, Expiry, Made, Origin, Pattern, Ports, Rule, Scope, Verdict};

use super::explain::view;
use super::judge::Judgement;
use super::refusal::host_ports_remedy;
use super::snapshot::{Files, Snapshot};
use super::{Gate, HOST_NAME};
use crate::proxy::ledger::timestamp;

/// More live rules than a person makes; it bounds what a script can cost.
const LIVE_RULES_MAX: usize = 100_000;

/// Who is named when another session has saved something.
const SAVED: &str = "a saved decision";

/// What [`Gate::add`] did.
#[derive(Default)]
pub(in crate::proxy) struct AddedRules {
    /// Entries that are new, or whose verdict or limits changed.
    pub(in crate::proxy) added: Vec<String>,
    /// Entries that stood already.
    pub(in crate::proxy) existing: Vec<String>,
    /// Allowed entries that a deny outranks.
    pub(in crate::proxy) shadowed: Vec<Shadowed>,
    /// What else keeps allowed entries from taking effect, a sentence each.
    pub(in crate::proxy) warnings: Vec<String>,
}

/// There are as many live rules as there may be.
#[derive(Debug, thiserror::Error)]
#[error("a session takes at most {LIVE_RULES_MAX} rules live; put them into config.toml")]
pub(in crate::proxy) struct TooManyRules;

/// What [`Gate::revoke`] did.
#[derive(Default)]
pub(in crate::proxy) struct RevokedRules {
    /// Entries whose live rules are gone.
    pub(in crate::proxy) removed: Vec<String>,
    /// Entries that no rule has.
    pub(in crate::proxy) missing: Vec<String>,
    /// Rules of these entries that files hold.
    pub(in crate::proxy) kept: Vec<RuleView>,
}

impl Gate {
    /// Adds rules, all or none. Those of scope project and global are saved by the caller.
    pub(in crate::proxy) fn add(
        &self,
        verdict: Verdict,
        addition: &Addition,
        made: &Made,
        save_error: Option<&str>,
    ) -> Result<AddedRules, TooManyRules> {
        let actor = made.by.as_str();
        let change = self.begin();
        let snapshot = self.rules.load();
        let now = Instant::now();
        let mut same: HashMap<&Entry, Vec<&Rule>> =
            addition.entries.iter().map(|e| (e, Vec::new())).collect();
        let scope = addition.scope;
        for rule in snapshot.live().rules() {
            if rule.scope == scope
                && let Some(same) = same.get_mut(&rule.entry)
            {
                same.push(rule);
            }
        }
        let mut result = AddedRules::default();
        let mut replaced = HashSet::new();
        let mut added = Vec::new();
        let mut budgets = Vec::new();
        for entry in &addition.entries {
            // Named twice, it is there already the second time.
            let same = same.remove(entry);
            let stands = same.as_ref().is_none_or(|same| {
                let for_ever = |rule: &&Rule| rule.expires().is_none() && addition.ttl.is_none();
                let in_a_file =
                    scope == Scope::Session && snapshot.fixed().find(entry, verdict).is_some();
                let unlimited = |rule: &&Rule| rule.budget().is_none();
                addition.max_upload.is_none()
                    && same.iter().all(unlimited)
                    && same.iter().all(|rule| rule.verdict == verdict)
                    && (in_a_file || same.iter().any(for_ever))
            });
            if stands {
                result.existing.push(entry.to_string());
                continue;
            }
            // A later decision on the same entry and scope replaces the earlier one, opposite or
            // not.
            replaced.insert(entry);
            let origin = match scope {
                Scope::Once | Scope::Session => Origin::Session,
                Scope::Project | Scope::Global => Origin::Decision,
            };
            let mut rule = Rule::new(entry.clone(), verdict, origin, scope).made_by(made.clone());
            // What is open under an earlier budget goes on under this one, or under none.
            let earlier = same.iter().flatten().find_map(|rule| rule.budget());
            let budget = addition.max_upload.map(|size| match earlier {
                Some(earlier) => Arc::clone(earlier),
                None => Arc::new(Budget::new(size)),
            });
            budgets.extend(earlier.cloned());
            if let Some(budget) = budget {
                rule = rule.limited(budget);
            }
            if let Some(ttl) = addition.ttl {
                rule = rule.ending(expiry(now, ttl));
            }
            result.added.push(entry.to_string());
            added.push(Arc::new(rule));
        }
        let (gone, mut live) = parted(&snapshot, |rule| {
            rule.scope == scope && replaced.contains(&rule.entry)
        });
        live.extend(added.iter().cloned());
        if live.len() > LIVE_RULES_MAX {
            return Err(TooManyRules);
        }
        for budget in budgets {
            match addition.max_upload {
                Some(size) => budget.renew(size),
                None => budget.lift(),
            }
        }
        self.swap(&change, snapshot.with_live(live), actor);
        self.tell_removed(&gone, actor);
        for rule in &added {
            self.ledger.rule_added(RuleChange {
                save_error: save_error.map(str::to_owned),
                ..changed(rule, actor)
            });
        }
        if verdict == Verdict::Allow {
            let snapshot = self.rules.load();
            result.shadowed = shadowed(&snapshot, &addition.entries);
            let unopened = |entry| unopened(entry, snapshot.host_ports());
            result.warnings = addition.entries.iter().filter_map(unopened).collect();
            if addition.max_upload.is_some() {
                result
                    .warnings
                    .extend(unlimited(&snapshot, &addition.entries));
            }
        }
        Ok(result)
    }

    /// Removes the live rules of these entries, whatever their verdict.
    pub(in crate::proxy) fn revoke(&self, entries: &[Entry], actor: &str) -> RevokedRules {
        let change = self.begin();
        let snapshot = self.rules.load();
        let named: HashSet<&Entry> = entries.iter().collect();
        let (gone, live) = parted(&snapshot, |rule| named.contains(&rule.entry));
        let removed: HashSet<&Entry> = gone.iter().map(|rule| &rule.entry).collect();
        let mut result = RevokedRules::default();
        for entry in entries {
            if removed.contains(entry) {
                result.removed.push(entry.to_string());
            }
            let fixed = snapshot.fixed();
            let kept: Vec<_> = [Verdict::Allow, Verdict::Deny]
                .into_iter()
                .filter_map(|verdict| fixed.find(entry, verdict))
                .map(|at| view(&fixed.rules()[at]))
                .collect();
            if kept.is_empty() && !removed.contains(entry) {
                result.missing.push(entry.to_string());
            }
            result.kept.extend(kept);
        }
        self.swap(&change, snapshot.with_live(live), actor);
        self.tell_removed(&gone, actor);
        result
    }

    /// Removes rules whose time is up. Says how many those were, and when the next one ends.
    pub(in crate::proxy) fn expire(&self) -> (usize, Option<Instant>) {
        let change = self.begin();
        let snapshot = self.rules.load();
        let now = Instant::now();
        let (gone, kept) = parted(&snapshot, |rule| !rule.is_live(now));
        let next = kept
            .iter()
            .filter_map(|rule| rule.expires())
            .map(|e| e.at)
            .min();
        if !gone.is_empty() {
            self.swap(&change, snapshot.with_live(kept), "vibepit");
            self.tell_removed(&gone, "vibepit");
        }
        (gone.len(), next)
    }

    /// Puts what is saved now in the place of what was saved before. Nothing is touched, or told,
    /// that is the same. Says how many rules changed.
    pub(in crate::proxy) fn follow(&self, saved: Vec<(Saved, Option<Made>)>) -> usize {
        let change = self.begin();
        let snapshot = self.rules.load();
        let mut wanted: HashMap<Saved, Option<Made>> = saved.into_iter().collect();
        let as_saved = |rule: &Rule| Saved {
            scope: rule.scope,
            verdict: rule.verdict,
            entry: rule.entry.clone(),
        };
        let (gone, mut live) = parted(&snapshot, |rule| {
            rule.origin == Origin::Decision && !wanted.contains_key(&as_saved(rule))
        });
        for rule in live.iter().filter(|rule| rule.origin == Origin::Decision) {
            wanted.remove(&as_saved(rule));
        }
        let added: Vec<_> = wanted
            .into_iter()
            .map(|(new, made)| {
                let rule = Rule::new(new.entry, new.verdict, Origin::Decision, new.scope);
                Arc::new(match made {
                    Some(made) => rule.made_by(made),
                    None => rule,
                })
            })
            .collect();
        if gone.is_empty() && added.is_empty() {
            return 0;
        }
        live.extend(added.iter().cloned());
        self.swap(&change, snapshot.with_live(live), SAVED);
        self.tell_removed(&gone, SAVED);
        for rule in &added {
            self.ledger.rule_added(changed(rule, SAVED));
        }
        gone.len() + added.len()
    }

    /// Puts what files say now in the place of what they said before, and says how many rules
    /// those are. Flags are of this session: they were taken at the start and may have been
    /// revoked.
    pub(in crate::proxy) fn replace(&self, document: PolicyDocument) -> usize {
        let change = self.begin();
        let files = Files::new(document);
        let rules = files.rule_count();
        let next = self.rules.load().with_files(files);
        self.swap(&change, next, "vibepit");
        rules
    }

    fn begin(&self) -> MutexGuard<'_, ()> {
        // A panic in a change leaves the last snapshot, which is whole: go on with it.
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn swap(&self, _change: &MutexGuard<'_, ()>, next: Snapshot, actor: &str) {
        let next = Arc::new(next);
        self.rules.store(Arc::clone(&next));
        self.expiry_changed.notify_one();
        let now = Instant::now();
        self.queue.settle(
            |target| match next.judge(target, now) {
                Judgement::Allow(_) => Some(Verdict::Allow),
                Judgement::Deny(_) | Judgement::Screened(_) => Some(Verdict::Deny),
                Judgement::Unlisted => next.asking().is_none().then_some(Verdict::Deny),
            },
            actor,
        );
    }

    fn tell_removed(&self, gone: &[Arc<Rule>], actor: &str) {
        for rule in gone {
            self.ledger.rule_removed(changed(rule, actor));
        }
    }
}

/// The live rules that go, and those that stay.
fn parted(snapshot: &Snapshot, goes: impl Fn(&Rule) -> bool) -> (Vec<Arc<Rule>>, Vec<Arc<Rule>>) {
    snapshot
        .live()
        .rules()
        .iter()
        .cloned()
        .partition(|rule| goes(rule))
}

/// Which of these entries, just allowed, a deny rule outranks.
fn shadowed(snapshot: &Snapshot, entries: &[Entry]) -> Vec<Shadowed> {
    let denies: Vec<&Rule> = snapshot
        .rules()
        .filter(|rule| rule.verdict == Verdict::Deny)
        .collect();
    entries
        .iter()
        .filter_map(|entry| {
            let by = denies.iter().find(|deny| deny.entry.shadows(entry))?;
            Some(Shadowed {
                entry: entry.to_string(),
                by: view(by),
            })
        })
        .collect()
}

/// Whether an entry is about this machine, under the name that the sandbox has for it.
pub(in crate::proxy) fn is_of_host(entry: &Entry) -> bool {
    matches!(entry.pattern(), Pattern::Name(name) if name.as_str() == HOST_NAME)
}

/// That an entry, just allowed, leaves ports of the host closed, which no rule opens.
fn unopened(entry: &Entry, open: &[u16]) -> Option<String> {
    if !is_of_host(entry) {
        return None;
    }
    let ports = match entry.ports() {
        Ports::One(port) => vec![port.get()],
        Ports::Web => vec![80, 443],
        Ports::Any => {
            return Some(format!(
                "{entry} opens no port of the host: that takes each port in allow_host_ports in \
                 config.toml, then vibepit run again"
            ));
        }
    };
    let closed: Vec<_> = ports
        .into_iter()
        .filter(|port| !open.contains(port))
        .collect();
    let named: Vec<_> = closed.iter().map(u16::to_string).collect();
    (!closed.is_empty()).then(|| {
        format!(
            "{entry} does not open port {} of the host: that takes {}",
            named.join(" and "),
            host_ports_remedy(&closed)
        )
    })
}

/// What was allowed live of the same hosts, decides about some of it, and sends what it likes.
fn unlimited(snapshot: &Snapshot, entries: &[Entry]) -> Vec<String> {
    let live = snapshot.live().rules().iter();
    live.filter(|rule| rule.verdict == Verdict::Allow && rule.budget().is_none())
        .filter(|rule| {
            let within = |entry: &Entry| *entry != rule.entry && entry.shadows(&rule.entry);
            entries.iter().any(within)
        })
        .map(|rule| {
            let entry = rule.entry.to_string();
            format!(
                "{entry} is allowed as well, and what is sent under it is not limited; to take it \
                 back: {}",
                revoke_command(&entry)
            )
        })
        .collect()
}

fn changed(rule: &Rule, actor: &str) -> RuleChange {
    RuleChange {
        rule: view(rule),
        actor: actor.to_owned(),
        save_error: None,
    }
}

fn expiry(now: Instant, ttl: Duration) -> Expiry {
    Expiry {
        at: now + ttl,
        shown: timestamp(SystemTime::now() + ttl),
    }
}
