//! Requests that no rule covers, held until somebody decides or time runs out.
//!
//! Requests for the same host and port share an entry. An entry outlives those who wait on it, so
//! that an approval lets the retry of a client through that had given up. It leaves the queue
//! exactly once, by whoever comes first: a decision, a rule, the clock, the session's end.
//!
//! The queue knows no rule: the gate says what is asked about, and judges again afterwards. No
//! lock is held while anybody waits; requests that rules decide never come here.

mod entry;
mod missed;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::sleep_until;

use crate::api::{Asking, Fault, MissedView, Outcome, PendingView, Settled};
use crate::policy::{Door, Reason, Scope, Target, Verdict};

use self::entry::Entry;
pub(super) use self::entry::Offers;
use self::missed::Missed;
use super::ledger::Ledger;

/// Entries at a time.
const ENTRIES: usize = 512;
/// Of which so many may be of one registrable domain: made-up names below one domain do not
/// crowd out what somebody waits for.
const ENTRIES_OF_ONE_GROUP: usize = 128;
/// Connections that wait at a time; of few places a quarter is for what is not asked about.
const WAITING: usize = 16 * 1024;
/// Ends that are remembered, so that whoever comes second learns who was first.
const ENDS: usize = 1024;
/// Clients ask again by themselves, most of them some times within so long (measured: pip six
/// times, cargo and apt four times): somebody who said no is not asked about each.
const RETRIES: Duration = Duration::from_secs(15);
/// A change of an entry is told at most this often.
const UPDATES: Duration = Duration::from_millis(100);
/// Whoever has looked at the list in the last so many seconds is watching.
const LOOKS: Duration = Duration::from_secs(30);

/// What a request that waited is told.
#[derive(Debug, Clone)]
pub(super) enum Answer {
    /// The rules have changed and cover it now: judge again.
    Judge,
    /// This request, and no other.
    Once,
    /// Somebody refused it.
    Denied {
        /// What the sandbox is told.
        reason: Option<Arc<str>>,
    },
    /// Nobody decided in time.
    TimedOut,
    /// Too many wait.
    Full,
    /// The session ends.
    Ended,
}

/// The held requests of a session.
pub(super) struct Queue {
    state: Mutex<State>,
    ledger: Ledger,
    room: usize,
    /// There is an entry more, or something to tell of one.
    changed: Notify,
    began: Instant,
    /// When somebody looked at the list last, in milliseconds since then; 0 for never.
    looked: AtomicU64,
}

#[derive(Default)]
struct State {
    entries: HashMap<Target, Entry>,
    waiting: usize,
    /// Counts connections that ever waited: each has its number.
    tickets: u64,
    ends: std::collections::VecDeque<Settled>,
    missed: Missed,
    /// What the next requests for a target are told, until then.
    standing: HashMap<Target, (Instant, Answer)>,
    /// Refusals for want of room since the last that was told, and when that was.
    overflow: (u64, Option<Instant>),
    over: bool,
}

/// An entry that somebody has claimed for a decision. It is in the queue no more.
pub(super) struct Claimed {
    entry: Entry,
}

impl Claimed {
    /// What was asked for.
    pub(super) fn target(&self) -> &Target {
        &self.entry.target
    }

    /// Its id.
    pub(super) fn id(&self) -> &str {
        &self.entry.id
    }
}

impl Queue {
    pub(super) fn new(ledger: Ledger, places: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            ledger,
            room: WAITING.min(places / 4 * 3),
            changed: Notify::new(),
            began: Instant::now(),
            looked: AtomicU64::new(0),
        })
    }

    /// Waits until something decides about the target. Dropping the future is giving up.
    pub(super) async fn ask(
        self: &Arc<Self>,
        target: &Target,
        door: Door,
        asking: Asking,
        offers: impl FnOnce() -> Offers,
    ) -> Answer {
        let (answer, _place) = match self.join(target, door, asking, offers) {
            Ok(joined) => joined,
            Err(answer) => return answer,
        };
        // The sender is dropped without a word only with the queue itself.
        answer.await.unwrap_or(Answer::Ended)
    }

    fn join(
        self: &Arc<Self>,
        target: &Target,
        door: Door,
        asking: Asking,
        offers: impl FnOnce() -> Offers,
    ) -> Result<(oneshot::Receiver<Answer>, Place), Answer> {
        let now = Instant::now();
        let mut state = self.lock();
        if state.over {
            return Err(Answer::Ended);
        }
        if let Some(answer) = state.standing_answer(target, now) {
            return Err(answer);
        }
        let waiting_for_it = state.entries.get(target).map(|entry| entry.waiting());
        let no_room = match waiting_for_it {
            Some(waiting) => waiting >= self.room / 4 * 3,
            None => state.no_room_for(target),
        };
        if no_room || state.waiting >= self.room {
            self.tell_overflow(&mut state, target, now);
            return Err(Answer::Full);
        }
        state.tickets += 1;
        state.waiting += 1;
        let ticket = state.tickets;
        let (sender, receiver) = oneshot::channel();
        match state.entries.get_mut(target) {
            Some(entry) => entry.join(ticket, door, sender),
            None => {
                let mut entry = Entry::new(target.clone(), asking, now);
                entry.offers = offers();
                entry.join(ticket, door, sender);
                entry.told(now);
                let view = entry.view(self.attended(now));
                self.ledger.request_added(view);
                state.entries.insert(target.clone(), entry);
            }
        }
        drop(state);
        self.changed.notify_one();
        let place = Place {
            queue: Arc::clone(self),
            target: target.clone(),
            ticket,
        };
        Ok((receiver, place))
    }

    /// One event a second at most, however many find no room.
    fn tell_overflow(&self, state: &mut State, target: &Target, now: Instant) {
        state.overflow.0 += 1;
        let due = state
            .overflow
            .1
            .is_none_or(|last| now - last >= Duration::from_secs(1));
        if due {
            let count = std::mem::take(&mut state.overflow.0);
            state.overflow.1 = Some(now);
            self.ledger.queue_full(target, count);
        }
    }

    /// Takes a request out for a decision. Whoever comes second learns who was first.
    ///
    /// # Errors
    /// 409 with the outcome that stands, 404 for what never waited.
    pub(super) fn claim(
        &self,
        id: &str,
        verdict: Verdict,
        scope: Scope,
        actor: &str,
    ) -> Result<Claimed, Fault> {
        let mut state = self.lock();
        let outcome = match verdict {
            Verdict::Allow => Outcome::Approved,
            Verdict::Deny => Outcome::Denied,
        };
        let held = state
            .entries
            .values()
            .find(|entry| entry.id == id)
            .map(|entry| entry.target.clone());
        let entry = match held {
            Some(target) => state.take(&target),
            None => state.missed.take(id),
        };
        let Some(entry) = entry else {
            let end = state.ends.iter().rev().find(|end| end.id == id);
            return Err(end.map_or_else(
                || Fault::no_such_request(id),
                |end| Fault::conflict(format!("{end} already")),
            ));
        };
        let end = entry.settled(outcome, actor, Some(scope));
        state.remember(end);
        Ok(Claimed { entry })
    }

    /// The target of a request that waits or was missed, without claiming it.
    pub(super) fn target_of(&self, id: &str) -> Option<Target> {
        let state = self.lock();
        let held = state.entries.values().find(|entry| entry.id == id);
        held.map(|entry| entry.target.clone())
            .or_else(|| state.missed.target_of(id))
    }

    /// Tells those who waited, in the order in which they came, and everybody who watches. Says
    /// how many waited.
    pub(super) fn release(
        &self,
        claimed: Claimed,
        answer: &Answer,
        verdict: Verdict,
        scope: Scope,
        actor: &str,
    ) -> usize {
        let outcome = match verdict {
            Verdict::Allow => Outcome::Approved,
            Verdict::Deny => Outcome::Denied,
        };
        let mut entry = claimed.entry;
        let end = entry.settled(outcome, actor, Some(scope));
        self.ledger.request_removed(&end);
        let released = entry.release(answer);
        let stands = match answer {
            Answer::Once if released == 0 => entry.asking.approval(),
            Answer::Denied { .. } => RETRIES,
            _ => return released,
        };
        let now = Instant::now();
        let mut state = self.lock();
        state.standing.retain(|_, (until, _)| *until > now);
        if state.standing.len() < ENTRIES {
            let answer = (now + stands, answer.clone());
            state.standing.insert(entry.target, answer);
        }
        released
    }

    /// Lets every request go that a rule covers now. `covered` says by which verdict.
    pub(super) fn settle(&self, covered: impl Fn(&Target) -> Option<Verdict>, actor: &str) {
        let mut state = self.lock();
        let due: Vec<(Target, Verdict)> = state
            .entries
            .keys()
            .filter_map(|target| Some((target.clone(), covered(target)?)))
            .collect();
        for (target, verdict) in due {
            let outcome = match verdict {
                Verdict::Allow => Outcome::Approved,
                Verdict::Deny => Outcome::Denied,
            };
            self.end(&mut state, &target, outcome, actor, &Answer::Judge);
        }
        state.missed.retain(|target| covered(target).is_none());
    }

    /// Ends what waited for too long, and tells of changes, for as long as the proxy lives.
    pub(super) async fn keep(self: Arc<Self>) {
        loop {
            let changed = self.changed.notified();
            let next = self.tick(Instant::now());
            match next {
                Some(at) => tokio::select! {
                    () = sleep_until(at.into()) => {}
                    () = changed => {}
                },
                None => changed.await,
            }
        }
    }

    /// What is due now. Says when to come back.
    fn tick(&self, now: Instant) -> Option<Instant> {
        let attended = self.attended(now);
        let mut state = self.lock();
        let due: Vec<Target> = state
            .entries
            .values()
            .filter(|entry| entry.deadline(attended) <= now)
            .map(|entry| entry.target.clone())
            .collect();
        for target in due {
            let entry = state.entries.get(&target);
            if let Some(view) = entry.map(|entry| entry.missed(Reason::TimedOut)) {
                state.missed.put(target.clone(), view);
            }
            self.end(
                &mut state,
                &target,
                Outcome::TimedOut,
                "vibepit",
                &Answer::TimedOut,
            );
        }
        let mut next: Option<Instant> = None;
        for entry in state.entries.values_mut() {
            if entry.to_tell(now, UPDATES) {
                entry.told(now);
                self.ledger.request_updated(entry.view(attended));
            }
            // Somebody may begin or cease to watch meanwhile: both ends are looked at.
            let at = [
                Some(entry.deadline(true)),
                Some(entry.deadline(false)),
                entry.next_update(UPDATES),
            ];
            let at = at.into_iter().flatten().filter(|at| *at > now).min();
            next = [next, at].into_iter().flatten().min();
        }
        next
    }

    /// Ends everything: nobody will decide any more.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.over = true;
        let targets: Vec<Target> = state.entries.keys().cloned().collect();
        for target in targets {
            self.end(
                &mut state,
                &target,
                Outcome::SessionEnded,
                "vibepit",
                &Answer::Ended,
            );
        }
    }

    fn end(
        &self,
        state: &mut State,
        target: &Target,
        outcome: Outcome,
        actor: &str,
        answer: &Answer,
    ) {
        let Some(mut entry) = state.take(target) else {
            return;
        };
        let end = entry.settled(outcome, actor, None);
        self.ledger.request_removed(&end);
        state.remember(end);
        entry.release(answer);
    }

    /// What waits, oldest first.
    pub(super) fn pending(&self) -> Vec<PendingView> {
        let now = Instant::now();
        let millis = u64::try_from((now - self.began).as_millis()).unwrap_or(u64::MAX);
        self.looked.store(millis.max(1), Relaxed);
        let state = self.lock();
        let mut entries: Vec<&Entry> = state.entries.values().collect();
        entries.sort_by_key(|entry| entry.first);
        entries.into_iter().map(|entry| entry.view(true)).collect()
    }

    /// What waits, for the sandbox to know: to look is not to watch.
    pub(super) fn targets(&self) -> Vec<Target> {
        self.lock().entries.keys().cloned().collect()
    }

    /// What nobody decided, newest first.
    pub(super) fn missed(&self) -> Vec<MissedView> {
        self.lock().missed.views()
    }

    /// Notes a request that was refused because nobody is asked, or for want of room.
    pub(super) fn miss(&self, target: &Target, reason: Reason) {
        let mut state = self.lock();
        if !state.entries.contains_key(target) && !state.missed.again(target, reason) {
            let asking = Asking::default();
            let view = Entry::new(target.clone(), asking, Instant::now()).missed(reason);
            state.missed.put(target.clone(), view);
        }
    }

    /// How many requests and connections wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.entries.len(), state.waiting)
    }

    /// Whether somebody would see a request now.
    fn attended(&self, now: Instant) -> bool {
        let looked = self.looked.load(Relaxed);
        let since = Duration::from_millis(looked);
        self.ledger.is_watched() || looked > 0 && now < self.began + since + LOOKS
    }

    fn leave(&self, target: &Target, ticket: u64) {
        let mut state = self.lock();
        if let Some(entry) = state.entries.get_mut(target)
            && entry.leave(ticket)
        {
            state.waiting -= 1;
            drop(state);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// What was said of this target a moment ago: a yes passes one request, a no stands.
    fn standing_answer(&mut self, target: &Target, now: Instant) -> Option<Answer> {
        let (until, answer) = self.standing.get(target)?;
        let answer = (*until > now).then(|| answer.clone());
        if !matches!(answer, Some(Answer::Denied { .. })) {
            self.standing.remove(target);
        }
        answer
    }

    fn no_room_for(&self, target: &Target) -> bool {
        if self.entries.len() >= ENTRIES {
            return true;
        }
        // Only a list that is getting long is looked through.
        self.entries.len() >= ENTRIES_OF_ONE_GROUP && {
            let group = crate::policy::registrable(&target.host);
            let of_it = self.entries.values().filter(|entry| entry.group == group);
            of_it.count() >= ENTRIES_OF_ONE_GROUP
        }
    }

    /// Takes an entry out, with those who wait on it.
    fn take(&mut self, target: &Target) -> Option<Entry> {
        let entry = self.entries.remove(target)?;
        self.waiting -= entry.waiting();
        Some(entry)
    }

    fn remember(&mut self, end: Settled) {
        if self.ends.len() == ENDS {
            self.ends.pop_front();
        }
        self.ends.push_back(end);
    }
}

/// A connection's place in the queue. Dropping it is giving up.
struct Place {
    queue: Arc<Queue>,
    target: Target,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.queue.leave(&self.target, self.ticket);
    }
}

#[cfg(test)]
mod tests;
