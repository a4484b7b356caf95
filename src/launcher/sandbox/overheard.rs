//! The first words of a sandbox, for an init that cannot run the command and says so in its output
//! alone: catatonit, which Podman takes by default, ends with 1 then, as many commands do.
//!
//! A command can print the same and end with 1. What it gains is another exit code of its own.

use std::io::Result;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};

use super::super::request::CannotRun;

/// How much of the output may be the init's words: its sentence, and a frame's header.
const WORDS: usize = 256;

/// What stands before a piece of an output without a terminal: the stream's number, and a length.
const HEADER: usize = 8;

/// What is remembered of the output.
#[derive(Clone, Default)]
pub(super) struct Words(Arc<Mutex<Vec<u8>>>);

/// The output, which is handed on as it is.
pub(super) struct Overheard<R> {
    output: R,
    words: Words,
    remembered: usize,
}

impl<R> Overheard<R> {
    /// Remembers the beginning of this output.
    pub(super) fn new(output: R, words: Words) -> Self {
        Self {
            output,
            words,
            remembered: 0,
        }
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Overheard<R> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.output).poll_read(context, buffer))?;
        let new = &buffer.filled()[before..];
        let new = &new[..new.len().min(WORDS - self.remembered)];
        if !new.is_empty() {
            self.words.lock().extend(new);
            self.remembered += new.len();
        }
        Poll::Ready(Ok(()))
    }
}

impl Words {
    /// Reads them, after an end with this exit code; `None` when they are not the init's.
    pub(super) fn read(&self, command: &str, exit_code: i64) -> Option<CannotRun> {
        if exit_code != 1 {
            return None;
        }
        let words = self.lock();
        let unframed = words
            .strip_prefix(b"\x02")
            .and_then(|words| words.get(HEADER - 1..));
        let words = std::str::from_utf8(unframed.unwrap_or(&words)).ok()?;
        let (said, why) = words.trim_end().split_once(" failed to exec pid1: ")?;
        let said = said.strip_prefix("ERROR (catatonit:")?.strip_suffix("):")?;
        if !said.bytes().all(|byte| byte.is_ascii_digit()) || why.contains('\n') {
            return None;
        }
        CannotRun::read(command, &format!("exec: {why}"))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    async fn heard(output: &[u8], exit_code: i64) -> Option<i64> {
        let words = Words::default();
        let mut passed = Vec::new();
        let mut overheard = Overheard::new(output, words.clone());
        overheard.read_to_end(&mut passed).await.unwrap();
        assert_eq!(passed, output);
        words.read("x", exit_code).map(|cannot| cannot.exit_code)
    }

    #[tokio::test]
    async fn an_init_that_cannot_run_the_command_is_understood_and_a_command_is_not() {
        let absent = b"ERROR (catatonit:7): failed to exec pid1: No such file or directory\n";
        assert_eq!(heard(absent, 1).await, Some(127));
        let framed = [b"\x02\0\0\0\0\0\0\x45", &absent[..]].concat();
        assert_eq!(heard(&framed, 1).await, Some(127));
        let closed = b"ERROR (catatonit:2): failed to exec pid1: Permission denied\r\n";
        assert_eq!(heard(closed, 1).await, Some(126));
        assert_eq!(heard(absent, 0).await, None);
        let longer = [&absent[..], b"and more"].concat();
        assert_eq!(heard(&longer, 1).await, None);
        assert_eq!(heard(b"Error: no such file\n", 1).await, None);
        assert_eq!(heard(&[b'x'; 1000], 1).await, None);
    }
}
