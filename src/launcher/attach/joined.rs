//! A person's streams joined to a command's: input, output, signals, the terminal's size, until the
//! command has ended. What the command runs in is not known here.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::{mpsc, watch};
use tokio::time::{Sleep, sleep};

use super::super::job::{Control, Job, Kill, Output};
use super::super::report::Report;
use super::super::request::Outcome;
use super::super::signals::{Signal, Signals};
use super::desk::{Desk, Word};
use super::notice::{Notices, forward_noticing};
use super::pump::{Gone, Sink, forward_apart, forward_raw, forward_split};
use super::screen::Screen;
use super::terminal::{Mode, size};

/// How long a command that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// What becomes of a command when our terminal goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Farewell {
    /// The command ends with our terminal.
    End,
    /// It stays, and can be joined again.
    Leave,
}

/// The streams of this process, for a command.
pub(crate) struct Joined<'a> {
    /// The command has a terminal, and so do we.
    pub(crate) terminal: bool,
    pub(crate) farewell: Farewell,
    pub(crate) report: &'a dyn Report,
}

/// What reaches the person at the terminal that the command runs in.
#[derive(Debug)]
pub struct Person {
    /// What they are asked, and told.
    pub words: mpsc::Receiver<Word>,
    /// What they are to notice while the command has the screen.
    pub notices: Option<Notices>,
}

impl Person {
    /// Who hears nothing of us.
    pub(crate) fn left_alone() -> Self {
        Self {
            words: mpsc::channel(1).1,
            notices: None,
        }
    }
}

/// How a command and our streams came apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    /// It has ended.
    Ended(Outcome),
    /// It goes on without us.
    Left,
}

/// What the desk says of questions, and what it has to know.
struct Questions {
    /// One is on the screen.
    asked: watch::Receiver<bool>,
    /// The command has ended.
    over: watch::Sender<bool>,
}

impl Joined<'_> {
    /// Joins our streams to the command's until it has ended and everything it wrote has been
    /// read. `gone` is done when what the command reaches the world through is gone, and says so
    /// in a sentence.
    pub(crate) async fn run(
        &self,
        job: Job,
        gone: impl Future<Output = String>,
        signals: &mut Signals,
        person: Person,
    ) -> Result<Parted> {
        let Person { words, notices } = person;
        let raw = match self.terminal {
            true => Some(Mode::raw().context("the terminal cannot be made raw")?),
            false => None,
        };
        let Job {
            output,
            input,
            control,
        } = job;
        let control = &*control;
        self.resize(control).await;
        let (asking, asked) = watch::channel(false);
        let (over, is_over) = watch::channel(false);
        let screen = Screen::default();
        let desk = Desk {
            words,
            asking,
            screen: screen.clone(),
            over: is_over,
            raw: self.terminal,
        };
        let feeding = tokio::spawn(desk.serve(input));
        let (reader, reader_gone) = watch::channel(false);
        let output = forward(output, screen, &reader, notices);
        let questions = Questions { asked, over };
        let parted = self
            .relay(output, reader_gone, control, questions, gone, signals)
            .await;
        feeding.abort();
        // It gives the terminal back as it was.
        let _ = feeding.await;
        // Before anything is said to the person.
        drop(raw);
        if !parted.context("the sandbox's output broke off")? {
            return Ok(Parted::Left);
        }
        let exit_code = control.wait().await?;
        if let Some(sentence) = control.explain(exit_code).await {
            self.report.warning(&sentence);
        }
        Ok(Parted::Ended(Outcome { exit_code }))
    }

    /// True once the command's output has ended; false when we leave it.
    async fn relay(
        &self,
        output: impl Future<Output = std::io::Result<()>>,
        mut reader_gone: watch::Receiver<bool>,
        control: &dyn Control,
        questions: Questions,
        gone: impl Future<Output = String>,
        signals: &mut Signals,
    ) -> Result<bool> {
        let Questions { mut asked, over } = questions;
        let mut output = std::pin::pin!(output);
        let mut ending = false;
        let mut killed = false;
        let mut told_gone = false;
        let mut gone = std::pin::pin!(gone);
        let mut grace = std::pin::pin!(None);
        let mut ended = std::pin::pin!(control.wait());
        loop {
            // The output waits for a question, and so its end does: the command's own is looked for.
            let waits = *asked.borrow() && !*over.borrow();
            tokio::select! {
                done = &mut output => return Ok(done.map(|()| true)?),
                Ok(()) = asked.changed() => {
                    if !*asked.borrow_and_update() {
                        self.redraw(control).await;
                    }
                }
                _ = &mut ended, if waits => {
                    over.send_replace(true);
                }
                signal = signals.next() => match signal {
                    Signal::Resized => self.resize(control).await,
                    Signal::HangUp | Signal::Terminate if self.farewell == Farewell::Leave => {
                        return Ok(false);
                    }
                    Signal::Interrupt | Signal::Quit if !ending => {
                        control.signal(Kill::As(signal)).await;
                    }
                    _ if ending => control.signal(Kill::Now).await,
                    // As it came: a shell at a terminal ignores SIGTERM and ends by SIGHUP (bash(1),
                    // SIGNALS), and the exit code tells which it was.
                    _ => {
                        ending = true;
                        grace.set(Some(sleep(GRACE)));
                        control.signal(Kill::As(signal)).await;
                    }
                },
                () = when(grace.as_mut().as_pin_mut()), if grace.is_some() => {
                    if killed {
                        bail!("the command does not end, and goes on in the sandbox");
                    }
                    killed = true;
                    grace.set(Some(sleep(GRACE)));
                    control.signal(Kill::Now).await;
                }
                Ok(()) = reader_gone.changed(), if !ending => {
                    if self.farewell == Farewell::Leave {
                        return Ok(false);
                    }
                    ending = true;
                    grace.set(Some(sleep(GRACE)));
                    control.signal(Kill::Pipe).await;
                }
                sentence = &mut gone, if !told_gone => {
                    told_gone = true;
                    self.report.warning(&sentence);
                }
            }
        }
    }

    /// Gives the command's terminal the size of ours.
    async fn resize(&self, control: &dyn Control) {
        if self.terminal
            && let Some((rows, columns)) = size()
        {
            control.resize(rows, columns).await;
        }
    }

    /// Has a command that fills the screen draw it again: only another size makes it.
    async fn redraw(&self, control: &dyn Control) {
        if self.terminal
            && let Some((rows, columns)) = size()
        {
            control.resize(rows, columns.saturating_sub(1).max(1)).await;
            control.resize(rows, columns).await;
        }
    }
}

async fn forward(
    output: Output,
    screen: Screen,
    reader: &Gone,
    notices: Option<Notices>,
) -> std::io::Result<()> {
    let out = tokio::io::stdout();
    let out = Sink::new(out, screen.behind(&std::io::stdout()));
    let err = tokio::io::stderr();
    let err = Sink::new(err, screen.behind(&std::io::stderr()));
    match output {
        Output::Terminal(output) => match notices {
            Some(notices) => forward_noticing(output, out, reader, notices).await,
            None => forward_raw(output, out, reader).await,
        },
        Output::Framed(output) => forward_split(output, out, err, reader).await,
        Output::Apart(output, error) => forward_apart(output, error, out, err, reader).await,
    }
}

async fn when(timer: Option<std::pin::Pin<&mut Sleep>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}
