//! What is written down, and in which bounds: the log, the events, what is open, the counters.

use std::collections::{HashMap, VecDeque};
use std::fmt::{Display, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::SystemTime;

use serde::Serialize;

use super::{Open, Refused, timestamp};
use crate::api::{DestinationStats, Event, LogEntry, Logs};
use crate::policy::{Door, Reason, Target, Verdict};
use crate::proxy::audit::Audit;

/// Log entries kept.
const LOG: usize = 10_000;
/// Events kept for replay.
const EVENTS: usize = 4096;
/// Events a reader gets at a time.
const EVENTS_AT_ONCE: usize = 256;
/// Destinations counted; the one not used for longest goes first.
const DESTINATIONS: usize = 1024;

/// The books.
#[derive(Default)]
pub(super) struct Books {
    /// Events that are [`Event::Log`].
    log: VecDeque<Arc<Event>>,
    logged: u64,
    events: VecDeque<(u64, Arc<Event>)>,
    event_count: u64,
    pub(super) open: HashMap<u64, Arc<Open>>,
    destinations: HashMap<String, Destination>,
    /// Room for the name of one of them, while it is looked for.
    name: String,
    pub(super) tally: Tally,
    pub(super) audit_fault: Option<String>,
}

#[derive(Default)]
struct Destination {
    allowed: u64,
    refused: u64,
    up: u64,
    down: u64,
    last: Option<SystemTime>,
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::proxy) struct Tally {
    pub(in crate::proxy) allowed: u64,
    pub(in crate::proxy) refused: u64,
    pub(in crate::proxy) up: u64,
    pub(in crate::proxy) down: u64,
    pub(in crate::proxy) peers_refused: u64,
    pub(in crate::proxy) audit_lost: u64,
}

/// The audit line of a request.
#[derive(Serialize)]
struct Connect<'a> {
    event: &'static str,
    domain: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<u16>,
    door: Door,
    verdict: Verdict,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(flatten)]
    traffic: Option<Traffic>,
}

/// What went through a connection that was open.
#[derive(Serialize)]
struct Traffic {
    bytes_up: u64,
    bytes_down: u64,
    duration_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    carries: Option<&'static str>,
}

impl Books {
    /// Without those that were closed from here and whose tasks have yet to learn it.
    pub(super) fn still_open(&self) -> impl Iterator<Item = &Open> {
        let open = self.open.values().map(AsRef::as_ref);
        open.filter(|open: &&Open| !open.abort.is_aborted())
    }

    pub(super) fn opened(&mut self, open: Arc<Open>) {
        let target = open.permit.target();
        self.tally.allowed += 1;
        self.count(target, open.at, |destination| destination.allowed += 1);
        self.log(LogEntry {
            id: 0,
            time: timestamp(open.at),
            verdict: Verdict::Allow,
            reason: Reason::Allowed,
            domain: target.host.to_string(),
            port: Some(target.port),
            door: open.permit.door(),
            rule: Some(open.permit.rule()),
            detail: None,
            remedy: None,
        });
        self.open.insert(open.id, open);
    }

    pub(super) fn closed(&mut self, open: &Open, audit: Option<&mut Audit>) {
        self.open.remove(&open.id);
        let (up, down) = (open.up.load(Relaxed), open.down.load(Relaxed));
        self.tally.up += up;
        self.tally.down += down;
        let target = open.permit.target();
        self.count(target, open.at, |destination| {
            destination.up += up;
            destination.down += down;
        });
        let Some(audit) = audit else { return };
        let Target { host, port } = target;
        let duration = open.since.elapsed().as_millis();
        let line = Connect {
            event: "connect",
            domain: &host.to_string(),
            port: Some(*port),
            door: open.permit.door(),
            verdict: Verdict::Allow,
            reason: Reason::Allowed,
            rule: Some(&open.permit.rule()),
            detail: None,
            traffic: Some(Traffic {
                bytes_up: up,
                bytes_down: down,
                duration_ms: u64::try_from(duration).unwrap_or(u64::MAX),
                carries: open.carries.get().copied(),
            }),
        };
        audit.write(&timestamp(open.at), &line);
    }

    pub(super) fn refused(&mut self, refused: Refused, audit: Option<&mut Audit>) {
        let Refused {
            at,
            domain,
            port,
            door,
            reason,
            rule,
            detail,
            remedy,
            missed: _,
        } = refused;
        self.tally.refused += 1;
        self.count(&joined(&domain, port), at, |destination| {
            destination.refused += 1;
        });
        let time = timestamp(at);
        if let Some(audit) = audit {
            let line = Connect {
                event: "connect",
                domain: &domain,
                port,
                door,
                verdict: Verdict::Deny,
                reason,
                rule: rule.as_deref(),
                detail: detail.as_deref(),
                traffic: None,
            };
            audit.write(&time, &line);
        }
        let verdict = Verdict::Deny;
        self.log(LogEntry {
            id: 0,
            time,
            verdict,
            reason,
            domain,
            port,
            door,
            rule,
            detail,
            remedy,
        });
    }

    /// A refusal that is told together with others.
    pub(super) fn uncounted(&mut self) {
        self.tally.refused += 1;
    }

    pub(super) fn peer_refused(&mut self) {
        self.tally.peers_refused += 1;
    }

    pub(super) fn audited(&mut self, lost: u64, fault: Option<&str>) {
        self.tally.audit_lost = lost;
        self.audit_fault = fault.map(str::to_owned);
    }

    fn log(&mut self, mut entry: LogEntry) {
        self.logged += 1;
        entry.id = self.logged;
        let event = Arc::new(Event::Log(entry));
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(Arc::clone(&event));
        self.event(event);
    }

    pub(super) fn event(&mut self, event: Arc<Event>) {
        self.event_count += 1;
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back((self.event_count, event));
    }

    /// The number of the newest event.
    pub(super) fn event_count(&self) -> u64 {
        self.event_count
    }

    /// Events from a number on, if there are any, and the number moved behind them.
    pub(super) fn events_from(&self, next: &mut u64) -> Option<Vec<(u64, Arc<Event>)>> {
        let newest = self.event_count;
        let oldest = newest + 1 - self.events.len() as u64;
        if *next < oldest || *next > newest + 1 {
            // Fell out of the ring, or comes from another life of this proxy.
            *next = newest + 1;
            return Some(vec![(newest, Arc::new(Event::Reset { next: newest }))]);
        }
        let skip = usize::try_from(*next - oldest).ok()?;
        let batch: Vec<_> = self
            .events
            .range(skip..)
            .take(EVENTS_AT_ONCE)
            .cloned()
            .collect();
        let (last, _) = batch.last()?;
        *next = last + 1;
        Some(batch)
    }

    /// Log entries after a number, or the newest.
    pub(super) fn logs(&self, after: Option<u64>, limit: usize) -> Logs {
        let first = match after {
            Some(after) => self.log.partition_point(|event| number(event) <= after),
            None => self.log.len().saturating_sub(limit),
        };
        let entries: Vec<LogEntry> = self
            .log
            .range(first..)
            .take(limit)
            .filter_map(|event| match &**event {
                Event::Log(entry) => Some(entry.clone()),
                _ => None,
            })
            .collect();
        let next = entries
            .last()
            .map_or_else(|| after.unwrap_or(self.logged), |entry| entry.id);
        Logs { entries, next }
    }

    /// The counters, most recently used first.
    pub(super) fn destinations(&self) -> Vec<DestinationStats> {
        let mut all: Vec<_> = self.destinations.iter().collect();
        all.sort_by_key(|(_, destination)| std::cmp::Reverse(destination.last));
        all.into_iter()
            .map(|(target, destination)| DestinationStats {
                target: target.clone(),
                allowed: destination.allowed,
                refused: destination.refused,
                bytes_up: destination.up,
                bytes_down: destination.down,
                last: timestamp(destination.last.unwrap_or(SystemTime::UNIX_EPOCH)),
            })
            .collect()
    }

    /// Counts something of a destination.
    fn count(
        &mut self,
        target: &impl Display,
        at: SystemTime,
        change: impl FnOnce(&mut Destination),
    ) {
        let mut name = std::mem::take(&mut self.name);
        name.clear();
        // Writing into memory does not fail.
        let _ = write!(name, "{target}");
        if !self.destinations.contains_key(&name) {
            self.make_room();
            self.destinations
                .insert(name.clone(), Destination::default());
        }
        if let Some(destination) = self.destinations.get_mut(&name) {
            destination.last = destination.last.max(Some(at));
            change(destination);
        }
        self.name = name;
    }

    fn make_room(&mut self) {
        if self.destinations.len() < DESTINATIONS {
            return;
        }
        let mut ages: Vec<_> = self.destinations.values().map(|d| d.last).collect();
        // An eighth at once, so that a flood of names pays for the search once in a while.
        let (_, cutoff, _) = ages.select_nth_unstable(DESTINATIONS / 8);
        let cutoff = *cutoff;
        self.destinations
            .retain(|_, destination| destination.last > cutoff);
    }
}

fn number(event: &Event) -> u64 {
    match event {
        Event::Log(entry) => entry.id,
        _ => 0,
    }
}

fn joined(host: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}
