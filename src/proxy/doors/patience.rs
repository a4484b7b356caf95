//! How long a client may be silent: as long as it is given, or, once it has been silent for a
//! moment, until somebody else wants its place. So a flood of connections that say nothing takes no
//! place from one that has something to say.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::{Instant, Sleep, sleep, timeout};

/// Nobody's place is taken before that: a client has to be heard.
pub(super) const MOMENT: Duration = Duration::from_secs(1);

/// Why a client is waited for no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// It took longer than it may.
    Late,
    /// Somebody else gets its place. It is closed at once and without a word: to take leave of it
    /// would keep the other one waiting.
    Wanted,
}

/// Waits for what a client says: `most` at the longest, and `moment` while its place is wanted. Of
/// several, the one that has been waiting for longest makes room.
pub(super) async fn within<T>(
    moment: Duration,
    most: Duration,
    wanted: &Notify,
    saying: impl Future<Output = T>,
) -> Result<T, Over> {
    let mut saying = pin!(saying);
    if let Ok(said) = timeout(moment, saying.as_mut()).await {
        return Ok(said);
    }
    let or_wanted = async {
        tokio::select! {
            biased;
            said = saying => Ok(said),
            () = wanted.notified() => Err(Over::Wanted),
        }
    };
    timeout(most - moment, or_wanted)
        .await
        .unwrap_or(Err(Over::Late))
}

/// The same for a reader that is polled.
pub(super) struct Patience {
    wanted: Arc<Notify>,
    given: Option<Duration>,
    clock: Pin<Box<Sleep>>,
    /// Once the moment is over.
    is_wanted: Option<Pin<Box<OwnedNotified>>>,
}

impl Patience {
    pub(super) fn new(wanted: Arc<Notify>) -> Self {
        Self {
            wanted,
            given: None,
            clock: Box::pin(sleep(MOMENT)),
            is_wanted: None,
        }
    }

    /// Gives so much time from now on, unless that is what was given already.
    pub(super) fn give(&mut self, most: Duration) {
        if self.given != Some(most) {
            self.given = Some(most);
            self.is_wanted = None;
            self.clock.as_mut().reset(Instant::now() + MOMENT);
        }
    }

    /// What was waited for has come.
    pub(super) fn rests(&mut self) {
        self.given = None;
        self.is_wanted = None;
    }

    /// Ready when there is no time left, with why.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Over> {
        let wanted = match &mut self.is_wanted {
            Some(wanted) => wanted,
            None => {
                ready!(self.clock.as_mut().poll(cx));
                let left = self.given.unwrap_or(MOMENT).saturating_sub(MOMENT);
                self.clock.as_mut().reset(Instant::now() + left);
                let wanted = Arc::clone(&self.wanted).notified_owned();
                self.is_wanted.insert(Box::pin(wanted))
            }
        };
        if wanted.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Over::Wanted);
        }
        self.clock.as_mut().poll(cx).map(|()| Over::Late)
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn};

    use futures_util::FutureExt;

    use super::*;

    const MOST: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_client_is_waited_for_until_its_place_is_wanted() {
        let wanted = Notify::new();
        let begun = Instant::now();
        let silent = within(MOMENT, MOST, &wanted, pending::<()>());
        assert_eq!(silent.await, Err(Over::Late));
        assert_eq!(begun.elapsed().as_secs(), MOST.as_secs());

        // That a place was wanted before anybody had been silent is not forgotten; but each is
        // heard for a moment.
        wanted.notify_one();
        let begun = Instant::now();
        let slow = within(MOMENT, MOST, &wanted, sleep(MOMENT / 2));
        assert_eq!(slow.await, Ok(()));
        let silent = within(MOMENT, MOST, &wanted, pending::<()>());
        assert_eq!(silent.await, Err(Over::Wanted));
        assert!(begun.elapsed() < 2 * MOMENT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_is_polled_is_as_patient() {
        let wanted = Arc::new(Notify::new());
        let mut patience = Patience::new(Arc::clone(&wanted));
        patience.give(MOST);
        let begun = Instant::now();
        assert_eq!(poll_fn(|cx| patience.poll_over(cx)).await, Over::Late);
        assert_eq!(begun.elapsed().as_secs(), MOST.as_secs());

        patience.rests();
        patience.give(MOST);
        let mut over = Box::pin(poll_fn(|cx| patience.poll_over(cx)));
        assert!(over.as_mut().now_or_never().is_none());
        wanted.notify_one();
        assert!(over.as_mut().now_or_never().is_none());
        let begun = Instant::now();
        assert_eq!(over.await, Over::Wanted);
        assert_eq!(begun.elapsed().as_secs(), MOMENT.as_secs());
    }
}
