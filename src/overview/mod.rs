//! Every live session of this machine in one place: what waits, what was decided, which rules hold.
//! The monitor and the web page show it. Sessions come by the watcher, and what happens in them by
//! their own events, so nothing is asked again and again; how it looks is for others.

mod follow;
mod state;

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::api::{Event, LogEntry, MissedView, PendingView, RuleView, Session};
use crate::client::Client;
use crate::session::{Change, Found, Record, SessionId, SessionWatcher, WatchError};

pub use state::{LOG_MAX, Link, Sessions, Sight};

/// Updates that may wait to be shown: then whoever sends them waits too.
const BACKLOG: usize = 1024;

/// Makes the client of a session.
pub type Connect = Box<dyn Fn(&Found) -> Client + Send + Sync>;

/// Something to show that is new.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "update", content = "of")]
pub enum Update {
    /// A session is there. What is in it comes as [`Self::Whole`].
    Appeared(Box<Record>),
    /// Everything of a session, as it is now: first, and again after whatever made a gap.
    Whole(Box<Whole>),
    /// Its control plane does not answer; it is tried again. What was shown may be old.
    Lost {
        /// What came of the last try: one sentence.
        why: String,
    },
    /// Something happened in it.
    Told(Box<Event>),
    /// The session is over.
    Gone,
}

/// Everything of a session.
#[derive(Debug, Clone, Serialize)]
pub struct Whole {
    /// What it says of itself.
    pub session: Session,
    /// What waits, oldest first.
    pub pending: Vec<PendingView>,
    /// What nobody decided in time, newest first.
    pub missed: Vec<MissedView>,
    /// The rules in force.
    pub rules: Vec<RuleView>,
    /// Decisions since the last ones that were told, oldest first; at first, the newest.
    pub log: Vec<LogEntry>,
}

/// Follows every session. Dropping it ends that.
pub struct Overview {
    watcher: SessionWatcher,
    connect: Connect,
    followed: HashMap<SessionId, Followed>,
    updates: mpsc::Receiver<(SessionId, Update)>,
    tell: mpsc::Sender<(SessionId, Update)>,
}

struct Followed {
    client: Arc<Client>,
    task: AbortHandle,
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Overview {
    /// Follows this user's sessions. Whoever does is taken for a person who watches: requests wait
    /// for them.
    ///
    /// # Errors
    /// When the kernel does not let it watch.
    pub fn new(connect: Connect) -> Result<Self, WatchError> {
        let (tell, updates) = mpsc::channel(BACKLOG);
        Ok(Self {
            watcher: SessionWatcher::new()?,
            connect,
            followed: HashMap::new(),
            updates,
            tell,
        })
    }

    /// The next update, and the session it is about. May be dropped while it waits.
    pub async fn next(&mut self) -> (SessionId, Update) {
        loop {
            tokio::select! {
                change = self.watcher.next() => match change {
                    Change::Appeared(found) => return self.appeared(&found),
                    Change::Gone(id) => {
                        self.followed.remove(&id);
                        return (id, Update::Gone);
                    }
                },
                // What a session said before it was gone is of no use after that.
                Some((id, update)) = self.updates.recv() => {
                    if self.followed.contains_key(&id) {
                        return (id, update);
                    }
                }
            }
        }
    }

    /// The client of a session that is followed.
    pub fn client(&self, id: SessionId) -> Option<Arc<Client>> {
        let followed = self.followed.get(&id)?;
        Some(Arc::clone(&followed.client))
    }

    fn appeared(&mut self, found: &Found) -> (SessionId, Update) {
        let id = found.record.id;
        let client = Arc::new((self.connect)(found));
        let follow = follow::session(id, Arc::clone(&client), self.tell.clone());
        let task = tokio::spawn(follow).abort_handle();
        self.followed.insert(id, Followed { client, task });
        (id, Update::Appeared(Box::new(found.record.clone())))
    }
}
