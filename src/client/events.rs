//! The stream of events, read.

use bytes::BytesMut;
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::ClientError;
use crate::api::Event;

/// Reads a stream of events.
pub struct EventReader {
    body: Incoming,
    text: BytesMut,
}

impl EventReader {
    pub(super) fn of(body: Incoming) -> Self {
        Self {
            body,
            text: BytesMut::new(),
        }
    }

    /// The next event and its number. `None`: the stream has ended.
    ///
    /// # Errors
    /// When the connection breaks, or an event cannot be read.
    pub async fn next(&mut self) -> Result<Option<(u64, Event)>, ClientError> {
        loop {
            while let Some(end) = self.text.windows(2).position(|two| two == b"\n\n") {
                let block = self.text.split_to(end + 2);
                if let Some(event) = parsed(&block)? {
                    return Ok(Some(event));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    self.text
                        .extend(frame.data_ref().into_iter().flat_map(|data| data.iter()));
                }
                Some(Err(error)) => return Err(ClientError::Answer(error.to_string())),
            }
        }
    }
}

/// One event; `None` for a comment, or an event of a later version.
fn parsed(block: &[u8]) -> Result<Option<(u64, Event)>, ClientError> {
    let text =
        std::str::from_utf8(block).map_err(|error| ClientError::Answer(error.to_string()))?;
    let field = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let (Some(id), Some(name), Some(data)) = (field("id"), field("event"), field("data")) else {
        return Ok(None);
    };
    let id = id
        .parse()
        .map_err(|_| ClientError::Answer(format!("event number {id:?}")))?;
    match Event::parse(name, data) {
        None => Ok(None),
        Some(Ok(event)) => Ok(Some((id, event))),
        Some(Err(error)) => Err(ClientError::Answer(format!("event {name}: {error}"))),
    }
}
