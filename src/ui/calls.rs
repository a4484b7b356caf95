//! What the page asks for: a decision, a rule, a preview, the audit log. Each names its session,
//! and is handed to that session's control plane; what that says goes back as it was said.

use std::sync::Arc;

use hyper::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{AddBody, DecideBody, Fault, RevokeBody};
use crate::client::{Client, ClientError};
use crate::policy::Verdict;
use crate::session::SessionId;

use super::door::fault;
use super::hub::Hub;
use super::shown::harmless;

/// A decision about a request that waits, or that was missed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decide {
    session: SessionId,
    request: String,
    /// Whether the person saw it among the missed ones.
    missed: bool,
    verdict: Verdict,
    decision: DecideBody,
}

/// Rules that are added or taken back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules<B> {
    session: SessionId,
    rules: B,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wider {
    session: SessionId,
    request: String,
    pattern: String,
}

/// Carries out what is posted to a path; `None` where there is no such path.
pub(super) async fn post(hub: &Arc<Hub>, path: &str, body: &[u8]) -> Option<Result<Value, Fault>> {
    Some(match path {
        "/api/decide" => decide(hub, body).await,
        "/api/allow" => {
            rules(hub, body, |client, rules: AddBody| async move {
                client.allow(&rules).await
            })
            .await
        }
        "/api/deny" => {
            rules(hub, body, |client, rules: AddBody| async move {
                client.deny(&rules).await
            })
            .await
        }
        "/api/revoke" => {
            rules(hub, body, |client, rules: RevokeBody| async move {
                client.revoke(&rules).await
            })
            .await
        }
        "/api/preview" => preview(hub, body),
        _ => return None,
    })
}

async fn decide(hub: &Arc<Hub>, body: &[u8]) -> Result<Value, Fault> {
    let asked: Decide = parsed(body)?;
    let client = hub.client(asked.session)?;
    hub.stands(asked.session, &asked.request, asked.missed)?;
    // It is part of a path.
    if !asked.request.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Fault::bad_request("a request's id has hex digits alone"));
    }
    whole(async move {
        match asked.verdict {
            Verdict::Allow => {
                client
                    .approve_request(&asked.request, &asked.decision)
                    .await
            }
            Verdict::Deny => client.deny_request(&asked.request, &asked.decision).await,
        }
    })
    .await
}

async fn rules<B, T, F>(
    hub: &Arc<Hub>,
    body: &[u8],
    call: impl FnOnce(Arc<Client>, B) -> F,
) -> Result<Value, Fault>
where
    B: DeserializeOwned,
    T: Serialize + Send + 'static,
    F: Future<Output = Result<T, ClientError>> + Send + 'static,
{
    let asked: Rules<B> = parsed(body)?;
    whole(call(hub.client(asked.session)?, asked.rules)).await
}

fn preview(hub: &Hub, body: &[u8]) -> Result<Value, Fault> {
    let asked: Wider = parsed(body)?;
    answer(hub.preview(asked.session, &asked.request, &asked.pattern)?)
}

/// Runs to its end even if the tab goes away: what a session cannot save is saved behind its answer.
async fn whole<T: Serialize + Send + 'static>(
    call: impl Future<Output = Result<T, ClientError>> + Send + 'static,
) -> Result<Value, Fault> {
    match tokio::spawn(call).await {
        Ok(Ok(said)) => answer(said),
        Ok(Err(ClientError::Fault(fault))) => Err(stale(fault)),
        Ok(Err(error)) => Err(fault(
            StatusCode::BAD_GATEWAY,
            "the session does not answer",
            error.to_string(),
        )),
        Err(error) => Err(Fault::failed(error.to_string())),
    }
}

/// A request that its session has forgotten was shown all the same: it is stale.
fn stale(fault: Fault) -> Fault {
    match fault.status {
        404 => Fault::conflict("this request is gone: it was decided, or its time ran out"),
        _ => fault,
    }
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| Fault::bad_request(error.to_string()))
}

pub(super) fn answer(said: impl Serialize) -> Result<Value, Fault> {
    let said = serde_json::to_value(said).map_err(|error| Fault::failed(error.to_string()))?;
    Ok(harmless(said))
}
