//! Taking back what a start has made, in reverse order. Knows nothing of containers.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long one step may take to be undone before the next is tried.
const PATIENCE: Duration = Duration::from_secs(30);

type Step = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send>> + Send>;

/// A stack of ways back.
///
/// A step is pushed *before* the thing it removes is made, so that nothing falls between; each
/// must therefore be content when there is nothing to remove. Dropping the stack undoes nothing:
/// what is left is found by its labels at the next prune.
#[derive(Default)]
pub(crate) struct Undo {
    steps: Vec<(String, Step)>,
}

impl Undo {
    /// Remembers how to take back `what` (a noun phrase for a message).
    pub(crate) fn push<F, W>(&mut self, what: impl Into<String>, step: F)
    where
        F: FnOnce() -> W + Send + 'static,
        W: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.steps
            .push((what.into(), Box::new(move || Box::pin(step()))));
    }

    /// Undoes everything, the newest first. One failure does not stop the others; each is
    /// returned as a sentence.
    pub(crate) async fn run(self) -> Vec<String> {
        let mut left = Vec::new();
        for (what, step) in self.steps.into_iter().rev() {
            match tokio::time::timeout(PATIENCE, step()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => left.push(format!("{what} could not be removed: {error:#}")),
                Err(_) => left.push(format!(
                    "{what} could not be removed within {} s",
                    PATIENCE.as_secs()
                )),
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[tokio::test]
    async fn steps_are_undone_in_reverse_and_a_failure_stops_none_of_them() {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mut undo = Undo::default();
        for name in ["network", "proxy", "sandbox"] {
            let seen = seen.clone();
            undo.push(name, move || async move {
                seen.lock().unwrap().push(name);
                if name == "proxy" {
                    Err(anyhow::anyhow!("it is busy"))
                } else {
                    Ok(())
                }
            });
        }
        let left = undo.run().await;
        assert_eq!(*seen.lock().unwrap(), ["sandbox", "proxy", "network"]);
        assert_eq!(left, ["proxy could not be removed: it is busy"]);
    }
}
