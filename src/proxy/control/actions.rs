//! Carries out what was asked: from an action to the body of an answer. Sees no HTTP.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{Either, Full};
use serde::Serialize;

use crate::api::{
    Action, Connections, Counts, DnsStats, Fault, Health, Identity, Listening, OPENAPI, Pending,
    Reloaded, Rules, Session, Stats,
};
use crate::proxy::decisions::Decisions;
use crate::proxy::gate::Gate;
use crate::proxy::ledger::Ledger;
use crate::proxy::reload::Reloader;
use crate::proxy::serve::Ending;

use super::decide;
use super::events::EventStream;
use super::metrics;

/// What the control plane sees of the proxy.
pub(in crate::proxy) struct State {
    pub(in crate::proxy) gate: Arc<Gate>,
    pub(in crate::proxy) ledger: Ledger,
    pub(in crate::proxy) identity: Identity,
    pub(in crate::proxy) listening: Listening,
    pub(in crate::proxy) since: Instant,
    pub(in crate::proxy) reloader: Arc<Reloader>,
    /// Where decisions are saved, if they can be.
    pub(in crate::proxy) decisions: Option<Arc<Decisions>>,
    pub(in crate::proxy) ending: Ending,
}

type Body = Either<Full<Bytes>, EventStream>;

/// Does one thing.
pub(super) async fn carry_out(
    state: &Arc<State>,
    action: Action,
    actor: &str,
) -> Result<Body, Fault> {
    match action {
        Action::Session => json(&session(state).await),
        Action::Rules => json(&Rules {
            rules: state.gate.rules(),
        }),
        Action::Add(verdict, addition) => {
            json(&decide::add(state, verdict, addition, actor).await?)
        }
        Action::Revoke(entries) => json(&decide::revoke(state, entries, actor).await?),
        Action::Pending { missed } => {
            state.ledger.caught_up().await;
            json(&Pending {
                pending: state.gate.queue.pending(),
                missed: missed.then(|| state.gate.queue.missed()),
            })
        }
        Action::Decide { id, decision } => json(&decide::decide(state, id, decision, actor).await?),
        Action::Connections => {
            state.ledger.caught_up().await;
            json(&Connections {
                connections: state.ledger.connections(),
            })
        }
        Action::Explain(target) => json(&state.gate.explain(&target)),
        Action::Logs { after, limit } => {
            state.ledger.caught_up().await;
            json(&state.ledger.logs(after, limit))
        }
        Action::Events { after, background } => {
            state.ledger.caught_up().await;
            let events = state.ledger.events(after, background);
            Ok(Either::Right(EventStream::new(events)))
        }
        Action::Stats => {
            state.ledger.caught_up().await;
            json(&Stats {
                destinations: state.ledger.destinations(),
                dns: DnsStats {
                    turned_away: state.gate.questions.turned_away(),
                    delayed: state.gate.questions.delayed(),
                },
            })
        }
        Action::Metrics => {
            state.ledger.caught_up().await;
            Ok(text(metrics::render(state)))
        }
        Action::Reload => {
            let (rules, closed) = state.reloader.reload(actor).await.map_err(Fault::failed)?;
            json(&Reloaded { rules, closed })
        }
        Action::Health => json(&Health {
            status: "ok".to_owned(),
        }),
        Action::OpenApi => Ok(text(OPENAPI.to_owned())),
    }
}

async fn session(state: &State) -> Session {
    state.ledger.caught_up().await;
    let tally = state.ledger.tally();
    let (pending, waiting) = state.gate.queue.counts();
    let mut warnings = state.reloader.faults();
    warnings.extend(state.ledger.audit_fault());
    Session {
        identity: (&state.identity).into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        uptime_seconds: state.since.elapsed().as_secs(),
        doors: state.listening.clone(),
        mode: match state.gate.asks() {
            true => "request_approval".to_owned(),
            false => "reject".to_owned(),
        },
        can_save: state.decisions.is_some(),
        counts: Counts {
            rules: state.gate.rule_count(),
            connections: state.ledger.connection_count(),
            pending,
            waiting,
            allowed: tally.allowed,
            refused: tally.refused,
        },
        warnings,
    }
}

fn json(answer: &impl Serialize) -> Result<Body, Fault> {
    let mut bytes = serde_json::to_vec(answer).map_err(|error| Fault::failed(error.to_string()))?;
    bytes.push(b'\n');
    Ok(Either::Left(Full::new(bytes.into())))
}

fn text(text: String) -> Body {
    Either::Left(Full::new(text.into()))
}
