//! Whoever attends a session from the process that started it: the prompt in its terminal, and the
//! person's own notify_command. Both are clients of its control plane like any other.

use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::client::{Client, Ends};
use crate::launcher::Word;
use crate::session::Record;

use super::output::Output;
use super::{notify, prompt};

/// They begin when the session is there, and end when this is dropped.
pub(super) struct Attendants {
    notify_command: Option<Vec<String>>,
    desk: Option<mpsc::Sender<Word>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Attendants {
    pub(super) fn new(
        notify_command: Option<Vec<String>>,
        desk: Option<mpsc::Sender<Word>>,
    ) -> Self {
        Self {
            notify_command,
            desk,
            tasks: Mutex::default(),
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
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(command) = &self.notify_command {
            tasks.spawn(notify::follow(
                command.clone(),
                record.clone(),
                client(),
                *out,
            ));
        }
        if let Some(desk) = &self.desk {
            tasks.spawn(prompt::attend(client(), desk.clone()));
        }
    }
}
