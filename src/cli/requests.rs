//! Held requests as they come and go: those that wait already first, then every change. A stream
//! that breaks is taken up again where it was.

use std::collections::VecDeque;

use crate::api::Event;
use crate::client::{AGAIN, Client, ClientError, EventReader};

/// Follows the events of one session.
pub(super) struct Requests<'c> {
    client: &'c Client,
    background: bool,
    /// It has answered before: when it is not there any more, the session has ended.
    met: bool,
    after: Option<u64>,
    stream: Option<EventReader>,
    /// What waits is to be read anew.
    anew: bool,
    listed: VecDeque<Event>,
}

impl<'c> Requests<'c> {
    /// For a person.
    pub(super) fn new(client: &'c Client) -> Self {
        Self {
            client,
            background: false,
            met: false,
            after: None,
            stream: None,
            anew: true,
            listed: VecDeque::new(),
        }
    }

    /// For a program that decides nothing. It looks at what was told, from the start of the
    /// session, and never at the list: whoever does is taken for a person.
    pub(super) fn in_background(client: &'c Client) -> Self {
        Self {
            background: true,
            after: Some(0),
            anew: false,
            ..Self::new(client)
        }
    }

    /// The next event; `None` once the session has ended. After a reset, what waits is told anew:
    /// a request may be told twice, and is one all the same. May be dropped while it waits.
    ///
    /// # Errors
    /// When the session cannot be reached from the start, or says no.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.listed.pop_front() {
                return Ok(Some(event));
            }
            let Some(stream) = &mut self.stream else {
                match self.client.events(self.after, self.background).await {
                    Ok(stream) => self.stream = Some(stream),
                    Err(ClientError::Unreachable { .. }) if self.met => return Ok(None),
                    Err(error) => return Err(error),
                }
                self.met = true;
                continue;
            };
            // Only once the events are on their way, so that nothing falls between.
            if self.anew {
                let pending = self.client.pending(false).await?.pending;
                self.listed = pending
                    .into_iter()
                    .map(|request| Event::RequestAdded(Box::new(request)))
                    .collect();
                self.anew = false;
                continue;
            }
            match stream.next().await {
                Ok(Some((id, event))) => {
                    self.after = Some(id);
                    if let Event::Reset { .. } = event {
                        self.anew = !self.background;
                    }
                    return Ok(Some(event));
                }
                Ok(None) | Err(_) => {
                    self.stream = None;
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }
}
