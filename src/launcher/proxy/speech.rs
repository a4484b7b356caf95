//! What a proxy or a holder says, whichever streams it comes over.

use tokio::io::{AsyncRead, AsyncReadExt};

use super::super::attach::{Channel, Demux};

/// What the other side says, on its standard output and its standard error.
pub(super) enum Speech<R> {
    /// As an engine frames it.
    Framed(Demux<R>),
    /// Two streams; one that has ended is gone.
    Apart(Option<End>, Option<End>),
}

type End = Box<dyn AsyncRead + Send + Unpin>;

impl<R: AsyncRead + Unpin> Speech<R> {
    /// The next piece, at most as long as `buffer`; `None` at the end.
    pub(super) async fn read<'b>(
        &mut self,
        buffer: &'b mut [u8],
    ) -> std::io::Result<Option<(Channel, &'b [u8])>> {
        let (output, error) = match self {
            Self::Framed(frames) => return frames.read(buffer).await,
            Self::Apart(output, error) => (output, error),
        };
        let half = buffer.len() / 2;
        while output.is_some() || error.is_some() {
            let (one, other) = buffer.split_at_mut(half);
            let (channel, length) = tokio::select! {
                length = read_some(output, one) => (Channel::Stdout, length?),
                length = read_some(error, other) => (Channel::Stderr, length?),
            };
            match (channel, length) {
                (Channel::Stdout, 0) => *output = None,
                (Channel::Stderr, 0) => *error = None,
                (Channel::Stdout, length) => return Ok(Some((channel, &buffer[..length]))),
                (Channel::Stderr, length) => {
                    return Ok(Some((channel, &buffer[half..half + length])));
                }
            }
        }
        Ok(None)
    }
}

/// Reads from a stream; from one that has ended nothing ever comes.
async fn read_some(end: &mut Option<End>, buffer: &mut [u8]) -> std::io::Result<usize> {
    match end {
        Some(end) => end.read(buffer).await,
        None => std::future::pending().await,
    }
}
