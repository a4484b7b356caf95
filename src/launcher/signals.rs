//! The signals that end or steer a session, as one queue.

use std::future::Future;

use anyhow::{Context, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A signal that somebody sent to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Ctrl-C.
    Interrupt,
    /// Ctrl-\.
    Quit,
    /// kill(1).
    Terminate,
    /// The terminal went away.
    HangUp,
    /// The terminal has another size.
    Resized,
}

impl Signal {
    /// The name that an engine's API takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interrupt => "SIGINT",
            Self::Quit => "SIGQUIT",
            Self::Terminate => "SIGTERM",
            Self::HangUp => "SIGHUP",
            Self::Resized => "SIGWINCH",
        }
    }

    /// Whether it asks this process to end.
    pub(crate) fn ends(self) -> bool {
        self != Self::Resized
    }

    /// What a shell calls a command that this signal ended: 128 and its number (signal(7)).
    fn exit_code(self) -> i64 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Quit => 131,
            Self::Terminate => 143,
            Self::Resized => 128 + 28,
        }
    }
}

/// A start that was called off. What it had made is unmade by the time this is seen.
#[derive(Debug, thiserror::Error)]
#[error("interrupted before the session had started; nothing is left of it")]
pub struct Interrupted {
    signal: Signal,
}

impl Interrupted {
    /// The exit code that tells so: 128 and the signal's number.
    pub fn exit_code(&self) -> i64 {
        self.signal.exit_code()
    }
}

/// The queue. From the moment it exists these signals end nothing by themselves.
pub(crate) struct Signals {
    queue: UnboundedReceiver<Signal>,
}

impl Signals {
    pub(crate) fn listen() -> Result<Self> {
        let (sender, queue) = unbounded_channel();
        for (kind, name) in [
            (SignalKind::interrupt(), Signal::Interrupt),
            (SignalKind::quit(), Signal::Quit),
            (SignalKind::terminate(), Signal::Terminate),
            (SignalKind::hangup(), Signal::HangUp),
            (SignalKind::window_change(), Signal::Resized),
        ] {
            forward(kind, name, sender.clone())?;
        }
        Ok(Self { queue })
    }

    /// The next signal.
    pub(crate) async fn next(&mut self) -> Signal {
        match self.queue.recv().await {
            Some(signal) => signal,
            // The forwarders live as long as the runtime.
            None => std::future::pending().await,
        }
    }

    /// Fails if somebody called the start off. To be asked between steps that must not be cut in
    /// two: an engine goes on with a request whose caller has gone.
    pub(crate) fn check(&mut self) -> Result<(), Interrupted> {
        while let Ok(signal) = self.queue.try_recv() {
            if signal.ends() {
                return Err(Interrupted { signal });
            }
        }
        Ok(())
    }

    /// Runs something that may be dropped at any moment, until a signal calls it off.
    pub(crate) async fn unless_called_off<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Interrupted> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                signal = self.next() => if signal.ends() {
                    return Err(Interrupted { signal });
                }
            }
        }
    }
}

fn forward(kind: SignalKind, name: Signal, queue: UnboundedSender<Signal>) -> Result<()> {
    let mut stream = signal(kind).with_context(|| format!("cannot listen for {}", name.name()))?;
    tokio::spawn(async move { while stream.recv().await.is_some() && queue.send(name).is_ok() {} });
    Ok(())
}
