//! A tunnel, whichever door it came through: the wait for the decision, and then the bytes, once
//! what the sandbox says first is for the host that was admitted (design 7, `sni_check`).

use std::io;
use std::pin::pin;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream::AbortHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::policy::{Host, Name, SniCheck, Target};
use crate::proxy::dial::Upstream;
use crate::proxy::gate::{Gate, Permit};
use crate::proxy::ledger::Passage;
use crate::proxy::relay::{Inspect, Look, Relay};

use super::manner::Manner;
use super::opening::{self, Opening};
use super::{Road, hello, http};

/// As much as a client may send before it knows whether the tunnel is there.
const EARLY: usize = 16 * 1024;

/// Alerts of TLS (RFC 8446, section 6.2), for a client that waits for a handshake.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(super) enum Alert {
    /// `access_denied`.
    Denied = 49,
    /// `internal_error`: it was let through, and cannot be reached.
    Unreachable = 80,
    /// `unrecognized_name`.
    Name = 112,
}

/// Waits for the decision, and reads on meanwhile: a client that hangs up gives up its place.
pub(super) async fn admitted<T>(
    client: &mut TcpStream,
    early: &mut BytesMut,
    admitting: impl Future<Output = T>,
) -> io::Result<T> {
    let most = early.len().max(EARLY);
    let mut admitting = pin!(admitting);
    loop {
        tokio::select! {
            biased;
            admitted = &mut admitting => return Ok(admitted),
            read = client.read_buf(early), if early.len() < most => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// A tunnel that nothing more is to be found out about: what is left is to carry its bytes.
pub(super) struct Cleared {
    relay: Relay<TcpStream, Upstream>,
    passage: Passage,
}

impl Cleared {
    /// One in which nothing is looked at. `early` is what the client sent by now.
    pub(super) fn new(
        client: TcpStream,
        early: &[u8],
        upstream: Upstream,
        passage: Passage,
    ) -> Self {
        let mut relay = Relay::new(client, upstream);
        relay.sent_before(early, &passage);
        Self { relay, passage }
    }

    /// Carries bytes until both sides are done.
    pub(super) fn carry(&mut self) -> impl Future<Output = io::Result<()>> {
        self.relay.run(&self.passage)
    }
}

/// Looks at what comes first in a tunnel that is there. `early` is what the client sent without
/// waiting for the answer. `None`: there is no more to carry.
pub(super) async fn clear(
    client: TcpStream,
    early: BytesMut,
    upstream: Upstream,
    passage: Passage,
    road: &Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let mut tunnel = Cleared::new(client, &early, upstream, passage);
    drop(early);
    let check = road.gate.sni_check();
    if check == SniCheck::Off {
        return Ok(Some(tunnel));
    }
    let Cleared { relay, passage } = &mut tunnel;
    let mut inspector = Inspector {
        gate: &road.gate,
        permit: passage.permit(),
        check,
        found: None,
        carries: None,
    };
    let look = relay.open(passage, &mut inspector).await?;
    let found = inspector.found;
    if let Some(what) = inspector.carries {
        passage.carries(what);
    }
    match (look, found) {
        (Look::Pass, None) => Ok(Some(tunnel)),
        (Look::Pass, Some(found)) => {
            found.note(&road.gate, passage).await;
            Ok(Some(tunnel))
        }
        (_, Some(Found::Http)) => {
            let (client, upstream, held) = tunnel.relay.into_parts();
            let manner = Manner::in_tunnel(upstream, tunnel.passage);
            Box::pin(http::serve(client, held[..].into(), road, abort, manner)).await
        }
        (_, found) => {
            let found = found.unwrap_or(Found::Broken("its first bytes do not come to an end"));
            found.note(&road.gate, passage).await;
            let (client, _, held) = tunnel.relay.into_parts();
            if hello::is_tls(&held) {
                alert(client, Alert::Name).await?;
            }
            Ok(None)
        }
    }
}

/// Tells a TLS client why there will be no handshake.
pub(super) async fn alert(mut client: TcpStream, why: Alert) -> io::Result<()> {
    const FATAL: u8 = 2;
    client
        .write_all(&[21, 3, 3, 0, 2, FATAL, why as u8])
        .await?;
    client.shutdown().await?;
    super::answer::linger(client).await;
    Ok(())
}

/// What was found in a tunnel that is for another host than the tunnel.
enum Found {
    /// HTTP, each of whose requests is to be judged.
    Http,
    /// TLS to another name.
    Other(Name),
    /// It cannot be judged: one clause says why.
    Broken(&'static str),
}

impl Found {
    async fn note(self, gate: &Gate, passage: &Passage) {
        let permit = passage.permit();
        let (other, why) = match self {
            Self::Http => return,
            Self::Other(name) => {
                let other = Target {
                    host: Host::Name(name),
                    port: permit.target().port,
                };
                let name = &other.host;
                match gate.allows(&other) {
                    true => {
                        let why = "a rule allows with a limit of its own on what is sent";
                        (None, format!("the TLS inside is for {name}, which {why}"))
                    }
                    false => {
                        let why = format!("the TLS inside is for {name}, which no rule allows");
                        (Some(other), why)
                    }
                }
            }
            Self::Broken(why) => (None, format!("what is inside cannot be judged: {why}")),
        };
        gate.mismatched(permit, other.as_ref(), why).await;
    }
}

struct Inspector<'a> {
    gate: &'a Gate,
    permit: &'a Permit,
    check: SniCheck,
    found: Option<Found>,
    /// What it looks like.
    carries: Option<&'static str>,
}

impl Inspect for Inspector<'_> {
    fn inspect(&mut self, sent: &[u8], last: bool) -> Look {
        let enforced = self.check == SniCheck::Enforce;
        let opening = opening::read(sent);
        self.carries = match opening {
            Opening::Partial | Opening::Broken(_) => None,
            Opening::Tls(Some(_)) => Some("tls"),
            Opening::Tls(None) => Some("tls without a name"),
            Opening::Http => Some("http"),
            Opening::Ssh => Some("ssh"),
            Opening::Other => Some("unknown"),
        };
        let found = match opening {
            Opening::Partial if !last => return Look::More,
            Opening::Partial => Found::Broken("its first bytes do not come to an end"),
            Opening::Broken(why) => Found::Broken(why),
            Opening::Tls(Some(name)) if !self.is_for(&name) => Found::Other(name),
            Opening::Http if enforced => Found::Http,
            Opening::Tls(_) | Opening::Http | Opening::Ssh | Opening::Other => return Look::Pass,
        };
        self.found = Some(found);
        match enforced {
            true => Look::Stop,
            false => Look::Pass,
        }
    }
}

impl Inspector<'_> {
    /// Whether a name is the tunnel's own, or is allowed itself.
    fn is_for(&self, name: &Name) -> bool {
        let target = self.permit.target();
        match &target.host {
            Host::Name(own) if own == name => true,
            _ => {
                let other = Target {
                    host: Host::Name(name.clone()),
                    port: target.port,
                };
                self.gate.allows_within(self.permit, &other)
            }
        }
    }
}
