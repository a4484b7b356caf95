//! The person's screen: who writes on it has it alone until that is whole, so that what the command
//! prints is not in the middle of what we ask or tell, and nothing covers a question.

use std::io::IsTerminal;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// The screen. Its clones are the same one.
#[derive(Clone, Default)]
pub(super) struct Screen(Arc<Mutex<()>>);

/// Whoever has it writes; the others wait, in the order they came.
pub(super) type Turn = OwnedMutexGuard<()>;

impl Screen {
    /// Waits until nobody else writes.
    pub(super) async fn turn(&self) -> Turn {
        Arc::clone(&self.0).lock_owned().await
    }

    /// For a stream of ours, if it is what the person sees.
    pub(super) fn behind(&self, stream: &impl IsTerminal) -> Option<Self> {
        stream.is_terminal().then(|| self.clone())
    }
}
