//! Telling that a file may have changed: of decisions, or an audit log.

use std::io;
use std::path::Path;

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::watch;

/// Watches directories. Many changes at once are one.
pub struct Watch {
    changes: watch::Receiver<()>,
    _watcher: RecommendedWatcher,
}

impl Watch {
    /// Watches a directory and all that is below it, also what comes there later.
    ///
    /// # Errors
    /// When it is not there, or the kernel does not let it be watched.
    pub fn below(directory: &Path) -> io::Result<Self> {
        Self::with(&[directory], RecursiveMode::Recursive).map_err(io::Error::other)
    }

    pub(super) fn of(directories: &[&Path]) -> notify::Result<Self> {
        Self::with(directories, RecursiveMode::NonRecursive)
    }

    fn with(directories: &[&Path], mode: RecursiveMode) -> notify::Result<Self> {
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
            watcher.watch(directory, mode)?;
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
