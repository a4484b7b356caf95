//! What an engine's init says of a command that it cannot run. It is the last to know, when the
//! engine has long said that the container runs, and has no way to tell but the command's output.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{self, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

/// How tini (Docker) and catatonit (Podman) begin it, in one piece.
const BEGINNINGS: [&[u8]; 2] = [b"[FATAL tini (", b"ERROR (catatonit:"];
/// A line with the longest path there is.
const MOST: usize = 8 * 1024;

/// What an init said in the place of a command's output, once that output is over.
pub(crate) type Refusal = Arc<OnceLock<String>>;

/// The output of a command without what an init says: that is kept, and nobody sees it. A command
/// whose only output is the same words is taken at its word.
pub(crate) struct BesideInit<R> {
    inner: R,
    framed: bool,
    state: State,
    refusal: Refusal,
}

enum State {
    /// Nothing has come yet that tells.
    Holding(Vec<u8>),
    /// It is the command's: so much of what was held is still to be read.
    Open(io::Cursor<Vec<u8>>),
    Over,
}

impl<R> BesideInit<R> {
    /// `framed`: as an engine frames what has no terminal.
    pub(crate) fn new(inner: R, framed: bool) -> (Self, Refusal) {
        let refusal = Refusal::default();
        let beside = Self {
            inner,
            framed,
            state: State::Holding(Vec::new()),
            refusal: Arc::clone(&refusal),
        };
        (beside, refusal)
    }

    fn text(&self, held: &[u8]) -> Vec<u8> {
        match self.framed {
            true => unframed(held),
            false => held.to_vec(),
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for BesideInit<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Open(held) => {
                    let left = held.get_ref().len() as u64 - held.position();
                    if left > 0 {
                        return Pin::new(held).poll_read(cx, buffer);
                    }
                    return Pin::new(&mut self.inner).poll_read(cx, buffer);
                }
                State::Holding(_) => {}
            }
            let mut space = [0; 1024];
            let mut space = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut space))?;
            let State::Holding(held) = &mut self.state else {
                continue;
            };
            held.extend_from_slice(space.filled());
            let held = std::mem::take(held);
            let text = self.text(&held);
            let is_over = space.filled().is_empty();
            self.state = match may_be_inits(&text) && held.len() < MOST {
                true if is_over && !text.is_empty() => {
                    // Set once: this state is left.
                    let _ = self
                        .refusal
                        .set(String::from_utf8_lossy(&text).into_owned());
                    State::Over
                }
                true if !is_over => State::Holding(held),
                _ => State::Open(io::Cursor::new(held)),
            };
        }
    }
}

/// Nothing, or the beginning of a line that begins so, or such a line.
fn may_be_inits(text: &[u8]) -> bool {
    let line = text.strip_suffix(b"\n").unwrap_or(text);
    let begins = BEGINNINGS.iter().any(|words| line.starts_with(words));
    text.is_empty() || begins && !line.contains(&b'\n')
}

/// What is in the frames, as far as they have come.
fn unframed(mut frames: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    while let Some((header, rest)) = frames.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]);
        let length = usize::try_from(length).map_or(rest.len(), |length| length.min(rest.len()));
        let (piece, rest) = rest.split_at(length);
        text.extend_from_slice(piece);
        frames = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SAID: &str = "[FATAL tini (7)] exec x failed: No such file or directory\n";

    fn frame(text: &str) -> Vec<u8> {
        let length = u32::try_from(text.len()).unwrap().to_be_bytes();
        [&[2, 0, 0, 0], &length[..], text.as_bytes()].concat()
    }

    async fn read(pieces: [&[u8]; 3], framed: bool) -> (Vec<u8>, Option<String>) {
        let inner = pieces[0].chain(pieces[1]).chain(pieces[2]);
        let (mut output, refusal) = BesideInit::new(inner, framed);
        let mut seen = Vec::new();
        output.read_to_end(&mut seen).await.unwrap();
        (seen, refusal.get().cloned())
    }

    #[tokio::test]
    async fn what_an_init_says_of_a_command_is_kept_and_not_shown() {
        let (begin, rest) = SAID.split_at(20);
        let (one, two) = (frame(begin), frame(rest));
        let framed = read([&one[..3], &one[3..], &two], true).await;
        let at_terminal = read([begin.as_bytes(), rest.as_bytes(), b""], false).await;
        for (seen, said) in [framed, at_terminal] {
            assert_eq!((seen.len(), said.as_deref()), (0, Some(SAID)));
        }
    }

    #[tokio::test]
    async fn a_command_that_says_the_same_and_goes_on_is_shown_whole() {
        let (seen, said) = read([SAID.as_bytes(), b"and", b" on"], false).await;
        assert_eq!((seen, said), (format!("{SAID}and on").into_bytes(), None));
        let frames = [frame(SAID), frame("more")];
        let (seen, said) = read([&frames[0], &frames[1], b""], true).await;
        assert_eq!((seen, said), (frames.concat(), None));
        assert_eq!(read([b"", b"", b""], true).await, (Vec::new(), None));
    }

    #[tokio::test]
    async fn other_output_is_never_waited_with() {
        let (mut command, inner) = duplex(64);
        let (mut output, _) = BesideInit::new(inner, false);
        for typed in [b'[', b'F', b'x'] {
            command.write_all(&[typed]).await.unwrap();
            assert_eq!(output.read_u8().await.unwrap(), typed);
        }
    }
}
