//! How many descriptors the sandbox may use up: one for each connection that it opens, and a second
//! one as soon as that is dialled on. So what is only held costs one.
//!
//! A part is kept back for everything else, so that the control plane answers whatever the sandbox
//! does; and a part is for dialling alone, so that connections that wait to be dialled are never
//! waiting for each other.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// For everything else: the control plane, the name server and its questions, pipes.
const RESERVED: usize = 1024;
/// For dialling alone.
const FOR_DIALLING: usize = 512;
/// Connections of one sandbox and those they are dialled on to: more is no agent's work.
const MOST: usize = 64 * 1024;

/// One of them, until it is dropped.
pub(super) type Descriptor = OwnedSemaphorePermit;

/// Those of a process.
#[derive(Debug, Clone)]
pub(super) struct Descriptors {
    common: Arc<Semaphore>,
    for_dialling: Arc<Semaphore>,
}

impl Descriptors {
    /// `limit` is how many the process may have.
    pub(super) fn new(limit: usize) -> Self {
        let free = (limit - RESERVED.min(limit / 4)).min(MOST);
        let for_dialling = FOR_DIALLING.min(free / 4);
        Self {
            common: Arc::new(Semaphore::new(free - for_dialling)),
            for_dialling: Arc::new(Semaphore::new(for_dialling)),
        }
    }

    /// For a connection that the sandbox opens: waits until there is one.
    pub(super) async fn for_accepting(&self) -> Option<Descriptor> {
        Arc::clone(&self.common).acquire_owned().await.ok()
    }

    /// For a connection to a target: waits until there is one.
    pub(super) async fn for_dialling(&self) -> Option<Descriptor> {
        match Arc::clone(&self.common).try_acquire_owned() {
            Ok(descriptor) => Some(descriptor),
            Err(_) => Arc::clone(&self.for_dialling).acquire_owned().await.ok(),
        }
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
        while let Some(Some(descriptor)) = descriptors.for_dialling().now_or_never() {
            dialled.push(descriptor);
        }
        assert_eq!(dialled.len(), FOR_DIALLING);
        drop(dialled.pop());
        assert!(descriptors.for_accepting().now_or_never().is_none());
        assert!(descriptors.for_dialling().now_or_never().is_some());
    }

    #[test]
    fn few_descriptors_are_shared_out_too() {
        let descriptors = Descriptors::new(64);
        assert!(descriptors.for_accepting().now_or_never().is_some());
        assert!(descriptors.for_dialling().now_or_never().is_some());
    }
}
