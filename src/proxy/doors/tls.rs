//! TLS of programs that know no proxy: the name server told them that every name is here, and the
//! ClientHello says which one they mean. It goes on to that host as it came; nothing is decrypted.

use std::io;
use std::sync::Arc;

use bytes::BytesMut;
use futures_util::stream::AbortHandle;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::policy::{Door, Host, Name, Target};

use super::head::Bad;
use super::hello::{self, Hello};
use super::patience::{MOMENT, Over, within};
use super::tunnel::{Alert, Cleared, admitted, alert};
use super::{IDLE, Road};

/// The port of every connection that comes here.
const HTTPS: u16 = 443;
/// How long a hello may take from its first byte to its last.
const HELLO: std::time::Duration = std::time::Duration::from_secs(10);
/// What a hello may weigh with its records' heads, in as many records as anybody would make of it.
const SENT_MAX: usize = hello::HELLO_MAX + 4096;

/// Serves one client.
pub(super) async fn serve(
    mut client: TcpStream,
    road: &Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let mut sent = BytesMut::with_capacity(2048);
    let name = match read(&mut client, &mut sent, road.place_wanted()).await? {
        Some(Ok(name)) => name,
        Some(Err(why)) => {
            let bad = Bad {
                status: 400,
                why: why.to_owned(),
                sent: b"(TLS)".to_vec(),
                connect: false,
            };
            road.malformed(&bad, Door::Tls).await;
            if hello::is_tls(&sent) {
                alert(client, Alert::Name).await?;
            }
            return Ok(None);
        }
        None => return Ok(None),
    };
    let target = Target {
        host: Host::Name(name),
        port: HTTPS,
    };
    let admitting = road.admit(target, Door::Tls);
    let Ok(permit) = admitted(&mut client, &mut sent, admitting).await? else {
        return alert(client, Alert::Denied).await.map(|()| None);
    };
    match road.dial(permit, abort).await {
        Ok((upstream, passage)) => {
            passage.carries("tls");
            Ok(Some(Cleared::new(client, &sent, upstream, passage)))
        }
        Err(_) => alert(client, Alert::Unreachable).await.map(|()| None),
    }
}

/// Reads the hello, and leaves it in `sent`. `None`: the client left, or was silent for too long,
/// before it said a word; or its place was wanted.
async fn read(
    client: &mut (impl AsyncRead + Unpin),
    sent: &mut BytesMut,
    wanted: &Notify,
) -> io::Result<Option<Result<Name, &'static str>>> {
    match within(MOMENT, IDLE, wanted, client.read_buf(sent)).await {
        Ok(Ok(1..)) => {}
        Ok(Err(error)) => return Err(error),
        Ok(Ok(0)) | Err(_) => return Ok(None),
    }
    match within(MOMENT, HELLO, wanted, rest(client, sent)).await {
        Ok(read) => read.map(Some),
        Err(Over::Late) => Ok(Some(Err("its ClientHello took too long"))),
        Err(Over::Wanted) => Ok(None),
    }
}

/// Reads on until the hello is whole, or is known to be none.
async fn rest(
    client: &mut (impl AsyncRead + Unpin),
    sent: &mut BytesMut,
) -> io::Result<Result<Name, &'static str>> {
    loop {
        if !hello::is_tls(sent) {
            return Ok(Err("it is no TLS, which this port is for"));
        }
        match hello::read(sent) {
            Hello::For(Some(name)) => return Ok(Ok(name)),
            Hello::For(None) => {
                return Ok(Err("its ClientHello does not say which host it is for"));
            }
            Hello::Bad(why) => return Ok(Err(why)),
            Hello::Partial if sent.len() >= SENT_MAX => {
                return Ok(Err("its ClientHello is larger than 64 KiB"));
            }
            Hello::Partial => {}
        }
        if client.read_buf(sent).await? == 0 {
            return Ok(Err("it ended within its ClientHello"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, duplex};
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn a_hello_that_is_never_finished_took_too_long_however_it_trickles() {
        let (mut client, mut stream) = duplex(64);
        tokio::spawn(async move {
            client
                .write_all(b"\x16\x03\x01\x10\x00\x01\x00\x0f\xfc")
                .await
                .unwrap();
            while client.write_all(b"a").await.is_ok() {
                sleep(HELLO / 4).await;
            }
        });
        let read = read(&mut stream, &mut BytesMut::new(), &Notify::new()).await;
        assert_eq!(read.unwrap(), Some(Err("its ClientHello took too long")));
    }
}
