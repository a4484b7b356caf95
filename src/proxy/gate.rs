//! Admission: the only owner of the rules in force, and the only maker of a [`Permit`].
//!
//! A door asks the gate about a target and gets a permit or a refusal; `dial` takes nothing but
//! a permit, so that going round the policy does not compile. The rules are a snapshot behind
//! one atomic pointer: the data path loads it and never waits, a change builds a new one and
//! swaps it in. Two layers keep changes cheap: what files say is built once per reload, what was
//! said live is small and copied at each change.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;

use crate::api::{
    Addition, Admission, Explanation, PolicyDocument, RuleChange, RuleView, Shadowed,
};
use crate::policy::{
    Door, Entry, Expiry, Host, Origin, Ports, Reason, Rule, RuleSet, Scope, Screen, Target, Verdict,
};

use super::ledger::{Ledger, Refused, timestamp};

/// The name under which the sandbox reaches services of the host.
pub(super) const HOST_NAME: &str = "host.vibepit";

/// More live rules than a person makes; it bounds what a script can cost.
const LIVE_RULES_MAX: usize = 100_000;

/// The policy of a session, as it stands.
pub(super) struct Gate {
    rules: ArcSwap<Snapshot>,
    /// Held while a change is made, so that changes follow one another. The data path never
    /// touches it.
    change: Mutex<()>,
    ledger: Ledger,
    /// Wakes whoever removes rules whose time is up.
    pub(super) expiry_changed: tokio::sync::Notify,
}

/// All that a decision depends on, at one moment.
struct Snapshot {
    /// From files and presets.
    fixed: Arc<RuleSet<Rule>>,
    /// From flags and from the control plane.
    live: RuleSet<Arc<Rule>>,
    screen: Arc<Screen>,
    host_ports: Arc<[u16]>,
    generation: u64,
}

/// Which rule of a snapshot.
#[derive(Debug, Clone, Copy)]
enum Which {
    Fixed(usize),
    Live(usize),
    /// `allow_host_ports`.
    HostPort,
}

/// What the rules say of a target.
enum Judgement {
    Allow(Which),
    Deny(Which),
    Screened(&'static str),
    Unlisted,
}

/// The right to reach one target, once. Only the gate makes one.
pub(super) struct Permit {
    target: Target,
    door: Door,
    snapshot: Arc<Snapshot>,
    which: Which,
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
        &self.snapshot.screen
    }

    /// The port of the host's loopback that this permit is for, if it is for one.
    pub(super) fn host_port(&self) -> Option<u16> {
        matches!(self.which, Which::HostPort).then_some(self.target.port)
    }
}

/// Why a request does not go on. What the door answers is made from this alone.
#[derive(Debug)]
pub(super) struct Refusal {
    /// From the closed list.
    pub(super) reason: Reason,
    /// `host:port`, or as much of what was sent as can be shown, escaped.
    pub(super) what: String,
    /// One clause for a person: why.
    pub(super) why: String,
    /// What would let it through, as the person outside would type it; empty if nothing would.
    pub(super) remedy: String,
}

impl Gate {
    /// A gate with the rules that a document says hold from the start.
    pub(super) fn new(document: PolicyDocument, ledger: Ledger) -> Self {
        let (fixed, live) = rules_of(document.rules);
        let snapshot = Snapshot {
            fixed: Arc::new(RuleSet::new(fixed)),
            live: RuleSet::new(live),
            screen: Arc::new(Screen::new(document.allow_cidr, document.screened)),
            host_ports: document.allow_host_ports.into(),
            generation: 0,
        };
        Self {
            rules: ArcSwap::from_pointee(snapshot),
            change: Mutex::new(()),
            ledger,
            expiry_changed: tokio::sync::Notify::new(),
        }
    }

    /// Decides about a request, and notes a refusal. Asynchronous, since a person may have to
    /// be asked.
    pub(super) async fn admit(&self, target: Target, door: Door) -> Result<Permit, Refusal> {
        let snapshot = self.rules.load_full();
        let refusal = match snapshot.judge(&target, Instant::now()) {
            Judgement::Allow(which) => {
                snapshot.hit(which);
                return Ok(Permit {
                    target,
                    door,
                    snapshot,
                    which,
                });
            }
            Judgement::Deny(which) => {
                snapshot.hit(which);
                let rule = snapshot.entry(which);
                let refusal = Refusal {
                    reason: Reason::DeniedByRule,
                    what: target.to_string(),
                    why: format!("the rule \"deny {rule}\" refuses it"),
                    remedy: format!("vibepit revoke {rule}"),
                };
                self.note_refusal(&target, door, &refusal, Some(rule)).await;
                return Err(refusal);
            }
            Judgement::Screened(why) => Refusal {
                reason: Reason::ScreenedAddress,
                what: target.to_string(),
                why: format!("it is never asked about: {why}"),
                remedy: screened_remedy(&target),
            },
            Judgement::Unlisted => Refusal {
                reason: Reason::Unlisted,
                what: target.to_string(),
                why: "no rule allows it".to_owned(),
                remedy: format!("vibepit allow {target}"),
            },
        };
        self.note_refusal(&target, door, &refusal, None).await;
        Err(refusal)
    }

    /// Whether a name would be admitted on some port: what the DNS door has to know. `Ok` says
    /// whether a rule allows it.
    pub(super) fn admits_name(&self, host: &Host) -> Result<(), (Reason, String)> {
        let snapshot = self.rules.load();
        match snapshot.judge_name(host, Instant::now()) {
            Judgement::Allow(_) => Ok(()),
            Judgement::Deny(which) => Err((
                Reason::DeniedByRule,
                format!("denied by the rule {}", snapshot.entry(which)),
            )),
            Judgement::Screened(why) => Err((Reason::ScreenedAddress, why.to_owned())),
            Judgement::Unlisted => Err((Reason::Unlisted, "no rule allows it".to_owned())),
        }
    }

    /// A request that cannot be judged, because it cannot be parsed.
    pub(super) async fn malformed(&self, sent: &[u8], door: Door, why: String) -> Refusal {
        let what = shown(sent);
        let refused = Refused {
            at: SystemTime::now(),
            domain: what.clone(),
            port: None,
            door,
            reason: Reason::Malformed,
            rule: None,
            detail: Some(why.clone()),
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
    pub(super) async fn failed(
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
        self.note_refusal(target, door, &refusal, Some(rule)).await;
        refusal
    }

    /// Notes a name that the DNS door refused.
    pub(super) async fn refused_name(&self, host: &Host, reason: Reason, why: String) {
        let refused = Refused {
            at: SystemTime::now(),
            domain: host.to_string(),
            port: None,
            door: Door::Dns,
            reason,
            rule: None,
            detail: Some(why),
        };
        self.ledger.refused(refused).await;
    }

    async fn note_refusal(
        &self,
        target: &Target,
        door: Door,
        refusal: &Refusal,
        rule: Option<String>,
    ) {
        let refused = Refused {
            at: SystemTime::now(),
            domain: target.host.to_string(),
            port: Some(target.port),
            door,
            reason: refusal.reason,
            rule,
            detail: Some(refusal.why.clone()),
        };
        self.ledger.refused(refused).await;
    }

    /// Whether what a permit gave still holds. Asked when rules have changed under an open
    /// connection.
    pub(super) fn still_admits(&self, permit: &Permit) -> bool {
        let now = self.rules.load();
        now.generation == permit.snapshot.generation
            || matches!(
                now.judge(&permit.target, Instant::now()),
                Judgement::Allow(_)
            )
    }

    /// Every rule in force, files first.
    pub(super) fn rules(&self) -> Vec<RuleView> {
        let snapshot = self.rules.load();
        let now = Instant::now();
        let fixed = snapshot.fixed.rules().iter();
        let live = snapshot.live.rules().iter().map(AsRef::as_ref);
        fixed
            .chain(live)
            .filter(|rule| rule.is_live(now))
            .map(view)
            .collect()
    }

    /// How many rules are in force.
    pub(super) fn rule_count(&self) -> usize {
        let snapshot = self.rules.load();
        snapshot.fixed.rules().len() + snapshot.live.rules().len()
    }

    /// Adds rules of scope session, all or none.
    pub(super) fn add(
        &self,
        verdict: Verdict,
        addition: &Addition,
        actor: &str,
    ) -> Result<AddedRules, TooManyRules> {
        let change = self.begin();
        let snapshot = self.rules.load();
        let now = Instant::now();
        let mut same: HashMap<&Entry, Vec<&Rule>> =
            addition.entries.iter().map(|e| (e, Vec::new())).collect();
        for rule in snapshot.live.rules() {
            if let Some(same) = same.get_mut(&rule.entry) {
                same.push(rule);
            }
        }
        let mut result = AddedRules::default();
        let mut replaced = HashSet::new();
        let mut added = Vec::new();
        for entry in &addition.entries {
            // Named twice, it is there already the second time.
            let same = same.remove(entry);
            let stands = same.as_ref().is_none_or(|same| {
                let for_ever = |rule: &&Rule| rule.expires.is_none() && addition.ttl.is_none();
                same.iter().all(|rule| rule.verdict == verdict)
                    && (snapshot.fixed.find(entry, verdict).is_some() || same.iter().any(for_ever))
            });
            if stands {
                result.existing.push(entry.to_string());
                continue;
            }
            // A later decision on the same entry replaces the earlier one, opposite or not.
            replaced.insert(entry);
            let mut rule = Rule::new(entry.clone(), verdict, Origin::Session, Scope::Session);
            rule.expires = addition.ttl.map(|ttl| expiry(now, ttl));
            result.added.push(entry.to_string());
            added.push(Arc::new(rule));
        }
        let (gone, mut live) = parted(&snapshot, |entry| replaced.contains(entry));
        live.extend(added.iter().cloned());
        if live.len() > LIVE_RULES_MAX {
            return Err(TooManyRules);
        }
        self.swap(&change, &snapshot, Some(live), None);
        for rule in &gone {
            self.ledger.rule_removed(changed(rule, actor));
        }
        for rule in &added {
            self.ledger.rule_added(changed(rule, actor));
        }
        if verdict == Verdict::Allow {
            result.shadowed = self.shadowed(&addition.entries);
        }
        Ok(result)
    }

    /// Removes the live rules of these entries, whatever their verdict.
    pub(super) fn revoke(&self, entries: &[Entry], actor: &str) -> RevokedRules {
        let change = self.begin();
        let snapshot = self.rules.load();
        let named: HashSet<&Entry> = entries.iter().collect();
        let (gone, live) = parted(&snapshot, |entry| named.contains(entry));
        let removed: HashSet<&Entry> = gone.iter().map(|rule| &rule.entry).collect();
        let mut result = RevokedRules::default();
        for entry in entries {
            if removed.contains(entry) {
                result.removed.push(entry.to_string());
            }
            let fixed = [Verdict::Allow, Verdict::Deny]
                .into_iter()
                .filter_map(|verdict| snapshot.fixed.find(entry, verdict));
            let kept: Vec<_> = fixed.map(|at| view(&snapshot.fixed.rules()[at])).collect();
            if kept.is_empty() && !removed.contains(entry) {
                result.missing.push(entry.to_string());
            }
            result.kept.extend(kept);
        }
        self.swap(&change, &snapshot, Some(live), None);
        for rule in &gone {
            self.ledger.rule_removed(changed(rule, actor));
        }
        result
    }

    /// Puts what files say now in the place of what they said before.
    pub(super) fn replace(&self, document: PolicyDocument) -> usize {
        let change = self.begin();
        let snapshot = self.rules.load();
        // Flags are of this session: they were taken at the start and may have been revoked.
        let (fixed, _) = rules_of(document.rules);
        let rules = fixed.len();
        let files = Files {
            fixed: Arc::new(RuleSet::new(fixed)),
            screen: Arc::new(Screen::new(document.allow_cidr, document.screened)),
            host_ports: document.allow_host_ports.into(),
        };
        self.swap(&change, &snapshot, None, Some(files));
        rules
    }

    /// Removes rules whose time is up. Says when the next one ends, and how many ended now.
    pub(super) fn expire(&self) -> (usize, Option<Instant>) {
        let change = self.begin();
        let snapshot = self.rules.load();
        let now = Instant::now();
        let (gone, kept): (Vec<_>, Vec<_>) = snapshot
            .live
            .rules()
            .iter()
            .cloned()
            .partition(|rule| !rule.is_live(now));
        let next = kept
            .iter()
            .filter_map(|rule| rule.expires.as_ref())
            .map(|e| e.at)
            .min();
        if !gone.is_empty() {
            self.swap(&change, &snapshot, Some(kept), None);
            for rule in &gone {
                self.ledger.rule_removed(changed(rule, "vibepit"));
            }
        }
        (gone.len(), next)
    }

    /// What happens to a request for a target, and why.
    pub(super) fn explain(&self, target: &Target) -> Explanation {
        let snapshot = self.rules.load();
        let now = Instant::now();
        let judgement = snapshot.judge(target, now);
        let (admission, reason, which, says) = match judgement {
            Judgement::Allow(Which::HostPort) => (
                Admission::Allow,
                Reason::Allowed,
                None,
                format!("port {} is in allow_host_ports", target.port),
            ),
            Judgement::Allow(which) => {
                let rule = snapshot.rule(which);
                let from = rule.map_or_else(String::new, |rule| rule.origin.to_string());
                let says = format!(
                    "the rule \"allow {}\" ({from}) covers it",
                    snapshot.entry(which)
                );
                (Admission::Allow, Reason::Allowed, Some(which), says)
            }
            Judgement::Deny(which) => {
                let says = format!("the rule \"deny {}\" refuses it", snapshot.entry(which));
                (Admission::Deny, Reason::DeniedByRule, Some(which), says)
            }
            Judgement::Screened(why) => (
                Admission::Deny,
                Reason::ScreenedAddress,
                None,
                format!("it is never dialled: {why}"),
            ),
            Judgement::Unlisted => {
                let says = format!("no rule covers it; to allow it: vibepit allow {target}");
                (Admission::Deny, Reason::Unlisted, None, says)
            }
        };
        let rule = which.and_then(|which| snapshot.rule(which)).map(view);
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
        }
    }

    /// Which of these entries, just allowed, a deny rule outranks.
    fn shadowed(&self, entries: &[Entry]) -> Vec<Shadowed> {
        let snapshot = self.rules.load();
        let fixed = snapshot.fixed.rules().iter();
        let live = snapshot.live.rules().iter().map(AsRef::as_ref);
        let denies: Vec<&Rule> = fixed
            .chain(live)
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

    fn begin(&self) -> MutexGuard<'_, ()> {
        // A panic in a change leaves the last snapshot, which is whole: go on with it.
        self.change.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn swap(
        &self,
        _change: &MutexGuard<'_, ()>,
        old: &Snapshot,
        live: Option<Vec<Arc<Rule>>>,
        files: Option<Files>,
    ) {
        let files = files.unwrap_or_else(|| Files {
            fixed: Arc::clone(&old.fixed),
            screen: Arc::clone(&old.screen),
            host_ports: Arc::clone(&old.host_ports),
        });
        self.rules.store(Arc::new(Snapshot {
            fixed: files.fixed,
            live: RuleSet::new(live.unwrap_or_else(|| old.live.rules().to_vec())),
            screen: files.screen,
            host_ports: files.host_ports,
            generation: old.generation + 1,
        }));
        self.expiry_changed.notify_one();
    }
}

/// The part of a snapshot that a reload replaces.
struct Files {
    fixed: Arc<RuleSet<Rule>>,
    screen: Arc<Screen>,
    host_ports: Arc<[u16]>,
}

/// What [`Gate::add`] did.
#[derive(Default)]
pub(super) struct AddedRules {
    pub(super) added: Vec<String>,
    pub(super) existing: Vec<String>,
    pub(super) shadowed: Vec<Shadowed>,
}

/// There are as many live rules as there may be.
#[derive(Debug, thiserror::Error)]
#[error("a session takes at most {LIVE_RULES_MAX} rules live; put them into config.toml")]
pub(super) struct TooManyRules;

/// What [`Gate::revoke`] did.
#[derive(Default)]
pub(super) struct RevokedRules {
    pub(super) removed: Vec<String>,
    pub(super) missing: Vec<String>,
    pub(super) kept: Vec<RuleView>,
}

impl Snapshot {
    /// The order of design 5: deny, allow, else unlisted; and what no rule can open is said
    /// before that.
    fn judge(&self, target: &Target, now: Instant) -> Judgement {
        let fixed = self.fixed.decide(&target.host, target.port, now);
        let live = self.live.decide(&target.host, target.port, now);
        let fixed_verdict = fixed.map(|at| self.fixed.rules()[at].verdict);
        let live_verdict = live.map(|at| self.live.rules()[at].verdict);
        match (live.zip(live_verdict), fixed.zip(fixed_verdict)) {
            (Some((at, Verdict::Deny)), _) => return Judgement::Deny(Which::Live(at)),
            (_, Some((at, Verdict::Deny))) => return Judgement::Deny(Which::Fixed(at)),
            _ => {}
        }
        if is_host_name(&target.host) {
            return if self.host_ports.contains(&target.port) {
                Judgement::Allow(Which::HostPort)
            } else {
                Judgement::Screened("the port is not in allow_host_ports")
            };
        }
        if let Host::Ip(ip) = target.host
            && let Err(screened) = self.screen.check(ip)
        {
            return Judgement::Screened(screened.why);
        }
        match (live, fixed, &target.host) {
            (Some(at), _, _) => Judgement::Allow(Which::Live(at)),
            (_, Some(at), _) => Judgement::Allow(Which::Fixed(at)),
            (None, None, Host::Name(name)) if name.is_special() => {
                Judgement::Screened("a name of this machine or its network, not of the internet")
            }
            (None, None, _) => Judgement::Unlisted,
        }
    }

    /// As [`Self::judge`], for a name on whatever port: it is admitted if it is on one of them.
    fn judge_name(&self, host: &Host, now: Instant) -> Judgement {
        let admitted_on = |port| {
            let host = host.clone();
            matches!(self.judge(&Target { host, port }, now), Judgement::Allow(_))
        };
        if is_host_name(host) && self.host_ports.iter().any(|port| admitted_on(*port)) {
            return Judgement::Allow(Which::HostPort);
        }
        let live = self.live.covering(host, now);
        let fixed = self.fixed.covering(host, now);
        let covering = live
            .map(|at| (Which::Live(at), self.live.rules()[at].as_ref()))
            .chain(fixed.map(|at| (Which::Fixed(at), &self.fixed.rules()[at])));
        let (denies, allows): (Vec<_>, Vec<_>) =
            covering.partition(|(_, rule)| rule.verdict == Verdict::Deny);
        let denied_everywhere = denies.iter().any(|(_, r)| r.entry.ports() == Ports::Any);
        let admitted = allows.iter().find(|(_, rule)| match rule.entry.ports() {
            Ports::One(port) => admitted_on(port.get()),
            Ports::Web => admitted_on(80) || admitted_on(443),
            Ports::Any => !denied_everywhere,
        });
        match (admitted, denies.first(), host) {
            (Some((which, _)), _, _) => Judgement::Allow(*which),
            (None, Some((which, _)), _) => Judgement::Deny(*which),
            (None, None, _) if is_host_name(host) => {
                Judgement::Screened("no port is in allow_host_ports")
            }
            (None, None, Host::Name(name)) if name.is_special() => {
                Judgement::Screened("a name of this machine or its network, not of the internet")
            }
            (None, None, _) => Judgement::Unlisted,
        }
    }

    fn rule(&self, which: Which) -> Option<&Rule> {
        match which {
            Which::Fixed(at) => self.fixed.rules().get(at),
            Which::Live(at) => self.live.rules().get(at).map(AsRef::as_ref),
            Which::HostPort => None,
        }
    }

    fn hit(&self, which: Which) {
        if let Some(rule) = self.rule(which) {
            rule.hit();
        }
    }

    fn entry(&self, which: Which) -> String {
        self.rule(which).map_or_else(
            || "allow_host_ports".to_owned(),
            |rule| rule.entry.to_string(),
        )
    }

    fn matching<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Rule> {
        let live = self
            .live
            .matching(&target.host, target.port)
            .map(|at| self.live.rules()[at].as_ref());
        let fixed = self
            .fixed
            .matching(&target.host, target.port)
            .map(|at| &self.fixed.rules()[at]);
        live.chain(fixed)
    }

    fn nearest(&self, target: &Target, now: Instant) -> Option<&Rule> {
        let live = self
            .live
            .nearest(target, now)
            .map(|at| self.live.rules()[at].as_ref());
        live.or_else(|| {
            self.fixed
                .nearest(target, now)
                .map(|at| &self.fixed.rules()[at])
        })
    }
}

/// Splits the rules of a document into what files hold and what is of this session alone.
fn rules_of(groups: Vec<crate::api::RuleGroup>) -> (Vec<Rule>, Vec<Arc<Rule>>) {
    let files: usize = groups
        .iter()
        .filter(|g| g.origin != Origin::Flag)
        .map(|g| g.entries.len())
        .sum();
    let (mut fixed, mut live) = (Vec::with_capacity(files), Vec::new());
    for group in groups {
        let scope = match group.origin {
            Origin::Flag | Origin::Session => Scope::Session,
            Origin::Repository => Scope::Project,
            Origin::Preset | Origin::Config | Origin::Decision => Scope::Global,
        };
        for entry in group.entries {
            let rule = Rule::new(entry, group.verdict, group.origin, scope);
            match group.origin {
                Origin::Flag => live.push(Arc::new(rule)),
                _ => fixed.push(rule),
            }
        }
    }
    (fixed, live)
}

fn is_host_name(host: &Host) -> bool {
    matches!(host, Host::Name(name) if name.as_str() == HOST_NAME)
}

/// The live rules, those of some entries and the others. Those whose time is up stay among them
/// until [`Gate::expire`] takes them: it says that they are gone, and closes what they let through.
fn parted(snapshot: &Snapshot, named: impl Fn(&Entry) -> bool) -> (Vec<Arc<Rule>>, Vec<Arc<Rule>>) {
    let live = snapshot.live.rules().iter().cloned();
    live.partition(|rule| named(&rule.entry))
}

fn changed(rule: &Rule, actor: &str) -> RuleChange {
    RuleChange {
        rule: view(rule),
        actor: actor.to_owned(),
    }
}

fn expiry(now: Instant, ttl: Duration) -> Box<Expiry> {
    Box::new(Expiry {
        at: now + ttl,
        shown: timestamp(SystemTime::now() + ttl),
    })
}

fn view(rule: &Rule) -> RuleView {
    RuleView {
        entry: rule.entry.to_string(),
        verdict: rule.verdict,
        origin: rule.origin,
        scope: rule.scope,
        expires_at: rule.expires.as_ref().map(|expiry| expiry.shown.clone()),
        hits: rule.hits(),
    }
}

fn screened_remedy(target: &Target) -> String {
    if is_host_name(&target.host) {
        format!(
            "allow_host_ports = [{}] in config.toml, then vibepit run again",
            target.port
        )
    } else {
        "allow_cidr in config.toml, if that network is meant to be reached".to_owned()
    }
}

/// What the sandbox sent, made fit for a log: escaped, and no longer than a name can be.
fn shown(sent: &[u8]) -> String {
    let cut = &sent[..sent.len().min(256)];
    cut.escape_ascii().to_string()
}
