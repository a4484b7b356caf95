//! Moving bytes between our standard streams and a container's. Keys are the [`desk`](super::desk)'s.

use std::io::{ErrorKind, Read, Result};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::screen::Screen;
use super::stream::{Channel, Demux};

pub(super) const BUFFER: usize = 32 * 1024;

/// Pieces of our input that may wait for the engine.
pub(super) const PIECES: usize = 4;

/// Reads our standard input until it ends, or nobody wants more of it.
pub(super) fn read_into(mut input: impl Read, pieces: &mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; BUFFER];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                if pieces.blocking_send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A terminal that went away reads as an error; so does a descriptor that was closed.
            Err(_) => return,
        }
    }
}

/// Told when the reader of our output is gone (a closed pipe).
pub(crate) type Gone = watch::Sender<bool>;

/// Copies one stream of a command's (all there is of a terminal) to `out`, until it ends.
pub(super) async fn forward_raw(
    mut container: impl AsyncRead + Unpin,
    mut out: Sink<impl AsyncWrite + Unpin>,
    gone: &Gone,
) -> Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match container.read(&mut buffer).await? {
            0 => return Ok(()),
            count => out.write(&buffer[..count], gone).await,
        }
    }
}

/// Copies the output of a container without a terminal to `out` and `err`, until it ends.
pub(super) async fn forward_split(
    container: impl AsyncRead + Unpin,
    mut out: Sink<impl AsyncWrite + Unpin>,
    mut err: Sink<impl AsyncWrite + Unpin>,
    gone: &Gone,
) -> Result<()> {
    let mut demux = Demux::new(container);
    let mut buffer = vec![0; BUFFER];
    while let Some((channel, piece)) = demux.read(&mut buffer).await? {
        match channel {
            Channel::Stdout => out.write(piece, gone).await,
            Channel::Stderr => err.write(piece, gone).await,
        }
    }
    Ok(())
}

/// Copies two outputs side by side, until both have ended.
pub(super) async fn forward_apart(
    output: impl AsyncRead + Unpin,
    error: impl AsyncRead + Unpin,
    out: Sink<impl AsyncWrite + Unpin>,
    err: Sink<impl AsyncWrite + Unpin>,
    gone: &Gone,
) -> Result<()> {
    tokio::try_join!(
        forward_raw(output, out, gone),
        forward_raw(error, err, gone)
    )?;
    Ok(())
}

/// An end that may break: from then on it swallows, so that the container is drained all the
/// same and its exit code is seen.
pub(super) struct Sink<W> {
    end: Option<W>,
    /// Where it is one with others.
    screen: Option<Screen>,
}

impl<W: AsyncWrite + Unpin> Sink<W> {
    pub(super) fn new(end: W, screen: Option<Screen>) -> Self {
        let end = Some(end);
        Self { end, screen }
    }

    pub(super) async fn write(&mut self, piece: &[u8], gone: &Gone) {
        let Some(end) = &mut self.end else { return };
        let _turn = match &self.screen {
            Some(screen) => Some(screen.turn().await),
            None => None,
        };
        let written = match end.write_all(piece).await {
            Ok(()) => end.flush().await,
            error => error,
        };
        if written.is_err() {
            self.end = None;
            gone.send_replace(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    #[tokio::test]
    async fn a_large_output_arrives_whole_and_in_its_streams() {
        let mut bytes = Vec::new();
        let big = vec![b'x'; 300_000];
        for (stream, content) in [(1u8, &big[..]), (2, b"oops"), (1, b"end")] {
            bytes.extend([stream, 0, 0, 0]);
            bytes.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
            bytes.extend(content);
        }
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (gone, _) = watch::channel(false);
        let (end, other) = (Sink::new(&mut out, None), Sink::new(&mut err, None));
        forward_split(&bytes[..], end, other, &gone).await.unwrap();
        assert_eq!(
            (out.len(), &out[300_000..], &err[..]),
            (300_003, &b"end"[..], &b"oops"[..])
        );
    }

    #[tokio::test]
    async fn when_our_reader_goes_away_the_container_is_still_drained() {
        let (gone, seen) = watch::channel(false);
        let (end, other) = duplex(1);
        drop(other);
        let bytes = vec![b'x'; 100_000];
        forward_raw(&bytes[..], Sink::new(end, None), &gone)
            .await
            .unwrap();
        assert!(*seen.borrow());
    }

    #[tokio::test]
    async fn a_terminals_bytes_are_not_taken_for_frames() {
        let (gone, _) = watch::channel(false);
        let mut out = Vec::new();
        let bytes = b"\x01\x00\x02prompt$ ";
        let end = Sink::new(&mut out, None);
        forward_raw(&bytes[..], end, &gone).await.unwrap();
        assert_eq!(out, bytes);
    }
}
