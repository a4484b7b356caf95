//! Server-Sent Events: the ledger's events on the wire, with a sign of life while there are
//! none. A reader that does not read is not waited for: it resumes where it was, or is told that
//! it cannot.

use std::convert::Infallible;
use std::fmt::Write;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::{Body, Frame};
use tokio::time::timeout;

use crate::api::Event;
use crate::proxy::ledger::Events;

/// Silence after which a comment says that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of `GET /events`.
pub(super) struct EventStream(Pin<Box<dyn Stream<Item = Bytes> + Send>>);

impl EventStream {
    pub(super) fn new(events: Events) -> Self {
        // A first comment at once, so that a client knows that it is connected.
        let first = Some((events, true));
        Self(Box::pin(unfold(first, |state| async move {
            let (mut events, is_first) = state?;
            if is_first {
                return Some((Bytes::from_static(b": vibepit\n\n"), Some((events, false))));
            }
            match timeout(KEEP_ALIVE, events.next()).await {
                Err(_) => Some((
                    Bytes::from_static(b": keep-alive\n\n"),
                    Some((events, false)),
                )),
                Ok(None) => None,
                Ok(Some(batch)) => {
                    let mut text = String::new();
                    let mut ended = false;
                    for (id, event) in batch {
                        let data = serde_json::to_string(&*event).unwrap_or_default();
                        let _ = write!(text, "id: {id}\nevent: {}\ndata: {data}\n\n", event.name());
                        ended |= matches!(*event, Event::SessionEnding { .. });
                    }
                    Some((text.into(), (!ended).then_some((events, false))))
                }
            }
        })))
    }
}

impl Body for EventStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0
            .as_mut()
            .poll_next(cx)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}
