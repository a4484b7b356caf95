//! What stands still for too long fails, so that a peer that stopped holds nothing for ever. Knows
//! nothing of who is waited for.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// How long something may stand still, and since when it does.
pub(super) struct Stall {
    most: Duration,
    clock: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    pub(super) fn new(most: Duration) -> Self {
        Self { most, clock: None }
    }

    /// What came of a try: once it has been pending for too long, `TimedOut`.
    pub(super) fn tried<T>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.clock = None;
            return outcome;
        }
        let clock = self.clock.get_or_insert_with(|| Box::pin(sleep(self.most)));
        clock
            .as_mut()
            .poll(cx)
            .map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}
