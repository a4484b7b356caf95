//! The person's side of the proxy: an HTTP API on a Unix socket and on an mTLS port.
//!
//! Who is at the other end is known before a byte is read. What is asked for is parsed into an
//! action at the edge ([`crate::api::Route`]) and carried out in [`actions`]; nothing here
//! touches a connection of the sandbox.

mod actions;
mod decide;
mod events;
mod metrics;
mod patience;

use std::borrow::Cow;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body, Incoming};
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, EXPECT, HOST, HeaderValue, ORIGIN, REFERER,
};
use hyper::http::request::Parts;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::api::{BY, BY_UI, Fault, Route};
use crate::transport::{peer, tls};

pub(super) use self::actions::State;
use self::events::EventStream;
use self::patience::Patience;

/// Connections at a time, of both transports (design 3).
const CONNECTIONS: u32 = 256;
/// TLS handshakes at a time. They have places of their own: anybody on the machine can begin
/// one, and must not take a place from those who may speak.
const HANDSHAKES: usize = 64;
/// How long a whole request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 1024 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves whoever comes in through either transport.
pub(super) struct Control {
    state: Arc<State>,
    places: Arc<Semaphore>,
    handshakes: Arc<Semaphore>,
}

impl Control {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self {
            state,
            places: Arc::new(Semaphore::new(CONNECTIONS as usize)),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES)),
        }
    }

    /// Serves the Unix socket: its owner, and nobody else.
    pub(super) async fn serve_unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            match peer::check(&stream) {
                Ok(peer) => {
                    let Some(place) = self.place().await else {
                        return;
                    };
                    self.spawn(stream, format!("uid:{}", peer.uid), place);
                }
                // Whoever looks for sessions does that, and is often gone by now.
                Err(refused) if peer::only_looked(&stream, &refused) => {}
                Err(refused) => {
                    let uid = refused
                        .uid
                        .map_or_else(|| "unknown".to_owned(), |uid| uid.to_string());
                    self.state
                        .ledger
                        .peer_refused(&format!("uid:{uid}"), refused.why);
                }
            }
        }
    }

    /// Serves the mTLS port. Connections to `closed_to`, the sandbox's side, end before the
    /// handshake: a port that is bound to every address would be open to the sandbox.
    pub(super) async fn serve_tls(
        self: Arc<Self>,
        listener: TcpListener,
        config: Arc<rustls::ServerConfig>,
        closed_to: Option<IpAddr>,
    ) {
        loop {
            let Ok(handshake) = Arc::clone(&self.handshakes).acquire_owned().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            if stream
                .local_addr()
                .map_or(true, |local| Some(local.ip()) == closed_to)
            {
                continue;
            }
            let (control, config) = (Arc::clone(&self), Arc::clone(&config));
            tokio::spawn(async move {
                // The CA signs one client certificate and is gone: whoever has it is that client.
                if let Ok(Ok(stream)) = timeout(REQUEST, tls::accept(stream, config)).await
                    && let Some(place) = control.place().await
                {
                    control.spawn(stream, "cn:vibepit CLI".to_owned(), place);
                }
                drop(handshake);
            });
        }
    }

    /// Waits until nobody is connected.
    pub(super) async fn all_gone(&self) {
        let _ = self.places.acquire_many(CONNECTIONS).await;
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    fn spawn<S>(&self, stream: S, actor: String, place: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let state = Arc::clone(&self.state);
        tokio::spawn(async move {
            let service = service_fn(|request| {
                let (state, actor) = (Arc::clone(&state), actor.clone());
                async move { Ok::<_, Infallible>(answer(&state, request, &actor).await) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(REQUEST)
                .max_buf_size(HEAD_MAX)
                .half_close(true)
                .serve_connection(TokioIo::new(Patience::new(stream)), service);
            let ending = state.ending.clone();
            tokio::pin!(connection);
            tokio::select! {
                _ = connection.as_mut() => {}
                () = ending.wait() => {
                    // What is being answered is answered; event streams end by themselves.
                    connection.as_mut().graceful_shutdown();
                    let _ = timeout(REQUEST, connection).await;
                }
            }
            drop(place);
        });
    }
}

type Answer = Response<Either<Full<Bytes>, EventStream>>;

async fn answer(state: &Arc<State>, request: Request<Incoming>, actor: &str) -> Answer {
    match respond(state, request, actor).await {
        Ok(answer) => answer,
        Err(fault) => problem(&fault),
    }
}

async fn respond(
    state: &Arc<State>,
    request: Request<Incoming>,
    actor: &str,
) -> Result<Answer, Fault> {
    distrust_browsers(&request)?;
    let (parts, body) = request.into_parts();
    if head_size(&parts) > HEAD_MAX {
        return Err(Fault::head_too_large());
    }
    let route = Route::find(parts.method.as_str(), parts.uri.path())?;
    let waits = parts.headers.contains_key(EXPECT);
    let body = timeout(REQUEST, content(body, waits))
        .await
        .unwrap_or_else(|_| Err(Fault::request_timeout()))?;
    let last_event = parts
        .headers
        .get("last-event-id")
        .map(HeaderValue::as_bytes);
    let action = route.action(parts.uri.path(), parts.uri.query(), last_event, &body)?;
    let by_ui = parts.headers.get(BY).is_some_and(|by| by == BY_UI);
    let actor = match by_ui {
        true => Cow::Owned(format!("{actor} {BY_UI}")),
        false => Cow::Borrowed(actor),
    };
    let body = actions::carry_out(state, action, &actor).await?;
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(route.media_type));
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
}

/// The head's bytes, more or less: hyper's own limit lets through what came with one read.
fn head_size(head: &Parts) -> usize {
    let target = head
        .uri
        .path_and_query()
        .map_or(0, |path| path.as_str().len());
    let fields = head.headers.iter();
    target
        + fields
            .map(|(name, value)| name.as_str().len() + value.len() + 4)
            .sum::<usize>()
}

/// A request's content. `waits`: the client sends none of it before it is told to go on.
async fn content(mut body: Incoming, waits: bool) -> Result<Bytes, Fault> {
    let mut content = BytesMut::new();
    let mut fits = body.size_hint().lower() <= BODY_MAX as u64;
    if waits && !fits {
        return Err(Fault::too_large());
    }
    while let Some(frame) = body.frame().await {
        let frame =
            frame.map_err(|error| Fault::bad_request(format!("the body broke off: {error}")))?;
        let data = frame.into_data().unwrap_or_default();
        fits &= content.len() + data.len() <= BODY_MAX;
        // What is too large is read on and dropped: a client that is still sending when the
        // connection closes may lose the answer (RFC 9112, section 9.6).
        if fits {
            content.extend_from_slice(&data);
        }
    }
    fits.then(|| content.freeze()).ok_or_else(Fault::too_large)
}

/// No browser has business here: it would speak for whatever page is open in it.
fn distrust_browsers(request: &Request<Incoming>) -> Result<(), Fault> {
    let headers = request.headers();
    if headers.contains_key(ORIGIN) || headers.contains_key(REFERER) {
        return Err(Fault::forbidden(
            "requests with Origin or Referer come from browsers, which are not served here",
        ));
    }
    let Some(host) = headers.get(HOST) else {
        return Ok(());
    };
    let host = host.to_str().unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    if matches!(name, "vibepit" | "localhost" | "127.0.0.1" | "") {
        Ok(())
    } else {
        Err(Fault::forbidden(
            "the Host of this API is vibepit: use http://vibepit/…",
        ))
    }
}

fn problem(fault: &Fault) -> Answer {
    let mut body = serde_json::to_vec(fault).unwrap_or_default();
    body.push(b'\n');
    let mut answer = Response::new(Either::Left(Full::new(body.into())));
    *answer.status_mut() =
        StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = answer.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(allow) = fault.allow {
        headers.insert(ALLOW, HeaderValue::from_static(allow));
    }
    answer
}
