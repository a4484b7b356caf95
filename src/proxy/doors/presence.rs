//! Whether a client is still there while its request waits for a person. hyper reads nothing of a
//! connection while a request is being answered, so the reader in front of it looks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::Notify;

/// Shared by the reader of a connection and whoever answers its requests.
#[derive(Debug, Default, Clone)]
pub(super) struct Presence(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Somebody wants to know.
    asked: AtomicBool,
    gone: Notify,
}

impl Presence {
    /// Whether the reader is to look.
    pub(super) fn is_asked(&self) -> bool {
        self.0.asked.load(Relaxed)
    }

    /// The client has hung up.
    pub(super) fn is_gone(&self) {
        self.0.gone.notify_one();
    }

    /// Waits for something as long as the client does. `None`: it has hung up.
    pub(super) async fn during<T>(&self, waiting: impl Future<Output = T>) -> Option<T> {
        self.0.asked.store(true, Relaxed);
        let came = tokio::select! {
            biased;
            came = waiting => Some(came),
            () = self.0.gone.notified() => None,
        };
        self.0.asked.store(false, Relaxed);
        came
    }
}
