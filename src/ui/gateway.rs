//! The gateway: a loopback port, the routes behind it, and what every answer says to the browser.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderName, HeaderValue, SET_COOKIE, WWW_AUTHENTICATE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Deserialize;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use crate::api::Fault;
use crate::client::Client;
use crate::session::{Found, SessionId};

use super::calls;
use super::door::{Asked, Codes, Door};
use super::hub::{Hub, Place};
use super::page;
use super::stream;

const CONNECTIONS: usize = 128;
/// How long a whole request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 16 * 1024;
const BODY_MAX: usize = 64 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Said with every answer. Nothing is kept by a browser or a proxy, framed, guessed at, or told on.
const SAID_ALWAYS: [(&str, &str); 7] = [
    ("cache-control", "no-store"),
    ("content-security-policy", page::POLICY),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("referrer-policy", "no-referrer"),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
];

/// The newest lines of a session's audit log, oldest first; an error is one sentence.
pub type Audit = Box<dyn Fn(SessionId) -> Result<Vec<Value>, String> + Send + Sync>;

/// What the gateway has from whoever opens it.
pub struct Links {
    /// Makes the client of a session.
    pub connect: Box<dyn Fn(&Found) -> Client + Send + Sync>,
    /// Reads an audit log.
    pub audit: Audit,
}

/// Why there is no gateway.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Somebody has the port.
    #[error("port {port} of 127.0.0.1 is taken, perhaps by another vibepit ui")]
    Taken {
        /// Which one.
        port: u16,
    },
    /// The system does not let it.
    #[error("the page cannot be served: {0}")]
    Io(#[from] io::Error),
}

/// Serves the page. What it let in ends with it.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    inside: Arc<Inside>,
}

struct Inside {
    door: Door,
    codes: Codes,
    hub: Arc<Hub>,
    audit: Audit,
}

type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

impl Gateway {
    /// Listens on this port of 127.0.0.1; 0 is any.
    ///
    /// # Errors
    /// When the port is taken, or the system has no random bytes.
    pub async fn open(port: u16, links: Links) -> Result<Self, OpenError> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => OpenError::Taken { port },
            _ => OpenError::Io(error),
        })?;
        let address = listener.local_addr()?;
        let inside = Arc::new(Inside {
            door: Door::new(address.port())?,
            codes: Codes::default(),
            hub: Hub::new(links.connect.into()),
            audit: links.audit,
        });
        Ok(Self {
            listener,
            address,
            inside,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// An address that lets one browser in, once and for two minutes; one that was made before
    /// does no more. What lets in is behind the `#`, which browsers send to nobody.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn invitation(&self) -> io::Result<String> {
        let code = self.inside.codes.fresh(Instant::now())?;
        Ok(format!("http://{}/#{code}", self.address))
    }

    /// Serves for as long as it is polled.
    pub async fn serve(&self) {
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((stream, _)) = self.listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let inside = Arc::clone(&self.inside);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let inside = Arc::clone(&inside);
                    async move { Ok::<_, Infallible>(inside.answer(request).await) }
                });
                // However it ends: the next one is served.
                let _ = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(REQUEST)
                    .max_buf_size(HEAD_MAX)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
                drop(place);
            });
        }
    }
}

/// The body of POST /enter.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enter {
    code: String,
}

impl Inside {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        let mut answer = match self.respond(request).await {
            Ok(answer) => answer,
            Err(fault) => problem(&fault),
        };
        let headers = answer.headers_mut();
        for (name, value) in SAID_ALWAYS {
            let name = HeaderName::from_static(name);
            headers.insert(name, HeaderValue::from_static(value));
        }
        answer
    }

    async fn respond(&self, request: Request<Incoming>) -> Result<Answer, Fault> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path();
        let file = page::file(path);
        let asked = match path {
            _ if file.is_some() => Asked::Page,
            "/enter" => Asked::Entry,
            _ => Asked::Inside,
        };
        self.door.check(asked, &parts)?;
        let is_get = parts.method == Method::GET;
        if let Some(file) = file {
            takes(is_get, path, "GET")?;
            let mut answer = plain(file.media_type, file.content);
            // The page is what says how to be let in; to whom it says so, it says that they are
            // not.
            if path == "/" && !self.door.has_cookie(&parts.headers) {
                refuse(&mut answer);
            }
            return Ok(answer);
        }
        match path {
            "/api/events" => {
                takes(is_get, path, "GET")?;
                let last = parts.headers.get("last-event-id");
                let last = last.and_then(|last| Place::parse(last.to_str().ok()?));
                let events = StreamBody::new(stream::events(self.hub.open(last)?));
                let mut answer = Response::new(events.boxed_unsync());
                typed(&mut answer, "text/event-stream");
                return Ok(answer);
            }
            "/api/audit" => {
                takes(is_get, path, "GET")?;
                return json(&self.audit(parts.uri.query()).await?);
            }
            _ => {}
        }
        takes(parts.method == Method::POST, path, "POST")?;
        let body = content(body).await?;
        if asked == Asked::Entry {
            return self.enter(&body);
        }
        match calls::post(&self.hub, path, &body).await {
            Some(said) => json(&said?),
            None => Err(Fault {
                detail: "there is no such path".to_owned(),
                ..Fault::not_found(path)
            }),
        }
    }

    fn enter(&self, body: &[u8]) -> Result<Answer, Fault> {
        let asked: Enter =
            serde_json::from_slice(body).map_err(|error| Fault::bad_request(error.to_string()))?;
        if !self.codes.take(&asked.code, Instant::now()) {
            return Err(self.door.closed());
        }
        let (cookie, key) = self.door.admission();
        let mut answer = json(&serde_json::json!({ "key": key }))?;
        let cookie = HeaderValue::from_str(&cookie);
        let cookie = cookie.map_err(|error| Fault::failed(error.to_string()))?;
        answer.headers_mut().insert(SET_COOKIE, cookie);
        Ok(answer)
    }

    async fn audit(&self, query: Option<&str>) -> Result<Value, Fault> {
        let session = query.and_then(|query| query.strip_prefix("session="));
        let session = session.and_then(|id| id.parse::<SessionId>().ok());
        let session = session.ok_or_else(|| Fault::bad_request("say ?session= and its id"))?;
        // Reading is short: the end of a file, which was written a moment ago.
        let lines = tokio::task::block_in_place(|| (self.audit)(session));
        calls::answer(lines.map_err(Fault::failed)?)
    }
}

fn takes(right: bool, path: &str, method: &'static str) -> Result<(), Fault> {
    match right {
        true => Ok(()),
        false => Err(Fault::method_not_allowed(path, method)),
    }
}

async fn content(body: Incoming) -> Result<Bytes, Fault> {
    let whole = timeout(REQUEST, Limited::new(body, BODY_MAX).collect()).await;
    let whole = whole.map_err(|_| Fault::request_timeout())?;
    // Too long, or broken off: of neither anything is used.
    let whole = whole.map_err(|error| Fault::bad_request(format!("the body: {error}")))?;
    Ok(whole.to_bytes())
}

fn plain(media_type: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(content.into()).boxed_unsync());
    typed(&mut answer, media_type);
    answer
}

fn json(said: &Value) -> Result<Answer, Fault> {
    Ok(plain("application/json", said.to_string()))
}

fn typed(answer: &mut Answer, media_type: &'static str) {
    let value = HeaderValue::from_static(media_type);
    answer.headers_mut().insert(CONTENT_TYPE, value);
}

/// 401, of a scheme that no browser asks a password for (RFC 9110, section 15.5.2).
fn refuse(answer: &mut Answer) {
    *answer.status_mut() = StatusCode::UNAUTHORIZED;
    let scheme = HeaderValue::from_static("Vibepit-Code");
    answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
}

fn problem(fault: &Fault) -> Answer {
    let said = calls::answer(fault).unwrap_or_default();
    let mut answer = plain("application/problem+json", said.to_string());
    match StatusCode::from_u16(fault.status) {
        Ok(StatusCode::UNAUTHORIZED) => refuse(&mut answer),
        status => *answer.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    }
    if let Some(allow) = fault.allow {
        let allow = HeaderValue::from_static(allow);
        answer.headers_mut().insert(ALLOW, allow);
    }
    answer
}
