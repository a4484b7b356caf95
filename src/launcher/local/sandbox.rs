//! A sandbox that is there, and the commands in it. What its inside says is taken for what a
//! stranger says: it names commands that were started here, in the order that they go through, or
//! the sandbox ends.

use std::collections::HashMap;
use std::io::pipe;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use super::super::job::{Control, Job, Kill, Output, Spec};
use super::super::request::CannotRun;
use super::channel::Channel;
use super::enclosure::{Enclosure, Process};
use super::limits::{Group, Limits};
use super::streams::{Reading, Terminal, Writing};
use crate::api::enclosure::{CommandLine, FromEnclosure, ToEnclosure};

/// What a shell calls a command that SIGKILL ended: what becomes of all when the sandbox ends.
const KILLED: u8 = 137;

/// A sandbox. Dropping it ends it.
pub(crate) struct Sandbox {
    channel: Arc<Channel>,
    process: Process,
    commands: Arc<Commands>,
    ended: watch::Receiver<Option<String>>,
    listening: JoinHandle<()>,
    next: AtomicU64,
    /// `NAME=VALUE`, what every command has.
    environment: Vec<String>,
    limits: Arc<Limits>,
}

/// The commands that were started and have not ended.
#[derive(Default)]
struct Commands(Mutex<HashMap<u64, Waiting>>);

struct Waiting {
    terminal: bool,
    /// Until it is said that the command runs.
    started: Option<oneshot::Sender<Started>>,
    ended: watch::Sender<Option<u8>>,
}

/// How a command began: with the other side of its terminal, if it has one; or with an exit code
/// and the reason.
type Started = Result<Option<OwnedFd>, (u8, String)>;

impl Sandbox {
    pub(super) fn new(enclosure: Enclosure, environment: Vec<String>, limits: Limits) -> Self {
        let (tell, ended) = watch::channel(None);
        let commands = Arc::new(Commands::default());
        let (channel, process) = (enclosure.channel.clone(), enclosure.process.clone());
        let listening = tokio::spawn(listen(enclosure, commands.clone(), tell));
        Self {
            channel,
            process,
            commands,
            ended,
            listening,
            next: AtomicU64::new(1),
            environment,
            limits: Arc::new(limits),
        }
    }

    /// Starts a command.
    ///
    /// # Errors
    ///
    /// [`CannotRun`] when there is no such command; otherwise when the sandbox has ended.
    pub(crate) async fn exec(&self, spec: &Spec) -> Result<Job> {
        let job = self.next.fetch_add(1, Ordering::Relaxed);
        let (tell, started) = oneshot::channel();
        let (end, ended) = watch::channel(None);
        self.commands.lock().insert(
            job,
            Waiting {
                terminal: spec.terminal.is_some(),
                started: Some(tell),
                ended: end,
            },
        );
        let run = ToEnclosure::Run {
            job,
            command: Box::new(CommandLine {
                words: spec.command.clone(),
                env: self.environment(&spec.env),
                directory: spec.directory.clone(),
                terminal: spec.terminal,
            }),
        };
        let streams = match spec.terminal {
            Some(_) => None,
            None => {
                let [input, output, error] = [pipe(), pipe(), pipe()];
                let pipes = "a command's streams cannot be made";
                let (input, output, error) = (
                    input.context(pipes)?,
                    output.context(pipes)?,
                    error.context(pipes)?,
                );
                let theirs = [input.0.as_fd(), output.1.as_fd(), error.1.as_fd()];
                self.told(self.channel.say(&run, &theirs).await)?;
                Some((input.1, output.0, error.0))
            }
        };
        if streams.is_none() {
            self.told(self.channel.say(&run, &[]).await)?;
        }
        let terminal = match started.await {
            Ok(Ok(terminal)) => terminal,
            Ok(Err((exit_code, why))) => {
                let command = spec.command.first().map_or("", String::as_str);
                return Err(CannotRun::told(
                    format!("{command:?} cannot be run in the sandbox: {why}"),
                    exit_code.into(),
                )
                .into());
            }
            Err(_) => return Err(self.gone()),
        };
        let (output, input, terminal): (_, Writing, _) = match (streams, terminal) {
            (Some((input, output, error)), None) => (
                Output::Apart(
                    Box::new(Reading::new(output, ended.clone())?),
                    Box::new(Reading::new(error, ended.clone())?),
                ),
                Writing::new(input)?,
                None,
            ),
            (None, Some(terminal)) => {
                let terminal = Arc::new(Terminal::new(terminal)?);
                (
                    Output::Terminal(Box::new(terminal.reading(ended.clone()))),
                    terminal.writing(),
                    Some(terminal),
                )
            }
            _ => bail!("the inside of the sandbox gave a terminal to a command without one"),
        };
        Ok(Job {
            output,
            input: Box::new(input),
            control: Box::new(Command {
                channel: self.channel.clone(),
                job,
                terminal,
                ended,
                limits: Arc::clone(&self.limits),
            }),
        })
    }

    /// What every command has, and what this one has beside it.
    fn environment(&self, own: &[String]) -> Vec<String> {
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        let names: Vec<String> = own.iter().map(|entry| name(entry)).collect();
        let common = self.environment.iter();
        common
            .filter(|entry| !names.contains(&name(entry)))
            .chain(own)
            .cloned()
            .collect()
    }

    fn told(&self, told: std::io::Result<()>) -> Result<()> {
        told.map_err(|_| self.gone())
    }

    fn gone(&self) -> anyhow::Error {
        let said = self.ended.borrow().clone().unwrap_or_default();
        anyhow!("the sandbox has ended{said}")
    }

    /// A command that is the sandbox itself: it ends when that does.
    pub(super) fn life(&self) -> Job {
        Job {
            output: Output::Apart(Box::new(tokio::io::empty()), Box::new(tokio::io::empty())),
            input: Box::new(tokio::io::sink()),
            control: Box::new(Life(self.ended.clone())),
        }
    }

    /// Ends everything that runs in it.
    pub(crate) async fn end(&self) -> Result<()> {
        self.process.end().await
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Commands {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sandbox has ended, and every command with it.
    fn all_ended(&self) {
        for (_, waiting) in self.lock().drain() {
            waiting.ended.send_replace(Some(KILLED));
        }
    }
}

/// Hears what the inside says, until it is gone or says what it cannot have to say.
async fn listen(
    mut enclosure: Enclosure,
    commands: Arc<Commands>,
    ended: watch::Sender<Option<String>>,
) {
    let said = loop {
        match enclosure.hearing.next(&enclosure.channel).await {
            Ok(None) => break enclosure.last_words().await,
            Ok(Some(line)) => {
                if let Err(error) = hear(line, &mut enclosure, &commands) {
                    let _ = enclosure.process.end().await;
                    break format!(": {error:#}");
                }
            }
            Err(error) => {
                let _ = enclosure.process.end().await;
                break format!(": {error:#}");
            }
        }
    };
    ended.send_replace(Some(said));
    commands.all_ended();
}

fn hear(line: FromEnclosure, enclosure: &mut Enclosure, commands: &Commands) -> Result<()> {
    let unknown = || anyhow!("the inside of the sandbox names a command that there is not");
    match line {
        FromEnclosure::Started { job } => {
            let mut commands = commands.lock();
            let waiting = commands.get_mut(&job).ok_or_else(unknown)?;
            let terminal = match waiting.terminal {
                true => Some(enclosure.hearing.descriptor()?),
                false => None,
            };
            let started = waiting.started.take().ok_or_else(unknown)?;
            // Nobody waits any more where the start was called off.
            let _ = started.send(Ok(terminal));
        }
        FromEnclosure::CannotRun {
            job,
            exit_code,
            why,
        } => {
            let waiting = commands.lock().remove(&job).ok_or_else(unknown)?;
            let started = waiting.started.ok_or_else(unknown)?;
            let _ = started.send(Err((exit_code, why)));
        }
        FromEnclosure::Ended { job, exit_code } => {
            let waiting = commands.lock().remove(&job).ok_or_else(unknown)?;
            waiting.ended.send_replace(Some(exit_code));
        }
        FromEnclosure::Refused(why) | FromEnclosure::Failed(why) => bail!("{why}"),
        FromEnclosure::Doors | FromEnclosure::Ready => {
            bail!("the inside of the sandbox begins twice")
        }
    }
    Ok(())
}

/// A command in the sandbox.
struct Command {
    channel: Arc<Channel>,
    job: u64,
    terminal: Option<Arc<Terminal>>,
    ended: watch::Receiver<Option<u8>>,
    limits: Arc<Limits>,
}

impl Control for Command {
    fn resize(&self, rows: u16, columns: u16) -> BoxFuture<'_, ()> {
        if let Some(terminal) = &self.terminal {
            terminal.resize(rows, columns);
        }
        Box::pin(std::future::ready(()))
    }

    fn signal(&self, signal: Kill) -> BoxFuture<'_, ()> {
        let line = ToEnclosure::Signal {
            job: self.job,
            signal: signal.name().to_owned(),
        };
        Box::pin(async move {
            // A sandbox that has ended needs none.
            let _ = self.channel.say(&line, &[]).await;
        })
    }

    fn wait(&self) -> BoxFuture<'_, Result<i64>> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let code = match ended.wait_for(Option::is_some).await {
                Ok(code) => code.unwrap_or(KILLED),
                Err(_) => KILLED,
            };
            Ok(code.into())
        })
    }

    /// 137 has two meanings, and one of them is ours to explain.
    fn explain(&self, exit_code: i64) -> BoxFuture<'_, Option<String>> {
        let out_of_memory = exit_code == i64::from(KILLED)
            && self.limits.group().is_some_and(Group::ran_out_of_memory);
        let why = "the command was killed because the sandbox used up its memory (three quarters \
                   of this machine's)";
        Box::pin(std::future::ready(out_of_memory.then(|| why.to_owned())))
    }
}

/// See [`Sandbox::life`].
struct Life(watch::Receiver<Option<String>>);

impl Control for Life {
    fn resize(&self, _: u16, _: u16) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn signal(&self, _: Kill) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }

    fn wait(&self) -> BoxFuture<'_, Result<i64>> {
        let mut ended = self.0.clone();
        Box::pin(async move {
            let _ = ended.wait_for(Option::is_some).await;
            Ok(KILLED.into())
        })
    }
}
