//! The person's keyboard and screen while a command runs: a key goes to the command, unless a
//! question is on the screen.
//!
//! While one is, the command's output waits for its turn: nothing covers the question, and the
//! command cannot draw one of its own around it. A sandbox can choose the moment in which a question
//! appears, so a key counts as an answer only after a pause; what is typed on without one is the
//! command's.

use std::pin::pin;
use std::time::Duration;

use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep};

use super::pump::{PIECES, read_into};
use super::screen::Screen;
use super::terminal::Mode;

/// How long nothing may have been typed before a key is an answer: then a question mark is shown.
const PAUSE: Duration = Duration::from_millis(500);
/// Ctrl-C, Ctrl-Z, Ctrl-\\: meant for the command whatever is on the screen.
const INTERRUPTS: [u8; 3] = [0x03, 0x1a, 0x1c];

/// Something for the person at the terminal that the command runs in.
#[derive(Debug)]
pub enum Word {
    /// To be answered with one key.
    Ask(Question),
    /// To be read: whole lines, escaped.
    Tell(String),
}

/// A question. Whoever asked takes it back by dropping the other end of `answer`.
#[derive(Debug)]
pub struct Question {
    /// What is shown, escaped.
    pub text: String,
    /// The keys that answer it.
    pub keys: String,
    /// Where the key goes. Dropped without one when the person interrupts the command.
    pub answer: oneshot::Sender<char>,
}

/// Where the person sits.
pub(crate) struct Desk {
    /// What they are to see.
    pub(crate) words: mpsc::Receiver<Word>,
    /// Set while a question is on the screen.
    pub(crate) asking: watch::Sender<bool>,
    /// Where they see it.
    pub(super) screen: Screen,
    /// Set once the command has ended: its output need wait for no question any more.
    pub(crate) over: watch::Receiver<bool>,
    /// The terminal is raw already, because the command has it.
    pub(crate) raw: bool,
}

impl Desk {
    /// Copies our standard input into a container's, and ends it where ours ends; and shows what
    /// is to be seen meanwhile.
    ///
    /// The reading is a thread's that nobody waits for: a read of a terminal cannot be called
    /// off, and must not keep this process alive.
    pub(crate) async fn serve<W: AsyncWrite + Unpin>(mut self, mut container: W) {
        let (sender, mut pieces) = mpsc::channel(PIECES);
        std::thread::spawn(move || read_into(std::io::stdin().lock(), &sender));
        let mut attended = true;
        loop {
            let piece = tokio::select! {
                biased;
                word = self.words.recv(), if attended => match word {
                    Some(Word::Tell(text)) => {
                        let _turn = self.screen.turn().await;
                        show(&text).await;
                        continue;
                    }
                    Some(Word::Ask(question)) => {
                        self.asking.send_replace(true);
                        let piece = self.ask(question, &mut pieces).await;
                        self.asking.send_replace(false);
                        piece
                    }
                    None => {
                        attended = false;
                        continue;
                    }
                },
                piece = pieces.recv() => match piece {
                    Some(piece) => piece,
                    None => break,
                },
            };
            // A command that reads no more, or has ended.
            if container.write_all(&piece).await.is_err() || container.flush().await.is_err() {
                return;
            }
        }
        let _ = container.shutdown().await;
    }

    /// Waits for a key that answers, and returns what was typed for the command.
    async fn ask(&self, mut question: Question, pieces: &mut mpsc::Receiver<Vec<u8>>) -> Vec<u8> {
        let _keys = (!self.raw).then(Mode::keys);
        let mut over = self.over.clone();
        let mut turn = Some(self.screen.turn().await);
        show(&format!("\n{}", question.text)).await;
        let mut for_command = Vec::new();
        let mut pause = pin!(sleep(PAUSE));
        let mut listening = false;
        loop {
            let piece = tokio::select! {
                biased;
                () = question.answer.closed() => None,
                true = is_set(&mut over), if turn.is_some() => {
                    // What comes next begins a line: nobody answers the question any more.
                    show("\n").await;
                    turn = None;
                    continue;
                }
                () = &mut pause, if !listening => {
                    listening = true;
                    show("? ").await;
                    continue;
                }
                piece = pieces.recv() => piece,
            };
            match piece.as_deref() {
                None => {
                    show("\n").await;
                    return for_command;
                }
                Some([interrupt]) if INTERRUPTS.contains(interrupt) => {
                    show("\n").await;
                    for_command.push(*interrupt);
                    return for_command;
                }
                Some(typed) if !listening => {
                    for_command.extend_from_slice(typed);
                    pause.as_mut().reset(Instant::now() + PAUSE);
                }
                Some([key]) if question.keys.contains(char::from(*key)) => {
                    let key = char::from(*key);
                    show(&format!("{key}\n")).await;
                    // Nobody to tell: it was taken back this moment.
                    let _ = question.answer.send(key);
                    return for_command;
                }
                // A key that sends several bytes, and what is pasted, is no answer either.
                Some(_) => show("\u{7}").await,
            }
        }
    }
}

/// Waits until it is. False: it will not be any more.
async fn is_set(flag: &mut watch::Receiver<bool>) -> bool {
    flag.wait_for(|set| *set).await.is_ok()
}

/// The carriage return is for a raw terminal, and does no harm to another.
async fn show(text: &str) {
    let text = text.replace('\n', "\r\n");
    let mut stderr = tokio::io::stderr();
    // A terminal that went away shows nothing, and ends the command by other ways.
    let _ = stderr.write_all(text.as_bytes()).await;
    let _ = stderr.flush().await;
}
