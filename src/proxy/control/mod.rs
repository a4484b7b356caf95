//! The person's side of the proxy: an HTTP API on a Unix socket and on an mTLS port.
//!
//! Who is at the other end is known before a byte is read. What is asked for is parsed into an
//! action at the edge ([`crate::api::Route`]) and carried out in [`actions`]; nothing here
//! touches a connection of the sandbox.

mod actions;
mod events;
mod metrics;
mod patience;

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Either, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderValue, ORIGIN, REFERER};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use crate::api::{Fault, Route};
use crate::transport::{peer, tls};

pub(super) use self::actions::State;
use self::events::EventStream;
use self::patience::Patience;

/// Connections at a time, of both transports (design 3).
const CONNECTIONS: u32 = 256;
/// How long a whole request may take to arrive.
const REQUEST: Duration = Duration::from_secs(10);
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 1024 * 1024;
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves whoever comes in through either transport.
pub(super) struct Control {
    state: Arc<State>,
    places: Arc<Semaphore>,
}

impl Control {
    pub(super) fn new(state: Arc<State>) -> Self {
        Self {
            state,
            places: Arc::new(Semaphore::new(CONNECTIONS as usize)),
        }
    }

    /// Serves the Unix socket: its owner, and nobody else.
    pub(super) async fn serve_unix(self: Arc<Self>, listener: UnixListener) {
        loop {
            let Some(place) = self.place().await else {
                return;
            };
            let Ok((stream, _)) = listener.accept().await else {
                sleep(ACCEPT_PAUSE).await;
                continue;
            };
            match peer::check(&stream) {
                Ok(peer) => self.spawn(stream, format!("uid:{}", peer.uid), place),
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
            let Some(place) = self.place().await else {
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
                let _ = stream.set_nodelay(true);
                // The CA signs one client certificate and is gone: whoever has it is that client.
                if let Ok(Ok(stream)) = timeout(REQUEST, tls::accept(stream, config)).await {
                    control.spawn(stream, "cn:vibepit CLI".to_owned(), place);
                }
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

async fn answer(state: &State, request: Request<Incoming>, actor: &str) -> Answer {
    match respond(state, request, actor).await {
        Ok(answer) => answer,
        Err(fault) => problem(&fault),
    }
}

async fn respond(state: &State, request: Request<Incoming>, actor: &str) -> Result<Answer, Fault> {
    distrust_browsers(&request)?;
    let (parts, body) = request.into_parts();
    let route = Route::find(parts.method.as_str(), parts.uri.path())?;
    let body = match timeout(REQUEST, Limited::new(body, BODY_MAX).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            return Err(Fault::too_large());
        }
        Ok(Err(error)) => return Err(Fault::bad_request(format!("the body broke off: {error}"))),
        Err(_) => return Err(Fault::request_timeout()),
    };
    let action = route.action(parts.uri.query(), &body)?;
    let last_event = parts
        .headers
        .get("last-event-id")
        .and_then(|id| id.to_str().ok()?.parse().ok());
    let body = actions::carry_out(state, action, last_event, actor).await?;
    let mut answer = Response::new(body);
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(route.media_type));
    answer
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(answer)
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
    let body = serde_json::to_vec(fault).unwrap_or_default();
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
