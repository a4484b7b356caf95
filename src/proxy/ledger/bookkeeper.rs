//! The one task that writes: takes notes in batches, enters them, and has them audited.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::books::Books;
use super::{Note, Refused, Shared, timestamp};
use crate::api::allow_command;
use crate::policy::{Door, Reason, Target};
use crate::proxy::audit::Audit;
use crate::proxy::gate::Gate;

/// While nobody watches, notes gather for so long before they are written down together: to wake
/// this task for each costs more than the note. Whoever reads the books has it hurry.
const GATHER: Duration = Duration::from_millis(20);
/// Notes entered at a time.
const BATCH: usize = 1024;

/// Keeps the books.
pub(in crate::proxy) struct Bookkeeper {
    pub(super) inbox: mpsc::Receiver<Note>,
    pub(super) shared: Arc<Shared>,
    pub(super) audit: Option<Audit>,
}

impl Bookkeeper {
    /// Writes down what comes, for as long as the proxy lives.
    pub(in crate::proxy) async fn keep(mut self, gate: Arc<Gate>) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.inbox.recv_many(&mut batch, BATCH).await > 0 {
            let mut waiting = Vec::new();
            let shared = Arc::clone(&self.shared);
            {
                let mut books = shared.books.lock().unwrap_or_else(PoisonError::into_inner);
                for note in batch.drain(..) {
                    match note {
                        Note::CaughtUp(done) => waiting.push(done),
                        other => self.enter(&mut books, other, &gate),
                    }
                }
                shared.newest.send_if_modified(|newest| {
                    let changed = *newest != books.event_count();
                    *newest = books.event_count();
                    changed
                });
            }
            self.write_audit();
            let hurry = !waiting.is_empty() || shared.newest.receiver_count() > 0;
            for done in waiting {
                let _ = done.send(());
            }
            if !hurry && self.inbox.is_empty() {
                tokio::select! {
                    () = sleep(GATHER) => {}
                    () = shared.hurry.notified() => {}
                }
            }
        }
    }

    fn enter(&mut self, books: &mut Books, note: Note, gate: &Gate) {
        match note {
            Note::CaughtUp(_) => {}
            // The rules may have changed between the admission and now, when a sweep could not
            // see this connection yet.
            Note::Opened(open) => {
                if !gate.still_admits(&open.permit) {
                    open.abort.abort();
                }
                books.opened(open);
            }
            Note::Closed(open) => books.closed(&open, self.audit.as_mut()),
            Note::Refused(refused) => {
                if let Some(target) = &refused.missed {
                    gate.queue.miss(target, refused.reason);
                }
                // Those without room are told together, or they would crowd out the rest.
                if refused.reason == Reason::QueueFull {
                    books.uncounted();
                } else {
                    books.refused(*refused, self.audit.as_mut());
                }
            }
            Note::Overflow(target, count) => {
                books.refused(overflow(&target, count), self.audit.as_mut());
            }
            Note::Event(at, event, line) => {
                if !line.is_null() {
                    self.audit(at, &line);
                }
                books.event(event);
            }
            Note::PeerRefused(at, line) => {
                books.peer_refused();
                self.audit(at, &line);
            }
            Note::Audited(at, line) => self.audit(at, &line),
        }
    }

    fn audit(&mut self, at: SystemTime, line: &Value) {
        if let Some(audit) = self.audit.as_mut() {
            audit.write(&timestamp(at), line);
        }
    }

    /// Outside the lock: a slow disk must not keep readers of the books waiting.
    fn write_audit(&mut self) {
        if let Some(audit) = self.audit.as_mut()
            && audit.flush()
        {
            let mut books = self
                .shared
                .books
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            books.audited(audit.lost(), audit.fault());
        }
    }
}

/// The one line for all that found no room.
fn overflow(target: &Target, count: u64) -> Refused {
    Refused {
        at: SystemTime::now(),
        domain: target.host.to_string(),
        port: Some(target.port),
        door: Door::Connect,
        reason: Reason::QueueFull,
        rule: None,
        detail: Some(format!("{count} requests found too many others waiting")),
        remedy: Some(allow_command(&target.to_string())),
        missed: None,
    }
}
