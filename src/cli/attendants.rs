//! Whoever attends a session from the process that started it: the prompt in its terminal, the
//! person's own notify_command, what they are to notice, and a list of what was refused where nobody
//! looks. All are clients of its control plane like any other.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

use crate::api::Event;
use crate::client::{Client, Ends};
use crate::launcher::{Notice, Word};
use crate::policy::Verdict;
use crate::session::Record;

use super::notices::{self, Sum};
use super::output::{Output, printable};
use super::requests::Requests;
use super::{notification, prompt};

/// How long the last events of a session may take.
const LAST: Duration = Duration::from_secs(1);
/// Refused destinations that are listed.
const LISTED: usize = 20;

/// Destinations, and how often each was refused.
type Refused = Arc<Mutex<BTreeMap<String, u64>>>;

/// They begin when the session is there, and end when this is dropped.
pub(super) struct Attendants {
    notify_command: Option<Vec<String>>,
    desk: Option<mpsc::Sender<Word>>,
    /// What was refused, where that is to be said at the end.
    refused: Option<Refused>,
    /// A person is there, who is told at the end what became of the requests.
    present: bool,
    board: Mutex<Option<watch::Sender<Notice>>>,
    sum: Mutex<Option<JoinHandle<Sum>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Attendants {
    /// `alone`: nobody looks, so that what was refused is said at the end.
    pub(super) fn new(
        notify_command: Option<Vec<String>>,
        desk: Option<mpsc::Sender<Word>>,
        alone: bool,
    ) -> Self {
        Self {
            notify_command,
            desk,
            refused: alone.then(Refused::default),
            present: false,
            board: Mutex::default(),
            sum: Mutex::default(),
            tasks: Mutex::default(),
        }
    }

    /// The same, for a person at the terminal of the command; what they are to notice goes on the
    /// board, if there is one.
    pub(super) fn noticing(self, board: Option<watch::Sender<Notice>>) -> Self {
        Self {
            present: true,
            board: Mutex::new(board),
            ..self
        }
    }

    /// The session answers now.
    pub(super) fn begin(&self, record: &Record, out: &Output) {
        let client = || {
            Client::new(Ends {
                socket: record.control.socket.clone(),
                tcp: None,
            })
        };
        let mut tasks = lock(&self.tasks);
        if let Some(command) = &self.notify_command {
            tasks.spawn(notification::follow(
                command.clone(),
                record.clone(),
                client(),
                *out,
            ));
        }
        if let Some(desk) = &self.desk {
            tasks.spawn(prompt::attend(client(), desk.clone()));
        }
        if let Some(refused) = &self.refused {
            tasks.spawn(collect(client(), Arc::clone(refused)));
        }
        if self.present {
            let board = lock(&self.board).take();
            *lock(&self.sum) = Some(tokio::spawn(notices::follow(client(), board)));
        }
    }

    /// The session is over.
    pub(super) async fn end(&self, out: &Output) {
        let sum = lock(&self.sum).take();
        if let Some(sum) = sum
            && let Ok(Ok(sum)) = timeout(LAST, sum).await
            && !sum.is_empty()
        {
            out.note(format!("vibepit: {sum}"));
        }
        let Some(refused) = &self.refused else { return };
        let mut tasks = mem::take(&mut *lock(&self.tasks));
        // They end with the session's last event; whoever does not is not waited for.
        let _ = timeout(LAST, async { while tasks.join_next().await.is_some() {} }).await;
        let refused = mem::take(&mut *lock(refused));
        if refused.is_empty() {
            return;
        }
        out.note("refused, as nobody can be asked here:");
        for (destination, count) in refused.iter().take(LISTED) {
            let destination = printable(destination);
            out.note(format!(
                "    {destination} ({count} times): run --allow '{destination}' lets it through"
            ));
        }
        if let Some(others @ 1..) = refused.len().checked_sub(LISTED) {
            out.note(format!("    and {others} more: vibepit audit"));
        }
    }
}

async fn collect(client: Client, refused: Refused) {
    let mut events = Requests::in_background(&client);
    while let Ok(Some(event)) = events.next().await {
        match event {
            Event::Log(entry) if entry.verdict == Verdict::Deny => {
                let port = entry
                    .port
                    .map_or_else(String::new, |port| format!(":{port}"));
                *lock(&refused)
                    .entry(format!("{}{port}", entry.domain))
                    .or_default() += 1;
            }
            Event::SessionEnding { .. } => return,
            _ => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
