//! What the sandbox is told when a request does not go on: a status whose reason phrase says
//! it, since that is the part that Go, apt, wget, npm and Python show, and a text with the
//! command that would let it through.

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use rustix::net::SendFlags;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::policy::Reason;
use crate::proxy::gate::Refusal;

use super::NotConnected;

/// How long a client that was refused may go on sending before it is cut off.
const LINGER: Duration = Duration::from_secs(2);
/// And how much.
const LINGER_MAX: usize = 256 * 1024;

/// Room for most answers.
const ANSWER: usize = 1000;

/// There is no room now: too many wait, or too many connections are open.
const TOO_MANY: u16 = 503;
/// Seconds after which there may be room again.
const AGAIN: &str = "5";

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// The reason phrase: one line that names the destination and what is the matter.
fn phrase(turned: &NotConnected) -> String {
    let (what, why) = (&turned.refusal.what, &turned.refusal.why);
    match turned.refusal.reason {
        Reason::Unlisted => format!("vibepit: {what} is not allowed"),
        Reason::DeniedByRule | Reason::DeniedByPerson => format!("vibepit: {what} is denied"),
        Reason::Malformed => format!("vibepit: malformed request: {why}"),
        _ => format!("vibepit: {what}: {why}"),
    }
}

/// The text: the destination, why, and the command that would allow it.
fn text(phrase: &str, refusal: &Refusal) -> String {
    let (reason, why, remedy) = (refusal.reason, &refusal.why, &refusal.remedy);
    match remedy.is_empty() {
        true => format!("{phrase}\nreason: {reason}: {why}\n"),
        false => format!(
            "{phrase}\nreason: {reason}: {why}\n\
             to let it through, outside the sandbox: {remedy}\n"
        ),
    }
}

/// Longer ones are for the text alone.
const PHRASE_MAX: usize = 400;

/// A reason phrase may hold visible ASCII, spaces and tabs (RFC 9112, section 4).
fn fit(phrase: &str) -> String {
    let fits = |c: char| c == ' ' || c.is_ascii_graphic();
    let mut fit = String::with_capacity(PHRASE_MAX.min(phrase.len()));
    let chars = phrase.chars().take(PHRASE_MAX);
    fit.extend(chars.map(|c| if fits(c) { c } else { '?' }));
    fit
}

/// The answer within a kept-alive connection.
pub(super) fn response(turned: &NotConnected) -> Response<Full<Bytes>> {
    let phrase = phrase(turned);
    let text = text(&phrase, &turned.refusal);
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() =
        hyper::StatusCode::from_u16(turned.status).unwrap_or(hyper::StatusCode::BAD_GATEWAY);
    if let Ok(phrase) = ReasonPhrase::try_from(fit(&phrase).into_bytes()) {
        response.extensions_mut().insert(phrase);
    }
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, TEXT);
    if let Ok(status) = HeaderValue::from_str(&proxy_status(turned)) {
        headers.insert(PROXY_STATUS, status);
    }
    if turned.status == TOO_MANY {
        headers.insert(RETRY_AFTER, HeaderValue::from_static(AGAIN));
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The answer to a CONNECT, or to what is no request; the connection ends with it.
pub(super) async fn send(mut stream: TcpStream, turned: &NotConnected) -> std::io::Result<()> {
    let phrase = phrase(turned);
    let text = text(&phrase, &turned.refusal);
    let mut answer = String::with_capacity(ANSWER);
    // Writing into memory does not fail.
    let _ = write!(
        answer,
        "HTTP/1.1 {} {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
         Proxy-Status: {}\r\n",
        turned.status,
        fit(&phrase),
        text.len(),
        proxy_status(turned),
    );
    if turned.status == TOO_MANY {
        let _ = write!(answer, "Retry-After: {AGAIN}\r\n");
    }
    let _ = write!(answer, "Connection: close\r\n\r\n{text}");
    send_last(&mut stream, answer.as_bytes()).await?;
    linger(stream).await;
    Ok(())
}

/// Sends the last that there is to say. It waits for the end of the stream (MSG_MORE, send(2)), so
/// that both leave in one segment: a refusal costs a fifth less than with two.
async fn send_last(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    let send = || {
        Ok(rustix::net::send(
            &*stream,
            bytes,
            SendFlags::MORE | SendFlags::NOSIGNAL,
        )?)
    };
    let sent = stream.async_io(Interest::WRITABLE, send).await?;
    // What did not fit into the socket's buffer.
    stream.write_all(&bytes[sent..]).await?;
    stream.shutdown().await
}

/// Reads on for a moment: a socket that is closed with bytes unread sends a reset, which can
/// overtake the answer (RFC 9112, section 9.6).
pub(super) async fn linger(mut stream: TcpStream) {
    let mut scrap = [0; 1024];
    let mut left = LINGER_MAX;
    let _ = timeout(LINGER, async {
        while let Ok(read @ 1..) = stream.read(&mut scrap).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    })
    .await;
}

fn proxy_status(turned: &NotConnected) -> String {
    format!("vibepit; error={}", turned.proxy_status)
}
