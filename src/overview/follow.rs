//! One session, followed for as long as it is there: first everything, then what happens.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Update, Whole};
use crate::api::{Event, LogEntry};
use crate::client::{AGAIN, Client, ClientError};
use crate::session::SessionId;

/// Decisions that are read at the start; older ones are in `vibepit logs`.
const LINES: usize = 1000;

/// Tells what happens in a session, until nobody listens. Whether the session is over is for the
/// watcher to say.
pub(super) async fn session(
    id: SessionId,
    client: Arc<Client>,
    tell: mpsc::Sender<(SessionId, Update)>,
) {
    let mut logged = None;
    loop {
        let why = match stretch(id, &client, &mut logged, &tell).await {
            Ok(End::Unheard) => return,
            Ok(End::Closed) => "its events broke off".to_owned(),
            Err(error) => error.to_string(),
        };
        if tell.send((id, Update::Lost { why })).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What ends a stretch that began well.
enum End {
    /// Nobody listens.
    Unheard,
    /// The stream is over.
    Closed,
}

/// Follows for as long as one connection lasts. `logged` is the last decision that was told.
async fn stretch(
    id: SessionId,
    client: &Client,
    logged: &mut Option<u64>,
    tell: &mpsc::Sender<(SessionId, Update)>,
) -> Result<End, ClientError> {
    // The stream first, so that nothing falls between it and the rest.
    let mut events = client.events(None, false).await?;
    let mut gap = true;
    loop {
        if gap {
            let whole = Box::new(whole(client, logged).await?);
            if tell.send((id, Update::Whole(whole))).await.is_err() {
                return Ok(End::Unheard);
            }
        }
        let Some((_, event)) = events.next().await? else {
            return Ok(End::Closed);
        };
        gap = matches!(event, Event::Reset { .. });
        if let Event::Log(entry) = &event {
            if logged.is_some_and(|logged| entry.id <= logged) {
                continue;
            }
            *logged = Some(entry.id);
        }
        if !gap
            && tell
                .send((id, Update::Told(Box::new(event))))
                .await
                .is_err()
        {
            return Ok(End::Unheard);
        }
    }
}

async fn whole(client: &Client, logged: &mut Option<u64>) -> Result<Whole, ClientError> {
    let log = match *logged {
        None => {
            let newest = client.logs(None, Some(LINES)).await?;
            *logged = Some(newest.next);
            newest.entries
        }
        Some(last) => behind(client, last).await?,
    };
    *logged = log.last().map(|entry| entry.id).or(*logged);
    let pending = client.pending(true).await?;
    Ok(Whole {
        session: client.session().await?,
        rules: client.rules().await?.rules,
        pending: pending.pending,
        missed: pending.missed.unwrap_or_default(),
        log,
    })
}

/// What the log has behind an entry, however much that is.
async fn behind(client: &Client, mut last: u64) -> Result<Vec<LogEntry>, ClientError> {
    let mut all = Vec::new();
    loop {
        let more = client.logs(Some(last), None).await?.entries;
        let Some(newest) = more.last() else {
            return Ok(all);
        };
        last = newest.id;
        all.extend(more);
    }
}
