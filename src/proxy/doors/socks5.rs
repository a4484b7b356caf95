//! SOCKS5 (RFC 1928): CONNECT to a name or an address, without a password: the door is in the
//! sandbox's own network, where nobody else is. Names are resolved here, never by the sandbox.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use futures_util::stream::AbortHandle;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::policy::{Door, Host, Reason, Target};

use super::head::Bad;
use super::patience::{MOMENT, within};
use super::tunnel::{Cleared, admitted, clear};
use super::{HEAD, IDLE, NotConnected, Road, answer};

const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a client is told (RFC 1928, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Reply {
    Succeeded = 0,
    Failure = 1,
    NotAllowed = 2,
    HostUnreachable = 4,
    Refused = 5,
    NoSuchCommand = 7,
    NoSuchAddress = 8,
}

/// A part of the conversation, if it is all there.
#[derive(Debug, PartialEq, Eq)]
enum Parsed<T> {
    /// It, and the bytes that it took.
    Whole(T, usize),
    Partial,
    Bad(Wrong),
}

/// What cannot be served.
#[derive(Debug, PartialEq, Eq)]
struct Wrong {
    /// What the client is told; nothing when it does not speak SOCKS5.
    reply: Option<Reply>,
    why: String,
    /// What is shown of it in the log.
    sent: Vec<u8>,
}

impl Wrong {
    fn silent<T>(why: &str, sent: &[u8]) -> Parsed<T> {
        Parsed::Bad(Self {
            reply: None,
            why: why.to_owned(),
            sent: sent.iter().copied().take(64).collect(),
        })
    }

    fn told<T>(reply: Reply, why: impl Into<String>, sent: &[u8]) -> Parsed<T> {
        Parsed::Bad(Self {
            reply: Some(reply),
            why: why.into(),
            sent: sent.iter().copied().take(256).collect(),
        })
    }
}

/// Serves one client.
pub(super) async fn serve(
    mut client: TcpStream,
    road: &Arc<Road>,
    abort: AbortHandle,
) -> io::Result<Option<Cleared>> {
    let wanted = road.place_wanted();
    let mut sent = BytesMut::with_capacity(512);
    match part(&mut client, &mut sent, wanted, greeting).await? {
        Some(Ok(true)) => client.write_all(&[VERSION, NO_PASSWORD]).await?,
        Some(Ok(false)) => {
            client.write_all(&[VERSION, NO_METHOD]).await?;
            let why = "it insists on a password, and this door has none";
            let wrong = Wrong {
                reply: None,
                why: why.to_owned(),
                sent: b"(greeting)".to_vec(),
            };
            return refuse(client, wrong, road).await;
        }
        Some(Err(wrong)) => return refuse(client, wrong, road).await,
        None => return Ok(None),
    }
    let target = match part(&mut client, &mut sent, wanted, request).await? {
        Some(Ok(target)) => target,
        Some(Err(wrong)) => return refuse(client, wrong, road).await,
        None => return Ok(None),
    };
    let connected = match admitted(&mut client, &mut sent, road.admit(target, Door::Socks5)).await?
    {
        Ok(permit) => road.dial(permit, abort.clone()).await,
        Err(turned) => Err(turned),
    };
    match connected {
        Ok((upstream, passage)) => {
            client.write_all(&replied(Reply::Succeeded)).await?;
            clear(client, sent, upstream, passage, road, abort).await
        }
        Err(turned) => end(client, reply(&turned)).await,
    }
}

/// Reads until a part is whole, or is known to be none. `None`: the client left, or was silent for
/// too long; or its place was wanted.
async fn part<T>(
    client: &mut (impl AsyncRead + Unpin),
    sent: &mut BytesMut,
    wanted: &Notify,
    parse: fn(&[u8]) -> Parsed<T>,
) -> io::Result<Option<Result<T, Wrong>>> {
    if sent.is_empty() {
        match within(MOMENT, IDLE, wanted, client.read_buf(sent)).await {
            Ok(Ok(1..)) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(0)) | Err(_) => return Ok(None),
        }
    }
    let whole = async {
        loop {
            match parse(sent) {
                Parsed::Whole(part, length) => {
                    sent.advance(length);
                    return Ok(Some(Ok(part)));
                }
                Parsed::Bad(wrong) => return Ok(Some(Err(wrong))),
                Parsed::Partial if client.read_buf(sent).await? == 0 => return Ok(None),
                Parsed::Partial => {}
            }
        }
    };
    within(MOMENT, HEAD, wanted, whole)
        .await
        .unwrap_or(Ok(None))
}

/// The greeting: whether it offers to go on without a password.
fn greeting(sent: &[u8]) -> Parsed<bool> {
    match sent {
        [] => Parsed::Partial,
        [VERSION] => Parsed::Partial,
        [VERSION, count, methods @ ..] => match methods.get(..usize::from(*count)) {
            Some(methods) => Parsed::Whole(methods.contains(&NO_PASSWORD), 2 + methods.len()),
            None => Parsed::Partial,
        },
        [4, ..] => Wrong::silent("it speaks SOCKS4, and this door SOCKS5", sent),
        _ => Wrong::silent("it does not speak SOCKS5", sent),
    }
}

/// The request: where to.
fn request(sent: &[u8]) -> Parsed<Target> {
    let [version, command, reserved, kind, rest @ ..] = sent else {
        return Parsed::Partial;
    };
    if *version != VERSION || *reserved != 0 {
        return Wrong::told(Reply::Failure, "its request is none of SOCKS5", sent);
    }
    let (length, host) = match *kind {
        IPV4 => (4, 0),
        IPV6 => (16, 0),
        NAME => match rest {
            [length, ..] => (usize::from(*length), 1),
            [] => return Parsed::Partial,
        },
        kind => {
            let why = format!("it asks for an address of type {kind}, which there is not");
            return Wrong::told(Reply::NoSuchAddress, why, sent);
        }
    };
    let (Some(text), Some(port)) = (
        rest.get(host..host + length),
        rest.get(host + length..host + length + 2),
    ) else {
        return Parsed::Partial;
    };
    let whole = 4 + host + length + 2;
    if *command != CONNECT {
        let why = "it asks for another command than CONNECT, and there is none here";
        return Wrong::told(Reply::NoSuchCommand, why, text);
    }
    let port = u16::from_be_bytes([port[0], port[1]]);
    if port == 0 {
        return Wrong::told(Reply::NotAllowed, "port 0 is none", text);
    }
    let host = match *kind {
        NAME => match Host::from_wire(text) {
            Ok(host) => host,
            Err(error) => return Wrong::told(Reply::NotAllowed, error.to_string(), text),
        },
        _ => Host::Ip(address(text)),
    };
    Parsed::Whole(Target { host, port }, whole)
}

fn address(bytes: &[u8]) -> IpAddr {
    match <[u8; 4]>::try_from(bytes) {
        Ok(four) => IpAddr::from(four),
        Err(_) => {
            let mut sixteen = [0; 16];
            sixteen.copy_from_slice(bytes);
            IpAddr::from(sixteen)
        }
    }
}

/// The answer with this reply. Where the proxy is connected from is nobody's business there.
fn replied(reply: Reply) -> [u8; 10] {
    [VERSION, reply as u8, 0, IPV4, 0, 0, 0, 0, 0, 0]
}

fn reply(turned: &NotConnected) -> Reply {
    match turned.refusal.reason {
        Reason::QueueFull => Reply::Failure,
        Reason::ResolveFailed => Reply::HostUnreachable,
        Reason::ConnectFailed => match turned.proxy_status {
            "connection_refused" => Reply::Refused,
            "connection_limit_reached" => Reply::Failure,
            _ => Reply::HostUnreachable,
        },
        _ => Reply::NotAllowed,
    }
}

async fn refuse(client: TcpStream, wrong: Wrong, road: &Road) -> io::Result<Option<Cleared>> {
    let bad = Bad {
        status: 400,
        why: wrong.why,
        sent: wrong.sent,
        connect: false,
    };
    road.malformed(&bad, Door::Socks5).await;
    match wrong.reply {
        Some(reply) => end(client, reply).await,
        None => Ok(None),
    }
}

async fn end(mut client: TcpStream, reply: Reply) -> io::Result<Option<Cleared>> {
    client.write_all(&replied(reply)).await?;
    client.shutdown().await?;
    answer::linger(client).await;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;
    use tokio::time::{Instant, sleep};

    fn reply_to(sent: &[u8]) -> Option<Reply> {
        match request(sent) {
            Parsed::Bad(wrong) => wrong.reply,
            other => panic!("{sent:?}: {other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_never_finished_is_given_up_however_it_trickles() {
        let (mut client, mut stream) = duplex(64);
        let begun = Instant::now();
        tokio::spawn(async move {
            client.write_all(b"\x05\x01\x00\x03\xff").await.unwrap();
            while client.write_all(b"a").await.is_ok() {
                sleep(HEAD / 4).await;
            }
        });
        let (mut sent, wanted) = (BytesMut::new(), Notify::new());
        let read = part(&mut stream, &mut sent, &wanted, request).await;
        assert_eq!(read.unwrap(), None);
        assert_eq!(begun.elapsed().as_secs(), HEAD.as_secs());
    }

    #[test]
    fn a_greeting_is_taken_with_the_method_without_a_password_and_no_other() {
        assert_eq!(greeting(b"\x05\x02\x00\x02rest"), Parsed::Whole(true, 4));
        assert_eq!(greeting(b"\x05\x01\x02"), Parsed::Whole(false, 3));
        assert_eq!(greeting(b"\x05\x00"), Parsed::Whole(false, 2));
        for part in [&b""[..], b"\x05", b"\x05\x02\x00"] {
            assert_eq!(greeting(part), Parsed::Partial);
        }
        for other in [
            &b"\x04\x01\x01\xbb\x7f\x00\x00\x01u\x00"[..],
            b"GET / HTTP/1.1",
        ] {
            assert!(matches!(
                greeting(other),
                Parsed::Bad(Wrong { reply: None, .. })
            ));
        }
    }

    #[test]
    fn a_request_names_its_target_by_name_or_address() {
        let taken = |sent: &[u8]| {
            for at in 0..sent.len() {
                assert_eq!(request(&sent[..at]), Parsed::Partial);
            }
            match request(&[sent, b"early"].concat()) {
                Parsed::Whole(target, length) if length == sent.len() => target.to_string(),
                other => panic!("{sent:?}: {other:?}"),
            }
        };
        let name = b"\x05\x01\x00\x03\x0fAllowed.Example\x01\xbb";
        assert_eq!(taken(name), "allowed.example:443");
        assert_eq!(
            taken(b"\x05\x01\x00\x01\xc0\x00\x02\x01\x00\x16"),
            "192.0.2.1:22"
        );
        assert_eq!(
            taken(b"\x05\x01\x00\x03\x09192.0.2.1\x00\x50"),
            "192.0.2.1:80"
        );
        let six = [
            &b"\x05\x01\x00\x04"[..],
            &[0x20, 1, 0xd, 0xb8],
            &[0; 11],
            &[1, 0, 80],
        ];
        assert_eq!(taken(&six.concat()), "[2001:db8::1]:80");
    }

    #[test]
    fn what_is_no_request_for_a_tunnel_is_told_so() {
        let udp = b"\x05\x03\x00\x03\x070.0.0.0\x00\x00";
        assert_eq!(reply_to(udp), Some(Reply::NoSuchCommand));
        for command in [2, 0xf0, 0] {
            let mut sent = *b"\x05\x01\x00\x03\x0fallowed.example\x01\xbb";
            sent[1] = command;
            assert_eq!(reply_to(&sent), Some(Reply::NoSuchCommand));
        }
        assert_eq!(
            reply_to(b"\x05\x01\x00\x05\x00\x01\xbb"),
            Some(Reply::NoSuchAddress)
        );
        assert_eq!(
            reply_to(b"\x05\x01\x00\x03\x0fallowed.example\x00\x00"),
            Some(Reply::NotAllowed)
        );
        for name in [
            &b""[..],
            b"a b",
            b"a.example\0",
            b"http://a",
            b"a:80",
            b"127.1",
            b"0x7f.1",
        ] {
            let length = u8::try_from(name.len()).unwrap();
            let sent = [b"\x05\x01\x00\x03", &[length][..], name, b"\x01\xbb"].concat();
            assert_eq!(reply_to(&sent), Some(Reply::NotAllowed), "{name:?}");
        }
    }
}
