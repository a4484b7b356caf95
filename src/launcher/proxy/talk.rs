//! The side of the conversation with a proxy or a holder that does the talking: what it is told,
//! what is answered, and how the thread is taken up again where the connection was lost.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::{Pin, pin};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::time::interval;

use super::super::attach::{Again, Channel, Demux};
use super::super::request::Follow;
use super::audit_file::AuditFile;
use super::speech::Speech;
use crate::api::{Document, FromProxy, Listening, PolicyDocument, Saved, ToProxy};

/// A line of the proxy's; what it says fits into far less.
const LONGEST_LINE: usize = 1024 * 1024;

/// How much of what a proxy says on standard error is kept, for the case that it fails.
const TAIL: usize = 4096;

/// How often it is said that we are here, where the connection may be lost.
const HERE: Duration = Duration::from_secs(5);

/// Answers a proxy that asks for the policy as it reads now; an error is one sentence.
pub(super) type Reload = Box<
    dyn Fn() -> Pin<Box<dyn Future<Output = Result<PolicyDocument, String>> + Send>> + Send + Sync,
>;

/// What comes of the conversation.
pub(super) enum Event {
    Ready(Listening),
    Failed(String),
    /// Its output has ended; this is the tail of what it said on standard error.
    Ended(String),
}

/// What a proxy on another machine cannot do by itself.
pub(super) struct Far {
    /// Where its audit lines are written.
    pub(super) audit: AuditFile,
    /// What is saved on this machine, whenever it changes.
    pub(super) saved: Option<Follow>,
}

/// The side that does the talking.
pub(super) struct Talk<W> {
    input: Option<W>,
    sender: mpsc::Sender<Event>,
    /// A holder asks for nothing.
    reload: Option<Reload>,
    far: Option<Far>,
    /// The last of its audit lines that was written.
    heard: u64,
    /// What it was told last of what is saved: said again where the connection was lost.
    saved: Option<ToProxy>,
    line: Vec<u8>,
    tail: VecDeque<u8>,
}

impl<W: AsyncWrite + Unpin> Talk<W> {
    pub(super) fn new(
        input: W,
        sender: mpsc::Sender<Event>,
        reload: Option<Reload>,
        far: Option<Far>,
    ) -> Self {
        Self {
            input: Some(input),
            sender,
            reload,
            far,
            heard: 0,
            saved: None,
            line: Vec::new(),
            tail: VecDeque::new(),
        }
    }

    pub(super) async fn run<R>(
        mut self,
        mut output: Speech<R>,
        document: Option<Document>,
        ending: oneshot::Receiver<()>,
        again: Option<Again<R, W>>,
    ) where
        R: AsyncRead + Unpin,
    {
        let mut ending = pin!(ending);
        let mut over = false;
        if let Some(document) = document {
            self.say(&ToProxy::Start(Box::new(document))).await;
        }
        let mut buffer = vec![0; 16 * 1024];
        let mut here = interval(HERE);
        loop {
            tokio::select! {
                _ = here.tick(), if again.is_some() && !over => self.here(false).await,
                saved = next(&mut self.far), if !over => {
                    let saved = ToProxy::Saved(saved);
                    self.say(&saved).await;
                    self.saved = Some(saved);
                }
                _ = &mut ending, if !over => {
                    over = true;
                    if again.is_some() {
                        // An input that may be lost is not ended by its end; and an engine that
                        // does not hand that end on ends the output with it.
                        self.say(&ToProxy::End).await;
                    } else if let Some(mut input) = self.input.take() {
                        let _ = input.shutdown().await;
                    }
                }
                piece = output.read(&mut buffer) => match piece {
                    Ok(Some((Channel::Stdout, piece))) => if !self.hear(piece).await { break },
                    Ok(Some((Channel::Stderr, piece))) => self.keep(piece),
                    Ok(None) | Err(_) => {
                        let Some(again) = again.as_ref().filter(|_| !over) else { break };
                        let found = tokio::select! {
                            found = again() => found,
                            _ = &mut ending => None,
                        };
                        let Some((found, input)) = found else { break };
                        output = Speech::Framed(Demux::new(found));
                        self.input = Some(input);
                        // The rest of it is lost.
                        self.line.clear();
                        self.here(true).await;
                        if let Some(saved) = self.saved.take() {
                            self.say(&saved).await;
                            self.saved = Some(saved);
                        }
                    }
                }
            }
        }
        let tail = String::from_utf8_lossy(self.tail.make_contiguous()).into_owned();
        let _ = self.sender.send(Event::Ended(tail)).await;
    }

    async fn here(&mut self, again: bool) {
        let heard = self.heard;
        self.say(&ToProxy::Here { heard, again }).await;
    }

    /// Takes a piece of output apart into lines. False: this is no proxy of ours.
    async fn hear(&mut self, mut piece: &[u8]) -> bool {
        while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
            self.line.extend_from_slice(&piece[..end]);
            piece = &piece[end + 1..];
            let line = std::mem::take(&mut self.line);
            match serde_json::from_slice(&line) {
                Ok(FromProxy::Ready(listening)) => self.tell(Event::Ready(listening)).await,
                Ok(FromProxy::Failed(why)) => self.tell(Event::Failed(why)).await,
                Ok(FromProxy::Reload) => {
                    let Some(reload) = &self.reload else {
                        return false;
                    };
                    let answer = match reload().await {
                        Ok(policy) => ToProxy::Policy(policy),
                        Err(why) => ToProxy::ReloadFailed(why),
                    };
                    self.say(&answer).await;
                }
                // Said once more than was needed.
                Ok(FromProxy::Audit { number, .. }) if number <= self.heard => {}
                Ok(FromProxy::Audit { number, lines }) => {
                    let Some(far) = &mut self.far else {
                        return false;
                    };
                    self.heard = number;
                    // A full disk must not decide what the sandbox may reach.
                    if let Err(error) = far.audit.append(&lines) {
                        self.keep(format!("(audit lines are lost: {error})\n").as_bytes());
                    }
                }
                Err(error) => {
                    self.keep(format!("it sent a line that is not understood: {error}").as_bytes());
                    return false;
                }
            }
        }
        self.line.extend_from_slice(piece);
        self.line.len() <= LONGEST_LINE
    }

    async fn tell(&mut self, event: Event) {
        // Nobody waits any more when the session is ending.
        let _ = self.sender.send(event).await;
    }

    async fn say(&mut self, what: &ToProxy) {
        let Some(input) = &mut self.input else { return };
        let said = match serde_json::to_vec(what) {
            Ok(mut line) => {
                line.push(b'\n');
                input.write_all(&line).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = said {
            // A proxy that reads no more has ended; what it said stands on its standard error.
            self.keep(format!("(it could not be told: {error})\n").as_bytes());
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        self.tail.extend(piece);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }
}

/// What is saved from now on; nothing, where the proxy follows that by itself.
async fn next(far: &mut Option<Far>) -> Result<Vec<Saved>, String> {
    let follow = far.as_mut().and_then(|far| far.saved.as_mut());
    match follow {
        Some(follow) => match follow.recv().await {
            Some(saved) => saved,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}
