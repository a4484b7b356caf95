//! Commands in a container: the one it was made for, and those that are started in it later.

use std::io::Cursor;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bollard::errors::Error;
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use rustix::process::{Pid, PidfdFlags, Signal as Number, pidfd_open, pidfd_send_signal};
use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::super::attach;
use super::super::container;
use super::super::engine::{Engine, Kind};
use super::super::job::{Control, Job, Kill, Output, Spec};
use super::super::request::CannotRun;
use super::super::signals::Signal;

/// An engine closes a command's streams a moment before it knows of its end, and not every engine
/// tells of that end as an event: so it is asked again, after so long.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// What an engine says of a command that does not start is no longer than this.
const REFUSAL: u64 = 16 * 1024;

/// The same where the connection was lost, and how often at most.
const ASK_AGAIN_FAR: Duration = Duration::from_secs(2);
const TRIES_FAR: u32 = 90;

/// No answer at all, as against one that is an error.
fn is_lost(error: &anyhow::Error) -> bool {
    let answered = error.downcast_ref::<Error>();
    !matches!(
        answered,
        Some(Error::DockerResponseServerError { .. } | Error::DockerContainerWaitError { .. })
    )
}

/// Starts the container with its command.
pub(super) async fn start_container(engine: &Engine, sandbox: &str, command: &str) -> Result<()> {
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

/// The command that a container was made for.
pub(super) struct MainCommand {
    engine: Engine,
    container: String,
    program: String,
    refusal: attach::Refusal,
}

impl MainCommand {
    /// `refusal` is what the engine's init said in its place.
    pub(super) fn new(
        engine: Engine,
        container: String,
        program: &str,
        refusal: attach::Refusal,
    ) -> Self {
        Self {
            engine,
            container,
            program: program.to_owned(),
            refusal,
        }
    }

    /// Asks until there is an answer: a connection to another machine may be lost meanwhile.
    async fn exit_code(&self) -> Result<i64> {
        let mut tries = 0;
        loop {
            let began = Instant::now();
            match self.asked().await {
                Err(error) if self.engine.facts().remote && is_lost(&error) => {
                    // One that was listened to for a while had been found again.
                    tries = if began.elapsed() > ASK_AGAIN_FAR {
                        1
                    } else {
                        tries + 1
                    };
                    if tries > TRIES_FAR {
                        return Err(error);
                    }
                    sleep(ASK_AGAIN_FAR).await;
                }
                answer => return answer,
            }
        }
    }

    async fn asked(&self) -> Result<i64> {
        let options = WaitContainerOptionsBuilder::default()
            .condition("not-running")
            .build();
        let mut answers = self
            .engine
            .docker
            .wait_container(&self.container, Some(options));
        match answers.next().await {
            Some(Ok(answer)) => Ok(answer.status_code),
            // The library takes every code but 0 for an error.
            Some(Err(Error::DockerContainerWaitError { code, error })) if error.is_empty() => {
                Ok(code)
            }
            Some(Err(error)) => {
                Err(error).context("the engine does not tell how the command ended")
            }
            None => bail!("the engine does not tell how the command ended"),
        }
    }

    async fn killed_for_memory(&self) -> bool {
        let state = container::inspect(&self.engine, &self.container).await.ok();
        state.and_then(|found| found.state?.oom_killed) == Some(true)
    }
}

impl Control for MainCommand {
    fn resize(&self, rows: u16, columns: u16) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let options = ResizeContainerTTYOptionsBuilder::default()
                .h(rows.into())
                .w(columns.into())
                .build();
            let docker = &self.engine.docker;
            let _ = docker.resize_container_tty(&self.container, options).await;
        })
    }

    fn signal(&self, signal: Kill) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let options = KillContainerOptionsBuilder::default()
                .signal(signal.name())
                .build();
            let docker = &self.engine.docker;
            let _ = docker.kill_container(&self.container, Some(options)).await;
        })
    }

    fn wait(&self) -> BoxFuture<'_, Result<i64>> {
        Box::pin(async {
            let code = self.exit_code().await?;
            match self.refusal.get() {
                Some(said) if code != 0 => Err(CannotRun::of_init(&self.program, said).into()),
                _ => Ok(code),
            }
        })
    }

    /// 137 has two meanings, and one of them is ours to explain.
    fn explain(&self, exit_code: i64) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let memory = exit_code == 137 && self.killed_for_memory().await;
            memory.then(|| {
                "the command was killed because the sandbox used up its memory (three quarters \
                 of this machine's)"
                    .to_owned()
            })
        })
    }
}

/// Starts a further command in a container that runs.
pub(super) async fn start(engine: &Engine, container: &str, spec: &Spec) -> Result<Job> {
    let terminal = spec.terminal.is_some();
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(terminal),
        env: Some(spec.env.clone()),
        cmd: Some(spec.command.clone()),
        working_dir: Some(spec.directory.display().to_string()),
        user: Some(container::user(engine.facts())),
        ..ExecConfig::default()
    };
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
    let beginning = beginning(engine, &id, spec.terminal).await?;
    if beginning != Beginning::Started {
        let mut refusal = (&mut output).take(REFUSAL);
        refusal.read_to_end(&mut said).await?;
        let text = String::from_utf8_lossy(&said);
        if beginning == Beginning::Refused || text.contains(": OCI ") {
            return Err(not_started(anyhow!("{}", text.trim())));
        }
    }
    let output = Cursor::new(said).chain(output);
    let (over, ended) = watch::channel(false);
    let output = attach::Told::new(output, over);
    let control = Further {
        engine: engine.clone(),
        id,
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
        let size = bollard::exec::ResizeExecOptions { height, width };
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

/// A command that was started later. An engine has no call that sends a signal to such a one, so
/// it goes to the process itself, where that is on this machine and ours.
struct Further {
    engine: Engine,
    id: String,
    /// Its output is over.
    ended: watch::Receiver<bool>,
}

impl Further {
    /// Its process, while it runs.
    async fn pid(&self) -> Option<Pid> {
        // Of another machine it would be anybody's here.
        if self.engine.facts().remote {
            return None;
        }
        let found = self.engine.docker.inspect_exec(&self.id).await.ok()?;
        let pid = found.pid.filter(|_| found.running == Some(true))?;
        Pid::from_raw(i32::try_from(pid).ok()?)
    }

    /// Through a handle that was taken while the process was known to run, so that no other process
    /// is ever meant (pidfd_open(2)).
    async fn send(&self, signal: Number) -> Option<()> {
        let pid = self.pid().await?;
        let process = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        (self.pid().await? == pid).then_some(())?;
        pidfd_send_signal(process, signal).ok()
    }

    async fn exit_code(&self) -> Result<i64> {
        let mut ended = self.ended.clone();
        // The other end of it goes with the output.
        let _ = ended.wait_for(|ended| *ended).await;
        loop {
            let found = self
                .engine
                .docker
                .inspect_exec(&self.id)
                .await
                .context("the engine does not tell how the command ended")?;
            match (found.running, found.exit_code) {
                (Some(false), Some(code)) => return Ok(code),
                _ => sleep(ASK_AGAIN).await,
            }
        }
    }
}

impl Control for Further {
    fn resize(&self, rows: u16, columns: u16) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let options = bollard::exec::ResizeExecOptions {
                height: rows,
                width: columns,
            };
            let _ = self.engine.docker.resize_exec(&self.id, options).await;
        })
    }

    fn signal(&self, signal: Kill) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.send(number(signal)).await;
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
