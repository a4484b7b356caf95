//! The launcher of a session, as other terminals of the same person see it: it starts commands in
//! the sandbox for them, keeps shells that outlive a terminal, and ends the session when it is told
//! to. Over a Unix socket in the session's directory, which is mounted nowhere.

mod client;
mod served;
mod shells;
mod stop;
mod wire;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use self::shells::Shells;
use super::job::Spec;
use super::request::{CannotRun, Purpose, Request};
use super::session::Sandbox;
use crate::api::{FromKeeper, Order, ToKeeper, Told};
use crate::session::SessionDir;
use crate::transport::{peer, unix};

pub use self::client::{Ending, KeeperClient, terminal};
pub use self::stop::{end_session, stop_launcher};

/// Terminals at a time. More wait to be accepted.
const TERMINALS: usize = 64;
/// How long a terminal may take to say what it wants.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// How long those that have joined get to hear of the end.
const LAST_WORD: Duration = Duration::from_secs(2);
/// Sentences that are kept for those who ask.
const WARNINGS: usize = 20;

/// What a session is told that ends under those who joined it.
const ENDING: &str = "the session ends";

/// A session's keeper, while it serves.
pub(crate) struct Keeper {
    front: Arc<Front>,
    serving: JoinSet<()>,
    end: watch::Receiver<bool>,
}

/// What every terminal is served from.
struct Front {
    sandbox: Arc<Sandbox>,
    project: PathBuf,
    shell: String,
    stays: bool,
    shells: Shells,
    warnings: Mutex<Vec<String>>,
    end: watch::Sender<bool>,
    /// True from the moment on at which those who joined are to leave.
    over: watch::Sender<bool>,
    /// What is said to those who ended the session, once it has ended.
    last_words: watch::Sender<Option<Vec<String>>>,
}

impl Keeper {
    /// Begins to listen in the session's directory.
    pub(crate) fn open(
        directory: &SessionDir,
        sandbox: Arc<Sandbox>,
        request: &Request,
    ) -> Result<Self> {
        let socket = directory.keeper_socket();
        let listener = unix::listen(&socket)
            .with_context(|| format!("cannot listen on {}", socket.display()))?;
        let (end, told) = watch::channel(false);
        let front = Arc::new(Front {
            sandbox,
            project: request.project.path().to_owned(),
            shell: request.shell(),
            stays: request.purpose == Purpose::Keep,
            shells: Shells::default(),
            warnings: Mutex::default(),
            end,
            over: watch::Sender::new(false),
            last_words: watch::Sender::new(None),
        });
        let mut serving = JoinSet::new();
        serving.spawn(accept(listener, Arc::clone(&front)));
        Ok(Self {
            front,
            serving,
            end: told,
        })
    }

    /// Done when somebody has ended the session.
    pub(crate) async fn told_to_end(&self) {
        let mut end = self.end.clone();
        // The sender is ours: it outlives this.
        let _ = end.wait_for(|end| *end).await;
    }

    /// Keeps a sentence for those who ask how the session is.
    pub(crate) fn warn(&self, sentence: &str) {
        self.front.warn(sentence);
    }

    /// Tells those who have joined that it is over, and waits a moment until they have left.
    pub(crate) async fn end(&self) {
        self.front.over.send_replace(true);
        let _ = timeout(LAST_WORD, self.front.over.closed()).await;
    }

    /// Tells those who have ended the session what it left, and waits a moment until they have
    /// heard it.
    pub(crate) async fn say_last_words(self, sentences: Vec<String>) {
        self.front.last_words.send_replace(Some(sentences));
        let _ = timeout(LAST_WORD, self.front.last_words.closed()).await;
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.serving.abort_all();
    }
}

impl Front {
    fn warn(&self, sentence: &str) {
        let mut warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        warnings.push(sentence.to_owned());
        let more = warnings.len().saturating_sub(WARNINGS);
        warnings.drain(..more);
    }

    fn told(&self) -> Told {
        let warnings = self.warnings.lock().unwrap_or_else(PoisonError::into_inner);
        Told {
            stays: self.stays,
            shells: self.shells.list(),
            warnings: warnings.clone(),
        }
    }

    /// What an order asks for, with what it leaves to the session.
    fn spec(&self, order: Order) -> Spec {
        Spec {
            command: match order.command.is_empty() {
                true => vec![self.shell.clone()],
                false => order.command,
            },
            env: order.env,
            directory: order.directory.unwrap_or_else(|| self.project.clone()),
            terminal: order.terminal,
        }
    }
}

async fn accept(listener: UnixListener, front: Arc<Front>) {
    let places = Arc::new(Semaphore::new(TERMINALS));
    let mut terminals = JoinSet::new();
    loop {
        // It is never closed.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: the next terminal that goes gives one back.
            if terminals.join_next().await.is_none() {
                return;
            }
            continue;
        };
        while terminals.try_join_next().is_some() {}
        let front = Arc::clone(&front);
        terminals.spawn(async move {
            // The kernel says who it is, before a byte is read.
            if peer::check(&stream).is_ok() {
                // A terminal that goes away knows that itself.
                let _ = serve(stream, &front).await;
            }
            drop(place);
        });
    }
}

async fn serve(mut stream: UnixStream, front: &Arc<Front>) -> Result<()> {
    let asked = timeout(FIRST_WORD, wire::hear(&mut stream)).await??;
    match asked {
        ToKeeper::Ask => wire::say(&mut stream, &FromKeeper::Told(front.told())).await,
        ToKeeper::End => {
            wire::say(&mut stream, &FromKeeper::Ending).await?;
            let mut last_words = front.last_words.subscribe();
            front.end.send_replace(true);
            let warnings = last_words.wait_for(Option::is_some).await?.clone();
            let warnings = warnings.unwrap_or_default();
            wire::say(&mut stream, &FromKeeper::Ended { warnings }).await
        }
        ToKeeper::Exec(order) => {
            let over = front.over.subscribe();
            match front.sandbox.exec(&front.spec(order)).await {
                Ok(job) => {
                    wire::say(&mut stream, &FromKeeper::Started { shell: None }).await?;
                    served::exec(stream, job, over).await
                }
                Err(error) => wire::say(&mut stream, &failed(&error)).await,
            }
        }
        ToKeeper::Shell { which, order } => {
            let over = front.over.subscribe();
            let size = order.terminal;
            let start = async || front.sandbox.exec(&front.spec(order.clone())).await;
            match front
                .shells
                .join(which, start, &front.spec(order.clone()).command)
                .await
            {
                Ok((number, seat)) => {
                    let started = FromKeeper::Started {
                        shell: Some(number),
                    };
                    wire::say(&mut stream, &started).await?;
                    served::shell(stream, seat, size, over).await
                }
                Err(error) => wire::say(&mut stream, &failed(&error)).await,
            }
        }
    }
}

fn failed(error: &anyhow::Error) -> FromKeeper {
    FromKeeper::Failed {
        why: format!("{error:#}"),
        exit_code: error.downcast_ref::<CannotRun>().map(|e| e.exit_code),
    }
}
