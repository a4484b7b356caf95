//! Commands that are started in a container later. An engine has no call that sends a signal to
//! such a one, and none that joins it again when the connection was lost.

use std::io::Cursor;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::exec::{ResizeExecOptions, StartExecOptions};
use bollard::models::ExecConfig;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, PidfdFlags, Signal as Number, pidfd_open, pidfd_send_signal};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::super::attach;
use super::super::container;
use super::super::engine::{Engine, Kind};
use super::super::job::{Control, Job, Kill, Output, Spec};
use super::super::request::CannotRun;
use super::super::signals::Signal;
use super::announced::{self, Announced};
use super::exec::{ASK_AGAIN_FAR, TRIES_FAR, no_answer};

/// An engine closes a command's streams a moment before it knows of its end, and not every engine
/// tells of that end as an event: so it is asked again, after so long.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What an engine says of a command that does not start is no longer than this.
const REFUSAL: u64 = 16 * 1024;

/// How long a command on another machine may take to say which process it is.
const START: Duration = Duration::from_secs(30);

/// Starts a further command in a container that runs.
pub(super) async fn start(engine: &Engine, container: &str, spec: &Spec) -> Result<Job> {
    let terminal = spec.terminal.is_some();
    let far = engine.facts().remote;
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(terminal),
        env: Some(spec.env.clone()),
        cmd: Some(match far {
            true => announced::command(&spec.command),
            false => spec.command.clone(),
        }),
        working_dir: Some(spec.directory.display().to_string()),
        user: Some(container::user(engine.facts())),
        ..ExecConfig::default()
    };
    // Before its streams are: whether the way is another one afterwards tells that they are lost.
    let way = engine.dial.again();
    let id = engine
        .docker
        .create_exec(container, config)
        .await
        .context("the engine does not take the command")?
        .id;
    let mut begin = json!({"Detach": false, "Tty": terminal});
    if let Some((rows, columns)) = spec.terminal {
        begin["ConsoleSize"] = json!([rows, columns]);
    }
    let command = spec.command.first().map_or("", String::as_str);
    let not_started = |said: anyhow::Error| match CannotRun::read(command, &format!("{said:#}")) {
        Some(cannot) => cannot.into(),
        None => said.context("the command could not be started"),
    };
    let (mut output, input) = attach::start_exec(engine, &id, &begin)
        .await
        .map_err(not_started)?;
    // An engine takes the streams first, starts the command then, and has nothing but its output to
    // tell in that it does not start.
    let mut said = Vec::new();
    let beginning = match far {
        // What is started there is a shell, which says so itself.
        true => Beginning::Started,
        false => beginning(engine, &id, spec.terminal).await?,
    };
    if beginning != Beginning::Started {
        let mut refusal = (&mut output).take(REFUSAL);
        refusal.read_to_end(&mut said).await?;
        let text = String::from_utf8_lossy(&said);
        if beginning == Beginning::Refused || text.contains(": OCI ") {
            return Err(not_started(anyhow!("{}", text.trim())));
        }
    }
    let output = Cursor::new(said).chain(output);
    let (output, process): (Box<dyn AsyncRead + Send + Unpin>, _) = match far {
        true => {
            let taken = timeout(START, announced::take(output, terminal)).await;
            let (output, said) =
                taken.context("the image's /bin/sh does not start the command")??;
            let pid = match said {
                Announced::Cannot(exit_code) => {
                    return Err(CannotRun::with(command, exit_code).into());
                }
                Announced::Process(pid) => Some(pid),
                Announced::Nothing => None,
            };
            (Box::new(output), Process::Far(pid))
        }
        false => (Box::new(output), Process::Near),
    };
    let (over, ended) = watch::channel(false);
    let output = attach::Told::new(output, over);
    let control = Further {
        engine: engine.clone(),
        container: container.to_owned(),
        id,
        command: command.to_owned(),
        process,
        way,
        ended,
    };
    Ok(Job {
        output: match terminal {
            true => Output::Terminal(Box::new(output)),
            false => Output::Framed(Box::new(output)),
        },
        input: Box::new(input),
        control: Box::new(control),
    })
}

/// How the start of a command has gone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beginning {
    Started,
    Refused,
    /// It has ended with a code that can mean both: its output tells.
    Ended,
}

/// A command that never was has no pid on Docker, and one that was keeps it; Podman takes the pid
/// away at the end, but answers nobody before the start is over. (Measured on Docker 20.10, which
/// gives such a command 126 whatever it is, and on Podman 4.3.)
async fn beginning(engine: &Engine, id: &str, terminal: Option<(u16, u16)>) -> Result<Beginning> {
    let kind = engine.facts().kind;
    if kind == Kind::Docker {
        // Answered when the start has gone well or failed. A command without a terminal refuses it.
        let (height, width) = terminal.unwrap_or((24, 80));
        let size = ResizeExecOptions { height, width };
        let _ = engine.docker.resize_exec(id, size).await;
    }
    loop {
        let found = engine
            .docker
            .inspect_exec(id)
            .await
            .context("the engine does not tell whether the command runs")?;
        return Ok(match (kind, found.running, found.pid) {
            (Kind::Docker, Some(false), None | Some(0)) => Beginning::Refused,
            (Kind::Docker, _, None | Some(0)) => {
                sleep(ASK_AGAIN).await;
                continue;
            }
            (Kind::Podman, Some(false), _) if matches!(found.exit_code, Some(126 | 127)) => {
                Beginning::Ended
            }
            _ => Beginning::Started,
        });
    }
}

/// How the process of a command is found.
enum Process {
    /// The engine tells which of this machine's it is.
    Near,
    /// By what it said itself of its number in the sandbox, if it did. Nothing depends on its
    /// truth: whoever is meant is in the sandbox.
    Far(Option<u32>),
}

/// A command that was started later.
struct Further {
    engine: Engine,
    container: String,
    id: String,
    command: String,
    process: Process,
    /// How often the way to the engine had been made again when it was started.
    way: u64,
    /// Its output is over.
    ended: watch::Receiver<bool>,
}

impl Further {
    async fn send(&self, signal: Kill) -> Option<()> {
        match self.process {
            Process::Near => self.send_near(number(signal)).await,
            Process::Far(pid) => self.send_far(signal, pid?).await,
        }
    }

    /// Its process, while it runs.
    async fn pid(&self) -> Option<Pid> {
        let found = self.engine.docker.inspect_exec(&self.id).await.ok()?;
        let pid = found.pid.filter(|_| found.running == Some(true))?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    }

    /// Through a handle that was taken while the process was known to run, so that no other process
    /// is ever meant (pidfd_open(2)).
    async fn send_near(&self, signal: Number) -> Option<()> {
        let pid = self.pid().await?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        (self.pid().await? == pid).then_some(())?;
        pidfd_send_signal(process, signal).ok()
    }

    /// By another command in the same sandbox, as the same user.
    async fn send_far(&self, signal: Kill, pid: u32) -> Option<()> {
        let docker = &self.engine.docker;
        // While its output is open it is taken to run: what it says can be here before its engine
        // knows that it does. Afterwards the engine is asked.
        if *self.ended.borrow() {
            let found = docker.inspect_exec(&self.id).await.ok()?;
            (found.running == Some(true)).then_some(())?;
        }
        let config = ExecConfig {
            cmd: Some(announced::kill(signal.name(), pid)),
            user: Some(container::user(self.engine.facts())),
            ..ExecConfig::default()
        };
        let id = docker.create_exec(&self.container, config).await.ok()?.id;
        let options = StartExecOptions {
            detach: true,
            ..StartExecOptions::default()
        };
        docker.start_exec(&id, Some(options)).await.ok().map(drop)
    }

    async fn exit_code(&self) -> Result<i64> {
        let mut ended = self.ended.clone();
        // The other end of it goes with the output.
        let _ = ended.wait_for(|ended| *ended).await;
        let mut tries = 0;
        loop {
            match self.engine.docker.inspect_exec(&self.id).await {
                Ok(found) => match (found.running, found.exit_code) {
                    (Some(false), Some(code)) => return Ok(code),
                    // It runs, and its streams were those of a way that is no more.
                    _ if self.engine.dial.again() != self.way => {
                        let _ = self.send(Kill::As(Signal::HangUp)).await;
                        bail!(
                            "the connection to the engine was lost, and with it what {:?} reads and \
                             writes, so it was sent SIGHUP; the session goes on: start it again",
                            self.command
                        );
                    }
                    _ => sleep(ASK_AGAIN).await,
                },
                Err(error) if self.engine.facts().remote && no_answer(&error) => {
                    tries += 1;
                    if tries > TRIES_FAR {
                        return Err(error).context("the engine does not tell how it ended");
                    }
                    sleep(ASK_AGAIN_FAR).await;
                }
                Err(error) => {
                    return Err(error).context("the engine does not tell how the command ended");
                }
            }
        }
    }
}

impl Control for Further {
    fn resize(&self, rows: u16, columns: u16) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let options = ResizeExecOptions {
                height: rows,
                width: columns,
            };
            let _ = self.engine.docker.resize_exec(&self.id, options).await;
        })
    }

    fn signal(&self, signal: Kill) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.send(signal).await;
        })
    }

    fn wait(&self) -> BoxFuture<'_, Result<i64>> {
        Box::pin(self.exit_code())
    }
}

fn number(signal: Kill) -> Number {
    match signal {
        Kill::As(Signal::Interrupt) => Number::INT,
        Kill::As(Signal::Quit) => Number::QUIT,
        Kill::As(Signal::Terminate) => Number::TERM,
        Kill::As(Signal::HangUp) => Number::HUP,
        Kill::As(Signal::Resized) => Number::WINCH,
        Kill::Pipe => Number::PIPE,
        Kill::Now => Number::KILL,
    }
}
