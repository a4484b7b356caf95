//! The stream of a tab: what the hub tells it, as Server-Sent Events, with a sign of life while
//! there is nothing.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use hyper::body::Frame;
use tokio::time::timeout;

use super::hub::Tab;

/// Silence after which a comment says that the stream lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// The body of GET /api/events, for as long as the tab reads it.
pub(super) fn events(tab: Tab) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> {
    unfold(tab, |mut tab| async move {
        let text = timeout(KEEP_ALIVE, tab.next()).await;
        let text = text.unwrap_or_else(|_| ": keep-alive\n\n".to_owned());
        Some((Ok(Frame::data(text.into())), tab))
    })
}
