//! One typed call for each action of a control plane, over its Unix socket or over mTLS.
//!
//! The socket is preferred, and the port is the way out where no socket can be reached; a socket
//! that answered, even with a refusal, is the last word.

mod ends;
mod error;
mod events;
mod saves;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::api::{
    AddBody, Added, Connections, DecideBody, Decided, Explanation, Health, Logs, Pending, Reloaded,
    RevokeBody, Revoked, Rules, Session, Stats,
};
use crate::policy::Verdict;

use self::ends::Call;
pub use self::ends::{Ends, TlsEnd, Transport};
pub use self::error::ClientError;
pub use self::events::EventReader;
pub use self::saves::Saves;

/// As much of an answer as is read into memory: a million rules are larger, and are an error.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// How long to wait before a stream of events that broke off is taken up again.
pub const AGAIN: Duration = Duration::from_millis(500);

/// Speaks to one control plane.
pub struct Client {
    ends: Ends,
    saves: Option<Box<dyn Saves>>,
    by: Option<&'static str>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({:?})", self.ends)
    }
}

impl Client {
    /// A client of the control plane at these ends. Connects with the first call.
    pub fn new(ends: Ends) -> Self {
        Self {
            ends,
            saves: None,
            by: None,
        }
    }

    /// The same, which says what a person decides with: `ui`. It is written down beside who that is.
    pub fn by(self, what: &'static str) -> Self {
        Self {
            by: Some(what),
            ..self
        }
    }

    /// The same, which saves what its session cannot save.
    pub fn saving(self, saves: Box<dyn Saves>) -> Self {
        Self {
            saves: Some(saves),
            ..self
        }
    }

    /// GET /session.
    pub async fn session(&self) -> Result<Session, ClientError> {
        self.get("/session").await
    }

    /// GET /rules.
    pub async fn rules(&self) -> Result<Rules, ClientError> {
        self.get("/rules").await
    }

    /// POST /allow.
    pub async fn allow(&self, body: &AddBody) -> Result<Added, ClientError> {
        let mut added: Added = self.post("/allow", body).await?;
        self.save_added(body, Verdict::Allow, &mut added);
        Ok(added)
    }

    /// GET /pending-domains.
    pub async fn pending(&self, missed: bool) -> Result<Pending, ClientError> {
        self.get(match missed {
            true => "/pending-domains?missed=1",
            false => "/pending-domains",
        })
        .await
    }

    /// POST /approve-domain/{id}.
    pub async fn approve_request(
        &self,
        id: &str,
        body: &DecideBody,
    ) -> Result<Decided, ClientError> {
        let decided = self.post(&format!("/approve-domain/{id}"), body).await?;
        Ok(self.save_decided(body, decided))
    }

    /// POST /deny-domain/{id}.
    pub async fn deny_request(&self, id: &str, body: &DecideBody) -> Result<Decided, ClientError> {
        let decided = self.post(&format!("/deny-domain/{id}"), body).await?;
        Ok(self.save_decided(body, decided))
    }

    /// POST /deny.
    pub async fn deny(&self, body: &AddBody) -> Result<Added, ClientError> {
        let mut added: Added = self.post("/deny", body).await?;
        self.save_added(body, Verdict::Deny, &mut added);
        Ok(added)
    }

    /// POST /revoke.
    pub async fn revoke(&self, body: &RevokeBody) -> Result<Revoked, ClientError> {
        let mut revoked: Revoked = self.post("/revoke", body).await?;
        if let Some(saves) = &self.saves {
            revoked.save_error = saves.forget(&body.entries).err();
        }
        Ok(revoked)
    }

    /// GET /connections.
    pub async fn connections(&self) -> Result<Connections, ClientError> {
        self.get("/connections").await
    }

    /// GET /explain. `target` is `host:port`.
    pub async fn explain(&self, target: &str) -> Result<Explanation, ClientError> {
        self.get(&format!("/explain?target={}", encoded(target)))
            .await
    }

    /// GET /logs.
    pub async fn logs(
        &self,
        after: Option<u64>,
        limit: Option<usize>,
    ) -> Result<Logs, ClientError> {
        let after = after.map(|after| format!("after={after}"));
        let limit = limit.map(|limit| format!("limit={limit}"));
        let query: Vec<String> = after.into_iter().chain(limit).collect();
        self.get(&format!("/logs?{}", query.join("&"))).await
    }

    /// GET /stats.
    pub async fn stats(&self) -> Result<Stats, ClientError> {
        self.get("/stats").await
    }

    /// POST /reload.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        self.post("/reload", &serde_json::Map::new()).await
    }

    /// GET /healthz.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.get("/healthz").await
    }

    /// GET /events, from behind `after` or from now on. `background`: nobody looks at them who would
    /// decide about a request.
    pub async fn events(
        &self,
        after: Option<u64>,
        background: bool,
    ) -> Result<EventReader, ClientError> {
        let after = after.map_or_else(String::new, |after| format!("&after={after}"));
        let path = format!("/events?background={}{after}", u8::from(background));
        let (answer, _) = self.send(Method::GET, &path, Bytes::new()).await?;
        Ok(EventReader::of(accepted(answer).await?.into_body()))
    }

    /// Which transport serves, found out with a call.
    pub async fn transport(&self) -> Result<Transport, ClientError> {
        let (answer, transport) = self.send(Method::GET, "/healthz", Bytes::new()).await?;
        accepted(answer).await?;
        Ok(transport)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body =
            serde_json::to_vec(body).map_err(|error| ClientError::Answer(error.to_string()))?;
        self.call(Method::POST, path, body.into()).await
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Transport), ClientError> {
        let by = self.by;
        self.ends
            .send(Call {
                method,
                path,
                body,
                by,
            })
            .await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<T, ClientError> {
        let (answer, _) = self.send(method, path, body).await?;
        let body = content(accepted(answer).await?).await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Answer(error.to_string()))
    }
}

/// An answer that is one; a fault is an error.
async fn accepted(answer: Response<Incoming>) -> Result<Response<Incoming>, ClientError> {
    if answer.status() == StatusCode::OK {
        return Ok(answer);
    }
    let status = answer.status();
    let body = content(answer).await?;
    Err(match serde_json::from_slice(&body) {
        Ok(fault) => ClientError::Fault(fault),
        Err(_) => ClientError::Answer(format!("status {status}")),
    })
}

async fn content(answer: Response<Incoming>) -> Result<Bytes, ClientError> {
    let body = http_body_util::Limited::new(answer.into_body(), ANSWER_MAX)
        .collect()
        .await;
    body.map(http_body_util::Collected::to_bytes)
        .map_err(|error| ClientError::Answer(error.to_string()))
}

/// What a query value may hold as it is (RFC 3986, section 3.4), without what separates pairs.
fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:/[]*".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
