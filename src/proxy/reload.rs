//! What is read again while the session runs: the configuration, when somebody asks for it, and
//! saved decisions, whenever another session saves one. What cannot be read changes nothing, and
//! the person is told.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::api::{PolicyDocument, Saved};
use crate::policy::Made;

use super::decisions::{Decisions, Watch};
use super::gate::Gate;
use super::ledger::Ledger;
use super::resolve::Resolver;
use super::serve::resolver;

/// Reads the configuration again, wherever it is, and says what it says now, or why it cannot be
/// used.
pub type Reload = Box<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<PolicyDocument, String>> + Send>> + Send + Sync,
>;

/// Puts what is read now in the place of what was read before.
pub(super) struct Reloader {
    source: Reload,
    gate: Arc<Gate>,
    ledger: Ledger,
    resolver: Arc<ArcSwap<Resolver>>,
    decisions: Option<Arc<Decisions>>,
    /// What was wrong the last time: with the configuration, and with saved decisions.
    faults: Mutex<[Option<String>; 2]>,
}

/// Which of the faults.
const CONFIGURATION: usize = 0;
const DECISIONS: usize = 1;

impl Reloader {
    pub(super) fn new(
        source: Reload,
        gate: Arc<Gate>,
        ledger: Ledger,
        resolver: Arc<ArcSwap<Resolver>>,
        decisions: Option<Arc<Decisions>>,
    ) -> Self {
        Self {
            source,
            gate,
            ledger,
            resolver,
            decisions,
            faults: Mutex::default(),
        }
    }

    /// Reads everything again. How many rules files hold, and how many connections were closed;
    /// or one sentence, and then everything stays as it was.
    pub(super) async fn reload(&self, actor: &str) -> Result<(usize, usize), String> {
        let outcome = self.replace().await;
        let fault = outcome.as_ref().err().map(|why| {
            format!("the configuration could not be read again, so the former rules hold: {why}")
        });
        self.ledger
            .reloaded(actor, fault.as_deref().unwrap_or("done"));
        self.set_fault(CONFIGURATION, fault);
        outcome
    }

    async fn replace(&self) -> Result<(usize, usize), String> {
        let policy = (self.source)().await?;
        let resolver = resolver(&policy).map_err(|error| error.to_string())?;
        self.resolver.store(Arc::new(resolver));
        let _turn = self.ledger.turn().await;
        let rules = self.gate.replace(policy);
        self.read_decisions().await;
        Ok((rules, self.ledger.sweep(&self.gate).await))
    }

    /// Follows what other sessions save, for as long as the proxy lives.
    pub(super) async fn follow(self: Arc<Self>, mut watch: Watch) {
        while watch.changed().await {
            // A turn from before the reading: what is saved here meanwhile would be read too old.
            let _turn = self.ledger.turn().await;
            if self.read_decisions().await > 0 {
                self.ledger.sweep(&self.gate).await;
            }
        }
    }

    /// Takes what a launcher read that follows them in our place.
    pub(super) async fn told(&self, read: Result<Vec<Saved>, String>) {
        let read = read.map(|read| read.into_iter().map(|saved| (saved, None)).collect());
        let _turn = self.ledger.turn().await;
        if self.take_decisions(read) > 0 {
            self.ledger.sweep(&self.gate).await;
        }
    }

    /// Says how many rules changed.
    async fn read_decisions(&self) -> usize {
        let Some(decisions) = self.decisions.clone() else {
            return 0;
        };
        let read = tokio::task::spawn_blocking(move || decisions.load()).await;
        self.take_decisions(match read {
            Ok(read) => read.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Says how many rules changed.
    fn take_decisions(&self, read: Result<Vec<(Saved, Option<Made>)>, String>) -> usize {
        match read {
            Ok(saved) => {
                self.set_fault(DECISIONS, None);
                self.gate.follow(saved)
            }
            Err(why) => {
                let fault =
                    format!("saved decisions cannot be read, so the former ones hold: {why}");
                self.set_fault(DECISIONS, Some(fault));
                0
            }
        }
    }

    fn set_fault(&self, of: usize, fault: Option<String>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)[of] = fault;
    }

    /// What could not be read, a sentence each.
    pub(super) fn faults(&self) -> Vec<String> {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.iter().flatten().cloned().collect()
    }
}
