//! Bytes from one side to the other and back, until both sides have said that they are done.
//!
//! A direction borrows a buffer from its thread only while there are bytes that the other side
//! did not take yet, so that an idle tunnel holds none. Half-closes are kept: one side may end
//! its part and go on reading.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use super::ledger::Passage;

/// A tunnel that moves no byte for so long is closed. Long enough for an agent that waits.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// As for a proxy that reads as fast as loopback delivers: larger gains nothing, smaller costs.
const BUFFER: usize = 64 * 1024;
/// Buffers a thread keeps for the next one who needs one.
const SPARE: usize = 16;
/// Rounds of one direction before the other, and other tasks, get their turn.
const ROUNDS: usize = 32;

/// Moves bytes between the sandbox's side and the upstream, counting them in the ledger.
///
/// # Errors
/// When a side breaks, or nothing moves for [`IDLE`]. A clean end of both sides is `Ok`.
pub(super) async fn relay<A, B>(
    mut sandbox: A,
    mut upstream: B,
    passage: &Passage,
) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let mut up = Direction::default();
    let mut down = Direction::default();
    let mut idle = pin!(sleep(IDLE));
    let mut moved_at_last_check = 0u64;
    let mut moved = 0u64;
    std::future::poll_fn(|cx| {
        let sent = up.poll(
            cx,
            Pin::new(&mut sandbox),
            Pin::new(&mut upstream),
            &mut |bytes| {
                passage.sent(bytes);
                moved += bytes as u64;
            },
        )?;
        let received = down.poll(
            cx,
            Pin::new(&mut upstream),
            Pin::new(&mut sandbox),
            &mut |bytes| {
                passage.received(bytes);
                moved += bytes as u64;
            },
        )?;
        if sent.is_ready() && received.is_ready() {
            return Poll::Ready(Ok(()));
        }
        // The clock is read when the timer fires, not for each byte.
        while idle.as_mut().poll(cx).is_ready() {
            if moved == moved_at_last_check {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            moved_at_last_check = moved;
            idle.as_mut().reset(Instant::now() + IDLE);
        }
        Poll::Pending
    })
    .await
}

/// One direction of a relay.
#[derive(Default)]
struct Direction {
    held: Option<(Buffer, Range<usize>)>,
    ended: bool,
    shut: bool,
}

impl Direction {
    fn poll<R, W>(
        &mut self,
        cx: &mut Context<'_>,
        mut from: Pin<&mut R>,
        mut to: Pin<&mut W>,
        count: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>>
    where
        R: AsyncRead,
        W: AsyncWrite,
    {
        for _ in 0..ROUNDS {
            if let Some((buffer, range)) = &mut self.held {
                while range.start < range.end {
                    let written = ready!(to.as_mut().poll_write(cx, &buffer.0[range.clone()]))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    range.start += written;
                    count(written);
                }
                self.held = None;
            }
            if self.ended {
                if !self.shut {
                    ready!(to.as_mut().poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut buffer = Buffer::borrow();
            let mut read = ReadBuf::new(&mut buffer.0);
            ready!(from.as_mut().poll_read(cx, &mut read))?;
            match read.filled().len() {
                0 => self.ended = true,
                length => self.held = Some((buffer, 0..length)),
            }
        }
        // There is more to do, and others wait: come back.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// A buffer that goes back to its thread's spares.
struct Buffer(Box<[u8]>);

thread_local! {
    static SPARES: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

impl Buffer {
    fn borrow() -> Self {
        let spare = SPARES.with_borrow_mut(Vec::pop);
        Self(spare.unwrap_or_else(|| vec![0; BUFFER].into_boxed_slice()))
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.0);
        // A thread that ends has no spares to keep.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARE {
                spares.push(bytes);
            }
        });
    }
}
