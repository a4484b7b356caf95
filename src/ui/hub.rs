//! What all sessions tell, kept for every tab that is open: what stands now, and the messages since,
//! so that a tab that lost its stream goes on where it was. Sessions are followed while a tab is
//! open, and no longer: whoever follows is taken for a person who watches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::api::{Event, Fault, Outcome};
use crate::client::Client;
use crate::overview::{Connect, Overview, Sessions, Update};
use crate::policy::{Entry, Host, Known, Target};
use crate::session::{Found, SessionId, random_bytes};

use super::shown::{self, LinkView, Message, Whole, shown};

/// Messages that a tab may be behind. Beyond that it is told everything anew.
const KEPT: usize = 4096;
/// How long sessions are followed with no tab open: a tab that is loaded anew is one.
const LINGER: Duration = Duration::from_secs(5);
/// Names of the log that a preview lists.
const SEEN_MAX: usize = 10;

/// How a client of a session is made.
pub(super) type Connects = Arc<dyn Fn(&Found) -> Client + Send + Sync>;

/// All sessions, for all tabs.
pub(super) struct Hub {
    connect: Connects,
    shared: Mutex<Shared>,
    /// Changes with every message.
    told: watch::Sender<()>,
}

#[derive(Default)]
struct Shared {
    tabs: usize,
    /// Which tab was the last one to go.
    closed: u64,
    following: Option<AbortHandle>,
    /// Names this stretch of following, so that numbers of another one mean nothing in it.
    stretch: u32,
    /// The number of the last message.
    last: u64,
    kept: VecDeque<Arc<str>>,
    sessions: Sessions,
    clients: HashMap<SessionId, Arc<Client>>,
    allowed: HashMap<SessionId, Known>,
}

/// Where a tab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    stretch: u32,
    number: u64,
}

impl Place {
    /// From what a tab says that it saw last.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (stretch, number) = text.split_once('-')?;
        Some(Self {
            stretch: u32::from_str_radix(stretch, 16).ok()?,
            number: number.parse().ok()?,
        })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}-{}", self.stretch, self.number)
    }
}

/// What a wider pattern would cover.
#[derive(Debug, Serialize)]
pub(super) struct Preview {
    /// The rule that it would be.
    entry: String,
    /// Whether it covers what was asked for.
    covers: bool,
    /// What waits and would be covered.
    waiting: Vec<String>,
    /// What else was asked for lately and would be covered.
    seen: Vec<String>,
}

/// A tab that is open. Dropping it says that it is not.
pub(super) struct Tab {
    hub: Arc<Hub>,
    told: watch::Receiver<()>,
    at: Option<Place>,
}

impl Hub {
    pub(super) fn new(connect: Connects) -> Arc<Self> {
        Arc::new(Self {
            connect,
            shared: Mutex::default(),
            told: watch::Sender::new(()),
        })
    }

    /// Opens a tab, which has seen what came before this place.
    ///
    /// # Errors
    /// When sessions cannot be followed.
    pub(super) fn open(self: &Arc<Self>, at: Option<Place>) -> Result<Tab, Fault> {
        let mut shared = self.lock();
        if shared.following.is_none() {
            let stretch = random_bytes().map_err(|error| Fault::failed(error.to_string()))?;
            let overview = Overview::new(self.connects());
            let overview = overview.map_err(|error| Fault::unavailable(error.to_string()))?;
            let follow = Arc::clone(self).follow(overview);
            shared.stretch = u32::from_le_bytes(stretch);
            shared.following = Some(tokio::spawn(follow).abort_handle());
        }
        shared.tabs += 1;
        Ok(Tab {
            hub: Arc::clone(self),
            told: self.told.subscribe(),
            at,
        })
    }

    /// The client of a session that is followed.
    pub(super) fn client(&self, session: SessionId) -> Result<Arc<Client>, Fault> {
        let client = self.lock().clients.get(&session).cloned();
        client.ok_or_else(|| Fault::conflict(format!("session {session} is over")))
    }

    /// Whether a request is what a person saw: one that waits, or one that was missed. An answer
    /// to a request that waits is not one for its next try, when nobody is looking at it.
    pub(super) fn stands(&self, session: SessionId, id: &str, missed: bool) -> Result<(), Fault> {
        let shared = self.lock();
        let sight = shared.sessions.get(session);
        let sight = sight.ok_or_else(|| Fault::conflict(format!("session {session} is over")))?;
        let waits = sight.pending.iter().any(|one| one.id == id);
        let was_missed = sight.missed.iter().any(|one| one.id == id);
        match (waits, was_missed, missed) {
            (true, _, _) | (_, true, true) => Ok(()),
            (_, true, false) => Err(Fault::conflict(
                "its time ran out before you decided; it is among the missed ones, for its next try",
            )),
            // The control plane knows what became of it, and says so.
            (false, false, _) => Ok(()),
        }
    }

    /// What a pattern would cover, in the place of the host that a request asks for.
    pub(super) fn preview(
        &self,
        session: SessionId,
        id: &str,
        pattern: &str,
    ) -> Result<Preview, Fault> {
        let entry: Entry = pattern
            .parse()
            .map_err(|error| Fault::bad_entry(pattern, format!("{error}")))?;
        let shared = self.lock();
        let gone = || Fault::conflict("this request is gone");
        let sight = shared.sessions.get(session).ok_or_else(gone)?;
        let waiting = sight
            .pending
            .iter()
            .map(|one| (&one.id, &one.domain, one.port));
        let missed = sight
            .missed
            .iter()
            .map(|one| (&one.id, &one.domain, one.port));
        let mut known = waiting.clone().chain(missed);
        let (_, domain, port) = known.find(|(own, ..)| *own == id).ok_or_else(gone)?;
        let entry = entry.reaching(port);
        let is_covered = |domain: &str, port: u16| {
            Host::from_text(domain).is_ok_and(|host| entry.covers(&host, port))
        };
        let target = |domain: &str, port: u16| match Host::from_text(domain) {
            Ok(host) => Target { host, port }.to_string(),
            Err(_) => format!("{domain}:{port}"),
        };
        let covered = waiting.filter(|(_, domain, port)| is_covered(domain, *port));
        let covered: Vec<_> = covered
            .map(|(_, domain, port)| target(domain, port))
            .collect();
        let mut seen: Vec<String> = Vec::new();
        for entry in sight.log.iter().rev() {
            let Some(port) = entry.port.filter(|port| is_covered(&entry.domain, *port)) else {
                continue;
            };
            let target = target(&entry.domain, port);
            if !seen.contains(&target) && !covered.contains(&target) {
                seen.push(target);
            }
            if seen.len() == SEEN_MAX {
                break;
            }
        }
        Ok(Preview {
            covers: is_covered(domain, port),
            entry: entry.to_string(),
            waiting: covered,
            seen,
        })
    }

    async fn follow(self: Arc<Self>, mut overview: Overview) {
        loop {
            let (session, update) = overview.next().await;
            let mut shared = self.lock();
            if let Update::Appeared(_) = update
                && let Some(client) = overview.client(session)
            {
                shared.clients.insert(session, client);
            }
            shared.take(session, update);
            drop(shared);
            self.told.send_replace(());
        }
    }

    fn connects(&self) -> Connect {
        let connect = Arc::clone(&self.connect);
        Box::new(move |found| connect(found))
    }

    /// What a tab is to be told from here on: `None` while there is nothing.
    fn behind(&self, at: Option<Place>) -> Option<(Place, String)> {
        let shared = self.lock();
        let now = Place {
            stretch: shared.stretch,
            number: shared.last,
        };
        let first_kept = shared.last - shared.kept.len() as u64;
        let missing = match at {
            Some(at)
                if at.stretch == now.stretch && (first_kept..=now.number).contains(&at.number) =>
            {
                usize::try_from(now.number - at.number).ok()?
            }
            _ => return Some((now, event(now, &shared.whole()))),
        };
        let from = shared.kept.len() - missing;
        let texts = (now.number - missing as u64 + 1..).zip(shared.kept.range(from..));
        let text: String = texts
            .map(|(number, text)| event(Place { number, ..now }, text))
            .collect();
        (missing > 0).then_some((now, text))
    }

    fn closed(self: &Arc<Self>) {
        let mut shared = self.lock();
        shared.tabs -= 1;
        shared.closed += 1;
        let (open, closed) = (shared.tabs, shared.closed);
        drop(shared);
        let hub = Arc::clone(self);
        if open == 0 && tokio::runtime::Handle::try_current().is_ok() {
            tokio::spawn(async move {
                tokio::time::sleep(LINGER).await;
                let mut shared = hub.lock();
                if shared.tabs == 0 && shared.closed == closed {
                    if let Some(following) = shared.following.take() {
                        following.abort();
                    }
                    *shared = Shared {
                        closed,
                        ..Shared::default()
                    };
                }
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tab {
    /// What is new, as events of a stream; waits while there is nothing. May be dropped while it
    /// waits.
    pub(super) async fn next(&mut self) -> String {
        loop {
            self.told.mark_unchanged();
            if let Some((at, text)) = self.hub.behind(self.at) {
                self.at = Some(at);
                return text;
            }
            // The hub has the other end for as long as there is this one.
            let _ = self.told.changed().await;
        }
    }
}

impl Drop for Tab {
    fn drop(&mut self) {
        self.hub.closed();
    }
}

fn event(place: Place, data: &str) -> String {
    format!("id: {place}\ndata: {data}\n\n")
}

impl Shared {
    fn whole(&self) -> String {
        let none = Known::default();
        let sessions = self.sessions.all().iter().map(|sight| {
            let allowed = self.allowed.get(&sight.record.id).unwrap_or(&none);
            Whole::of(sight, allowed)
        });
        let sessions = sessions.collect();
        Message::Whole { sessions }.text()
    }

    /// Takes an update in, and keeps what tabs are to be told of it.
    fn take(&mut self, session: SessionId, update: Update) {
        match update {
            Update::Told(event) => {
                self.sessions.apply(session, Update::Told(event.clone()));
                self.tell_event(session, &event);
            }
            Update::Lost { .. } => {
                self.sessions.apply(session, update);
                self.tell_link(session);
            }
            Update::Gone => {
                self.sessions.apply(session, update);
                self.clients.remove(&session);
                self.allowed.remove(&session);
                let session = session.as_str();
                self.tell(&Message::Gone { session }.text());
            }
            Update::Appeared(_) | Update::Whole(_) => {
                self.sessions.apply(session, update);
                self.look_at_rules(session);
                // So much is new that every tab is told everything.
                self.kept.clear();
                self.last += 1;
            }
        }
    }

    fn tell_event(&mut self, id: SessionId, event: &Event) {
        let session = id.as_str();
        let none = Known::default();
        let text = match event {
            Event::RequestAdded(request) | Event::RequestUpdated(request) => {
                let allowed = self.allowed.get(&id).unwrap_or(&none);
                let request = shown(&**request, allowed);
                Message::Request { session, request }.text()
            }
            Event::RequestRemoved(settled) => {
                let allowed = self.allowed.get(&id).unwrap_or(&none);
                let sight = self.sessions.get(id);
                let timed_out = sight.filter(|_| settled.outcome == Outcome::TimedOut);
                let missed = timed_out
                    .and_then(|sight| sight.missed.iter().find(|one| one.id == settled.id))
                    .map(|missed| shown(missed, allowed));
                Message::Settled {
                    session,
                    settled,
                    missed,
                }
                .text()
            }
            Event::RuleAdded(change) | Event::RuleRemoved(change) => {
                self.look_at_rules(id);
                Message::Rule {
                    session,
                    rule: &change.rule,
                    gone: matches!(event, Event::RuleRemoved(_)),
                }
                .text()
            }
            Event::Log(entry) => Message::Log { session, entry }.text(),
            Event::SessionEnding { .. } => return self.tell_link(id),
            // Everything comes anew behind it.
            Event::Reset { .. } => return,
        };
        self.tell(&text);
    }

    fn tell_link(&mut self, id: SessionId) {
        let Some(sight) = self.sessions.get(id) else {
            return;
        };
        let (session, link) = (id.as_str(), LinkView::of(&sight.link));
        let text = Message::Link { session, link }.text();
        self.tell(&text);
    }

    fn tell(&mut self, text: &str) {
        self.last += 1;
        self.kept.push_back(text.into());
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    fn look_at_rules(&mut self, id: SessionId) {
        if let Some(sight) = self.sessions.get(id) {
            self.allowed.insert(id, shown::allowed(&sight.rules));
        }
    }
}
