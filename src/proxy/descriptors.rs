//! How many descriptors the sandbox may use up: one for each connection that it opens, and a second
//! one as soon as that is dialled on; beside it, while a name is resolved, one for each question
//! that may be on its way. So what is only held costs one.
//!
//! A part is kept back for everything else, so that the control plane answers whatever the sandbox
//! does; and a part is for dialling alone, so that connections that wait to be dialled are never
//! waiting for each other.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// For everything else: the control plane, the clients of the name server, pipes.
const RESERVED: usize = 1024;
/// Of which so many are for clients of the name server over TCP.
pub(super) const NAME_SERVER: usize = RESERVED / 8;
/// For dialling alone.
const FOR_DIALLING: usize = 512;
/// Connections of one sandbox and those they are dialled on to: more is no agent's work.
const MOST: usize = 64 * 1024;
/// Sockets that the resolver may open for one name: for both families two servers are asked at a
/// time, and each of them three times while it is silent.
const QUESTIONS: usize = 2 * 2 * 3;

/// How many this process may have: as many as the system allows.
pub(super) fn limit() -> usize {
    static LIMIT: LazyLock<usize> = LazyLock::new(|| {
        /// Where nothing can be found out: what every system allows.
        const USUAL: usize = 1024;
        let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
            return USUAL;
        };
        // If it cannot be raised, there are fewer tunnels: no reason not to start.
        let raised = setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
        usize::try_from(if raised { hard } else { soft }).unwrap_or(USUAL)
    });
    *LIMIT
}

/// Of so many, those that are not the sandbox's.
pub(super) fn kept_back(limit: usize) -> usize {
    RESERVED.min(limit / 4)
}

/// One of them, or some, until it is dropped.
pub(super) type Descriptor = OwnedSemaphorePermit;

/// Those of a process.
#[derive(Debug, Clone)]
pub(super) struct Descriptors {
    common: Places,
    for_dialling: Arc<Semaphore>,
    /// How many a look-up takes.
    questions: u32,
    /// For clients of the name server over TCP.
    pub(super) name_server: Places,
}

impl Descriptors {
    /// `limit` is how many the process may have.
    pub(super) fn new(limit: usize) -> Self {
        let reserved = kept_back(limit);
        let free = (limit - reserved).min(MOST);
        let for_dialling = FOR_DIALLING.min(free / 4);
        let questions = QUESTIONS.min(for_dialling / 2);
        Self {
            common: Places::new(free - for_dialling),
            for_dialling: Arc::new(Semaphore::new(for_dialling)),
            questions: u32::try_from(questions).unwrap_or(0),
            name_server: Places::new((reserved / 8).max(1)),
        }
    }

    /// How many connections of the sandbox there can be.
    pub(super) fn places(&self) -> usize {
        self.common.free.available_permits()
    }

    /// For a connection that the sandbox opens: waits until there is one.
    pub(super) async fn for_accepting(&self) -> Option<Descriptor> {
        self.common.take().await
    }

    /// Tells whoever is silent that somebody waits for [`Self::for_accepting`].
    pub(super) fn place_wanted(&self) -> &Arc<Notify> {
        self.common.wanted()
    }

    /// For a connection to a target, and if that has to be asked for, for the questions as well:
    /// waits until there are so many.
    pub(super) async fn for_dialling(&self, asks: bool) -> Option<Descriptor> {
        let count = if asks { 1 + self.questions } else { 1 };
        self.beside_those_held(count).await
    }

    /// Gives back those for the questions.
    pub(super) fn resolved(&self, descriptor: &mut Descriptor) {
        let questions = descriptor.num_permits().saturating_sub(1);
        drop(descriptor.split(questions));
    }

    /// For a question of the sandbox that goes upstream.
    pub(super) async fn for_a_question(&self) -> Option<Descriptor> {
        self.beside_those_held(self.questions).await
    }

    async fn beside_those_held(&self, count: u32) -> Option<Descriptor> {
        let (common, apart) = (&self.common.free, &self.for_dialling);
        if let Ok(descriptors) = Arc::clone(common).try_acquire_many_owned(count) {
            return Some(descriptors);
        }
        // Connections that stay open keep one of those apart, so that these do not always come back.
        tokio::select! {
            biased;
            descriptors = Arc::clone(apart).acquire_many_owned(count) => descriptors.ok(),
            descriptors = Arc::clone(common).acquire_many_owned(count) => descriptors.ok(),
        }
    }
}

/// Places for connections, and the word that there are too few.
#[derive(Debug, Clone)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    wanted: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
}

impl Places {
    fn new(count: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(count)),
            wanted: Arc::default(),
            waiting: Arc::default(),
        }
    }

    /// Takes one, and while there is none, has somebody who is silent make room.
    pub(super) async fn take(&self) -> Option<Descriptor> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Some(place);
        }
        self.waiting.fetch_add(1, Relaxed);
        self.wanted.notify_one();
        let place = Arc::clone(&self.free).acquire_owned().await.ok();
        // Words to nobody are kept, but as one: it is said again for those who wait still.
        if self.waiting.fetch_sub(1, Relaxed) > 1 {
            self.wanted.notify_one();
        }
        place
    }

    /// Notified once for each place that is wanted; of those who wait for it, who began first is.
    pub(super) fn wanted(&self) -> &Arc<Notify> {
        &self.wanted
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_is_only_held_leaves_room_for_dialling() {
        let descriptors = Descriptors::new(4096);
        let mut held = Vec::new();
        while let Some(Some(descriptor)) = descriptors.for_accepting().now_or_never() {
            held.push(descriptor);
        }
        assert_eq!(held.len(), 4096 - RESERVED - FOR_DIALLING);
        let mut dialled = Vec::new();
        while let Some(Some(descriptor)) = descriptors.for_dialling(false).now_or_never() {
            dialled.push(descriptor);
        }
        assert_eq!(dialled.len(), FOR_DIALLING);
        drop(dialled.pop());
        assert!(descriptors.for_accepting().now_or_never().is_none());
        assert!(descriptors.for_dialling(false).now_or_never().is_some());
    }

    #[test]
    fn few_descriptors_are_shared_out_too() {
        let descriptors = Descriptors::new(64);
        assert!(descriptors.for_accepting().now_or_never().is_some());
        assert!(descriptors.for_dialling(true).now_or_never().is_some());
        assert!(descriptors.for_a_question().now_or_never().is_some());
        assert!(descriptors.name_server.take().now_or_never().is_some());
    }

    #[test]
    fn a_name_takes_more_descriptors_until_it_is_resolved() {
        let descriptors = Descriptors::new(4096);
        let mut held = Vec::new();
        while let Some(Some(descriptor)) = descriptors.for_accepting().now_or_never() {
            held.push(descriptor);
        }
        let dial = || descriptors.for_dialling(true).now_or_never().flatten();
        let mut dialled: Vec<_> = std::iter::from_fn(dial).collect();
        assert_eq!(dialled.len(), FOR_DIALLING / (1 + QUESTIONS));
        for descriptor in &mut dialled {
            descriptors.resolved(descriptor);
        }
        let more: Vec<_> = std::iter::from_fn(dial).collect();
        assert!(more.len() > dialled.len() / 2, "{}", more.len());
    }

    #[test]
    fn connections_that_stay_open_keep_nobody_from_being_dialled_while_there_is_room() {
        let descriptors = Descriptors::new(256);
        let accepted = (0..60).map(|_| descriptors.for_accepting().now_or_never().flatten());
        let accepted: Vec<_> = accepted.map(Option::unwrap).collect();
        let mut dialling: Vec<_> = (0..accepted.len())
            .map(|_| Box::pin(descriptors.for_dialling(true)))
            .collect();
        let mut open = Vec::new();
        while open.len() < accepted.len() {
            let before = open.len();
            dialling.retain_mut(|dial| match dial.as_mut().now_or_never() {
                Some(descriptor) => {
                    open.push(descriptor.unwrap());
                    false
                }
                None => true,
            });
            assert!(open.len() > before, "{before} are open");
            for descriptor in &mut open[before..] {
                descriptors.resolved(descriptor);
            }
        }
    }

    #[test]
    fn whoever_is_silent_hears_of_each_place_that_is_wanted() {
        let places = Places::new(1);
        let held = places.take().now_or_never().flatten();
        assert!(held.is_some());
        assert!(places.wanted().notified().now_or_never().is_none());
        let (mut one, mut other) = (Box::pin(places.take()), Box::pin(places.take()));
        assert!(one.as_mut().now_or_never().is_none());
        assert!(other.as_mut().now_or_never().is_none());
        assert!(places.wanted().notified().now_or_never().is_some());
        assert!(places.wanted().notified().now_or_never().is_none());
        drop(held);
        assert!(one.as_mut().now_or_never().is_some());
        assert!(places.wanted().notified().now_or_never().is_some());
    }
}
