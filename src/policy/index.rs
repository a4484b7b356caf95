//! The index of a rule set: one hash table from what can be looked up (a name, a wildcard's fixed
//! suffix, an address, a network) to the rules that have it.
//!
//! A table slot is the number of the one rule with its key, which costs a literal rule four bytes
//! and a tag, or the number of a group of rules that share the key. In a group the rules of one
//! pattern stand together as a run, the more specific pattern first, and in a run the order is
//! such that binary search finds what decides about a port. So neither a million names nor sixty
//! thousand ports of one name make a lookup slower.

use std::borrow::Borrow;
use std::cmp::{Ordering, Reverse};
use std::hash::{BuildHasher, Hash, Hasher};
use std::iter;
use std::net::IpAddr;
use std::ops::Range;
use std::slice;
use std::time::Instant;

use hashbrown::hash_table::Entry as Slot;
use hashbrown::{DefaultHashBuilder, HashTable};
use ipnet::IpNet;

use super::host::Host;
use super::pattern::Pattern;
use super::ports::Ports;
use super::rules::Rule;
use super::verdict::Verdict;

/// Marks a slot that holds the number of a group.
const GROUP: u32 = 1 << 31;

#[derive(Debug)]
pub(super) struct Index {
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Where in `members` each group stands.
    groups: Vec<Range<u32>>,
    members: Vec<u32>,
    /// Bit n: some wildcard has a suffix of n labels.
    depths: u128,
    /// Bit n - 1: some network has a prefix of n bits.
    lengths_v4: u128,
    lengths_v6: u128,
    has_denies: bool,
}

/// What the table is keyed by.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Name(&'a [u8]),
    Suffix(&'a [u8]),
    Ip(IpAddr),
    Net(IpNet),
}

impl<'a> Key<'a> {
    fn of(pattern: &'a Pattern) -> Self {
        match pattern {
            Pattern::Name(name) => Self::Name(name.as_bytes()),
            Pattern::Wildcard(wildcard) => Self::Suffix(wildcard.suffix().as_bytes()),
            Pattern::Ip(ip) => Self::Ip(ip.to_canonical()),
            Pattern::Net(net) => Self::Net(*net),
        }
    }

    fn hash_with(&self, hasher: &DefaultHashBuilder) -> u64 {
        let mut state = hasher.build_hasher();
        match self {
            // The frequent ones without the length that `Hash` for slices adds.
            Self::Name(name) => {
                state.write_u8(0);
                state.write(name);
            }
            Self::Suffix(suffix) => {
                state.write_u8(1);
                state.write(suffix);
            }
            Self::Ip(_) | Self::Net(_) => self.hash(&mut state),
        }
        // Half of it, twice: see `Sorted`.
        let half = state.finish() >> 32;
        half << 32 | half
    }
}

/// Puts keys into the order in which a table of so many buckets has room for them, roughly. A
/// table places a key by the low bits of its hash: filled in this order it is gone through piece by
/// piece, each of which a cache holds, and not across its whole memory for each of a million keys.
fn put_by_place(keys: &mut [Sorted], buckets: usize) {
    const PIECES: usize = 256;
    let places = buckets.next_power_of_two() as u64 - 1;
    let shift = places.count_ones().saturating_sub(PIECES.ilog2());
    let piece = |key: Sorted| ((key.hash() & places) >> shift) as usize;
    let mut ends = [0; PIECES];
    for key in &*keys {
        ends[piece(*key)] += 1;
    }
    let mut next = [0; PIECES];
    for at in 1..PIECES {
        ends[at] += ends[at - 1];
    }
    next[1..].copy_from_slice(&ends[..PIECES - 1]);
    for at in 0..PIECES {
        while next[at] < ends[at] {
            let own = piece(keys[next[at]]);
            keys.swap(next[at], next[own]);
            next[own] += 1;
        }
    }
}

/// A key's hash and the number of its rule in eight bytes, as long as a million are put in order.
/// The table needs the low bits of a hash for the place and the seven highest for the tag.
#[derive(Clone, Copy)]
struct Sorted(u64);

impl Sorted {
    fn new(hash: u64, at: u32) -> Self {
        Self(hash << 32 | u64::from(at))
    }

    fn hash(&self) -> u64 {
        self.0 & !u64::from(u32::MAX) | self.0 >> 32
    }

    fn at(&self) -> u32 {
        self.0 as u32
    }
}

fn pattern<R: Borrow<Rule>>(rules: &[R], at: u32) -> &Pattern {
    rules[at as usize].borrow().entry.pattern()
}

fn pattern_key<R: Borrow<Rule>>(rules: &[R], at: u32) -> Key<'_> {
    Key::of(pattern(rules, at))
}

impl Index {
    pub(super) fn new<R: Borrow<Rule>>(rules: &[R]) -> Self {
        assert!(
            rules.len() < GROUP as usize,
            "that many rules do not fit into memory"
        );
        let mut index = Self {
            table: HashTable::with_capacity(rules.len()),
            hasher: DefaultHashBuilder::default(),
            groups: Vec::new(),
            members: Vec::new(),
            depths: 0,
            lengths_v4: 0,
            lengths_v6: 0,
            has_denies: false,
        };
        let shared = index.insert_all(rules);
        if !shared.is_empty() {
            index.group(rules, shared);
        }
        index
    }

    /// Fills the table with the first rule of each key, and returns the others, each with the
    /// first rule of its key in front.
    fn insert_all<R: Borrow<Rule>>(&mut self, rules: &[R]) -> Vec<(u32, u32)> {
        let mut keys: Vec<Sorted> = (0..)
            .zip(rules)
            .map(|(at, rule)| {
                let rule = rule.borrow();
                self.note(rule);
                Sorted::new(Key::of(rule.entry.pattern()).hash_with(&self.hasher), at)
            })
            .collect();
        let mut shared = Vec::new();
        put_by_place(&mut keys, self.table.num_buckets());
        for sorted in keys {
            let (hash, at) = (sorted.hash(), sorted.at());
            let slot = self.table.entry(
                hash,
                |&other| pattern_key(rules, other) == pattern_key(rules, at),
                |&other| pattern_key(rules, other).hash_with(&self.hasher),
            );
            match slot {
                Slot::Vacant(slot) => drop(slot.insert(at)),
                Slot::Occupied(slot) => shared.push((*slot.get(), at)),
            }
        }
        shared
    }

    /// Notes what a lookup has to try because of this rule.
    fn note(&mut self, rule: &Rule) {
        self.has_denies |= rule.verdict == Verdict::Deny;
        match rule.entry.pattern() {
            Pattern::Wildcard(wildcard) => {
                self.depths |= 1 << wildcard.suffix().split('.').count();
            }
            Pattern::Net(IpNet::V4(net)) => self.lengths_v4 |= 1 << (net.prefix_len() - 1),
            Pattern::Net(IpNet::V6(net)) => self.lengths_v6 |= 1 << (net.prefix_len() - 1),
            Pattern::Name(_) | Pattern::Ip(_) => {}
        }
    }

    fn group<R: Borrow<Rule>>(&mut self, rules: &[R], mut shared: Vec<(u32, u32)>) {
        shared.sort_unstable();
        for group in shared.chunk_by(|a, b| a.0 == b.0) {
            let first = group[0].0;
            let start = self.members.len();
            self.members.push(first);
            self.members.extend(group.iter().map(|(_, at)| at));
            self.members[start..].sort_unstable_by(|&a, &b| rank(rules, a, b));
            let hash = pattern_key(rules, first).hash_with(&self.hasher);
            let number = self.groups.len() as u32;
            if let Some(slot) = self.table.find_mut(hash, |&slot| slot == first) {
                *slot = GROUP | number;
            }
            self.groups.push(start as u32..self.members.len() as u32);
        }
        let (groups, members, hasher) = (&self.groups, &self.members, &self.hasher);
        self.table.shrink_to_fit(|slot| {
            let first = slot_rules(slot, groups, members)[0];
            pattern_key(rules, first).hash_with(hasher)
        });
    }

    pub(super) fn has_denies(&self) -> bool {
        self.has_denies
    }

    /// The runs of rules whose pattern covers a host, the most specific first.
    pub(super) fn candidates<'a, R: Borrow<Rule>>(
        &'a self,
        rules: &'a [R],
        host: &'a Host,
    ) -> impl Iterator<Item = Run<'a>> {
        let (name, ip) = match host {
            Host::Name(name) => (Some(name.as_str()), None),
            Host::Ip(ip) => (None, Some(*ip)),
        };
        let of_name = name.map(|name| {
            let wildcards = self
                .suffixes(name)
                .map(|suffix| Key::Suffix(suffix.as_bytes()));
            iter::once(Key::Name(name.as_bytes())).chain(wildcards)
        });
        let of_ip = ip.map(|ip| self.keys_of_ip(ip));
        of_name
            .into_iter()
            .flatten()
            .chain(of_ip.into_iter().flatten())
            .filter_map(|key| self.find(rules, &key))
            .flat_map(move |slot| runs(rules, slot))
            .filter(move |run| match (pattern(rules, run.0[0]), name) {
                // Every other pattern is its key.
                (Pattern::Wildcard(wildcard), Some(name)) => wildcard.covers(name),
                _ => true,
            })
    }

    /// The runs that come closest to a name without covering it: wildcards, then literal names,
    /// with the longest suffix that it shares with them.
    pub(super) fn relatives<'a, R: Borrow<Rule>>(
        &'a self,
        rules: &'a [R],
        name: &'a str,
    ) -> impl Iterator<Item = Run<'a>> {
        iter::successors(Some(name), |name| Some(name.split_once('.')?.1))
            .flat_map(|suffix| [Key::Suffix(suffix.as_bytes()), Key::Name(suffix.as_bytes())])
            .filter_map(|key| self.find(rules, &key))
            .flat_map(move |slot| runs(rules, slot))
    }

    /// The proper suffixes of a name that some wildcard may have, the longest first.
    fn suffixes<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let depths = self.depths;
        let labels = if depths == 0 {
            0
        } else {
            name.split('.').count()
        };
        let mut rest = name;
        (1..labels).rev().filter_map(move |depth| {
            rest = rest.split_once('.')?.1;
            (depths & (1 << depth) != 0).then_some(rest)
        })
    }

    fn keys_of_ip(&self, ip: IpAddr) -> impl Iterator<Item = Key<'_>> {
        let canonical = ip.to_canonical();
        let as_written = (ip != canonical).then(|| networks(ip, self.lengths_v6));
        let lengths = if canonical.is_ipv4() {
            self.lengths_v4
        } else {
            self.lengths_v6
        };
        iter::once(Key::Ip(canonical))
            .chain(networks(canonical, lengths).map(Key::Net))
            .chain(as_written.into_iter().flatten().map(Key::Net))
    }

    /// The rules that share a pattern's key; among them all that have this very pattern.
    pub(super) fn with_key_of<R: Borrow<Rule>>(&self, rules: &[R], pattern: &Pattern) -> &[u32] {
        self.find(rules, &Key::of(pattern)).unwrap_or_default()
    }

    fn find<R: Borrow<Rule>>(&self, rules: &[R], key: &Key<'_>) -> Option<&[u32]> {
        let slot = self.table.find(key.hash_with(&self.hasher), |slot| {
            let first = slot_rules(slot, &self.groups, &self.members)[0];
            pattern_key(rules, first) == *key
        })?;
        Some(slot_rules(slot, &self.groups, &self.members))
    }
}

fn slot_rules<'a>(slot: &'a u32, groups: &[Range<u32>], members: &'a [u32]) -> &'a [u32] {
    if slot & GROUP == 0 {
        return slice::from_ref(slot);
    }
    let group = &groups[(slot & !GROUP) as usize];
    &members[group.start as usize..group.end as usize]
}

/// The networks with these prefix lengths that an address is in, the smallest first.
fn networks(ip: IpAddr, lengths: u128) -> impl Iterator<Item = IpNet> {
    let mut left = lengths;
    iter::from_fn(move || {
        let length = 128 - left.leading_zeros();
        left &= !(1 << length.checked_sub(1)?);
        Some(IpNet::new(ip, length as u8).ok()?.trunc())
    })
}

/// The order inside a group.
fn rank<R: Borrow<Rule>>(rules: &[R], a: u32, b: u32) -> Ordering {
    let (first, second) = (rules[a as usize].borrow(), rules[b as usize].borrow());
    let end = |rule: &Rule| rule.expires().map(|end| Reverse(end.at));
    rank_patterns(first.entry.pattern(), second.entry.pattern())
        .then_with(|| place(first).cmp(&place(second)))
        // Whoever limits what may be sent means it, whatever else was said of the same.
        .then_with(|| second.budget().is_some().cmp(&first.budget().is_some()))
        // `None`, which never ends, sorts before every end, and the latest end before the others:
        // if any of several equal rules is live, the first one is.
        .then_with(|| end(first).cmp(&end(second)))
        .then_with(|| a.cmp(&b))
}

fn rank_patterns(a: &Pattern, b: &Pattern) -> Ordering {
    match (a, b) {
        (Pattern::Wildcard(a), Pattern::Wildcard(b)) => a
            .specificity()
            .cmp(&b.specificity())
            .then_with(|| a.as_str().cmp(b.as_str())),
        // The mapped spelling of an address has the key of the plain one.
        (Pattern::Ip(a), Pattern::Ip(b)) => a.cmp(b),
        _ => Ordering::Equal,
    }
}

/// The order inside a run.
fn place(rule: &Rule) -> (bool, Ports) {
    (rule.verdict == Verdict::Allow, rule.entry.ports())
}

/// Cuts a slot's rules into runs of one pattern each.
fn runs<'a, R: Borrow<Rule>>(
    rules: &'a [R],
    mut rest: &'a [u32],
) -> impl Iterator<Item = Run<'a>> + use<'a, R> {
    iter::from_fn(move || {
        let first = pattern(rules, *rest.first()?);
        let end = 1 + rest[1..].partition_point(|&at| pattern(rules, at) == first);
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(Run(run))
    })
}

/// Rules of one pattern; never empty.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run<'a>(&'a [u32]);

impl<'a> Run<'a> {
    /// The live rule with this verdict that decides about a port.
    pub(super) fn best<R: Borrow<Rule>>(
        self,
        rules: &[R],
        verdict: Verdict,
        port: u16,
        now: Instant,
    ) -> Option<usize> {
        let rule = |at: u32| rules[at as usize].borrow();
        if let [only] = self.0 {
            let rule = rule(*only);
            let decides = rule.verdict == verdict && rule.entry.ports().covers(port);
            return (decides && rule.is_live(now)).then_some(*only as usize);
        }
        Ports::all_that_cover(port).find_map(|ports| {
            let wanted = (verdict == Verdict::Allow, ports);
            let first = self.0.partition_point(|&at| place(rule(at)) < wanted);
            let at = self.0[first..]
                .iter()
                .take_while(|at| place(rule(**at)) == wanted)
                // Only those with a budget can have ended before others that have not.
                .find(|at| rule(**at).is_live(now) || rule(**at).budget().is_none())?;
            rule(*at).is_live(now).then_some(*at as usize)
        })
    }

    /// The numbers of its rules.
    pub(super) fn iter(self) -> impl Iterator<Item = usize> + use<'a> {
        self.0.iter().map(|&at| at as usize)
    }
}
