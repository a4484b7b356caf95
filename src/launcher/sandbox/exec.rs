//! The command that a container was made for.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bollard::errors::Error;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, ResizeContainerTTYOptionsBuilder, WaitContainerOptionsBuilder,
};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};

use super::super::attach;
use super::super::container;
use super::super::engine::Engine;
use super::super::job::{Control, Kill};
use super::super::request::CannotRun;

/// How soon it is asked again where the connection was lost, and how often at most.
pub(super) const ASK_AGAIN_FAR: Duration = Duration::from_secs(2);
pub(super) const TRIES_FAR: u32 = 90;

/// No answer at all, as against one that is an error.
fn is_lost(error: &anyhow::Error) -> bool {
    error.downcast_ref().is_none_or(no_answer)
}

/// The same of the library's errors.
pub(super) fn no_answer(error: &Error) -> bool {
    !matches!(
        error,
        Error::DockerResponseServerError { .. } | Error::DockerContainerWaitError { .. }
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
