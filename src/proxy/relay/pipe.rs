//! Pipes that carry bytes from one socket to another without copying them into this process
//! (splice(2)), and the few of them that are kept for the next one who needs one.

use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

use crate::proxy::descriptors;

/// What a pipe holds unless it is told otherwise: pipe(7).
const USUAL: usize = 64 * 1024;
/// What the first ones hold, if the system lets them: the fewer calls, the cheaper is each byte
/// (measured, against a relay of 64 KiB: 0.6 of its CPU time).
const LARGE: usize = 1024 * 1024;
/// So many at most: half of the pages that one user's pipes may have before new ones get next to none
/// (16,384 pages of 4 KiB, pipe-user-pages-soft in pipe(7)).
const LARGE_MOST: usize = 32;
/// Empty pipes a thread keeps.
const SPARE: usize = 8;
/// Pipes of the whole process: with two descriptors each they may have half of those that are kept
/// back for other things than connections.
static MOST: LazyLock<usize> = LazyLock::new(|| descriptors::kept_back(descriptors::limit()) / 4);

static OPEN: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static SPARES: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// A pipe, and how many bytes are in it. Goes back to its thread's spares once it is empty; one
/// that is dropped with bytes in it is closed, and they are gone.
pub(super) struct Pipe {
    ends: Option<Ends>,
    holds: usize,
}

struct Ends {
    outlet: OwnedFd,
    inlet: OwnedFd,
    capacity: usize,
}

impl Drop for Ends {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Relaxed);
    }
}

impl Ends {
    fn open() -> Option<Self> {
        let others = OPEN.fetch_add(1, Relaxed);
        if others < *MOST
            && let Ok((outlet, inlet)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
        {
            let capacity = match others < LARGE_MOST {
                true => fcntl_setpipe_size(&inlet, LARGE).unwrap_or(USUAL),
                false => USUAL,
            };
            return Some(Self {
                outlet,
                inlet,
                capacity,
            });
        }
        OPEN.fetch_sub(1, Relaxed);
        None
    }
}

impl Pipe {
    /// An empty one; `None` where there are too many, or no descriptors.
    pub(super) fn borrow() -> Option<Self> {
        let spare = SPARES.with_borrow_mut(Vec::pop);
        spare.or_else(Ends::open).map(|ends| Self {
            ends: Some(ends),
            holds: 0,
        })
    }

    /// How many bytes are on their way.
    pub(super) fn holds(&self) -> usize {
        self.holds
    }

    /// Takes what a socket has to give, into an empty pipe: so "would block" can only mean the
    /// socket. Zero is the socket's end.
    pub(super) fn fill(&mut self, from: impl AsFd) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else {
            return Err(Errno::BADF);
        };
        let taken = splice(from, None, &ends.inlet, None, ends.capacity, flags())?;
        self.holds += taken;
        Ok(taken)
    }

    /// Gives a socket as much as it takes.
    pub(super) fn drain(&mut self, to: impl AsFd) -> Result<usize, Errno> {
        let Some(ends) = &self.ends else {
            return Err(Errno::BADF);
        };
        let given = splice(&ends.outlet, None, to, None, self.holds, flags())?;
        self.holds -= given;
        Ok(given)
    }
}

fn flags() -> SpliceFlags {
    SpliceFlags::MOVE | SpliceFlags::NONBLOCK
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let ends = self.ends.take();
        if self.holds > 0 {
            return;
        }
        // A thread that ends has no spares to keep.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < SPARE {
                spares.extend(ends);
            }
        });
    }
}
