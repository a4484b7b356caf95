//! What a person decides: rules, and requests that wait for an answer.
//!
//! A decision is in force, and saved if its scope asks for that, before anything goes on that
//! waited for it. One that cannot be saved holds for the session, and the answer says why.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use crate::api::{Added, Addition, Decided, Decision, Fault, Revoked};
use crate::policy::{Entry, Made, Pattern, PresetName, Scope, Target, Verdict};
use crate::proxy::gate::{AddedRules, is_of_host};
use crate::proxy::ledger::timestamp;
use crate::proxy::queue::Answer;

use super::State;

/// Why a session on another machine saves nothing itself.
const NO_PLACE: &str = "this session has no place for saved decisions: vibepit's own commands save \
                        them on the machine where it was started";

/// How saving went: the scope that holds, and where it stands or why it does not.
struct Saving {
    scope: Scope,
    to: Option<PathBuf>,
    error: Option<String>,
}

/// Adds rules.
pub(super) async fn add(
    state: &Arc<State>,
    verdict: Verdict,
    addition: Addition,
    actor: &str,
) -> Result<Added, Fault> {
    let (state, actor) = (Arc::clone(state), actor.to_owned());
    whole(async move {
        state.can_hold(addition.scope)?;
        if addition.max_upload.is_some() {
            addition.entries.iter().try_for_each(can_limit)?;
        }
        let _turn = state.ledger.turn().await;
        let made = made(actor);
        let saving = state
            .save(addition.scope, verdict, &addition.entries, &made)
            .await;
        let addition = Addition {
            scope: saving.scope,
            ..addition
        };
        let (added, closed) = state
            .put_in_force(verdict, &addition, &made, saving.error.as_deref())
            .await?;
        Ok(Added {
            added: added.added,
            existing: added.existing,
            scope: saving.scope,
            saved_to: saving.to,
            save_error: saving.error,
            shadowed: added.shadowed,
            warnings: added.warnings,
            closed,
        })
    })
    .await
}

/// Takes rules back, those that are saved included.
pub(super) async fn revoke(
    state: &Arc<State>,
    entries: Vec<Entry>,
    actor: &str,
) -> Result<Revoked, Fault> {
    let (state, actor) = (Arc::clone(state), actor.to_owned());
    whole(async move {
        let _turn = state.ledger.turn().await;
        let save_error = match &state.decisions {
            Some(decisions) => {
                let (decisions, entries) = (Arc::clone(decisions), entries.clone());
                blocking(move || decisions.forget(&entries)).await.err()
            }
            None => None,
        };
        let revoked = state.gate.revoke(&entries, &actor);
        let closed = state.ledger.sweep(&state.gate).await;
        Ok(Revoked {
            removed: revoked.removed,
            missing: revoked.missing,
            kept: revoked.kept,
            save_error,
            closed,
        })
    })
    .await
}

/// Decides a request that waits, or that was missed. Exactly one decision wins.
pub(super) async fn decide(
    state: &Arc<State>,
    id: String,
    decision: Decision,
    actor: &str,
) -> Result<Decided, Fault> {
    let (state, actor) = (Arc::clone(state), actor.to_owned());
    whole(async move {
        let Decision { verdict, scope, .. } = decision;
        let covers = match state.gate.queue.target_of(&id) {
            Some(target) => Some(state.covered_by(&target, &decision)?),
            // It is gone: claiming it says by whom it was decided.
            None => None,
        };
        let claimed = state.gate.queue.claim(&id, verdict, scope, &actor)?;
        let target = claimed.target().clone();
        let entries = match covers {
            Some(entries) => entries,
            None => state.covered_by(&target, &decision)?,
        };
        let mut decided = Decided {
            id: claimed.id().to_owned(),
            domain: target.host.to_string(),
            port: target.port,
            verdict,
            scope,
            entry: None,
            entries: Vec::new(),
            remembered_under: None,
            remember_error: None,
            released: 0,
            saved_to: None,
            save_error: None,
            shadowed_by: None,
            closed: 0,
        };
        if scope != Scope::Once {
            let _turn = state.ledger.turn().await;
            let made = made(actor.clone());
            if let Some(preset) = decision.preset {
                state.remember(preset, &target, &made, &mut decided).await;
            }
            let saving = state.save(scope, verdict, &entries, &made).await;
            let addition = Addition {
                entries,
                scope: saving.scope,
                ttl: decision.ttl,
                max_upload: None,
            };
            // A session that is full of rules still answers the one who waits.
            match state
                .put_in_force(verdict, &addition, &made, saving.error.as_deref())
                .await
            {
                Ok((added, closed)) => {
                    decided.closed = closed;
                    decided.shadowed_by = added.shadowed.first().map(|by| by.by.entry.clone());
                }
                Err(fault) => decided.save_error = Some(fault.detail),
            }
            let mut entries = addition.entries.iter().map(Entry::to_string);
            decided.entry = entries.next();
            if decision.preset.is_some() {
                decided.entries = decided.entry.iter().cloned().chain(entries).collect();
            }
            decided.scope = saving.scope;
            decided.saved_to = saving.to;
            decided.save_error = decided.save_error.or(saving.error);
        }
        let answer = match (verdict, scope) {
            (Verdict::Allow, Scope::Once) => Answer::Once,
            (Verdict::Allow, _) => Answer::Judge,
            (Verdict::Deny, _) => Answer::Denied {
                reason: decision.reason.map(Arc::from),
            },
        };
        let queue = &state.gate.queue;
        decided.released = queue.release(claimed, &answer, verdict, decided.scope, &actor);
        Ok(decided)
    })
    .await
}

impl State {
    /// What a decision covers: the target itself, or a pattern or a preset that it is part of. The
    /// entry that covers the target is the first.
    fn covered_by(&self, target: &Target, decision: &Decision) -> Result<Vec<Entry>, Fault> {
        self.can_hold(decision.scope)?;
        if let Some(preset) = decision.preset {
            return self.preset_with(preset, target);
        }
        let Some(entry) = &decision.pattern else {
            return Ok(vec![as_entry(target)?]);
        };
        // A pattern says which hosts; without a port, it means the one that was asked for.
        let entry = entry.reaching(target.port);
        if !entry.covers(&target.host, target.port) {
            return Err(Fault::bad_entry(
                &entry.to_string(),
                format!("it does not cover {target}, which is what was asked for"),
            ));
        }
        let saved = matches!(decision.scope, Scope::Project | Scope::Global);
        if saved && matches!(entry.pattern(), Pattern::Wildcard(_)) && !decision.confirmed {
            return Err(Fault::unconfirmed(
                &entry,
                decision.scope,
                &self.seen_by(&entry),
            ));
        }
        Ok(vec![entry])
    }

    /// All of a preset. One of the person's own tools takes the target in, where it has it not.
    fn preset_with(&self, preset: PresetName, target: &Target) -> Result<Vec<Entry>, Fault> {
        let mut entries = self.gate.entries_of(preset);
        let covers = |entry: &Entry| entry.covers(&target.host, target.port);
        match entries.iter().position(covers) {
            Some(at) => entries.swap(0, at),
            None if preset.preset().tool.is_some() => entries.insert(0, as_entry(target)?),
            None => {
                let opens: Vec<_> = entries.iter().map(Entry::to_string).collect();
                return Err(Fault::bad_request(format!(
                    "{target} is not in the preset {preset}, which opens {}; leave the preset out",
                    opens.join(", ")
                )));
            }
        }
        Ok(entries)
    }

    /// Adds what a tool of the person's did not tell to what its preset opens from now on.
    async fn remember(
        &self,
        preset: PresetName,
        target: &Target,
        made: &Made,
        decided: &mut Decided,
    ) {
        let known = self.gate.entries_of(preset);
        let covers = |entry: &Entry| entry.covers(&target.host, target.port);
        let Some(entry) = Entry::for_target(target).filter(|_| !known.iter().any(covers)) else {
            return;
        };
        let outcome = match &self.decisions {
            Some(decisions) => {
                let (decisions, made) = (Arc::clone(decisions), made.clone());
                blocking(move || decisions.remember(preset, &entry, &made)).await
            }
            None => Err(NO_PLACE.to_owned()),
        };
        match outcome {
            Ok(()) => decided.remembered_under = Some(preset.to_string()),
            Err(why) => decided.remember_error = Some(why),
        }
    }

    /// Hosts that were asked for already and that a pattern would cover, those first that were
    /// refused.
    fn seen_by(&self, entry: &Entry) -> Vec<String> {
        let mut seen: Vec<_> = self.ledger.destinations();
        seen.sort_by_key(|one| std::cmp::Reverse(one.refused));
        seen.into_iter()
            .filter(|one| {
                let target = one.target.parse::<Target>();
                target.is_ok_and(|target| entry.covers(&target.host, target.port))
            })
            .take(10)
            .map(|one| match (one.allowed, one.refused) {
                (_, 0) => one.target,
                (_, refused) => format!("{} (refused {refused} times)", one.target),
            })
            .collect()
    }

    fn can_hold(&self, scope: Scope) -> Result<(), Fault> {
        let project = match &self.decisions {
            Some(decisions) => decisions.has_project(),
            // Whoever decides saves it, where the project is.
            None => self.identity.project_dir.is_some(),
        };
        match scope {
            Scope::Project if !project => Err(Fault::bad_request(
                "this session has no project: choose scope session or global",
            )),
            _ => Ok(()),
        }
    }

    /// Saves what is to be saved. What cannot be holds for the session.
    async fn save(&self, scope: Scope, verdict: Verdict, entries: &[Entry], made: &Made) -> Saving {
        let saved = matches!(scope, Scope::Project | Scope::Global);
        if !saved {
            return Saving {
                scope,
                to: None,
                error: None,
            };
        }
        let outcome = match &self.decisions {
            Some(decisions) => {
                let (decisions, entries) = (Arc::clone(decisions), entries.to_vec());
                let made = made.clone();
                blocking(move || decisions.save(scope, verdict, &entries, &made)).await
            }
            None => Err(NO_PLACE.to_owned()),
        };
        match outcome {
            Ok(path) => Saving {
                scope,
                to: Some(path),
                error: None,
            },
            Err(why) => Saving {
                scope: Scope::Session,
                to: None,
                error: Some(why),
            },
        }
    }

    async fn put_in_force(
        &self,
        verdict: Verdict,
        addition: &Addition,
        made: &Made,
        save_error: Option<&str>,
    ) -> Result<(AddedRules, usize), Fault> {
        let added = self
            .gate
            .add(verdict, addition, made, save_error)
            .map_err(|error| Fault::unavailable(error.to_string()))?;
        let closed = match verdict {
            Verdict::Allow if addition.max_upload.is_none() => 0,
            Verdict::Allow | Verdict::Deny => self.ledger.sweep(&self.gate).await,
        };
        Ok((added, closed))
    }
}

/// Whether what is sent under an entry can be limited.
fn can_limit(entry: &Entry) -> Result<(), Fault> {
    match is_of_host(entry) {
        true => Err(Fault::bad_entry(
            &entry.to_string(),
            "allow_host_ports in config.toml opens the ports of the host, and max_upload does not \
             limit what is sent there",
        )),
        false => Ok(()),
    }
}

fn as_entry(target: &Target) -> Result<Entry, Fault> {
    Entry::for_target(target)
        .ok_or_else(|| Fault::bad_request(format!("{target} cannot be written as a rule")))
}

/// Somebody decides, now.
fn made(by: String) -> Made {
    Made {
        by,
        at: timestamp(SystemTime::now()),
    }
}

/// Runs to its end even if the client goes away: a decision is not made by half.
async fn whole<T: Send + 'static>(
    decision: impl Future<Output = Result<T, Fault>> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::spawn(decision).await {
        Ok(outcome) => outcome,
        Err(error) => Err(Fault::failed(error.to_string())),
    }
}

/// Work on a disk, beside the tasks that serve; an error is one sentence.
async fn blocking<T, E>(work: impl FnOnce() -> Result<T, E> + Send + 'static) -> Result<T, String>
where
    T: Send + 'static,
    E: std::fmt::Display + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
