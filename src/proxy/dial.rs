//! From a permit to a connected socket: resolve once, screen every address, connect to one that
//! passed. Takes nothing but a permit, so that nothing is dialled that was not admitted.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::stream::{AbortHandle, FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::api::HostAccess;
use crate::policy::{Host, Reason};
use crate::transport::keepalive;

use super::descriptors::{Descriptor, Descriptors};
use super::gate::{Gate, Meter, Permit, Refusal};
use super::ledger::{Ledger, Passage};
use super::relay::Side;
use super::resolve::{Resolver, Unresolved};

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(10);
/// How long all addresses together may take.
const CONNECT_ALL: Duration = Duration::from_secs(30);
/// Head start of one address before the next is tried too (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// More addresses of one name are not tried.
const ADDRESSES_MAX: usize = 16;

/// What dialling needs beside the permit.
pub(super) struct Dialler {
    /// Exchanged by a reload.
    pub(super) resolver: Arc<ArcSwap<Resolver>>,
    pub(super) host: HostAccess,
    pub(super) descriptors: Descriptors,
}

/// A connection to a target.
pub(super) struct Upstream {
    stream: Stream,
    /// Asked before anything is sent, where that is limited: so whatever sends is counted.
    meter: Option<Box<Meter>>,
    /// Given back once it is closed.
    _descriptor: Descriptor,
}

enum Stream {
    /// The usual.
    Tcp(TcpStream),
    /// To the launcher, which relays to a port of the host's loopback.
    Unix(UnixStream),
}

/// Why there is no connection: the reason, a clause for a person, and the RFC 9209 error.
#[derive(Debug)]
pub(super) struct NotConnected {
    pub(super) refusal: Refusal,
    pub(super) status: u16,
    /// Error type of RFC 9209, section 2.3.
    pub(super) proxy_status: &'static str,
}

struct Failure {
    reason: Reason,
    status: u16,
    proxy_status: &'static str,
    why: String,
}

impl Dialler {
    /// Connects to what the permit is for, and enters the connection into the ledger. `abort`
    /// ends the task that will carry it.
    pub(super) async fn dial(
        &self,
        gate: &Gate,
        ledger: &Ledger,
        permit: Permit,
        abort: AbortHandle,
    ) -> Result<(Upstream, Passage), NotConnected> {
        let upstream = self.reach(gate, &permit).await?;
        Ok((upstream, ledger.opened(permit, abort).await))
    }

    /// Connects once more to what a passage is for.
    pub(super) async fn redial(
        &self,
        gate: &Gate,
        passage: &Passage,
    ) -> Result<Upstream, NotConnected> {
        self.reach(gate, passage.permit()).await
    }

    async fn reach(&self, gate: &Gate, permit: &Permit) -> Result<Upstream, NotConnected> {
        let connected = match self.descriptor(permit).await {
            Ok(mut descriptor) => {
                let stream = self.stream(permit, &mut descriptor).await;
                stream.map(|stream| Upstream {
                    stream,
                    meter: gate.meter(permit),
                    _descriptor: descriptor,
                })
            }
            Err(failure) => Err(failure),
        };
        let Failure {
            reason,
            status,
            proxy_status,
            why,
        } = match connected {
            Ok(upstream) => return Ok(upstream),
            Err(failure) => failure,
        };
        let (target, door) = (permit.target(), permit.door());
        let refusal = gate.failed(target, door, permit.rule(), reason, why).await;
        Err(NotConnected {
            refusal,
            status,
            proxy_status,
        })
    }

    /// A held request has one descriptor; only now it needs a second one, and, until its name is
    /// resolved, those of the questions.
    async fn descriptor(&self, permit: &Permit) -> Result<Descriptor, Failure> {
        let asks = matches!(permit.target().host, Host::Name(_)) && permit.host_port().is_none();
        match timeout(CONNECT_ALL, self.descriptors.for_dialling(asks)).await {
            Ok(Some(descriptor)) => Ok(descriptor),
            Ok(None) | Err(_) => Err(Failure {
                reason: Reason::ConnectFailed,
                status: 503,
                proxy_status: "connection_limit_reached",
                why: "too many connections are open at once".to_owned(),
            }),
        }
    }

    async fn stream(
        &self,
        permit: &Permit,
        descriptor: &mut Descriptor,
    ) -> Result<Stream, Failure> {
        match permit.host_port() {
            Some(port) => self.host_service(port).await,
            None => self.connect(permit, descriptor).await.map(Stream::Tcp),
        }
    }

    async fn connect(
        &self,
        permit: &Permit,
        descriptor: &mut Descriptor,
    ) -> Result<TcpStream, Failure> {
        let target = permit.target();
        let addresses = match &target.host {
            Host::Ip(ip) => vec![*ip],
            Host::Name(name) => self
                .resolver
                .load_full()
                .addresses(name)
                .await
                .map_err(unresolved)?,
        };
        self.descriptors.resolved(descriptor);
        let mut screened = None;
        let addresses: Vec<SocketAddr> = addresses
            .into_iter()
            .filter(|ip| match permit.screen().check(*ip) {
                Ok(()) => true,
                Err(closed) => {
                    screened.get_or_insert(closed);
                    false
                }
            })
            .map(|ip| SocketAddr::new(ip, target.port))
            .take(ADDRESSES_MAX)
            .collect();
        match (addresses.as_slice(), screened) {
            ([], Some(closed)) => Err(Failure {
                reason: Reason::ScreenedAddress,
                status: 403,
                proxy_status: "http_request_denied",
                why: format!("it is never dialled: {closed}"),
            }),
            ([only], _) => match timeout(CONNECT, open(*only)).await {
                Ok(connected) => connected.map_err(not_connected),
                Err(_) => Err(timed_out()),
            },
            (several, _) => match timeout(CONNECT_ALL, race(interleaved(several))).await {
                Ok(connected) => connected.map_err(not_connected),
                Err(_) => Err(timed_out()),
            },
        }
    }

    async fn host_service(&self, port: u16) -> Result<Stream, Failure> {
        let connected = match &self.host {
            HostAccess::Loopback => open(SocketAddr::from(([127, 0, 0, 1], port)))
                .await
                .map(Stream::Tcp),
            HostAccess::Sockets(directory) => UnixStream::connect(host_socket(directory, port))
                .await
                .map(Stream::Unix),
        };
        connected.map_err(not_connected)
    }
}

fn host_socket(directory: &std::path::Path, port: u16) -> PathBuf {
    directory.join(format!("host-{port}.sock"))
}

async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    keepalive::set(&stream)?;
    Ok(stream)
}

/// Tries one address after another, each with a head start, and keeps the first that answers
/// (RFC 8305). Dropping the rest closes them.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        match waiting.next() {
            Some(address) => trying.push(timeout(CONNECT, open(address))),
            None if trying.is_empty() => return Err(last),
            None => {}
        }
        let more = waiting.len() > 0;
        tokio::select! {
            Some(tried) = trying.next() => match tried {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(_) => last = io::ErrorKind::TimedOut.into(),
            },
            () = sleep(STAGGER), if more => {}
        }
    }
}

/// The families in turn, the first one first (RFC 8305, section 4).
fn interleaved(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) = addresses
        .iter()
        .rev()
        .copied()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let mut order = Vec::with_capacity(addresses.len());
    while !one.is_empty() || !other.is_empty() {
        order.extend(one.pop());
        order.extend(other.pop());
    }
    order
}

fn unresolved(error: Unresolved) -> Failure {
    let (status, proxy_status, why) = match error {
        Unresolved::NoAddress => (502, "dns_error", "the name has no address".to_owned()),
        Unresolved::TimedOut => (
            504,
            "dns_timeout",
            "no resolver answered in time".to_owned(),
        ),
        Unresolved::Failed(why) => (
            502,
            "dns_error",
            format!("the name cannot be resolved: {why}"),
        ),
    };
    Failure {
        reason: Reason::ResolveFailed,
        status,
        proxy_status,
        why,
    }
}

fn timed_out() -> Failure {
    Failure {
        reason: Reason::ConnectFailed,
        status: 504,
        proxy_status: "connection_timeout",
        why: "it did not answer in time".to_owned(),
    }
}

fn not_connected(error: io::Error) -> Failure {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut};
    let (proxy_status, why) = match error.kind() {
        TimedOut => return timed_out(),
        ConnectionRefused => ("connection_refused", "it refuses connections".to_owned()),
        HostUnreachable | NetworkUnreachable => (
            "destination_ip_unroutable",
            "there is no route to it".to_owned(),
        ),
        _ => (
            "destination_unavailable",
            format!("it cannot be reached: {error}"),
        ),
    };
    Failure {
        reason: Reason::ConnectFailed,
        status: 502,
        proxy_status,
        why,
    }
}

impl Stream {
    fn poll_write(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
}

impl Side for Upstream {
    fn socket(&self) -> Option<&TcpStream> {
        match &self.stream {
            Stream::Tcp(stream) => Some(stream),
            Stream::Unix(_) => None,
        }
    }

    fn sink(&self) -> Option<&TcpStream> {
        self.socket().filter(|_| self.meter.is_none())
    }
}

impl AsyncRead for Upstream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Stream::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Upstream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let granted = match &mut this.meter {
            Some(meter) => meter.take(buf.len())?,
            None => buf.len(),
        };
        let written = this.stream.poll_write(cx, &buf[..granted]);
        if let Some(meter) = &this.meter {
            let sent = match written {
                Poll::Ready(Ok(sent)) => sent,
                Poll::Ready(Err(_)) | Poll::Pending => 0,
            };
            meter.give_back(granted - sent);
        }
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.meter.is_some() {
            let first = bufs.iter().find(|buf| !buf.is_empty());
            return self.poll_write(cx, first.map_or(&[], |buf| buf));
        }
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
