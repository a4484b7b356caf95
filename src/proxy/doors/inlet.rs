//! The client's side of an HTTP connection, as hyper gets to see it: requests whose heads have
//! been read strictly, one after the other, and nothing else.
//!
//! A head that is a CONNECT, or that cannot be judged, is not let through: hyper sees the end of
//! the input, finishes what it is answering, and whoever drives the connection finds here what
//! comes next.

use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use crate::policy::Target;
use crate::proxy::stall::Stall;

use super::chunks::ChunkTracker;
use super::head::{self, Bad, Content, Form, Head, Parsed};
use super::patience::{Over, Patience};
use super::presence::Presence;
use super::{HEAD, IDLE};

/// As much as is read of a client while its request waits for a person.
const AHEAD: usize = 16 * 1024;

/// How long a client may take none of what it is sent, as for a tunnel.
const STUCK: Duration = Duration::from_secs(60 * 60);

/// A client's connection behind the strict reader.
pub(super) struct Inlet<S> {
    stream: S,
    form: Form,
    /// Read, and not yet let through.
    buffer: BytesMut,
    state: State,
    patience: Patience,
    /// Of what there is for the client.
    stuck: Stall,
    fault: ContentFault,
    asterisk: Asterisk,
    presence: Presence,
}

/// Whether the request whose head passed last goes on as `*`: hyper's URL has no empty path that
/// could tell. It asks for no next head before it has handed over the one that it read.
pub(super) type Asterisk = Arc<AtomicBool>;

/// What is wrong with the content that is passing, for whoever answers its request: all that hyper
/// tells is that it ended too early. (Nobody asks once the answer is out: the connection ends.)
#[derive(Debug, Default, Clone)]
pub(super) struct ContentFault(Arc<Mutex<Option<&'static str>>>);

impl ContentFault {
    fn is(&self, why: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    /// The fault, if there is one that nobody took yet, as a request that cannot be judged.
    pub(super) fn take(&self) -> Option<Bad> {
        let mut fault = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        fault.take().map(Bad::content)
    }
}

enum State {
    /// At the start of a head, or within one.
    Head,
    /// So many bytes of head may pass, and then the content.
    Passing(usize, Content),
    Content(Remaining),
    Ended(Ending),
}

enum Remaining {
    Length(u64),
    Chunked(ChunkTracker),
}

/// Why hyper saw the end.
#[derive(Debug)]
pub(super) enum Ending {
    /// The client is done, or was silent for too long.
    Done,
    /// The client was silent, and somebody else gets its place.
    Wanted,
    /// A CONNECT: the tunnel begins behind it.
    Connect(Target),
    /// The head cannot be judged.
    Bad(Bad),
}

impl<S> Inlet<S> {
    /// Reads on from what was read already.
    pub(super) fn new(
        stream: S,
        buffer: BytesMut,
        form: Form,
        fault: ContentFault,
        asterisk: Asterisk,
        presence: Presence,
        patience: Patience,
    ) -> Self {
        Self {
            stream,
            buffer,
            form,
            state: State::Head,
            patience,
            stuck: Stall::new(STUCK),
            fault,
            asterisk,
            presence,
        }
    }

    /// What is left when hyper is done: the connection, what was read of it and not let through,
    /// and why it ended. `None` while hyper could have gone on: an upgrade.
    pub(super) fn into_parts(self) -> (S, BytesMut, Option<Ending>) {
        let ending = match self.state {
            State::Ended(ending) => Some(ending),
            _ => None,
        };
        (self.stream, self.buffer, ending)
    }

    /// Goes on until there is something to let through, or the end is known.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + Unpin,
    {
        loop {
            let parsed = if self.buffer.is_empty() {
                Ok(Parsed::Partial)
            } else {
                head::parse(&self.buffer, self.form)
            };
            match parsed {
                Ok(Parsed::Complete(Head::Forward {
                    length,
                    content,
                    asterisk,
                })) => {
                    self.asterisk.store(asterisk, Ordering::Relaxed);
                    self.patience.rests();
                    self.state = State::Passing(length, content);
                    return Poll::Ready(Ok(()));
                }
                Ok(Parsed::Complete(Head::Connect { target, length })) => {
                    self.buffer.advance(length);
                    self.state = State::Ended(Ending::Connect(target));
                    return Poll::Ready(Ok(()));
                }
                Ok(Parsed::Partial) => {}
                Err(bad) => return self.end(Ending::Bad(bad)),
            }
            // Silence counts from when a head is waited for: how long an answer takes is not up to
            // the client.
            let due = if self.buffer.is_empty() { IDLE } else { HEAD };
            self.patience.give(due);
            let read = match read_more(&mut self.stream, cx, &mut self.buffer) {
                Poll::Ready(read) => read?,
                Poll::Pending => {
                    let ending = match ready!(self.patience.poll_over(cx)) {
                        Over::Wanted => Ending::Wanted,
                        Over::Late if self.buffer.is_empty() => Ending::Done,
                        Over::Late => Ending::Bad(Bad::too_slow(&self.buffer)),
                    };
                    return self.end(ending);
                }
            };
            if read == 0 {
                let ending = if self.buffer.is_empty() {
                    Ending::Done
                } else {
                    Ending::Bad(Bad::cut_short(&self.buffer))
                };
                return self.end(ending);
            }
        }
    }

    fn end(&mut self, ending: Ending) -> Poll<io::Result<()>> {
        self.state = State::Ended(ending);
        Poll::Ready(Ok(()))
    }
}

/// For most heads in one piece.
const ROOM: usize = 1024;

/// Reads into the room behind a buffer's bytes.
fn read_more(
    stream: &mut (impl AsyncRead + Unpin),
    cx: &mut Context<'_>,
    buffer: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    buffer.reserve(ROOM);
    pin!(stream.read_buf(buffer)).poll(cx)
}

impl<S: AsyncRead + Unpin> AsyncRead for Inlet<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Ended(_) => return Poll::Ready(Ok(())),
                State::Head => ready!(this.poll_head(cx))?,
                State::Passing(left, content) => {
                    let length = (*left).min(out.remaining());
                    out.put_slice(&this.buffer[..length]);
                    this.buffer.advance(length);
                    *left -= length;
                    if *left == 0 {
                        this.state = match *content {
                            Content::Length(0) => State::Head,
                            Content::Length(length) => State::Content(Remaining::Length(length)),
                            Content::Chunked => {
                                State::Content(Remaining::Chunked(ChunkTracker::default()))
                            }
                        };
                    }
                    return Poll::Ready(Ok(()));
                }
                State::Content(remaining) => {
                    let start = out.filled().len();
                    if this.buffer.is_empty() {
                        ready!(Pin::new(&mut this.stream).poll_read(cx, out))?;
                        if out.filled().len() == start {
                            this.fault.is("the connection ended within the content");
                            this.state = State::Ended(Ending::Done);
                            return Poll::Ready(Ok(()));
                        }
                    } else {
                        let length = this.buffer.len().min(out.remaining());
                        out.put_slice(&this.buffer[..length]);
                        this.buffer.advance(length);
                    }
                    let (taken, ended) = match remaining.take(&out.filled()[start..]) {
                        Ok(taken) => taken,
                        Err(why) => {
                            out.set_filled(start);
                            this.fault.is(why);
                            this.state = State::Ended(Ending::Done);
                            return Poll::Ready(Ok(()));
                        }
                    };
                    // What lies behind the content is the next head: it has to wait its turn.
                    let behind = &out.filled()[start + taken..];
                    if !behind.is_empty() {
                        let rest = this.buffer.split();
                        this.buffer.extend_from_slice(behind);
                        this.buffer.unsplit(rest);
                        out.set_filled(start + taken);
                    }
                    if ended {
                        this.state = State::Head;
                    }
                    if taken > 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }
}

impl Remaining {
    /// How many of these bytes are content, and whether it ends with them.
    fn take(&mut self, bytes: &[u8]) -> Result<(usize, bool), &'static str> {
        match self {
            Self::Length(left) => {
                let taken = usize::try_from(*left)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                *left -= taken as u64;
                Ok((taken, *left == 0))
            }
            Self::Chunked(tracker) => tracker.follow(bytes),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Inlet<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.stuck.tried(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.stuck.tried(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing is held back here. hyper flushes at the end of each turn, and so this is where a
    /// client is watched whose request waits: what it says meanwhile is kept for later.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let me = &mut *self;
        let goes_on = !matches!(me.state, State::Ended(_));
        while me.presence.is_asked() && goes_on && me.buffer.len() < AHEAD {
            match read_more(&mut me.stream, cx, &mut me.buffer) {
                Poll::Pending => break,
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(Ok(0) | Err(_)) => {
                    me.presence.is_gone();
                    break;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::{Instant, sleep};

    fn inlet() -> (DuplexStream, Inlet<DuplexStream>) {
        let (client, stream) = duplex(64);
        let (fault, asterisk, presence) = Default::default();
        let patience = Patience::new(Arc::default());
        (
            client,
            Inlet::new(
                stream,
                BytesMut::new(),
                Form::Proxy,
                fault,
                asterisk,
                presence,
                patience,
            ),
        )
    }

    /// What passes until the input ends, and why it did.
    async fn passes(mut inlet: Inlet<DuplexStream>) -> (String, Option<Ending>) {
        let mut passed = String::new();
        inlet.read_to_string(&mut passed).await.unwrap();
        (passed, inlet.into_parts().2)
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_idle_between_two_requests_ends_without_a_word() {
        let (mut client, inlet) = inlet();
        let head = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
        client.write_all(head.as_bytes()).await.unwrap();
        let (passed, ending) = passes(inlet).await;
        assert_eq!(passed, head);
        assert!(matches!(ending, Some(Ending::Done)), "{ending:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_takes_long_leaves_the_client_its_time_for_the_next_request() {
        let (mut client, mut inlet) = inlet();
        let head = b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
        client.write_all(head).await.unwrap();
        let mut passed = vec![0; head.len()];
        inlet.read_exact(&mut passed).await.unwrap();
        sleep(2 * IDLE).await;
        tokio::spawn(async move {
            sleep(IDLE / 2).await;
            client.write_all(head).await.unwrap();
            client
        });
        let (passed, _) = passes(inlet).await;
        assert_eq!(passed.as_bytes(), head);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_that_is_never_finished_is_too_slow_however_it_trickles() {
        for pause in [Duration::from_secs(1), 2 * IDLE] {
            let (mut client, inlet) = inlet();
            tokio::spawn(async move {
                let begun =
                    b"GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\nGET http://b.test/";
                client.write_all(begun).await.unwrap();
                while client.write_all(b"a").await.is_ok() {
                    sleep(pause).await;
                }
            });
            let (_, ending) = passes(inlet).await;
            let Some(Ending::Bad(bad)) = ending else {
                panic!("{ending:?}")
            };
            assert_eq!(bad.status, 408, "{bad:?}");
            assert!(bad.sent.starts_with(b"http://b.test/"), "{bad:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_for_an_hour_is_given_up_and_one_that_takes_little_is_not()
    {
        let (mut client, mut inlet) = inlet();
        let reading = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(STUCK / 2).await;
                client.read_exact(&mut [0; 64]).await.unwrap();
            }
            client
        });
        let began = Instant::now();
        let error = inlet.write_all(&[0; 64 * 6]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), STUCK / 2 * 4 + STUCK);
        drop(reading.await);
    }
}
