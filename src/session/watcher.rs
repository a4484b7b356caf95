//! Watching sessions come and go. An event from the kernel says only that it is time to look
//! again; what changed is the difference between two looks. So a burst is one look, and an event
//! that was lost, when the kernel's queue overflowed, loses nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::SessionId;
use super::discovery::{Found, find, ids};
use super::layout::{Place, RuntimeDir};

/// How soon to look again at a session that is neither quite there nor quite gone.
const UNSETTLED: Duration = Duration::from_millis(200);

/// How often to look when the kernel refuses to watch (fs.inotify.max_user_watches).
const UNWATCHED: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug, Clone)]
pub enum Change {
    /// A live session is there.
    Appeared(Box<Found>),
    /// A session that had appeared ended: its directory is gone, or its launcher was killed and
    /// its control plane no longer answers.
    Gone(SessionId),
}

/// Why sessions cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("cannot watch for sessions: {0}; fs.inotify.max_user_instances may be too low")]
pub struct WatchError(#[from] notify::Error);

/// Tells of the sessions that are live, and from then on of each that appears or goes. The
/// runtime directory may come and go meanwhile.
#[derive(Debug)]
pub struct SessionWatcher {
    place: Place,
    watcher: RecommendedWatcher,
    signal: Arc<Signal>,
    /// The runtime directory, or the nearest directory above it while it does not exist.
    top: Option<PathBuf>,
    sessions: HashMap<SessionId, Session>,
    pending: VecDeque<Change>,
    /// Something may have changed since the last complete look.
    dirty: bool,
    again: Option<Duration>,
}

#[derive(Debug, Default)]
struct Signal {
    changed: Notify,
    top_moved: AtomicBool,
}

#[derive(Debug, Default)]
struct Session {
    state: State,
    watched: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not announced yet, or not yet answering.
    #[default]
    Starting,
    /// Told to have appeared.
    Live,
    /// Left behind by a launcher that was killed.
    Dead,
}

impl SessionWatcher {
    /// Watches this user's sessions.
    ///
    /// # Errors
    ///
    /// [`WatchError`] when the kernel gives no inotify instance.
    pub fn new() -> Result<Self, WatchError> {
        Self::watching(Place::of_this_user())
    }

    /// Watches the sessions of a runtime directory at `path`, which need not exist.
    ///
    /// # Errors
    ///
    /// [`WatchError`] when the kernel gives no inotify instance.
    pub fn at(path: &Path) -> Result<Self, WatchError> {
        Self::watching(Place::at(path))
    }

    fn watching(place: Place) -> Result<Self, WatchError> {
        let signal = Arc::new(Signal {
            changed: Notify::new(),
            top_moved: AtomicBool::new(true),
        });
        let (tell, path) = (Arc::clone(&signal), place.path().to_owned());
        let watcher = notify::recommended_watcher(move |event| tell.hear(event, &path))?;
        Ok(Self {
            place,
            watcher,
            signal,
            top: None,
            sessions: HashMap::new(),
            pending: VecDeque::new(),
            dirty: true,
            again: None,
        })
    }

    /// The next change; the first ones are the sessions that are live already. Dropping the
    /// future before it is ready loses nothing.
    pub async fn next(&mut self) -> Change {
        loop {
            if let Some(change) = self.pending.pop_front() {
                return change;
            }
            if !self.dirty {
                let changed = self.signal.changed.notified();
                match self.again {
                    // Told or timed out: either way it is time to look.
                    Some(patience) => drop(tokio::time::timeout(patience, changed).await),
                    None => changed.await,
                }
                self.dirty = true;
            }
            self.again = None;
            if self.signal.top_moved.swap(false, Ordering::AcqRel) {
                self.watch_top();
            }
            self.look().await;
            self.dirty = false;
        }
    }

    /// Watches the runtime directory, or the nearest directory above it, afresh.
    fn watch_top(&mut self) {
        if let Some(old) = self.top.take() {
            // It may be gone, and the watch with it.
            let _ = self.watcher.unwatch(&old);
        }
        loop {
            let nearest = self.nearest();
            let watched = self.watcher.watch(&nearest, RecursiveMode::NonRecursive);
            // What came or went before the watch stood was not seen by it.
            if nearest != self.nearest() {
                let _ = self.watcher.unwatch(&nearest);
                continue;
            }
            if watched.is_ok() {
                self.top = Some(nearest);
            }
            return;
        }
    }

    fn nearest(&self) -> PathBuf {
        let mut upwards = self.place.path().ancestors();
        upwards
            .find(|path| path.is_dir())
            .unwrap_or_else(|| Path::new("/"))
            .to_owned()
    }

    async fn look(&mut self) {
        if self.top.is_none() {
            self.look_again_in(UNWATCHED);
            // Perhaps it can be watched by then.
            self.signal.top_moved.store(true, Ordering::Release);
        }
        // A runtime directory that is not ours holds no session of ours.
        let runtime = self.place.open().ok().flatten();
        let present: HashSet<_> = runtime.iter().flat_map(ids).collect();

        let known: Vec<_> = self.sessions.keys().copied().collect();
        for id in known.into_iter().filter(|id| !present.contains(id)) {
            self.settle(id, State::Dead);
            self.sessions.remove(&id);
        }
        for id in present {
            if let Some(runtime) = &runtime {
                self.look_at(runtime, id).await;
            }
        }
    }

    async fn look_at(&mut self, runtime: &RuntimeDir, id: SessionId) {
        loop {
            let before = self.sessions.entry(id).or_default().state;
            if before == State::Dead {
                return;
            }
            let now = match find(runtime, id) {
                Some(found) => self.judge(before, found).await,
                None if before == State::Live => State::Dead,
                None => State::Starting,
            };
            self.settle(id, now);
            // Now that it is worth a watch, and it has one, look once more: what happened before
            // the watch stood was not seen by it.
            if now == State::Dead || !self.watch_session(runtime, id) {
                return;
            }
        }
    }

    async fn judge(&mut self, before: State, found: Found) -> State {
        let orphaned = found.lock_is_free();
        if before == State::Live && !orphaned {
            return State::Live;
        }
        let answers = found.is_live().await;
        if answers && before != State::Live {
            self.pending.push_back(Change::Appeared(Box::new(found)));
        }
        match (answers, orphaned) {
            // It ends by itself when it notices, and no file tells when.
            (true, true) => self.look_again_in(UNSETTLED),
            (true, false) => {}
            (false, true) => return State::Dead,
            (false, false) => {
                self.look_again_in(UNSETTLED);
                return State::Starting;
            }
        }
        State::Live
    }

    fn settle(&mut self, id: SessionId, now: State) {
        let session = self.sessions.entry(id).or_default();
        if session.state == State::Live && now == State::Dead {
            self.pending.push_back(Change::Gone(id));
        }
        session.state = now;
        if now == State::Dead && session.watched {
            session.watched = false;
            // The watch goes with the directory, so this may come too late.
            let _ = self.watcher.unwatch(&self.place.path().join(id.as_str()));
        }
    }

    /// Watches for the announcement of a session, and for the end of its launcher: the kernel then
    /// closes the lock file, which was opened for writing. True when the watch is new.
    fn watch_session(&mut self, runtime: &RuntimeDir, id: SessionId) -> bool {
        let session = self.sessions.entry(id).or_default();
        if session.watched {
            return false;
        }
        let path = runtime.path().join(id.as_str());
        session.watched = self
            .watcher
            .watch(&path, RecursiveMode::NonRecursive)
            .is_ok();
        let watched = session.watched;
        if !watched {
            self.look_again_in(UNWATCHED);
        }
        watched
    }

    fn look_again_in(&mut self, patience: Duration) {
        self.again = Some(self.again.map_or(patience, |sooner| sooner.min(patience)));
    }
}

impl Signal {
    /// Called by the thread that reads the kernel's events.
    fn hear(&self, event: notify::Result<Event>, runtime: &Path) {
        let (tells, top_moved) = match &event {
            // An overflow, or an error: anything may have happened.
            Ok(event) if event.need_rescan() => (true, true),
            Err(_) => (true, true),
            // Somebody looked, perhaps we ourselves.
            Ok(Event {
                kind: EventKind::Access(kind),
                ..
            }) if *kind != AccessKind::Close(AccessMode::Write) => (false, false),
            Ok(event) => {
                let above = event.paths.iter().any(|path| runtime.starts_with(path));
                let below = event.paths.iter().any(|path| path.starts_with(runtime));
                (above || below, above)
            }
        };
        if top_moved {
            self.top_moved.store(true, Ordering::Release);
        }
        if tells {
            self.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Home, record};
    use super::*;
    use crate::transport::unix;
    use futures_util::FutureExt;
    use notify::event::Flag;
    use std::fs;

    fn watch(home: &Home) -> SessionWatcher {
        SessionWatcher::at(home.runtime.path()).unwrap()
    }

    /// What makes it look whatever else is told.
    fn overflow() -> Event {
        Event::new(EventKind::Other).set_flag(Flag::Rescan)
    }

    async fn next(watcher: &mut SessionWatcher) -> Change {
        let patience = Duration::from_secs(20);
        tokio::time::timeout(patience, watcher.next())
            .await
            .expect("a change within 20 s")
    }

    async fn appeared(watcher: &mut SessionWatcher) -> String {
        match next(watcher).await {
            Change::Appeared(found) => found.record.name,
            gone @ Change::Gone(_) => panic!("{gone:?}"),
        }
    }

    async fn gone(watcher: &mut SessionWatcher) -> SessionId {
        match next(watcher).await {
            Change::Gone(id) => id,
            appeared @ Change::Appeared(_) => panic!("{appeared:?}"),
        }
    }

    #[tokio::test]
    async fn a_session_that_is_live_already_comes_first() {
        let home = Home::new();
        let _live = home.live("before", None);
        home.stale("dead", None);
        let mut watcher = watch(&home);
        assert_eq!(appeared(&mut watcher).await, "before");
        let _later = home.live("after", None);
        assert_eq!(appeared(&mut watcher).await, "after");
    }

    #[tokio::test]
    async fn a_session_appears_when_it_is_announced_and_goes_when_it_is_removed() {
        let home = Home::new();
        let mut watcher = watch(&home);
        let starting = home.starting();
        let live = home.live("other", None);
        assert_eq!(appeared(&mut watcher).await, "other");
        let _listener = unix::listen(&starting.control_socket()).unwrap();
        starting.announce(&record(&starting, "slow", None)).unwrap();
        assert_eq!(appeared(&mut watcher).await, "slow");
        let (dir, listener) = live.apart();
        let id = dir.id();
        drop(listener);
        dir.remove().unwrap();
        assert_eq!(gone(&mut watcher).await, id);
    }

    #[tokio::test]
    async fn a_session_whose_launcher_was_killed_is_gone_though_its_directory_stays() {
        let home = Home::new();
        let live = home.live("web", None);
        let mut watcher = watch(&home);
        appeared(&mut watcher).await;
        let (dir, listener) = live.apart();
        let id = dir.id();
        // Killed: the lock is free, and nothing was removed. The proxy notices a little later.
        drop(dir);
        // It still answers. Two looks that see it so, and nothing is told of it: what the first
        // one had found would come before the second one's news.
        let _one = home.live("one", None);
        assert_eq!(appeared(&mut watcher).await, "one");
        let _two = home.live("two", None);
        assert_eq!(appeared(&mut watcher).await, "two");
        drop(listener);
        assert_eq!(gone(&mut watcher).await, id);
        assert!(home.runtime.path().join(id.as_str()).exists());
        // Told once.
        let _next = home.live("next", None);
        assert_eq!(appeared(&mut watcher).await, "next");
    }

    #[tokio::test]
    async fn the_runtime_directory_may_come_later_and_go_and_come_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/vibepit");
        let mut watcher = SessionWatcher::at(&path).unwrap();
        for round in 0..5 {
            let name = format!("round {round}");
            let runtime = RuntimeDir::open_or_create_at(&path).unwrap();
            let home = Home {
                runtime,
                dir: tempfile::tempdir().unwrap(),
            };
            // Sometimes the watcher has seen the empty directory before, sometimes not.
            if round % 2 == 0 {
                watcher.signal.hear(Ok(overflow()), &path);
                assert!(watcher.next().now_or_never().is_none());
            }
            let live = home.live(&name, None);
            assert_eq!(appeared(&mut watcher).await, name);
            let id = live.dir.id();
            fs::remove_dir_all(dir.path().join("run")).unwrap();
            assert_eq!(gone(&mut watcher).await, id);
        }
    }

    #[tokio::test]
    async fn a_burst_loses_nothing() {
        let home = Home::new();
        let mut watcher = watch(&home);
        let sessions: Vec<_> = (0..200)
            .map(|number| home.live(&number.to_string(), None))
            .collect();
        let mut seen = HashSet::new();
        while seen.len() < sessions.len() {
            assert!(seen.insert(appeared(&mut watcher).await));
        }
        let mut ids: HashSet<_> = sessions.iter().map(|live| live.dir.id()).collect();
        for live in sessions {
            live.dir.remove().unwrap();
        }
        while !ids.is_empty() {
            assert!(ids.remove(&gone(&mut watcher).await));
        }
    }

    #[tokio::test]
    async fn after_a_queue_overflow_it_looks_again() {
        let home = Home::new();
        let mut watcher = watch(&home);
        let _first = home.live("first", None);
        assert_eq!(appeared(&mut watcher).await, "first");
        // From here on the kernel tells nothing.
        watcher.watcher = notify::recommended_watcher(|_| {}).unwrap();
        let _second = home.live("second", None);
        watcher.signal.hear(Ok(overflow()), home.runtime.path());
        assert_eq!(appeared(&mut watcher).await, "second");
    }

    #[tokio::test]
    async fn a_look_that_is_given_up_loses_nothing() {
        let home = Home::new();
        let mut watcher = watch(&home);
        let _sessions: Vec<_> = (0..20)
            .map(|number| home.live(&number.to_string(), None))
            .collect();
        let mut seen = HashSet::new();
        while seen.len() < 20 {
            tokio::select! {
                biased;
                change = watcher.next() => {
                    let Change::Appeared(found) = change else { panic!("{change:?}") };
                    assert!(seen.insert(found.record.name));
                }
                () = tokio::task::yield_now() => {}
            }
        }
    }
}
