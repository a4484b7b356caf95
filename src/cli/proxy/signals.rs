//! The signals that a proxy obeys.

use tokio::signal::unix::{SignalKind, signal};

use crate::cli::failure::Failure;

/// What ends a proxy, and what makes it read its files again.
pub(super) struct Signals {
    end: [(&'static str, tokio::signal::unix::Signal); 2],
    reload: tokio::signal::unix::Signal,
}

pub(super) enum Signal {
    End(&'static str),
    Reload,
}

impl Signals {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self {
            end: [
                ("SIGTERM", signal(SignalKind::terminate())?),
                ("SIGINT", signal(SignalKind::interrupt())?),
            ],
            reload: signal(SignalKind::hangup())?,
        })
    }

    pub(super) async fn next(&mut self) -> Signal {
        let [(term, terminate), (int, interrupt)] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => Signal::End(term),
            _ = interrupt.recv() => Signal::End(int),
            _ = self.reload.recv() => Signal::Reload,
        }
    }
}
