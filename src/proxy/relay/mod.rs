//! Bytes from one side to the other and back, until both sides have said that they are done.
//!
//! A direction borrows a buffer from its thread only while there are bytes that the other side
//! did not take yet, so that an idle tunnel holds none. One that carries bulk between two sockets
//! leaves the bytes in the kernel, and borrows a pipe in the same way; for small messages that
//! would cost a system call more than copying them. Half-closes are kept: one side may end its part
//! and go on reading.

mod pipe;

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use self::pipe::Pipe;
use super::ledger::Passage;

/// A tunnel that moves no byte for so long is closed. Long enough for an agent that waits.
const IDLE: Duration = Duration::from_secs(60 * 60);
/// How long the first bytes of a tunnel may take to tell what they are, once they begin to come.
const OPENING: Duration = Duration::from_secs(10);
/// As for a proxy that reads as fast as loopback delivers: larger gains nothing, smaller costs.
const BUFFER: usize = 64 * 1024;
/// Buffers a thread keeps for the next one who needs one.
const SPARE: usize = 16;
/// Bytes of one direction before the other, and other tasks, get their turn.
const TURN: usize = 2 * 1024 * 1024;
/// What a round counts for at least: its calls cost as much as moving these.
const ROUND: usize = 64 * 1024;
/// Bytes in one go that are many.
const LARGE: usize = 16 * 1024;
/// So many large reads in a row are bulk.
const BULK: u32 = 16;

/// Moves bytes between the sandbox's side and the upstream, counting them in the ledger.
///
/// # Errors
/// When a side breaks, or nothing moves for [`IDLE`]. A clean end of both sides is `Ok`.
pub(super) async fn relay(
    sandbox: impl Side,
    upstream: impl Side,
    passage: &Passage,
) -> io::Result<()> {
    let mut relay = Relay::new(sandbox, upstream);
    relay.run(passage).await
}

/// Looks at what the sandbox sends first, before the upstream has any of it.
pub(super) trait Inspect {
    /// Judges the first bytes. `last`: there will be no more of them, because the sandbox sends no
    /// more, or there is no room for more, or it took too long to send them.
    fn inspect(&mut self, sent: &[u8], last: bool) -> Look;
}

/// What comes of a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Too few bytes to tell. As an answer to the last bytes it is a [`Self::Stop`].
    More,
    /// They may go on, and whatever follows them.
    Pass,
    /// Nothing goes on.
    Stop,
}

/// Two sides, and what is on its way between them.
pub(super) struct Relay<A, B> {
    sandbox: A,
    upstream: B,
    up: Direction,
    down: Direction,
}

impl<A: Side, B: Side> Relay<A, B> {
    /// Nothing is on its way yet.
    pub(super) fn new(sandbox: A, upstream: B) -> Self {
        Self {
            sandbox,
            upstream,
            up: Direction::default(),
            down: Direction::default(),
        }
    }

    /// The sandbox sent this already.
    pub(super) fn sent_before(&mut self, early: &[u8], passage: &Passage) {
        if early.is_empty() {
            return;
        }
        let mut buffer = match early.len() {
            0..=BUFFER => Buffer::borrow(),
            more => Buffer(vec![0; more].into_boxed_slice()),
        };
        buffer.0[..early.len()].copy_from_slice(early);
        self.up.held = Held::Buffer(buffer, 0..early.len());
        passage.sent(early.len());
    }

    /// Moves what the upstream sends, and none of what the sandbox sends until that was looked at.
    /// What was stopped is still held.
    ///
    /// # Errors
    /// As [`relay`].
    pub(super) async fn open(
        &mut self,
        passage: &Passage,
        inspect: &mut impl Inspect,
    ) -> io::Result<Look> {
        let mut clock = pin!(sleep(IDLE));
        let (mut hurried, mut moved) = (false, false);
        std::future::poll_fn(|cx| {
            let _ = self
                .down
                .poll(cx, &mut self.upstream, &mut self.sandbox, &mut |bytes| {
                    passage.received(bytes);
                    moved = true;
                })?;
            let look = self
                .up
                .poll_opening(cx, &mut self.sandbox, inspect, &mut |bytes| {
                    passage.sent(bytes);
                })?;
            if let Poll::Ready(look) = look {
                return Poll::Ready(Ok(look));
            }
            if !hurried && !matches!(self.up.held, Held::Nothing) {
                hurried = true;
                clock.as_mut().reset(Instant::now() + OPENING);
            }
            while clock.as_mut().poll(cx).is_ready() {
                if hurried {
                    return Poll::Ready(Ok(self.up.look(inspect, true)));
                }
                if !std::mem::take(&mut moved) {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
                clock.as_mut().reset(Instant::now() + IDLE);
            }
            Poll::Pending
        })
        .await
    }

    /// The two sides, and what was taken from the sandbox and not given to the upstream.
    pub(super) fn into_parts(self) -> (A, B, Vec<u8>) {
        let held = match self.up.held {
            Held::Buffer(buffer, range) => buffer.0[range].to_vec(),
            Held::Nothing | Held::Pipe(_) => Vec::new(),
        };
        (self.sandbox, self.upstream, held)
    }

    /// Moves bytes until both sides are done.
    ///
    /// # Errors
    /// As [`relay`].
    pub(super) fn run(&mut self, passage: &Passage) -> impl Future<Output = io::Result<()>> {
        let (sandbox, upstream) = (&mut self.sandbox, &mut self.upstream);
        carry(sandbox, upstream, &mut self.up, &mut self.down, passage)
    }
}

async fn carry(
    sandbox: &mut impl Side,
    upstream: &mut impl Side,
    up: &mut Direction,
    down: &mut Direction,
    passage: &Passage,
) -> io::Result<()> {
    let mut idle = pin!(sleep(IDLE));
    let mut moved_at_last_check = 0u64;
    let mut moved = 0u64;
    std::future::poll_fn(|cx| {
        let sent = up.poll(cx, sandbox, upstream, &mut |bytes| {
            passage.sent(bytes);
            moved += bytes as u64;
        });
        if let Poll::Ready(Err(error)) = sent {
            passage.not_sent(up.holds());
            return Poll::Ready(Err(error));
        }
        let received = down.poll(cx, upstream, sandbox, &mut |bytes| {
            passage.received(bytes);
            moved += bytes as u64;
        })?;
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

/// A side of a relay.
pub(super) trait Side: AsyncRead + AsyncWrite + Unpin {
    /// The socket itself, if there is nothing but a socket.
    fn socket(&self) -> Option<&TcpStream>;

    /// The same to write to, if nobody has to see what is written.
    fn sink(&self) -> Option<&TcpStream> {
        self.socket()
    }
}

impl Side for TcpStream {
    fn socket(&self) -> Option<&TcpStream> {
        Some(self)
    }
}

/// What an HTTP connection became, with what hyper read of it and did not use.
impl Side for TokioIo<Upgraded> {
    fn socket(&self) -> Option<&TcpStream> {
        None
    }
}

/// One direction of a relay.
#[derive(Default)]
struct Direction {
    held: Held,
    /// Reads of much at a time, one after the other.
    large: u32,
    ended: bool,
    shut: bool,
}

/// What was taken from one side, and is not all given to the other yet.
#[derive(Default)]
enum Held {
    #[default]
    Nothing,
    Buffer(Buffer, Range<usize>),
    Pipe(Pipe),
}

impl Direction {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
        to: &mut impl Side,
        count: &mut impl FnMut(usize),
    ) -> Poll<io::Result<()>> {
        let mut turn = 0;
        while turn < TURN {
            ready!(self.poll_give(cx, to))?;
            if self.ended {
                if !self.shut {
                    ready!(Pin::new(&mut *to).poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let taken = match (from.socket(), to.sink()) {
                (Some(socket), Some(_)) if self.large >= BULK => {
                    ready!(self.poll_splice(cx, socket))?
                }
                _ => ready!(self.poll_copy(cx, from))?,
            };
            self.ended = taken == Some(0);
            // Now, and not when the other side has them: who has received something finds it
            // counted.
            count(taken.unwrap_or(0));
            turn += taken.unwrap_or(0).max(ROUND);
            self.large = match taken {
                Some(LARGE..) => self.large.saturating_add(1),
                _ => 0,
            };
        }
        // There is more to do, and others wait: come back.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// How many bytes are taken and not given.
    fn holds(&self) -> usize {
        match &self.held {
            Held::Nothing => 0,
            Held::Buffer(_, range) => range.len(),
            Held::Pipe(pipe) => pipe.holds(),
        }
    }

    /// Takes bytes until they tell what they are; whatever of them is held stays held.
    fn poll_opening(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
        inspect: &mut impl Inspect,
        count: &mut impl FnMut(usize),
    ) -> Poll<io::Result<Look>> {
        loop {
            let look = self.look(inspect, self.ended);
            if look != Look::More {
                return Poll::Ready(Ok(look));
            }
            let taken = match &mut self.held {
                Held::Buffer(buffer, range) => {
                    let mut read = ReadBuf::new(&mut buffer.0[range.end..]);
                    ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
                    let taken = read.filled().len();
                    range.end += taken;
                    taken
                }
                Held::Nothing | Held::Pipe(_) => ready!(self.poll_copy(cx, from))?.unwrap_or(0),
            };
            self.ended = taken == 0;
            count(taken);
        }
    }

    /// Has the bytes that are held looked at. None at all are judged once no more will come.
    fn look(&self, inspect: &mut impl Inspect, last: bool) -> Look {
        let held = match &self.held {
            Held::Buffer(buffer, range) => &buffer.0[range.clone()],
            Held::Nothing | Held::Pipe(_) if last => return Look::Pass,
            Held::Nothing | Held::Pipe(_) => return Look::More,
        };
        let last = last || held.len() >= BUFFER;
        match inspect.inspect(held, last) {
            Look::More if last => Look::Stop,
            look => look,
        }
    }

    /// Until nothing is held.
    fn poll_give(&mut self, cx: &mut Context<'_>, to: &mut impl Side) -> Poll<io::Result<()>> {
        match (&mut self.held, to.sink()) {
            (Held::Buffer(buffer, range), _) => {
                while range.start < range.end {
                    let rest = &buffer.0[range.clone()];
                    let written = ready!(Pin::new(&mut *to).poll_write(cx, rest))?;
                    if written == 0 {
                        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                    }
                    range.start += written;
                }
            }
            (Held::Pipe(pipe), Some(socket)) => {
                while pipe.holds() > 0 {
                    ready!(socket.poll_write_ready(cx))?;
                    let given = socket.try_io(Interest::WRITABLE, || Ok(pipe.drain(socket)?));
                    match given {
                        Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                        Ok(_) => {}
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
            }
            _ => {}
        }
        self.held = Held::Nothing;
        Poll::Ready(Ok(()))
    }

    /// Takes what there is into a buffer; zero is the end.
    fn poll_copy(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut impl Side,
    ) -> Poll<io::Result<Option<usize>>> {
        let mut buffer = Buffer::borrow();
        let mut read = ReadBuf::new(&mut buffer.0);
        ready!(Pin::new(from).poll_read(cx, &mut read))?;
        let length = read.filled().len();
        if length > 0 {
            self.held = Held::Buffer(buffer, 0..length);
        }
        Poll::Ready(Ok(Some(length)))
    }

    /// Takes what there is into a pipe; zero is the end. `None`: it has to be copied after all,
    /// for want of a pipe, or of a kernel that can.
    fn poll_splice(
        &mut self,
        cx: &mut Context<'_>,
        from: &TcpStream,
    ) -> Poll<io::Result<Option<usize>>> {
        loop {
            ready!(from.poll_read_ready(cx))?;
            let Some(mut pipe) = Pipe::borrow() else {
                return Poll::Ready(Ok(None));
            };
            let taken = from.try_io(Interest::READABLE, || Ok(pipe.fill(from)?));
            match taken {
                Ok(taken) => {
                    self.held = Held::Pipe(pipe);
                    return Poll::Ready(Ok(Some(taken)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    return Poll::Ready(Ok(None));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
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
            if spares.len() < SPARE && bytes.len() == BUFFER {
                spares.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests;
