//! A session while its command runs: streams, signals, the terminal's size, the exit code.

use std::time::Duration;

use anyhow::{Context, Result};
use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::super::attach::{self, Desk, Input, Mode, Output, Word};
use super::super::container;
use super::super::engine::Engine;
use super::super::proxy::Link;
use super::super::report::Report;
use super::super::request::{CannotRun, Outcome};
use super::super::signals::{Signal, Signals};

/// How long a command that was asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(10);

/// Starts the sandbox's command.
pub(super) async fn start(engine: &Engine, sandbox: &str, command: &str) -> Result<()> {
    let Err(error) = engine.docker.start_container(sandbox, None).await else {
        return Ok(());
    };
    if let Error::DockerResponseServerError { message, .. } = &error
        && let Some(cannot) = CannotRun::read(command, message)
    {
        return Err(cannot.into());
    }
    Err(error).context("the sandbox could not be started")
}

/// A sandbox whose command runs.
pub(super) struct Running<'a> {
    pub(super) engine: &'a Engine,
    pub(super) sandbox: &'a str,
    /// It has a terminal, and so do we.
    pub(super) terminal: bool,
    pub(super) report: &'a dyn Report,
}

impl Running<'_> {
    /// Joins our streams to the command's until it has ended and everything it wrote has been
    /// read, and brings its exit code.
    pub(super) async fn run(
        &self,
        output: Output,
        input: Input,
        link: &mut Link,
        signals: &mut Signals,
        words: mpsc::Receiver<Word>,
    ) -> Result<Outcome> {
        let raw = match self.terminal {
            true => Some(Mode::raw().context("the terminal cannot be made raw")?),
            false => None,
        };
        self.resize().await;
        let (asking, asked) = watch::channel(false);
        let desk = Desk {
            words,
            asking,
            raw: self.terminal,
        };
        let feeding = tokio::spawn(desk.serve(input));
        let streams = self.relay(output, asked, link, signals).await;
        feeding.abort();
        // It gives the terminal back as it was.
        let _ = feeding.await;
        // Before anything is said to the person.
        drop(raw);
        streams.context("the engine broke off the sandbox's output")?;
        let exit_code = self.wait().await?;
        self.explain(exit_code).await;
        Ok(Outcome { exit_code })
    }

    async fn relay(
        &self,
        output: Output,
        mut asked: watch::Receiver<bool>,
        link: &mut Link,
        signals: &mut Signals,
    ) -> Result<()> {
        let (gone, mut reader_gone) = watch::channel(false);
        let out = tokio::io::stdout();
        let relay = async {
            match self.terminal {
                true => attach::forward_raw(output, out, &gone).await,
                false => attach::forward_split(output, out, tokio::io::stderr(), &gone).await,
            }
        };
        let mut relay = std::pin::pin!(relay);
        let mut ending = false;
        let mut proxy_gone = false;
        let mut grace = std::pin::pin!(None);
        // While a question is on the screen the output waits, unless the command has ended.
        let mut question = false;
        let mut ended = std::pin::pin!(self.wait());
        let mut over = false;
        loop {
            tokio::select! {
                done = &mut relay, if !question => return Ok(done?),
                Ok(()) = asked.changed() => {
                    question = *asked.borrow_and_update() && !over;
                    if !question {
                        self.redraw().await;
                    }
                }
                _ = &mut ended, if question => {
                    over = true;
                    question = false;
                    attach::leave_question().await;
                }
                signal = signals.next() => match signal {
                    Signal::Resized => self.resize().await,
                    Signal::Interrupt | Signal::Quit if !ending => self.kill(signal.name()).await,
                    _ if ending => self.kill("SIGKILL").await,
                    // As it came: a shell at a terminal ignores SIGTERM and ends by SIGHUP (bash(1),
                    // SIGNALS), and the exit code tells which it was.
                    _ => {
                        ending = true;
                        grace.set(Some(sleep(GRACE)));
                        self.kill(signal.name()).await;
                    }
                },
                () = when(grace.as_mut().as_pin_mut()), if grace.is_some() => {
                    grace.set(None);
                    self.kill("SIGKILL").await;
                }
                // What a pipeline does to a command whose reader has gone.
                Ok(()) = reader_gone.changed(), if !ending => {
                    ending = true;
                    grace.set(Some(sleep(GRACE)));
                    self.kill("SIGPIPE").await;
                }
                said = link.ended(), if !proxy_gone => {
                    proxy_gone = true;
                    self.report.warning(&format!(
                        "the proxy ended{said}; the sandbox reaches nothing any more: end the \
                         command and start the session again"
                    ));
                }
            }
        }
    }

    /// Sends a signal to the command. One that has ended already needs none.
    async fn kill(&self, signal: &str) {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let _ = self
            .engine
            .docker
            .kill_container(self.sandbox, Some(options))
            .await;
    }

    /// Gives the command's terminal the size of ours.
    async fn resize(&self) {
        if let Some((rows, columns)) = attach::size() {
            self.resize_to(rows, columns).await;
        }
    }

    /// Has a command that fills the screen draw it again: only another size makes it.
    async fn redraw(&self) {
        if let Some((rows, columns)) = attach::size() {
            self.resize_to(rows, columns.saturating_sub(1).max(1)).await;
            self.resize_to(rows, columns).await;
        }
    }

    /// A command that has ended needs no size.
    async fn resize_to(&self, rows: u16, columns: u16) {
        if self.terminal {
            let options = ResizeContainerTTYOptionsBuilder::default()
                .h(rows.into())
                .w(columns.into())
                .build();
            let _ = self
                .engine
                .docker
                .resize_container_tty(self.sandbox, options)
                .await;
        }
    }

    async fn wait(&self) -> Result<i64> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut answers = self
            .engine
            .docker
            .wait_container(self.sandbox, Some(options));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // The library takes every code but 0 for an error.
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => {
                Ok(code)
            }
            Some(Err(error)) => {
                Err(error).context("the engine does not tell how the command ended")
            }
            None => anyhow::bail!("the engine does not tell how the command ended"),
        }
    }

    /// 137 has two meanings, and one of them is ours to explain.
    async fn explain(&self, exit_code: i64) {
        if exit_code != 137 {
            return;
        }
        let state = container::inspect(self.engine, self.sandbox).await.ok();
        if state.and_then(|found| found.state?.oom_killed) == Some(true) {
            self.report.warning(
                "the command was killed because the sandbox used up its memory (three quarters \
                 of this machine's)",
            );
        }
    }
}

async fn when(timer: Option<std::pin::Pin<&mut tokio::time::Sleep>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}
