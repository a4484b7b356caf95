//! What happened: open connections, the log, the counters, the events, the audit file.
//!
//! The data path writes here and never waits for a reader: it sends notes through a channel,
//! and one task keeps the books. Whoever reads (the control plane) first lets the task catch
//! up, so that what a client just did is in the answer it gets next.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::stream::AbortHandle;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{mpsc, oneshot, watch};

use crate::api::{ConnectionView, DestinationStats, Event, LogEntry, Logs, RuleChange};
use crate::policy::{Door, Reason, Target, Verdict};

use super::audit::Audit;
use super::gate::{Gate, Permit};

/// Notes on their way to the books. When it is full, the data path waits: nothing is lost, and
/// a sandbox that makes noise slows itself.
const NOTES: usize = 16 * 1024;
/// Log entries kept.
const LOG: usize = 10_000;
/// Events kept for replay.
const EVENTS: usize = 4096;
/// Destinations counted; the one not used for longest goes first.
const DESTINATIONS: usize = 1024;

/// The writing end, and the books behind it.
#[derive(Clone)]
pub(super) struct Ledger {
    notes: mpsc::Sender<Note>,
    books: Arc<Mutex<Books>>,
    /// The number of the newest event, for those who wait for the next.
    newest: watch::Receiver<u64>,
}

/// A request that did not go through.
pub(super) struct Refused {
    pub(super) at: SystemTime,
    pub(super) domain: String,
    pub(super) port: Option<u16>,
    pub(super) door: Door,
    pub(super) reason: Reason,
    pub(super) rule: Option<String>,
    pub(super) detail: Option<String>,
}

/// A connection between the sandbox and a target, while it is open.
pub(super) struct Passage {
    open: Arc<Open>,
    ledger: Ledger,
}

/// What the books know of an open connection.
struct Open {
    id: u64,
    permit: Permit,
    since: Instant,
    at: SystemTime,
    up: AtomicU64,
    down: AtomicU64,
    abort: AbortHandle,
}

enum Note {
    Opened(Arc<Open>),
    Closed(Arc<Open>),
    Refused(Box<Refused>),
    /// An event, and what the audit file says of it.
    Event(Event, Value),
    /// A caller who was turned away.
    PeerRefused(Value),
    /// A line for the audit file alone.
    Audited(Value),
    /// Everything before this has been written down.
    CaughtUp(oneshot::Sender<()>),
}

#[derive(Default)]
struct Books {
    log: VecDeque<Arc<LogEntry>>,
    logged: u64,
    events: VecDeque<(u64, Arc<Event>)>,
    event_count: u64,
    open: HashMap<u64, Arc<Open>>,
    destinations: HashMap<(String, Option<u16>), Destination>,
    tally: Tally,
    audit_fault: Option<String>,
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
pub(super) struct Tally {
    pub(super) allowed: u64,
    pub(super) refused: u64,
    pub(super) up: u64,
    pub(super) down: u64,
    pub(super) peers_refused: u64,
    pub(super) audit_lost: u64,
}

impl Passage {
    /// Counts bytes from the sandbox.
    pub(super) fn sent(&self, bytes: usize) {
        self.open.up.fetch_add(bytes as u64, Relaxed);
    }

    /// Counts bytes to the sandbox.
    pub(super) fn received(&self, bytes: usize) {
        self.open.down.fetch_add(bytes as u64, Relaxed);
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        self.ledger.enter(Note::Closed(Arc::clone(&self.open)));
    }
}

impl Ledger {
    /// Opens the books. The task that keeps them is [`Bookkeeper::keep`].
    pub(super) fn open(audit: Option<Audit>) -> (Self, Bookkeeper) {
        let (notes, inbox) = mpsc::channel(NOTES);
        let (newest, newest_seen) = watch::channel(0);
        let books = Arc::new(Mutex::new(Books::default()));
        let ledger = Self {
            notes,
            books: Arc::clone(&books),
            newest: newest_seen,
        };
        (
            ledger,
            Bookkeeper {
                inbox,
                books,
                newest,
                audit,
            },
        )
    }

    /// Enters a connection that is now open. `abort` ends whatever carries it.
    pub(super) async fn opened(&self, permit: Permit, abort: AbortHandle) -> Passage {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let open = Arc::new(Open {
            id: NEXT.fetch_add(1, Relaxed),
            permit,
            since: Instant::now(),
            at: SystemTime::now(),
            up: AtomicU64::new(0),
            down: AtomicU64::new(0),
            abort,
        });
        self.note(Note::Opened(Arc::clone(&open))).await;
        Passage {
            open,
            ledger: self.clone(),
        }
    }

    /// Enters a request that was refused or failed.
    pub(super) async fn refused(&self, refused: Refused) {
        self.note(Note::Refused(Box::new(refused))).await;
    }

    /// Enters a rule that is in force now.
    pub(super) fn rule_added(&self, change: RuleChange) {
        let audit = rule_audit("rule_add", &change);
        self.enter(Note::Event(Event::RuleAdded(change), audit));
    }

    /// Enters a rule that is gone.
    pub(super) fn rule_removed(&self, change: RuleChange) {
        let audit = rule_audit("rule_revoke", &change);
        self.enter(Note::Event(Event::RuleRemoved(change), audit));
    }

    /// Enters a caller of the control plane who was turned away.
    pub(super) fn peer_refused(&self, actor: &str, why: &str) {
        let line = json!({"event": "peer_refused", "actor": actor, "detail": why});
        self.enter(Note::PeerRefused(line));
    }

    /// Enters that files were read again.
    pub(super) fn reloaded(&self, actor: &str, outcome: &str) {
        self.enter(Note::Audited(
            json!({"event": "reload", "actor": actor, "detail": outcome}),
        ));
    }

    /// Enters that the session begins.
    pub(super) fn starting(&self) {
        self.enter(Note::Audited(json!({"event": "session_start"})));
    }

    /// Says that the session ends.
    pub(super) fn ending(&self, why: &str) {
        let audit = json!({"event": "session_end", "reason": "session_ended", "detail": why});
        self.enter(Note::Event(
            Event::SessionEnding {
                ending: why.to_owned(),
            },
            audit,
        ));
    }

    fn enter(&self, note: Note) {
        if let Err(mpsc::error::TrySendError::Full(note)) = self.notes.try_send(note) {
            let notes = self.notes.clone();
            tokio::spawn(async move { notes.send(note).await });
        }
    }

    async fn note(&self, note: Note) {
        // An error means that the bookkeeper is gone: the session is over.
        let _ = self.notes.send(note).await;
    }

    /// Waits until everything that was entered before is in the books.
    pub(super) async fn caught_up(&self) {
        let (done, wait) = oneshot::channel();
        self.note(Note::CaughtUp(done)).await;
        let _ = wait.await;
    }

    /// Closes every connection that the gate no longer admits, and says how many those were.
    pub(super) async fn sweep(&self, gate: &Gate) -> usize {
        self.caught_up().await;
        let books = self.lock();
        let unwanted = books
            .open
            .values()
            .filter(|open| !gate.still_admits(&open.permit));
        let mut closed = 0;
        for open in unwanted {
            open.abort.abort();
            closed += 1;
        }
        closed
    }

    /// Closes every connection.
    pub(super) async fn close_all(&self) {
        self.caught_up().await;
        for open in self.lock().open.values() {
            open.abort.abort();
        }
    }

    /// Waits until no connection is open.
    pub(super) async fn all_closed(&self) {
        while self.connection_count() > 0 {
            // Those that end tell the bookkeeper; this goes behind what they told.
            self.caught_up().await;
            tokio::task::yield_now().await;
        }
    }

    /// What is open, oldest first.
    pub(super) fn connections(&self) -> Vec<ConnectionView> {
        let books = self.lock();
        let mut views: Vec<_> = books.open.values().map(|open| open.view()).collect();
        views.sort_by_key(|view| view.id);
        views
    }

    /// How many connections are open.
    pub(super) fn connection_count(&self) -> usize {
        self.lock().open.len()
    }

    /// Log entries after a number, or the newest.
    pub(super) fn logs(&self, after: Option<u64>, limit: usize) -> Logs {
        let books = self.lock();
        let entries: Vec<LogEntry> = match after {
            Some(after) => {
                let first = books.log.partition_point(|entry| entry.id <= after);
                books
                    .log
                    .range(first..)
                    .take(limit)
                    .map(|entry| (**entry).clone())
                    .collect()
            }
            None => {
                let first = books.log.len().saturating_sub(limit);
                books
                    .log
                    .range(first..)
                    .map(|entry| (**entry).clone())
                    .collect()
            }
        };
        let next = entries
            .last()
            .map_or_else(|| after.unwrap_or(books.logged), |entry| entry.id);
        Logs { entries, next }
    }

    /// Counters of the destinations that were used last.
    pub(super) fn destinations(&self) -> Vec<DestinationStats> {
        let books = self.lock();
        let mut all: Vec<_> = books.destinations.iter().collect();
        all.sort_by_key(|(_, destination)| std::cmp::Reverse(destination.last));
        all.into_iter()
            .map(|((host, port), destination)| DestinationStats {
                target: joined(host, *port),
                allowed: destination.allowed,
                refused: destination.refused,
                bytes_up: destination.up,
                bytes_down: destination.down,
                last: timestamp(destination.last.unwrap_or(SystemTime::UNIX_EPOCH)),
            })
            .collect()
    }

    /// Totals since the start.
    pub(super) fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// What is wrong with the audit file, if something is.
    pub(super) fn audit_fault(&self) -> Option<String> {
        self.lock().audit_fault.clone()
    }

    /// A reader of events, from behind `after` or from now on.
    pub(super) fn events(&self, after: Option<u64>) -> Events {
        let next = after.map_or_else(
            || self.lock().event_count + 1,
            |after| after.saturating_add(1),
        );
        Events {
            ledger: self.clone(),
            next,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads events in order, and says so when some are gone.
pub(super) struct Events {
    ledger: Ledger,
    next: u64,
}

impl Events {
    /// The next events with their numbers, waiting for at least one. `None` when there will be
    /// none.
    pub(super) async fn next(&mut self) -> Option<Vec<(u64, Arc<Event>)>> {
        loop {
            if let Some(batch) = self.batch() {
                return Some(batch);
            }
            self.ledger.newest.changed().await.ok()?;
        }
    }

    fn batch(&mut self) -> Option<Vec<(u64, Arc<Event>)>> {
        let books = self.ledger.lock();
        let newest = books.event_count;
        let oldest = newest + 1 - books.events.len() as u64;
        if self.next < oldest || self.next > newest + 1 {
            // Fell out of the ring, or comes from another life of this proxy.
            self.next = newest + 1;
            return Some(vec![(newest, Arc::new(Event::Reset { next: newest }))]);
        }
        let skip = usize::try_from(self.next - oldest).ok()?;
        let batch: Vec<_> = books.events.range(skip..).take(256).cloned().collect();
        let (last, _) = batch.last()?;
        self.next = last + 1;
        Some(batch)
    }
}

/// Keeps the books.
pub(super) struct Bookkeeper {
    inbox: mpsc::Receiver<Note>,
    books: Arc<Mutex<Books>>,
    newest: watch::Sender<u64>,
    audit: Option<Audit>,
}

impl Bookkeeper {
    /// Writes down what comes, in batches, until every ledger is gone.
    pub(super) async fn keep(mut self, gate: Arc<Gate>) {
        const BATCH: usize = 256;
        let mut batch = Vec::with_capacity(BATCH);
        let gate = Arc::downgrade(&gate);
        let books = Arc::clone(&self.books);
        while self.inbox.recv_many(&mut batch, BATCH).await > 0 {
            let mut waiting = Vec::new();
            {
                let mut books = books.lock().unwrap_or_else(PoisonError::into_inner);
                for note in batch.drain(..) {
                    match note {
                        Note::CaughtUp(done) => waiting.push(done),
                        // The rules may have changed between the admission and now, when a sweep
                        // could not see this connection yet.
                        Note::Opened(open) => {
                            if gate
                                .upgrade()
                                .is_some_and(|gate| !gate.still_admits(&open.permit))
                            {
                                open.abort.abort();
                            }
                            books.opened(open);
                        }
                        Note::Closed(open) => books.closed(&open, self.audit.as_mut()),
                        Note::Refused(refused) => books.refused(*refused, self.audit.as_mut()),
                        Note::Event(event, line) => {
                            self.audit(line);
                            books.event(event);
                        }
                        Note::PeerRefused(line) => {
                            books.tally.peers_refused += 1;
                            self.audit(line);
                        }
                        Note::Audited(line) => self.audit(line),
                    }
                }
                self.newest.send_if_modified(|newest| {
                    let changed = *newest != books.event_count;
                    *newest = books.event_count;
                    changed
                });
            }
            self.write_audit();
            for done in waiting {
                let _ = done.send(());
            }
        }
    }

    fn audit(&mut self, line: Value) {
        if let Some(audit) = self.audit.as_mut() {
            audit.write(SystemTime::now(), line);
        }
    }

    /// Outside the lock: a slow disk must not keep readers of the books waiting.
    fn write_audit(&mut self) {
        if let Some(audit) = self.audit.as_mut() {
            audit.flush();
            let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
            books.tally.audit_lost = audit.lost();
            if books.audit_fault.as_deref() != audit.fault() {
                books.audit_fault = audit.fault().map(str::to_owned);
            }
        }
    }
}

impl Books {
    fn opened(&mut self, open: Arc<Open>) {
        let target = open.permit.target();
        self.tally.allowed += 1;
        let destination = self.destination(target.host.to_string(), Some(target.port), open.at);
        destination.allowed += 1;
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
        });
        self.open.insert(open.id, open);
    }

    fn closed(&mut self, open: &Open, audit: Option<&mut Audit>) {
        self.open.remove(&open.id);
        let (up, down) = (open.up.load(Relaxed), open.down.load(Relaxed));
        self.tally.up += up;
        self.tally.down += down;
        let Target { host, port } = open.permit.target();
        let destination = self.destination(host.to_string(), Some(*port), open.at);
        destination.up += up;
        destination.down += down;
        if let Some(audit) = audit {
            audit.write(
                open.at,
                json!({
                    "event": "connect", "domain": host.to_string(), "port": port,
                    "door": open.permit.door(), "verdict": "allow", "reason": "allowed",
                    "rule": open.permit.rule(), "bytes_up": up, "bytes_down": down,
                    "duration_ms": u64::try_from(open.since.elapsed().as_millis()).unwrap_or(u64::MAX),
                }),
            );
        }
    }

    fn refused(&mut self, refused: Refused, audit: Option<&mut Audit>) {
        self.tally.refused += 1;
        self.destination(refused.domain.clone(), refused.port, refused.at)
            .refused += 1;
        if let Some(audit) = audit {
            audit.write(
                refused.at,
                json!({
                    "event": "connect", "domain": refused.domain, "port": refused.port,
                    "door": refused.door, "verdict": "deny", "reason": refused.reason,
                    "rule": refused.rule, "detail": refused.detail,
                }),
            );
        }
        self.log(LogEntry {
            id: 0,
            time: timestamp(refused.at),
            verdict: Verdict::Deny,
            reason: refused.reason,
            domain: refused.domain,
            port: refused.port,
            door: refused.door,
            rule: refused.rule,
            detail: refused.detail,
        });
    }

    fn log(&mut self, mut entry: LogEntry) {
        self.logged += 1;
        entry.id = self.logged;
        if self.log.len() == LOG {
            self.log.pop_front();
        }
        self.log.push_back(Arc::new(entry.clone()));
        self.event(Event::Log(entry));
    }

    fn event(&mut self, event: Event) {
        self.event_count += 1;
        if self.events.len() == EVENTS {
            self.events.pop_front();
        }
        self.events.push_back((self.event_count, Arc::new(event)));
    }

    fn destination(&mut self, host: String, port: Option<u16>, at: SystemTime) -> &mut Destination {
        let key = (host, port);
        if self.destinations.len() >= DESTINATIONS && !self.destinations.contains_key(&key) {
            let mut ages: Vec<_> = self.destinations.values().map(|d| d.last).collect();
            // An eighth at once, so that a flood of names pays for the search once in a while.
            let (_, cutoff, _) = ages.select_nth_unstable(DESTINATIONS / 8);
            let cutoff = *cutoff;
            self.destinations
                .retain(|_, destination| destination.last > cutoff);
        }
        let destination = self.destinations.entry(key).or_default();
        destination.last = Some(at);
        destination
    }
}

impl Open {
    fn view(&self) -> ConnectionView {
        ConnectionView {
            id: self.id,
            target: self.permit.target().to_string(),
            door: self.permit.door(),
            rule: self.permit.rule(),
            bytes_up: self.up.load(Relaxed),
            bytes_down: self.down.load(Relaxed),
            age_seconds: self.since.elapsed().as_secs(),
        }
    }
}

fn rule_audit(event: &str, change: &RuleChange) -> Value {
    json!({
        "event": event, "pattern": change.rule.entry, "verdict": change.rule.verdict,
        "scope": change.rule.scope, "actor": change.actor, "expires_at": change.rule.expires_at,
    })
}

fn joined(host: &str, port: Option<u16>) -> String {
    match port {
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn timestamp(at: SystemTime) -> String {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    let millis = i128::try_from(since.as_millis()).unwrap_or(0);
    OffsetDateTime::from_unix_timestamp_nanos(millis * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned())
}
