//! The rules at one moment, and what they say of a target.
//!
//! Two layers keep changes cheap: what files say is built once per reload and shared from one
//! snapshot to the next, what was said live is small and copied at each change. Nothing here
//! waits, and nothing here is changed once it stands, but for the counts of hits.

use std::sync::Arc;
use std::time::Instant;

use crate::api::{Asking, PolicyDocument, RuleGroup, ToldPreset};
use crate::policy::{Origin, Rule, RuleSet, Scope, Screen, SniCheck, Target};

/// All that a decision depends on, at one moment.
pub(super) struct Snapshot {
    files: Arc<Files>,
    /// From flags and from the control plane.
    live: RuleSet<Arc<Rule>>,
    generation: u64,
}

/// The layer that a reload replaces.
pub(super) struct Files {
    /// From files and presets.
    rules: RuleSet<Rule>,
    screen: Screen,
    host_ports: Vec<u16>,
    asking: Option<Asking>,
    sni_check: SniCheck,
    /// Presets whose entries the person's own tools told.
    presets: Vec<ToldPreset>,
}

/// Which rule of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// One that a file holds.
    Fixed(usize),
    /// One that was said live.
    Live(usize),
    /// `allow_host_ports`.
    HostPort,
    /// None: a person said yes to this one request.
    Once,
}

impl Files {
    /// What a document says that files hold. Its flags are of the session, and not among it.
    pub(super) fn new(document: PolicyDocument) -> Self {
        Self::beside_flags(document).0
    }

    /// How many rules they hold.
    pub(super) fn rule_count(&self) -> usize {
        self.rules.rules().len()
    }

    fn beside_flags(document: PolicyDocument) -> (Self, Vec<Arc<Rule>>) {
        let (fixed, flags) = parted_by_layer(document.rules);
        let files = Self {
            rules: RuleSet::new(fixed),
            screen: Screen::new(document.allow_cidr, document.screened),
            host_ports: document.allow_host_ports,
            asking: document.asking,
            sni_check: document.sni_check,
            presets: document.presets,
        };
        (files, flags)
    }
}

impl Snapshot {
    /// The first one: what files say, and flags.
    pub(super) fn new(document: PolicyDocument) -> Self {
        let (files, flags) = Files::beside_flags(document);
        Self {
            files: Arc::new(files),
            live: RuleSet::new(flags),
            generation: 0,
        }
    }

    /// The next one, with other live rules.
    pub(super) fn with_live(&self, live: Vec<Arc<Rule>>) -> Self {
        Self {
            files: Arc::clone(&self.files),
            live: RuleSet::new(live),
            generation: self.generation + 1,
        }
    }

    /// The next one, with other files.
    pub(super) fn with_files(&self, files: Files) -> Self {
        Self {
            files: Arc::new(files),
            live: RuleSet::new(self.live.rules().to_vec()),
            generation: self.generation + 1,
        }
    }

    /// Counts the changes that led here.
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// The rules that files hold.
    pub(super) fn fixed(&self) -> &RuleSet<Rule> {
        &self.files.rules
    }

    /// The rules that were said live. Those whose time is up are among them until they are taken
    /// out: whoever does says that they are gone, and closes what they let through.
    pub(super) fn live(&self) -> &RuleSet<Arc<Rule>> {
        &self.live
    }

    /// Every rule, those of files first.
    pub(super) fn rules(&self) -> impl Iterator<Item = &Rule> {
        let live = self.live.rules().iter().map(AsRef::as_ref);
        self.fixed().rules().iter().chain(live)
    }

    /// How many rules there are.
    pub(super) fn rule_count(&self) -> usize {
        self.files.rule_count() + self.live.rules().len()
    }

    /// What addresses have to pass.
    pub(super) fn screen(&self) -> &Screen {
        &self.files.screen
    }

    /// How long what no rule covers waits for a person; without it, it is refused.
    pub(super) fn asking(&self) -> Option<Asking> {
        self.files.asking
    }

    /// What becomes of a tunnel whose content is for another host.
    pub(super) fn sni_check(&self) -> SniCheck {
        self.files.sni_check
    }

    /// Presets whose entries the person's own tools told.
    pub(super) fn presets(&self) -> &[ToldPreset] {
        &self.files.presets
    }

    /// The ports of the host's loopback that are open.
    pub(super) fn host_ports(&self) -> &[u16] {
        &self.files.host_ports
    }

    /// The rule itself. `None` for a port of the host, which no rule opens.
    pub(super) fn rule(&self, which: Which) -> Option<&Rule> {
        match which {
            Which::Fixed(at) => self.fixed().rules().get(at),
            Which::Live(at) => self.live.rules().get(at).map(AsRef::as_ref),
            Which::HostPort | Which::Once => None,
        }
    }

    /// Counts a request that a rule decided.
    pub(super) fn hit(&self, which: Which) {
        if let Some(rule) = self.rule(which) {
            rule.hit();
        }
    }

    /// What decided, for people.
    pub(super) fn entry(&self, which: Which) -> String {
        match which {
            Which::HostPort => "allow_host_ports".to_owned(),
            Which::Once => "approved once".to_owned(),
            Which::Fixed(_) | Which::Live(_) => self
                .rule(which)
                .map_or_else(String::new, |rule| rule.entry.to_string()),
        }
    }

    /// Every rule that covers a target, the most specific of each layer first.
    pub(super) fn matching<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Rule> {
        let live = self
            .live
            .matching(&target.host, target.port)
            .map(|at| self.live.rules()[at].as_ref());
        let fixed = self
            .fixed()
            .matching(&target.host, target.port)
            .map(|at| &self.fixed().rules()[at]);
        live.chain(fixed)
    }

    /// The allow rule that comes nearest to a target that none covers.
    pub(super) fn nearest(&self, target: &Target, now: Instant) -> Option<&Rule> {
        let live = self
            .live
            .nearest(target, now)
            .map(|at| self.live.rules()[at].as_ref());
        live.or_else(|| {
            self.fixed()
                .nearest(target, now)
                .map(|at| &self.fixed().rules()[at])
        })
    }
}

/// Splits the rules of a document into what files hold and what is of this session alone.
fn parted_by_layer(groups: Vec<RuleGroup>) -> (Vec<Rule>, Vec<Arc<Rule>>) {
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
            let mut rule = Rule::new(entry, group.verdict, group.origin, scope);
            rule.preset = group.preset;
            match group.origin {
                Origin::Flag => live.push(Arc::new(rule)),
                _ => fixed.push(rule),
            }
        }
    }
    (fixed, live)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Verdict;

    fn document(origin: Origin, entry: &str) -> PolicyDocument {
        PolicyDocument {
            rules: vec![RuleGroup {
                verdict: Verdict::Allow,
                origin,
                preset: None,
                entries: vec![entry.parse().unwrap()],
            }],
            ..PolicyDocument::default()
        }
    }

    #[test]
    fn live_rules_come_and_go_beside_the_same_files() {
        let first = Snapshot::new(document(Origin::Config, "a.test"));
        let next = first.with_live(Vec::new());
        assert!(Arc::ptr_eq(&first.files, &next.files));
        assert!(next.generation() > first.generation());
    }

    #[test]
    fn files_that_are_read_again_bring_no_flag_back() {
        let first = Snapshot::new(document(Origin::Flag, "a.test"));
        assert_eq!(first.live().rules().len(), 1);
        let revoked = first.with_live(Vec::new());
        let next = revoked.with_files(Files::new(document(Origin::Flag, "a.test")));
        assert_eq!(next.rule_count(), 0);
        assert!(next.generation() > revoked.generation());
    }
}
