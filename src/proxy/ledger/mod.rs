//! What happened: open connections, the log, the counters, the events, the audit file.
//!
//! The data path writes here and never waits for a reader: it sends notes through a channel,
//! and one task keeps the books. Whoever reads (the control plane) first lets the task catch
//! up, so that what a client just did is in the answer it gets next.

mod bookkeeper;
mod books;

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use futures_util::stream::AbortHandle;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::api::{
    ConnectionView, DestinationStats, Event, Logs, Outcome, PendingView, RuleChange, Settled,
};
use crate::policy::{Door, Reason, Target};

pub(super) use self::bookkeeper::Bookkeeper;
use self::books::Books;
pub(super) use self::books::Tally;
use super::audit::Audit;
use super::gate::{Gate, Permit};

/// Notes on their way to the books. When it is full, the data path waits: nothing is lost, and
/// a sandbox that makes noise slows itself.
const NOTES: usize = 16 * 1024;
/// The writing end, and the books behind it.
#[derive(Clone)]
pub(super) struct Ledger(Arc<Shared>);

struct Shared {
    notes: mpsc::Sender<Note>,
    books: Mutex<Books>,
    /// The number of the newest event, for those who wait for the next.
    newest: watch::Sender<u64>,
    /// Held once more by each reader of events that is not in the background.
    persons: Arc<()>,
    hurry: Notify,
    turn: tokio::sync::Mutex<()>,
}

/// A request that did not go through.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) at: SystemTime,
    pub(super) domain: String,
    pub(super) port: Option<u16>,
    pub(super) door: Door,
    pub(super) reason: Reason,
    pub(super) rule: Option<String>,
    pub(super) detail: Option<String>,
    /// What would let it through.
    pub(super) remedy: Option<String>,
    /// What was asked for, if it could be decided still.
    pub(super) missed: Option<Target>,
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
    /// What its first bytes look like, where somebody looked.
    carries: OnceLock<&'static str>,
    abort: AbortHandle,
}

enum Note {
    Opened(Arc<Open>),
    Closed(Arc<Open>),
    Refused(Box<Refused>),
    /// There was no room for so many requests.
    Overflow(Target, u64),
    /// An event, and what the audit file says of it, if it does. As the others it brings its time:
    /// it may be entered after what followed from it.
    Event(SystemTime, Arc<Event>, Value),
    /// A caller who was turned away.
    PeerRefused(SystemTime, Value),
    /// A line for the audit file alone.
    Audited(SystemTime, Value),
    /// Everything before this has been written down.
    CaughtUp(oneshot::Sender<()>),
}

impl Passage {
    /// What lets it through.
    pub(super) fn permit(&self) -> &Permit {
        &self.open.permit
    }

    /// What its first bytes look like.
    pub(super) fn carries(&self, what: &'static str) {
        let _ = self.open.carries.set(what);
    }

    /// Counts bytes from the sandbox.
    pub(super) fn sent(&self, bytes: usize) {
        self.open.up.fetch_add(bytes as u64, Relaxed);
    }

    /// Takes back what was counted and did not go on.
    pub(super) fn not_sent(&self, bytes: usize) {
        self.open.up.fetch_sub(bytes as u64, Relaxed);
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
        let shared = Arc::new(Shared {
            notes,
            books: Mutex::new(Books::default()),
            newest: watch::Sender::new(0),
            persons: Arc::default(),
            hurry: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        });
        (
            Self(Arc::clone(&shared)),
            Bookkeeper {
                inbox,
                shared,
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
            carries: OnceLock::new(),
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

    /// Enters what a request that went through was cut for, from where nobody can wait.
    pub(super) fn cut(&self, refused: Refused) {
        self.enter(Note::Refused(Box::new(refused)));
    }

    /// Enters a request that waits for a person.
    pub(super) fn request_added(&self, view: PendingView) {
        let audit = json!({
            "event": "domain_request", "domain": view.domain, "port": view.port,
            "door": view.doors,
        });
        self.enter(Note::Event(
            SystemTime::now(),
            Arc::new(Event::RequestAdded(Box::new(view))),
            audit,
        ));
    }

    /// Enters that others wait for the same, or gave up.
    pub(super) fn request_updated(&self, view: PendingView) {
        self.enter(Note::Event(
            SystemTime::now(),
            Arc::new(Event::RequestUpdated(Box::new(view))),
            Value::Null,
        ));
    }

    /// Enters what came of a request that waited.
    pub(super) fn request_removed(&self, end: &Settled) {
        let event = match end.outcome {
            Outcome::Approved => "domain_approve",
            Outcome::Denied => "domain_deny",
            Outcome::TimedOut | Outcome::SessionEnded => "domain_timeout",
        };
        let mut audit = json!({
            "event": event, "domain": end.domain, "port": end.port, "actor": end.actor,
        });
        if let Some(scope) = end.scope {
            audit["scope"] = scope.to_string().into();
        }
        self.enter(Note::Event(
            SystemTime::now(),
            Arc::new(Event::RequestRemoved(Box::new(end.clone()))),
            audit,
        ));
    }

    /// Enters that there was no room for `count` requests, of which this is the last.
    pub(super) fn queue_full(&self, target: &Target, count: u64) {
        self.enter(Note::Overflow(target.clone(), count));
    }

    /// Whether somebody reads the events who could decide about a request.
    pub(super) fn is_watched(&self) -> bool {
        Arc::strong_count(&self.0.persons) > 1
    }

    /// Enters a rule that is in force now.
    pub(super) fn rule_added(&self, change: RuleChange) {
        let audit = rule_audit("rule_add", &change);
        self.enter(Note::Event(
            SystemTime::now(),
            Arc::new(Event::RuleAdded(Box::new(change))),
            audit,
        ));
    }

    /// Enters a rule that is gone.
    pub(super) fn rule_removed(&self, change: RuleChange) {
        let audit = rule_audit("rule_revoke", &change);
        self.enter(Note::Event(
            SystemTime::now(),
            Arc::new(Event::RuleRemoved(Box::new(change))),
            audit,
        ));
    }

    /// Enters a caller of the control plane who was turned away.
    pub(super) fn peer_refused(&self, actor: &str, why: &str) {
        let line = json!({"event": "peer_refused", "actor": actor, "detail": why});
        self.enter(Note::PeerRefused(SystemTime::now(), line));
    }

    /// Enters that files were read again.
    pub(super) fn reloaded(&self, actor: &str, outcome: &str) {
        self.enter(Note::Audited(
            SystemTime::now(),
            json!({"event": "reload", "actor": actor, "detail": outcome}),
        ));
    }

    /// Enters that the session begins.
    pub(super) fn starting(&self) {
        self.enter(Note::Audited(
            SystemTime::now(),
            json!({"event": "session_start"}),
        ));
    }

    /// Says that the session ends.
    pub(super) fn ending(&self, why: &str) {
        let audit = json!({"event": "session_end", "reason": "session_ended", "detail": why});
        self.enter(Note::Event(
            SystemTime::now(),
            Arc::new(Event::SessionEnding {
                ending: why.to_owned(),
            }),
            audit,
        ));
    }

    fn enter(&self, note: Note) {
        if let Err(mpsc::error::TrySendError::Full(note)) = self.0.notes.try_send(note) {
            let notes = self.0.notes.clone();
            tokio::spawn(async move { notes.send(note).await });
        }
    }

    async fn note(&self, note: Note) {
        // An error means that the bookkeeper is gone: the session is over.
        let _ = self.0.notes.send(note).await;
    }

    /// Waits until everything that was entered before is in the books.
    pub(super) async fn caught_up(&self) {
        let (done, wait) = oneshot::channel();
        self.note(Note::CaughtUp(done)).await;
        self.0.hurry.notify_one();
        let _ = wait.await;
    }

    /// A turn to change the rules and to sweep: one after the other, so that each change counts
    /// what it closed. What was open before is in the books.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        let turn = self.0.turn.lock().await;
        self.caught_up().await;
        turn
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
        while !self.lock().open.is_empty() {
            // Those that end tell the bookkeeper; this goes behind what they told.
            self.caught_up().await;
            tokio::task::yield_now().await;
        }
    }

    /// What is open, oldest first.
    pub(super) fn connections(&self) -> Vec<ConnectionView> {
        let books = self.lock();
        let mut views: Vec<_> = books.still_open().map(Open::view).collect();
        views.sort_by_key(|view| view.id);
        views
    }

    /// How many connections are open.
    pub(super) fn connection_count(&self) -> usize {
        self.lock().still_open().count()
    }

    /// Log entries after a number, or the newest.
    pub(super) fn logs(&self, after: Option<u64>, limit: usize) -> Logs {
        self.lock().logs(after, limit)
    }

    /// Counters of the destinations that were used last.
    pub(super) fn destinations(&self) -> Vec<DestinationStats> {
        self.lock().destinations()
    }

    /// Totals since the start.
    pub(super) fn tally(&self) -> Tally {
        self.lock().tally
    }

    /// What is wrong with the audit file, if something is.
    pub(super) fn audit_fault(&self) -> Option<String> {
        self.lock().audit_fault.clone()
    }

    /// A reader of events, from behind `after` or from now on. One in the background is nobody who
    /// would decide about a request.
    pub(super) fn events(&self, after: Option<u64>, background: bool) -> Events {
        let next = after.map_or_else(
            || self.lock().event_count() + 1,
            |after| after.saturating_add(1),
        );
        let newest = self.0.newest.subscribe();
        // Whoever gathers notes is to do it no longer.
        self.0.hurry.notify_one();
        Events {
            ledger: self.clone(),
            newest,
            next,
            person: (!background).then(|| Arc::clone(&self.0.persons)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Books> {
        self.0.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads events in order, and says so when some are gone.
pub(super) struct Events {
    ledger: Ledger,
    /// That there is one tells the bookkeeper that somebody watches.
    newest: watch::Receiver<u64>,
    next: u64,
    /// Counted by being held.
    #[expect(dead_code)]
    person: Option<Arc<()>>,
}

impl Events {
    /// The next events with their numbers, waiting for at least one. `None` when there will be
    /// none.
    pub(super) async fn next(&mut self) -> Option<Vec<(u64, Arc<Event>)>> {
        loop {
            self.newest.mark_unchanged();
            if let Some(batch) = self.ledger.lock().events_from(&mut self.next) {
                return Some(batch);
            }
            self.newest.changed().await.ok()?;
        }
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
            carries: self.carries.get().map(|what| (*what).to_owned()),
        }
    }
}

fn rule_audit(event: &str, change: &RuleChange) -> Value {
    let mut line = json!({
        "event": event, "pattern": change.rule.entry, "verdict": change.rule.verdict,
        "scope": change.rule.scope, "actor": change.actor,
    });
    if let Some(end) = &change.rule.expires_at {
        line["expires_at"] = end.as_str().into();
    }
    if let Some(size) = &change.rule.max_upload {
        line["max_upload"] = size.as_str().into();
    }
    if let Some(why) = &change.save_error {
        line["save_error"] = why.as_str().into();
    }
    line
}

/// RFC 3339 in UTC, to the millisecond.
pub(super) fn timestamp(at: SystemTime) -> String {
    thread_local! {
        /// Most are of the same second as the one before.
        static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() || text.is_empty() {
            *second = since.as_secs();
            *text = i64::try_from(*second)
                .ok()
                .and_then(|second| OffsetDateTime::from_unix_timestamp(second).ok())
                .and_then(|time| time.format(&Rfc3339).ok())
                .unwrap_or_else(|| "1970-01-01T00:00:00Z".to_owned());
            text.pop();
        }
        format!("{text}.{:03}Z", since.subsec_millis())
    })
}
