//! CONNECT: a tunnel to the target (RFC 9110, section 9.3.6).

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream::AbortHandle;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::policy::{Door, Target};

use super::tunnel::{Cleared, admitted, clear};
use super::{Road, answer};

const ESTABLISHED: &[u8] = b"HTTP/1.1 200 Connection established\r\n\r\n";

/// Takes the road to the target, to a tunnel whose bytes are to be carried. Nothing is sent before the decision.
/// `early` is what the client sent behind its request without waiting for the answer.
pub(super) async fn serve(
    mut client: TcpStream,
    target: Target,
    mut early: BytesMut,
    road: &Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let connected =
        match admitted(&mut client, &mut early, road.admit(target, Door::Connect)).await? {
            Ok(permit) => road.dial(permit, abort.clone()).await,
            Err(turned) => Err(turned),
        };
    match connected {
        Ok((upstream, passage)) => {
            client.write_all(ESTABLISHED).await?;
            clear(client, early, upstream, passage, road, abort).await
        }
        Err(turned) => answer::send(client, &turned).await.map(|()| None),
    }
}
