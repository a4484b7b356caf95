//! The byte streams of a container, over a connection of their own.
//!
//! Not through the engine library: it reads the output of a terminal as if it were framed, so a
//! program that prints a byte below 3 at the wrong moment would garble or stall it.

use std::io;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, ReadHalf, WriteHalf, split};
use tokio::sync::watch;

use super::super::engine::{Dial, Engine};

/// What an error answer may weigh.
const ERROR_BYTES: usize = 16 * 1024;

/// No key typed by a person ends the attachment: eight bytes that no UTF-8 text contains. (The
/// engine's default, Ctrl-P Ctrl-Q, would swallow the Ctrl-P of every shell.)
const DETACH_KEYS: &str = "%FF,%FF,%FF,%FF,%FF,%FF,%FF,%FF";

/// An engine that does not attach. Podman makes the process at that moment, so this may be what
/// keeps a command from starting.
#[derive(Debug, thiserror::Error)]
#[error("the engine answered {status}: {message}")]
pub(crate) struct Refused {
    status: StatusCode,
    /// What the engine says.
    pub(crate) message: String,
}

/// What goes into a container. Shutting it down is the end of its standard input.
pub(crate) type Input = WriteHalf<TokioIo<Upgraded>>;
/// What comes out of a container: framed, unless it has a terminal.
pub(crate) type Output = ReadHalf<TokioIo<Upgraded>>;

/// Attaches to a container that has been created and not started yet, so that nothing is missed.
pub(crate) async fn attach(engine: &Engine, container: &str) -> Result<(Output, Input)> {
    let upgraded = request(&engine.dial, &path(engine, container), None)
        .await
        .with_context(|| format!("cannot attach to the container {container}"))?;
    Ok(split(TokioIo::new(upgraded)))
}

/// Starts a command in a container, and attaches to it. `begin` is what the engine is told.
pub(crate) async fn start_exec(
    engine: &Engine,
    exec: &str,
    begin: &Value,
) -> Result<(Output, Input)> {
    let path = format!("/v{}/exec/{exec}/start", engine.docker.client_version());
    let upgraded = request(&engine.dial, &path, Some(begin)).await?;
    Ok(split(TokioIo::new(upgraded)))
}

/// An output that tells of its end.
pub(crate) struct Told<R> {
    inner: R,
    over: watch::Sender<bool>,
}

impl<R> Told<R> {
    pub(crate) fn new(inner: R, over: watch::Sender<bool>) -> Self {
        Self { inner, over }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Told<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buffer));
        if buffer.filled().len() == before && buffer.remaining() > 0 {
            self.over.send_replace(true);
        }
        Poll::Ready(read)
    }
}

fn path(engine: &Engine, container: &str) -> String {
    let version = engine.docker.client_version();
    format!(
        "/v{version}/containers/{container}/attach?stream=1&stdin=1&stdout=1&stderr=1\
         &detachKeys={DETACH_KEYS}"
    )
}

async fn request(dial: &Dial, path: &str, body: Option<&Value>) -> Result<Upgraded> {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut sender = dial.http().await?;
    let request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(HOST, "docker")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let body = Limited::new(answer.into_body(), ERROR_BYTES)
            .collect()
            .await;
        let body = body.map(|body| body.to_bytes()).unwrap_or_default();
        let message = String::from_utf8_lossy(&body).trim().to_owned();
        return Err(Refused { status, message }.into());
    }
    Ok(hyper::upgrade::on(answer).await?)
}

/// Which stream of the container a piece is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    /// Standard output, or all there is of a terminal.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Takes the framed output of a container without a terminal apart: eight bytes (the stream,
/// three zeros, a big-endian length) before each piece (Engine API, "ContainerAttach").
pub(crate) struct Demux<R> {
    inner: R,
    channel: Channel,
    left: usize,
}

impl<R: AsyncRead + Unpin> Demux<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self {
            inner,
            channel: Channel::Stdout,
            left: 0,
        }
    }

    /// The next piece, at most as long as `buffer`; `None` at the end.
    pub(crate) async fn read<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> io::Result<Option<(Channel, &'b [u8])>> {
        while self.left == 0 {
            if !self.read_header().await? {
                return Ok(None);
            }
        }
        let most = self.left.min(buffer.len());
        let count = self.inner.read(&mut buffer[..most]).await?;
        if count == 0 {
            return Ok(None);
        }
        self.left -= count;
        Ok(Some((self.channel, &buffer[..count])))
    }

    /// False at the end of the stream, also in the midst of a header: an engine that is killed
    /// ends it anywhere.
    async fn read_header(&mut self) -> io::Result<bool> {
        let mut header = [0; 8];
        let mut have = 0;
        while have < header.len() {
            match self.inner.read(&mut header[have..]).await? {
                0 => return Ok(false),
                count => have += count,
            }
        }
        self.channel = match header[0] {
            0 | 1 => Channel::Stdout,
            2 => Channel::Stderr,
            other => {
                return Err(io::Error::other(format!(
                    "the engine sent a frame of the unknown stream {other}"
                )));
            }
        };
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        self.left = usize::try_from(length).unwrap_or(usize::MAX);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap().to_be_bytes();
        [&[stream, 0, 0, 0], &length[..], content].concat()
    }

    async fn collect(bytes: &[u8], room: usize) -> io::Result<Vec<(Channel, Vec<u8>)>> {
        let mut demux = Demux::new(bytes);
        let mut buffer = vec![0; room];
        let mut pieces = Vec::new();
        while let Some((channel, piece)) = demux.read(&mut buffer).await? {
            pieces.push((channel, piece.to_vec()));
        }
        Ok(pieces)
    }

    #[tokio::test]
    async fn frames_are_told_apart_whatever_they_contain() {
        let bytes = [
            frame(1, b"\x01\x00"),
            frame(2, b""),
            frame(2, b"err"),
            frame(1, b"x"),
        ]
        .concat();
        let pieces = collect(&bytes, 64).await.unwrap();
        assert_eq!(
            pieces,
            [
                (Channel::Stdout, b"\x01\x00".to_vec()),
                (Channel::Stderr, b"err".to_vec()),
                (Channel::Stdout, b"x".to_vec())
            ]
        );
    }

    #[tokio::test]
    async fn a_frame_that_claims_four_gigabytes_is_handed_on_in_pieces() {
        let mut bytes = vec![1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
        bytes.extend_from_slice(b"abcd");
        let pieces = collect(&bytes, 3).await.unwrap();
        assert_eq!(pieces.len(), 2);
    }

    #[tokio::test]
    async fn a_stream_that_ends_inside_a_frame_just_ends() {
        assert_eq!(collect(&[1, 0, 0], 8).await.unwrap(), []);
        assert!(collect(b"\x07\0\0\0\0\0\0\x01x", 8).await.is_err());
    }
}
