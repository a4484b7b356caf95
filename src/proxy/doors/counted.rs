//! Content on its way between the sandbox and an origin: counted, and not waited for when it stands
//! still.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};

use crate::proxy::ledger::Passage;

/// How long content may stand still.
const STALLED: Duration = Duration::from_secs(60 * 60);

/// Which way content goes.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// From the sandbox.
    Up,
    /// To the sandbox.
    Down,
}

/// Content on its way, counted; the passage it holds closes with it.
pub(super) struct Counted {
    /// `None` for no content.
    content: Option<Incoming>,
    passage: Arc<Passage>,
    way: Way,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Counted {
    /// Content that a peer sends.
    pub(super) fn new(content: Incoming, passage: Arc<Passage>, way: Way) -> Self {
        Self {
            content: Some(content),
            passage,
            way,
            stalled: None,
        }
    }

    /// No content, from the sandbox.
    pub(super) fn none(passage: Arc<Passage>) -> Self {
        Self {
            content: None,
            passage,
            way: Way::Up,
            stalled: None,
        }
    }

    /// What it is counted for.
    pub(super) fn passage(&self) -> &Arc<Passage> {
        &self.passage
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(content) = &mut self.content else {
            return Poll::Ready(None);
        };
        match Pin::new(content).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, Bytes::len);
                match self.way {
                    Way::Up => self.passage.sent(length),
                    Way::Down => self.passage.received(length),
                }
                if let Some(stalled) = &mut self.stalled {
                    stalled.as_mut().reset(Instant::now() + STALLED);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(other) => Poll::Ready(other.map(|frame| frame.map_err(Into::into))),
            Poll::Pending => {
                let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALLED)));
                match stalled.as_mut().poll(cx) {
                    Poll::Ready(()) => {
                        Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())))
                    }
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.content.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let none = || SizeHint::with_exact(0);
        self.content.as_ref().map_or_else(none, Body::size_hint)
    }
}
