//! One typed call for each action of a control plane, over its Unix socket or over mTLS.
//!
//! The socket is preferred, and the port is the way out where no socket can be reached; a socket
//! that answered, even with a refusal, is the last word.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyperlocal::UnixConnector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;

use crate::api::{
    AddBody, Added, BY, Connections, DecideBody, Decided, Event, Explanation, Fault, Health, Logs,
    Pending, Reloaded, RevokeBody, Revoked, Rules, Session, Stats,
};
use crate::policy::{Scope, Verdict};
use crate::transport::{tls, unix};

/// As much of an answer as is read into memory: a million rules are larger, and are an error.
const ANSWER_MAX: usize = 256 * 1024 * 1024;

/// Where a control plane is.
#[derive(Debug, Clone, Default)]
pub struct Ends {
    /// Its Unix socket.
    pub socket: Option<PathBuf>,
    /// Its mTLS port.
    pub tcp: Option<TlsEnd>,
}

/// An mTLS port and what is needed to speak to it.
#[derive(Clone)]
pub struct TlsEnd {
    /// Where it is, or where a tunnel to it begins.
    pub addr: SocketAddr,
    /// The session's CA, the client's certificate and its key.
    pub config: Arc<rustls::ClientConfig>,
}

impl std::fmt::Debug for TlsEnd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TlsEnd({})", self.addr)
    }
}

/// What served the last call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The Unix socket.
    Unix,
    /// The mTLS port.
    Tls,
}

/// Why a call did not bring an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there: the session has ended, or is about to.
    #[error("the session's control plane cannot be reached at {at}: {error}")]
    Unreachable {
        /// Path or address.
        at: String,
        /// What the system says.
        error: io::Error,
    },
    /// It hung up without a word, as it does on a peer who is not its owner.
    #[error(
        "the control plane at {at} closed the connection without an answer: it speaks to the user \
         who started the session, and to nobody else ({error})"
    )]
    HungUp {
        /// Path or address.
        at: String,
        /// What hyper says.
        error: String,
    },
    /// Whoever listens on the port does not prove to be the session.
    #[error(
        "whoever listens on {at} does not prove to be this session's control plane: {error}; \
         another program may have the port by now, or a tunnel may lead elsewhere"
    )]
    Handshake {
        /// The address.
        at: String,
        /// What the handshake says.
        error: io::Error,
    },
    /// It said no, and why.
    #[error("{0}")]
    Fault(Fault),
    /// It said something that this version does not understand.
    #[error("the control plane's answer is not understood: {0}")]
    Answer(String),
    /// There is neither a socket nor a port to try.
    #[error("the session has neither a control socket nor a control port")]
    NoEnd,
}

/// Saves decisions on this machine, for a session on another one, which has no place for them.
pub trait Saves: Send + Sync {
    /// Saves what was decided, and says where; an error is one sentence.
    fn save(&self, scope: Scope, verdict: Verdict, entries: &[String]) -> Result<PathBuf, String>;

    /// Takes back what was saved of these entries; an error is one sentence.
    fn forget(&self, entries: &[String]) -> Result<(), String>;
}

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
        Ok(EventReader {
            body: accepted(answer).await?.into_body(),
            text: BytesMut::new(),
        })
    }

    /// Which transport serves, found out with a call.
    pub async fn transport(&self) -> Result<Transport, ClientError> {
        let (answer, transport) = self.send(Method::GET, "/healthz", Bytes::new()).await?;
        accepted(answer).await?;
        Ok(transport)
    }

    /// What was to be saved, and holds for the session only because the session cannot save.
    fn save(&self, scope: Option<Scope>, verdict: Verdict, entries: &[String]) -> Option<Kept> {
        let scope = scope.filter(|scope| matches!(scope, Scope::Project | Scope::Global))?;
        let outcome = self.saves.as_ref()?.save(scope, verdict, entries);
        Some(Kept { scope, outcome })
    }

    fn save_added(&self, body: &AddBody, verdict: Verdict, added: &mut Added) {
        if added.save_error.is_none() {
            return;
        }
        let entries: Vec<String> = added.added.iter().chain(&added.existing).cloned().collect();
        if let Some(kept) = self.save(body.scope, verdict, &entries) {
            kept.enter(&mut added.scope, &mut added.saved_to, &mut added.save_error);
        }
    }

    fn save_decided(&self, body: &DecideBody, mut decided: Decided) -> Decided {
        let entries: Vec<String> = decided.entry.iter().cloned().collect();
        if decided.save_error.is_some()
            && let Some(kept) = self.save(body.scope, decided.verdict, &entries)
        {
            kept.enter(
                &mut decided.scope,
                &mut decided.saved_to,
                &mut decided.save_error,
            );
        }
        decided
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

    /// The fall-back rule (design 3): the port only if there is no socket to reach.
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(Response<Incoming>, Transport), ClientError> {
        let unreachable = match &self.ends.socket {
            Some(socket) => match over_unix(socket, &method, path, body.clone(), self.by).await {
                Ok(answer) => return Ok((answer, Transport::Unix)),
                Err(error @ ClientError::Unreachable { .. }) => error,
                Err(error) => return Err(error),
            },
            None => ClientError::NoEnd,
        };
        match &self.ends.tcp {
            Some(end) => Ok((
                over_tls(end, method, path, body, self.by).await?,
                Transport::Tls,
            )),
            None => Err(unreachable),
        }
    }
}

/// What became of a decision that was saved here.
struct Kept {
    scope: Scope,
    outcome: Result<PathBuf, String>,
}

impl Kept {
    fn enter(
        self,
        scope: &mut Scope,
        saved_to: &mut Option<PathBuf>,
        save_error: &mut Option<String>,
    ) {
        match self.outcome {
            Ok(path) => {
                *scope = self.scope;
                *saved_to = Some(path);
                *save_error = None;
            }
            Err(why) => *save_error = Some(why),
        }
    }
}

async fn over_unix(
    socket: &Path,
    method: &Method,
    path: &str,
    body: Bytes,
    by: Option<&str>,
) -> Result<Response<Incoming>, ClientError> {
    let at = || socket.display().to_string();
    let own =
        unix::own_socket(socket).map_err(|error| ClientError::Unreachable { at: at(), error })?;
    let client: legacy::Client<UnixConnector, Full<Bytes>> =
        legacy::Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .build(UnixConnector);
    let request = request(
        method,
        hyperlocal::Uri::new(own.path(), path).into(),
        body,
        by,
    )?;
    client.request(request).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        match source.and_then(|source| source.downcast_ref::<io::Error>()) {
            Some(source) if error.is_connect() => ClientError::Unreachable {
                at: at(),
                error: io::Error::new(source.kind(), source.to_string()),
            },
            _ => ClientError::HungUp {
                at: at(),
                error: source.map_or_else(|| error.to_string(), ToString::to_string),
            },
        }
    })
}

async fn over_tls(
    end: &TlsEnd,
    method: Method,
    path: &str,
    body: Bytes,
    by: Option<&str>,
) -> Result<Response<Incoming>, ClientError> {
    let at = || end.addr.to_string();
    let hung_up = |error: String| ClientError::HungUp { at: at(), error };
    let stream = TcpStream::connect(end.addr)
        .await
        .map_err(|error| ClientError::Unreachable { at: at(), error })?;
    let stream = tls::handshake(stream, Arc::clone(&end.config))
        .await
        .map_err(|error| ClientError::Handshake { at: at(), error })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| hung_up(error.to_string()))?;
    tokio::spawn(connection);
    let uri = path
        .parse()
        .map_err(|_| ClientError::Answer(format!("{path:?} is no path")))?;
    let request = request(&method, uri, body, by)?;
    sender
        .send_request(request)
        .await
        .map_err(|error| hung_up(error.to_string()))
}

fn request(
    method: &Method,
    uri: hyper::Uri,
    body: Bytes,
    by: Option<&str>,
) -> Result<Request<Full<Bytes>>, ClientError> {
    let request = Request::builder();
    let request = match by {
        Some(by) => request.header(BY, by),
        None => request,
    };
    request
        .method(method)
        .uri(uri)
        .header(HOST, "vibepit")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| ClientError::Answer(error.to_string()))
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

/// Reads a stream of events.
pub struct EventReader {
    body: Incoming,
    text: BytesMut,
}

impl EventReader {
    /// The next event and its number. `None`: the stream has ended.
    ///
    /// # Errors
    /// When the connection breaks, or an event cannot be read.
    pub async fn next(&mut self) -> Result<Option<(u64, Event)>, ClientError> {
        loop {
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block = self.text.split_to(end + 2);
                if let Some(event) = parsed(&block)? {
                    return Ok(Some(event));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    self.text
                        .extend(frame.data_ref().into_iter().flat_map(|data| data.iter()));
                }
                Some(Err(error)) => return Err(ClientError::Answer(error.to_string())),
            }
        }
    }
}

/// One event; `None` for a comment, or an event of a later version.
fn parsed(block: &[u8]) -> Result<Option<(u64, Event)>, ClientError> {
    let text =
        std::str::from_utf8(block).map_err(|error| ClientError::Answer(error.to_string()))?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let (Some(id), Some(name), Some(data)) = (field("id"), field("event"), field("data")) else {
        return Ok(None);
    };
    let id = id
        .parse()
        .map_err(|_| ClientError::Answer(format!("event number {id:?}")))?;
    match Event::parse(name, data) {
        None => Ok(None),
        Some(Ok(event)) => Ok(Some((id, event))),
        Some(Err(error)) => Err(ClientError::Answer(format!("event {name}: {error}"))),
    }
}
