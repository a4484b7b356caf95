//! What a client takes its connection for: one to a proxy, or one to the origin itself.

use std::sync::{Arc, Mutex, PoisonError};

use crate::policy::{Door, Target};
use crate::proxy::dial::Upstream;
use crate::proxy::ledger::Passage;

use super::head::Form;

/// What a client takes its connection for.
pub(super) struct Manner {
    pub(super) form: Form,
    pub(super) door: Door,
    pub(super) tunnel: Option<Tunnel>,
}

impl Manner {
    /// For one to a proxy.
    pub(super) fn proxy() -> Self {
        Self {
            form: Form::Proxy,
            door: Door::Http,
            tunnel: None,
        }
    }

    /// For one to the origin, whatever the name server said.
    pub(super) fn plain() -> Self {
        Self {
            form: Form::Origin,
            door: Door::Plain,
            tunnel: None,
        }
    }

    /// For one to the origin, through a tunnel that is there. What is for its host goes on under
    /// the decision that opened it, and what is for another one only if a rule allows that.
    pub(super) fn in_tunnel(upstream: Upstream, passage: Passage) -> Self {
        Self {
            form: Form::Origin,
            door: passage.permit().door(),
            tunnel: Some(Tunnel {
                target: passage.permit().target().clone(),
                passage: Mutex::new(Some(Arc::new(passage))),
                upstream: Mutex::new(Some(upstream)),
            }),
        }
    }
}

/// The tunnel that HTTP was found in.
pub(super) struct Tunnel {
    pub(super) target: Target,
    /// Until an upgrade takes it.
    passage: Mutex<Option<Arc<Passage>>>,
    /// Until the first request takes it.
    upstream: Mutex<Option<Upstream>>,
}

impl Tunnel {
    /// What lets it through, until an upgrade took it.
    pub(super) fn passage(&self) -> Option<Arc<Passage>> {
        self.passage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The same, for the upgrade.
    pub(super) fn take(&self) -> Option<Arc<Passage>> {
        self.passage
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The connection that was made when the tunnel was, once.
    pub(super) fn upstream(&self) -> Option<Upstream> {
        self.upstream
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
