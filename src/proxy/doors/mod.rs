//! The ways in, on the sandbox's side: each reads what it is asked in its own protocol, makes a
//! target of it, and takes the one road from there.
//!
//! A door knows the protocol and nothing of rules; it never resolves, never dials, and never
//! decides.

mod about;
mod answer;
mod chunks;
mod connect;
mod counted;
pub(super) mod dns;
mod doorbell;
mod fields;
mod head;
mod hello;
mod host;
mod http;
mod inlet;
mod manner;
mod opening;
mod patience;
mod presence;
mod socks5;
mod tls;
mod tunnel;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use futures_util::stream::{AbortHandle, Abortable};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::policy::{Door, Reason, Target};

use self::head::{Bad, Form, Head, Parsed};
use self::patience::{MOMENT, Over, within};
use self::tunnel::Cleared;
use super::dial::{Dialler, NotConnected, Upstream};
use super::gate::{Gate, Permit, Refusal};
use super::ledger::{Ledger, Passage};

/// How long a client may be silent before it says what it wants, and between two requests.
const IDLE: Duration = Duration::from_secs(120);
/// How long a request's head may take from its first byte to its last.
const HEAD: Duration = Duration::from_secs(20);
/// Pause after an accept that failed for want of descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The one road: admit, resolve once, screen, dial.
pub(super) struct Road {
    pub(super) gate: Arc<Gate>,
    pub(super) ledger: Ledger,
    pub(super) dialler: Dialler,
}

impl Road {
    /// Tells those who are silent that somebody waits for a place.
    fn place_wanted(&self) -> &Arc<Notify> {
        self.dialler.descriptors.place_wanted()
    }

    /// Admits a target; what is refused comes back as it is to be answered.
    async fn admit(&self, target: Target, door: Door) -> Result<Permit, NotConnected> {
        self.gate.admit(target, door).await.map_err(denied)
    }

    /// From a permit to an open connection.
    async fn dial(
        &self,
        permit: Permit,
        abort: AbortHandle,
    ) -> Result<(Upstream, Passage), NotConnected> {
        self.dialler
            .dial(&self.gate, &self.ledger, permit, abort)
            .await
    }

    /// Once more, where a connection that was kept turned out to be closed.
    async fn redial(&self, passage: &Passage) -> Result<Upstream, NotConnected> {
        self.dialler.redial(&self.gate, passage).await
    }

    /// What cannot be parsed cannot be judged.
    async fn malformed(&self, bad: &Bad, door: Door) -> NotConnected {
        let refusal = self.gate.malformed(&bad.sent, door, bad.why.clone()).await;
        NotConnected {
            refusal,
            status: bad.status,
            proxy_status: "http_request_error",
        }
    }
}

fn denied(refusal: Refusal) -> NotConnected {
    let (status, proxy_status) = match refusal.reason {
        // Not for good: there is room again once somebody has decided.
        Reason::QueueFull => (503, "connection_limit_reached"),
        _ => (403, "http_request_denied"),
    };
    NotConnected {
        refusal,
        status,
        proxy_status,
    }
}

/// Serves a door for connections. Those for which there is no descriptor wait: one here, which
/// shows that a place is wanted, and the others to be accepted.
pub(super) async fn serve(door: Door, listener: TcpListener, road: Arc<Road>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Some(descriptor) = road.dialler.descriptors.for_accepting().await else {
            return;
        };
        let (abort, registration) = AbortHandle::new_pair();
        // Boxed, so that the room for what may come before a tunnel is not kept for as long as its
        // bytes are carried.
        let beginning = Box::pin(serve_client(door, stream, Arc::clone(&road), abort));
        let client = async move {
            // How a client's connection ends is in the ledger; the client knows itself.
            if let Ok(Some(tunnel)) = &mut beginning.await {
                let _ = tunnel.carry().await;
            }
            drop(descriptor);
        };
        tokio::spawn(Abortable::new(client, registration));
    }
}

/// One connection, until all of it is served or a tunnel is all that is left of it. HTTP needs much
/// more room than the rest, and is boxed for itself.
async fn serve_client(
    door: Door,
    stream: TcpStream,
    road: Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let road = &road;
    match door {
        Door::Socks5 => socks5::serve(stream, road, abort).await,
        Door::Tls => tls::serve(stream, road, abort).await,
        Door::Host => host::serve(stream, road, abort).await,
        Door::Plain => {
            let manner = manner::Manner::plain();
            Box::pin(http::serve(stream, BytesMut::new(), road, abort, manner)).await
        }
        Door::Connect | Door::Http | Door::Dns => serve_proxy(stream, road, abort).await,
    }
}

/// A CONNECT becomes a tunnel; anything else is served until a CONNECT comes, or what comes cannot
/// be judged, or the client is done.
async fn serve_proxy(
    mut stream: TcpStream,
    road: &Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let mut buffer = BytesMut::with_capacity(1024);
    let Some(first) = read_head(&mut stream, &mut buffer, road.place_wanted()).await? else {
        return Ok(None);
    };
    match first {
        Ok(Head::Connect { target, length }) => {
            buffer.advance(length);
            connect::serve(stream, target, buffer, road, abort).await
        }
        Ok(Head::Forward { .. }) => {
            let manner = manner::Manner::proxy();
            Box::pin(http::serve(stream, buffer, road, abort, manner)).await
        }
        Err(bad) => refuse(stream, bad, Door::Http, road).await.map(|()| None),
    }
}

async fn refuse(stream: TcpStream, bad: Bad, door: Door, road: &Road) -> io::Result<()> {
    let door = match (door, bad.connect) {
        (Door::Http, true) => Door::Connect,
        _ => door,
    };
    let turned = road.malformed(&bad, door).await;
    answer::send(stream, &turned).await
}

/// Reads until the first head is whole, or is known to be none. `None`: the client left, or was
/// silent for too long before it said a word; or its place was wanted.
async fn read_head(
    stream: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    wanted: &Notify,
) -> io::Result<Option<Result<Head, Bad>>> {
    match within(MOMENT, IDLE, wanted, stream.read_buf(buffer)).await {
        Ok(Ok(1..)) => {}
        Ok(Err(error)) => return Err(error),
        Ok(Ok(0)) | Err(_) => return Ok(None),
    }
    // Most heads come in one piece, and need no second clock.
    match head::parse(buffer, Form::Proxy) {
        Ok(Parsed::Complete(head)) => return Ok(Some(Ok(head))),
        Ok(Parsed::Partial) => {}
        Err(bad) => return Ok(Some(Err(bad))),
    }
    let whole = async {
        loop {
            if stream.read_buf(buffer).await? == 0 {
                return Ok(Err(Bad::cut_short(buffer)));
            }
            match head::parse(buffer, Form::Proxy) {
                Ok(Parsed::Complete(head)) => return Ok(Ok(head)),
                Ok(Parsed::Partial) => {}
                Err(bad) => return Ok(Err(bad)),
            }
        }
    };
    let in_time = within(MOMENT, HEAD, wanted, whole).await;
    match in_time {
        Ok(head) => head.map(Some),
        Err(Over::Wanted) => Ok(None),
        Err(Over::Late) => Ok(Some(Err(Bad::too_slow(buffer)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_says_a_word_is_left() {
        let (_client, mut stream) = duplex(64);
        let (mut buffer, wanted) = (BytesMut::new(), Notify::new());
        let head = read_head(&mut stream, &mut buffer, &wanted).await;
        assert_eq!(head.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_head_that_is_never_finished_is_too_slow_however_it_trickles() {
        for pause in [Duration::from_secs(1), 2 * IDLE] {
            let (mut client, mut stream) = duplex(64);
            tokio::spawn(async move {
                client.write_all(b"CONNECT a.test").await.unwrap();
                while client.write_all(b"a").await.is_ok() {
                    sleep(pause).await;
                }
            });
            let (mut buffer, wanted) = (BytesMut::new(), Notify::new());
            let head = read_head(&mut stream, &mut buffer, &wanted).await.unwrap();
            let Some(Err(bad)) = head else {
                panic!("{head:?}")
            };
            assert_eq!((bad.status, bad.connect), (408, true), "{bad:?}");
        }
    }
}
