//! Ports of the host for programs that know no proxy: the name server told them that
//! `host.vibepit` is here, and the port at which they arrive is the one they mean. What is said
//! there is theirs; from the decision on it is a tunnel like any other.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream::AbortHandle;
use tokio::net::TcpStream;

use crate::policy::{Door, Host, Target};
use crate::proxy::gate::HOST_NAME;

use super::Road;
use super::tunnel::{Cleared, admitted, clear};

/// Serves one client. One that is refused is only closed: nobody knows what it would understand.
pub(super) async fn serve(
    mut client: TcpStream,
    road: &Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let target = Target {
        host: Host::from_text(HOST_NAME).map_err(io::Error::other)?,
        port: client.local_addr()?.port(),
    };
    let mut sent = BytesMut::new();
    let admitting = road.admit(target, Door::Host);
    let Ok(permit) = admitted(&mut client, &mut sent, admitting).await? else {
        return Ok(None);
    };
    match road.dial(permit, abort.clone()).await {
        Ok((upstream, passage)) => clear(client, sent, upstream, passage, road, abort).await,
        Err(_) => Ok(None),
    }
}
