//! HTTP requests, each judged alone, on a connection that may carry many; and the upgrades that come
//! of them. They are in absolute form (RFC 9112, section 3.2.2), or in origin form where the sandbox
//! takes the connection for one to the origin.
//!
//! A connection to an origin belongs to the client's connection that opened it, and serves its
//! next request if that is for the same target: nothing is shared between clients, and nothing
//! has to be locked to find it.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::AbortHandle;
use http_body_util::{Either, Full};
use hyper::body::{Body, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self as client, SendRequest};
use hyper::header::{CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::policy::{Budget, Door, Reason, Target, TargetError};
use crate::proxy::dial::{NotConnected, Upstream};
use crate::proxy::gate::{Permit, Refusal, over_budget};
use crate::proxy::ledger::Passage;
use crate::proxy::relay::relay;

use super::counted::Counted;
use super::doorbell::Doorbell;
use super::fields::{for_client, for_origin, hops_left, repeatable, strip_hop_by_hop};
use super::head::Bad;
use super::inlet::{Asterisk, ContentFault, Ending, Inlet};
use super::manner::{Manner, Tunnel};
use super::patience::Patience;
use super::presence::Presence;
use super::tunnel::Cleared;
use super::{Road, about, answer, connect, refuse};

/// How long an origin may think before the first byte of its answer: language models think long.
const ANSWER: Duration = Duration::from_secs(15 * 60);

/// As much as is held of an answer for a client that does not read, on either side.
const BUFFERED: usize = 128 * 1024;

/// Serves a client's connection from its first request on.
pub(super) async fn serve(
    stream: TcpStream,
    buffer: BytesMut,
    road: &Arc<Road>,
    abort: AbortHandle,
    manner: Manner,
) -> io::Result<Option<Cleared>> {
    let (form, door) = (manner.form, manner.door);
    let client = Arc::new(Client {
        road: Arc::clone(road),
        abort: abort.clone(),
        door,
        tunnel: manner.tunnel,
        fault: ContentFault::default(),
        presence: Presence::default(),
        origin: Mutex::new(None),
        driver: Mutex::new(None),
        upgraded: Mutex::new(None),
    });
    let asterisk = Asterisk::default();
    let inlet = Inlet::new(
        stream,
        buffer,
        form,
        client.fault.clone(),
        Arc::clone(&asterisk),
        client.presence.clone(),
        Patience::new(Arc::clone(road.place_wanted())),
    );
    let service = {
        let client = Arc::clone(&client);
        service_fn(move |request| {
            let client = Arc::clone(&client);
            let asterisk = asterisk.load(Ordering::Relaxed);
            async move { Ok::<_, Infallible>(client.exchange(request, asterisk).await) }
        })
    };
    let connection = server::Builder::new()
        // The strict reader ends the input before the last answer is out; a client may, too.
        .half_close(true)
        .auto_date_header(false)
        .max_buf_size(BUFFERED)
        .serve_connection(TokioIo::new(inlet), service);
    let mut connection = pin!(connection.without_shutdown());
    // The origin's connection is driven by the same task as the client's: a task of its own would
    // be woken, often on another core, for every piece of every answer.
    let doorbell = Doorbell::new();
    let served = poll_fn(|cx| {
        doorbell.poll(cx, |cx| {
            client.poll_origin(cx);
            let served = connection.as_mut().poll(cx);
            // A connection that was just made has not been polled yet, so nobody could wake it.
            if served.is_pending() {
                client.poll_origin(cx);
            }
            served
        })
    });
    let parts = match served.await {
        Ok(parts) => parts,
        Err(error) => return Err(io::Error::other(error)),
    };
    let (stream, mut buffer, ending) = parts.io.into_inner().into_parts();
    let upgraded = client
        .upgraded
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some((origin, passage)) = upgraded {
        let mut early = BytesMut::from(&parts.read_buf[..]);
        early.unsplit(std::mem::take(&mut buffer));
        return tunnel(stream, early, origin, &passage).await.map(|()| None);
    }
    match ending {
        Some(Ending::Connect(target)) => connect::serve(stream, target, buffer, road, abort).await,
        Some(Ending::Bad(bad)) => refuse(stream, bad, door, road).await.map(|()| None),
        Some(Ending::Wanted) => Ok(None),
        Some(Ending::Done) | None => {
            answer::linger(half_closed(stream).await?).await;
            Ok(None)
        }
    }
}

async fn half_closed(mut stream: TcpStream) -> io::Result<TcpStream> {
    tokio::io::AsyncWriteExt::shutdown(&mut stream).await?;
    Ok(stream)
}

async fn tunnel(
    client: TcpStream,
    early: BytesMut,
    origin: Upgraded,
    passage: &Passage,
) -> io::Result<()> {
    let mut origin = TokioIo::new(origin);
    if !early.is_empty() {
        tokio::io::AsyncWriteExt::write_all(&mut origin, &early).await?;
        passage.sent(early.len());
    }
    relay(client, origin, passage).await
}

/// One client's connection.
struct Client {
    road: Arc<Road>,
    abort: AbortHandle,
    door: Door,
    tunnel: Option<Tunnel>,
    fault: ContentFault,
    presence: Presence,
    /// The connection to the last target; requests come one after the other.
    origin: Mutex<Option<Origin>>,
    /// What drives that connection. A mutex for the sake of `Send`: nobody else takes it.
    driver: Mutex<Option<Driver>>,
    /// Set when the answer was 101: both sides of the tunnel to be.
    upgraded: Mutex<Option<(Upgraded, Passage)>>,
}

/// A connection to an origin, between two requests.
struct Origin {
    target: Target,
    /// What its bytes are counted against.
    budget: Option<Arc<Budget>>,
    sender: SendRequest<Counted>,
}

/// What moves the bytes of a connection to an origin.
type Driver = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;

type Answer = Response<Either<Counted, Full<Bytes>>>;

impl Client {
    /// One request and its answer. `asterisk`: see [`Asterisk`].
    async fn exchange(&self, request: Request<Incoming>, asterisk: bool) -> Answer {
        let target = match self.target(&request) {
            Ok(target) => target,
            // The strict reader took it, so this does not happen; and if it does, it is refused.
            Err(error) => return self.malformed(error.to_string(), request.uri()).await,
        };
        if let Some(answer) = max_forwards_spent(&request) {
            return answer;
        }
        if about::is_meant(&target) {
            return about::answer(&self.road, &request).await.map(Either::Right);
        }
        let has_content = !request.body().is_end_stream();
        match self.forward(target, request, asterisk).await {
            Ok(answer) => answer,
            Err(turned) => {
                let mut answer = answer::response(&turned);
                if !has_content {
                    answer.headers_mut().remove(CONNECTION);
                }
                answer.map(Either::Right)
            }
        }
    }

    /// Where a request goes: the URL's authority wins over the Host field, and a tunnel's port over
    /// both.
    fn target(&self, request: &Request<Incoming>) -> Result<Target, TargetError> {
        let host = || {
            request
                .headers()
                .get(HOST)
                .map_or(&b""[..], |host| host.as_bytes())
        };
        let authority = request.uri().authority();
        let authority = authority.map_or_else(host, |authority| authority.as_str().as_bytes());
        let mut target = Target::from_authority_or(authority, 80)?;
        if let Some(tunnel) = &self.tunnel {
            target.port = tunnel.target.port;
        }
        Ok(target)
    }

    async fn malformed(&self, why: String, uri: &Uri) -> Answer {
        let sent = uri.to_string().into_bytes();
        let bad = Bad {
            status: 400,
            why,
            sent,
            connect: false,
        };
        answer::response(&self.road.malformed(&bad, self.door).await).map(Either::Right)
    }

    /// The connection for a request, and what it is entered in the books as.
    async fn reach(
        &self,
        target: &Target,
    ) -> Result<(SendRequest<Counted>, Arc<Passage>, bool), NotConnected> {
        if let Some(reached) = self.reach_through(target).await? {
            return Ok(reached);
        }
        let admitting = self.road.admit(target.clone(), self.door);
        let Some(admitted) = self.presence.during(admitting).await else {
            // Whoever asked is gone: nobody is to be answered, and the place is given up.
            self.abort.abort();
            return std::future::pending().await;
        };
        let permit = admitted?;
        Ok(match self.kept(&permit).await {
            Some(sender) => {
                let passage = self.road.ledger.opened(permit, self.abort.clone()).await;
                (sender, Arc::new(passage), true)
            }
            None => {
                let (upstream, passage) = self.road.dial(permit, self.abort.clone()).await?;
                let sender = self.handshake(passage.permit(), upstream).await?;
                (sender, Arc::new(passage), false)
            }
        })
    }

    /// The same within a tunnel, for what is for its host. `None`: it is for another one, which a
    /// rule allows; or there is no tunnel.
    async fn reach_through(
        &self,
        target: &Target,
    ) -> Result<Option<(SendRequest<Counted>, Arc<Passage>, bool)>, NotConnected> {
        let passage = self.tunnel.as_ref().and_then(Tunnel::passage);
        let Some((tunnel, passage)) = self.tunnel.as_ref().zip(passage) else {
            return Ok(None);
        };
        if tunnel.target != *target {
            if self.road.gate.allows(target) {
                return Ok(None);
            }
            let why = format!("the HTTP inside is for {target}, which no rule allows");
            let permit = passage.permit();
            let refusal = self.road.gate.mismatched(permit, Some(target), why).await;
            return Err(super::denied(refusal));
        }
        if let Some(sender) = self.kept(passage.permit()).await {
            return Ok(Some((sender, passage, true)));
        }
        let upstream = match tunnel.upstream() {
            Some(upstream) => upstream,
            None => self.road.redial(&passage).await?,
        };
        let sender = self.handshake(passage.permit(), upstream).await?;
        Ok(Some((sender, passage, false)))
    }

    async fn forward(
        &self,
        target: Target,
        request: Request<Incoming>,
        asterisk: bool,
    ) -> Result<Answer, NotConnected> {
        let (mut sender, passage, reused) = self.reach(&target).await?;
        let (mut request, asked_upgrade) = for_origin(request, &target, &passage);
        if asterisk {
            *request.uri_mut() = Uri::from_static("*");
        }
        let spare = reused.then(|| repeatable(&request)).flatten();
        let mut sent = timeout(ANSWER, sender.try_send_request(request)).await;
        if let Ok(Err(error)) = &mut sent
            && over_budget(error.error()).is_none()
            && let Some(request) = error.take_message().or(spare).filter(|_| reused)
        {
            // The origin closed the connection while nothing was asked of it.
            let upstream = self.road.redial(&passage).await?;
            sender = self.handshake(passage.permit(), upstream).await?;
            sent = timeout(ANSWER, sender.try_send_request(request)).await;
        }
        let answer = match sent.map(|sent| sent.map_err(TrySendError::into_error)) {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                if let Some(refusal) = over_budget(&error) {
                    return Err(super::denied(refusal));
                }
                // The content that the client sent may be what broke it.
                let unreadable = || {
                    let why = std::error::Error::source(&error)?.to_string();
                    error
                        .is_user()
                        .then(|| Bad::content(format!("the content cannot be read: {why}")))
                };
                if let Some(bad) = self.fault.take().or_else(unreadable) {
                    return Err(self.road.malformed(&bad, self.door).await);
                }
                let why = format!("it ended the connection without an answer: {error}");
                return Err(self
                    .broken(passage.permit(), 502, "connection_terminated", why)
                    .await);
            }
            Err(_) => {
                let why = "it did not answer in time".to_owned();
                return Err(self
                    .broken(passage.permit(), 504, "http_response_timeout", why)
                    .await);
            }
        };
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !asked_upgrade {
                let why = "it switched protocols without being asked to".to_owned();
                return Err(self
                    .broken(passage.permit(), 502, "http_protocol_error", why)
                    .await);
            }
            return self.switch(answer, passage).await;
        }
        *self.origin.lock().unwrap_or_else(PoisonError::into_inner) = Some(Origin {
            target,
            budget: passage.permit().budget().cloned(),
            sender,
        });
        Ok(for_client(answer, passage).map(Either::Left))
    }

    /// Moves the origin's connection on. How it ends, whoever waits for its answer is told.
    fn poll_origin(&self, cx: &mut Context<'_>) {
        let mut driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = driver.as_mut()
            && connection.as_mut().poll(cx).is_ready()
        {
            *driver = None;
        }
    }

    /// The connection to what a permit is for, if there is one that counts as the permit has it
    /// and can take a request.
    async fn kept(&self, permit: &Permit) -> Option<SendRequest<Counted>> {
        let kept = self
            .origin
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let counts_alike = |origin: &Origin| match (&origin.budget, permit.budget()) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        let mut origin = kept
            .filter(|origin| origin.target == *permit.target())
            .filter(counts_alike)?;
        origin.sender.ready().await.ok()?;
        Some(origin.sender)
    }

    async fn handshake(
        &self,
        permit: &Permit,
        upstream: Upstream,
    ) -> Result<SendRequest<Counted>, NotConnected> {
        match client::Builder::new()
            .max_buf_size(BUFFERED)
            .handshake(TokioIo::new(upstream))
            .await
        {
            Ok((sender, connection)) => {
                *self.driver.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(Box::pin(connection.with_upgrades()));
                Ok(sender)
            }
            Err(error) => {
                let why = error.to_string();
                Err(self.broken(permit, 502, "connection_terminated", why).await)
            }
        }
    }

    async fn switch(
        &self,
        mut answer: Response<Incoming>,
        passage: Arc<Passage>,
    ) -> Result<Answer, NotConnected> {
        let protocol = answer.headers().get(UPGRADE).cloned();
        let origin = match hyper::upgrade::on(&mut answer).await {
            Ok(origin) => origin,
            Err(error) => {
                let why = error.to_string();
                return Err(self
                    .broken(passage.permit(), 502, "http_upgrade_failed", why)
                    .await);
            }
        };
        if let Some(tunnel) = &self.tunnel {
            drop(tunnel.take());
        }
        // The request's content, which shares the passage, has ended: upgrades carry none.
        let passage = match Arc::try_unwrap(passage) {
            Ok(passage) => passage,
            Err(passage) => {
                let why = "an upgrade with content is not forwarded".to_owned();
                return Err(self
                    .broken(passage.permit(), 502, "http_upgrade_failed", why)
                    .await);
            }
        };
        *self.upgraded.lock().unwrap_or_else(PoisonError::into_inner) = Some((origin, passage));
        let mut switched = Response::new(Either::Right(Full::default()));
        *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        *switched.headers_mut() = std::mem::take(answer.headers_mut());
        let headers = switched.headers_mut();
        strip_hop_by_hop(headers);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let Some(protocol) = protocol {
            headers.insert(UPGRADE, protocol);
        }
        Ok(switched)
    }

    async fn broken(
        &self,
        permit: &Permit,
        status: u16,
        proxy_status: &'static str,
        why: String,
    ) -> NotConnected {
        let gate = &self.road.gate;
        let refusal: Refusal = gate
            .failed(
                permit.target(),
                self.door,
                permit.rule(),
                Reason::ConnectFailed,
                why,
            )
            .await;
        NotConnected {
            refusal,
            status,
            proxy_status,
        }
    }
}

/// RFC 9110, section 7.6.2: an OPTIONS request whose hops are spent is answered here.
fn max_forwards_spent(request: &Request<Incoming>) -> Option<Answer> {
    let spent = request.method() == Method::OPTIONS && hops_left(request.headers()) == Some(0);
    spent.then(|| Response::new(Either::Right(Full::default())))
}
