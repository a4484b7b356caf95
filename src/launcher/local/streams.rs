//! Our ends of a command's streams: pipes, or the other side of its terminal. They end when the
//! command does, though another process of the sandbox may hold on to what it inherited.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::sync::watch;

/// Told when the command has ended, with its exit code.
pub(super) type Ended = watch::Receiver<Option<u8>>;

type Stream = Arc<AsyncFd<OwnedFd>>;

/// An `OwnedFd` stays open, and the same, for as long as it is held.
#[expect(
    deprecated,
    reason = "what replaces it is unsafe, for types that do not keep that promise"
)]
fn stream(end: impl Into<OwnedFd>, interest: Interest) -> io::Result<Stream> {
    let end = end.into();
    fcntl_setfl(&end, fcntl_getfl(&end)? | OFlags::NONBLOCK)?;
    Ok(Arc::new(AsyncFd::with_interest(end, interest)?))
}

/// What a command writes.
pub(super) struct Reading {
    stream: Stream,
    /// Done when the command has ended: what it wrote is in the stream by then.
    ended: BoxFuture<'static, ()>,
    over: bool,
}

impl Reading {
    /// From a pipe.
    pub(super) fn new(end: impl Into<OwnedFd>, ended: Ended) -> io::Result<Self> {
        Ok(Self::of(stream(end, Interest::READABLE)?, ended))
    }

    fn of(stream: Stream, mut ended: Ended) -> Self {
        let ended = Box::pin(async move {
            let _ = ended.wait_for(Option::is_some).await;
        });
        Self {
            stream,
            ended,
            over: false,
        }
    }
}

/// Reads into a buffer. A terminal that its last program has left says so with an error (pty(7)).
fn read(stream: &OwnedFd, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
    match rustix::io::read(stream, buffer.initialize_unfilled()) {
        Ok(length) => {
            buffer.advance(length);
            Ok(())
        }
        Err(Errno::IO) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl AsyncRead for Reading {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.over {
                return Poll::Ready(match read(this.stream.get_ref(), buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
                    done => done,
                });
            }
            match this.stream.poll_read_ready(context) {
                Poll::Ready(readable) => {
                    if let Ok(done) = readable?.try_io(|stream| read(stream.get_ref(), buffer)) {
                        return Poll::Ready(done);
                    }
                }
                Poll::Pending => {
                    ready!(this.ended.as_mut().poll(context));
                    this.over = true;
                }
            }
        }
    }
}

/// What a command reads. Shutting it down closes it, unless it is a terminal.
pub(super) struct Writing {
    stream: Option<Stream>,
    terminal: bool,
}

impl Writing {
    /// To a pipe.
    pub(super) fn new(end: impl Into<OwnedFd>) -> io::Result<Self> {
        Ok(Self {
            stream: Some(stream(end, Interest::WRITABLE)?),
            terminal: false,
        })
    }
}

impl AsyncWrite for Writing {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        piece: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(stream) = &self.stream else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        loop {
            let mut writable = ready!(stream.poll_write_ready(context))?;
            let write = |stream: &AsyncFd<OwnedFd>| Ok(rustix::io::write(stream.get_ref(), piece)?);
            if let Ok(done) = writable.try_io(write) {
                return Poll::Ready(done);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.terminal {
            self.stream = None;
        }
        Poll::Ready(Ok(()))
    }
}

/// The side of a command's terminal that a person's terminal is joined to.
pub(super) struct Terminal(Stream);

impl Terminal {
    pub(super) fn new(side: OwnedFd) -> io::Result<Self> {
        let both = Interest::READABLE | Interest::WRITABLE;
        Ok(Self(stream(side, both)?))
    }

    pub(super) fn reading(&self, ended: Ended) -> Reading {
        Reading::of(Arc::clone(&self.0), ended)
    }

    pub(super) fn writing(&self) -> Writing {
        Writing {
            stream: Some(Arc::clone(&self.0)),
            terminal: true,
        }
    }

    /// Gives it a size. One that is gone needs none.
    pub(super) fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let _ = tcsetwinsize(self.0.get_ref(), size);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Write, pipe};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn what_was_written_before_the_end_is_read_though_the_stream_stays_open() {
        let (end, mut other) = pipe().unwrap();
        let (tell, ended) = watch::channel(None);
        let mut reading = Reading::new(end, ended).unwrap();
        other.write_all(b"first").unwrap();
        let mut first = [0; 5];
        reading.read_exact(&mut first).await.unwrap();
        other.write_all(b"last").unwrap();
        tell.send_replace(Some(0));
        let mut rest = String::new();
        reading.read_to_string(&mut rest).await.unwrap();
        assert_eq!(rest, "last");
        drop(other);
    }

    #[tokio::test]
    async fn shutting_a_pipe_down_is_the_end_of_what_is_read() {
        let (mut end, other) = pipe().unwrap();
        let mut writing = Writing::new(other).unwrap();
        writing.write_all(b"all").await.unwrap();
        writing.shutdown().await.unwrap();
        let mut heard = String::new();
        io::Read::read_to_string(&mut end, &mut heard).unwrap();
        assert_eq!(heard, "all");
    }
}
