//! Telling that a file of decisions may have changed.

use std::path::Path;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

/// Watches directories. Many changes at once are one.
pub struct Watch {
    changes: watch::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    pub(super) fn of(directories: &[&Path]) -> notify::Result<Self> {
        let (sender, changes) = watch::channel(());
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Reading a file is no change; a queue that ran over may hide one.
            if !matches!(
                event,
                Ok(Event {
                    kind: EventKind::Access(_),
                    ..
                })
            ) {
                sender.send_replace(());
            }
        })?;
        for directory in directories {
            watcher.watch(directory, RecursiveMode::NonRecursive)?;
        }
        Ok(Self {
            changes,
            _watcher: watcher,
        })
    }

    /// Waits for the next change. False: there will be none.
    pub async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}
