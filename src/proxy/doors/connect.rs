//! CONNECT: a tunnel to the target (RFC 9110, section 9.3.6).

use std::io;
use std::pin::pin;

use bytes::BytesMut;
use futures_util::stream::AbortHandle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::policy::{Door, Target};
use crate::proxy::relay::relay;

use super::{Road, answer};

/// As much as a client may send before it knows whether the tunnel is there.
const EARLY: usize = 16 * 1024;
const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Takes the road to the target and then carries bytes. Nothing is sent before the decision.
/// `early` is what the client sent behind its request without waiting for the answer.
pub(super) async fn serve(
    mut client: TcpStream,
    target: Target,
    mut early: BytesMut,
    road: &Road,
    abort: AbortHandle,
) -> io::Result<()> {
    let connected =
        match admitted(&mut client, &mut early, road.admit(target, Door::Connect)).await? {
            Ok(permit) => Box::pin(road.dial(permit, abort)).await,
            Err(turned) => Err(turned),
        };
    match connected {
        Ok((mut upstream, passage)) => {
            client.write_all(ESTABLISHED).await?;
            if !early.is_empty() {
                upstream.write_all(&early).await?;
                passage.sent(early.len());
            }
            drop(early);
            relay(client, upstream, &passage).await
        }
        Err(turned) => answer::send(client, &turned).await,
    }
}

/// Waits for the decision, and reads on meanwhile: a client that hangs up gives up its place.
async fn admitted<T>(
    client: &mut TcpStream,
    early: &mut BytesMut,
    admitting: impl Future<Output = T>,
) -> io::Result<T> {
    let mut admitting = pin!(admitting);
    loop {
        tokio::select! {
            biased;
            admitted = &mut admitting => return Ok(admitted),
            read = client.read_buf(early), if early.len() < EARLY => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}
