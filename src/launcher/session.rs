//! A session, from its first step to its last, on whichever runtime: what each step makes is
//! pushed onto the undo stack before it is made, so that a failure, a signal or the end takes
//! everything away again. How a runtime makes a sandbox is the runtime's own affair.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::attach::{Farewell, Joined, Parted, Person};
use super::docker;
use super::engine::Engine;
use super::job::{Job, Spec};
use super::keeper::Keeper;
use super::leavings::Before;
use super::local;
use super::proxy::Proxy;
use super::prune;
use super::report::Report;
use super::repository;
use super::request::{Outcome, Request};
use super::sandbox;
use super::signals::Signals;
use super::trial;
use super::undo::Undo;
use crate::session::{self, Control, Doors, Record, SessionDir, SessionId, discover};

/// What a session's sandbox is made with.
#[derive(Debug, Clone)]
pub enum Runtime {
    /// Containers of an engine.
    Docker(Engine),
    /// Namespaces of this machine's kernel.
    Local,
}

impl Runtime {
    /// Its name in a session's record.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Docker(_) => "docker",
            Self::Local => "local",
        }
    }
}

/// One start, and what every step of it needs to know.
pub(crate) struct Launch<'a> {
    pub(crate) request: &'a Request,
    pub(crate) report: &'a dyn Report,
    /// Its runtime directory, locked.
    pub(crate) directory: &'a SessionDir,
    /// Its name for people.
    pub(crate) name: String,
}

/// A sandbox that is there, and the way out of it.
pub(crate) struct Started {
    pub(crate) proxy: Proxy,
    pub(crate) sandbox: Arc<Sandbox>,
    /// The command that the sandbox began with: the person's, or what keeps a sandbox there that
    /// has none.
    pub(crate) main: Job,
}

/// A sandbox, as commands are run in it.
pub(crate) enum Sandbox {
    Docker(sandbox::Sandbox),
    Local(local::Sandbox),
}

impl Sandbox {
    /// Starts a command.
    pub(crate) async fn exec(&self, spec: &Spec) -> Result<Job> {
        match self {
            Self::Docker(sandbox) => sandbox.exec(spec).await,
            Self::Local(sandbox) => sandbox.exec(spec).await,
        }
    }

    /// Its container, if it is one.
    fn container(&self) -> Option<String> {
        match self {
            Self::Docker(sandbox) => Some(sandbox.name().to_owned()),
            Self::Local(_) => None,
        }
    }
}

/// Starts a session, runs its command to the end, and takes everything away again.
///
/// `person` is at the terminal that the command runs in.
///
/// # Errors
///
/// When a step fails, with nothing left of the steps before it.
/// [`Interrupted`](super::Interrupted) when a signal called the start off,
/// [`CannotRun`](super::CannotRun) when there is no such command.
pub async fn run(
    runtime: &Runtime,
    request: &Request,
    report: &dyn Report,
    person: Person,
) -> Result<Outcome> {
    with_session(
        runtime,
        request,
        report,
        async |main, proxy, keeper, signals| {
            let joined = Joined {
                terminal: main.terminal,
                farewell: Farewell::End,
                report,
            };
            let parted = tokio::select! {
                parted = joined.run(main.job, proxy_gone(proxy), signals, person) => parted?,
                () = keeper.told_to_end() => return Ok(Outcome { exit_code: ENDED_BY_DOWN }),
            };
            match parted {
                Parted::Ended(outcome) => Ok(outcome),
                Parted::Left => bail!("the command was left while its session was still to end"),
            }
        },
    )
    .await
}

/// What a shell calls a command that SIGTERM ended (signal(7)).
const ENDED_BY_DOWN: i64 = 143;

/// Starts a session and keeps it until it is told to end, a signal says so, or its sandbox ends.
///
/// # Errors
///
/// As [`run`].
pub async fn keep(runtime: &Runtime, request: &Request, report: &dyn Report) -> Result<()> {
    with_session(
        runtime,
        request,
        report,
        async |main, proxy, keeper, signals| {
            // Its output is nobody's, and has to be read all the same.
            let mut ended = std::pin::pin!(main.job.control.wait());
            let mut gone = std::pin::pin!(proxy_gone(proxy));
            let mut told = false;
            loop {
                tokio::select! {
                    () = keeper.told_to_end() => return Ok(()),
                    signal = signals.next() => if signal.ends() { return Ok(()) },
                    ended = &mut ended => {
                        ended?;
                        return Ok(());
                    }
                    sentence = &mut gone, if !told => {
                        told = true;
                        keeper.warn(&sentence);
                    }
                }
            }
        },
    )
    .await
}

/// The command that a session began with.
struct Main {
    job: Job,
    terminal: bool,
}

async fn with_session<T>(
    runtime: &Runtime,
    request: &Request,
    report: &dyn Report,
    body: impl AsyncFnOnce(Main, &mut Proxy, &Keeper, &mut Signals) -> Result<T>,
) -> Result<T> {
    let mut signals = Signals::listen()?;
    let passed = trial::gate(runtime, request, report, &mut signals).await?;
    let outcome = session(runtime, request, report, &mut signals, body).await;
    for sentence in passed.over().await {
        report.warning(&format!("{sentence}; `vibepit prune` will try again"));
    }
    outcome
}

async fn session<T>(
    runtime: &Runtime,
    request: &Request,
    report: &dyn Report,
    signals: &mut Signals,
    body: impl AsyncFnOnce(Main, &mut Proxy, &Keeper, &mut Signals) -> Result<T>,
) -> Result<T> {
    // What a crash left behind goes first. It must not keep anybody from starting.
    let left = match runtime {
        Runtime::Docker(engine) => prune::leftovers(engine, &request.runtime_dir).await,
        Runtime::Local => prune::prune_directories(&request.runtime_dir).await,
    };
    for sentence in left.failed {
        report.warning(&sentence);
    }
    let name = name(request)?;
    let id = SessionId::random().context("no random bytes for the session's id")?;
    let directory = SessionDir::create(&request.runtime_dir, &id)?;
    if let Some(sentence) = repository::missing(&request.project) {
        report.warning(&sentence);
    }
    let before = Before::look(&request.project);
    let launch = Launch {
        request,
        report,
        directory: &directory,
        name,
    };
    let mut undo = Undo::default();
    let mut keeper = None;
    let outcome = launch
        .through(runtime, &mut undo, signals, &mut keeper, body)
        .await;
    let failed = undo.run().await.into_iter();
    let mut last_words: Vec<String> = failed
        .map(|sentence| format!("{sentence}; `vibepit prune` will try again"))
        .collect();
    // Nothing of the sandbox runs any more.
    last_words.extend(before.compare().iter().map(ToString::to_string));
    for sentence in &last_words {
        report.warning(sentence);
    }
    if let Some(keeper) = keeper {
        keeper.say_last_words(last_words).await;
    }
    // Last: a directory whose lock is held tells everybody that its containers are in use.
    if let Err(error) = directory.remove() {
        report.warning(&error.to_string());
    }
    outcome
}

impl Launch<'_> {
    /// The session's id.
    pub(crate) fn id(&self) -> SessionId {
        self.directory.id()
    }

    async fn through<T>(
        &self,
        runtime: &Runtime,
        undo: &mut Undo,
        signals: &mut Signals,
        kept: &mut Option<Keeper>,
        body: impl AsyncFnOnce(Main, &mut Proxy, &Keeper, &mut Signals) -> Result<T>,
    ) -> Result<T> {
        let Started {
            mut proxy,
            sandbox,
            main,
        } = match runtime {
            Runtime::Docker(engine) => docker::start(self, engine, undo, signals).await?,
            Runtime::Local => local::start(self, undo, signals).await?,
        };
        let keeper = Keeper::open(self.directory, Arc::clone(&sandbox), self.request)?;
        let record = self.record(runtime, &proxy, &sandbox)?;
        self.directory.announce(&record)?;
        self.report.ready(&record);
        let main = Main {
            job: main,
            terminal: self.request.terminal(),
        };
        let outcome = body(main, &mut proxy, &keeper, signals).await;
        // Whoever has joined is told before what they joined goes.
        keeper.end().await;
        *kept = Some(keeper);
        // Nothing of the sandbox outlives its proxy. What cannot be ended now is tried again, and
        // told, by the undo stack.
        let _ = sandbox.end().await;
        proxy.link.end().await;
        outcome
    }

    fn record(&self, runtime: &Runtime, proxy: &Proxy, sandbox: &Sandbox) -> Result<Record> {
        Ok(Record {
            version: Record::VERSION,
            id: self.id(),
            name: self.name.clone(),
            project_dir: Some(self.request.project.path().to_owned()),
            runtime: runtime.name().to_owned(),
            created: OffsetDateTime::now_utc().format(&Rfc3339)?,
            pid: std::process::id(),
            control: Control {
                socket: proxy.control_socket.clone(),
                tcp: Some(proxy.control_tcp),
            },
            proxy: Doors {
                http: proxy.listening.http,
                socks5: proxy.listening.socks5,
                dns: proxy.listening.dns,
            },
            sandbox: sandbox.container(),
        })
    }
}

impl Sandbox {
    /// Ends everything that runs in it.
    async fn end(&self) -> Result<()> {
        match self {
            Self::Docker(sandbox) => sandbox.end().await,
            Self::Local(sandbox) => sandbox.end().await,
        }
    }
}

/// Done when the proxy is gone, with what there is to say about that.
async fn proxy_gone(proxy: &mut Proxy) -> String {
    format!(
        "the proxy ended{}; the sandbox reaches nothing any more: end the command and start the \
         session again",
        proxy.link.ended().await
    )
}

/// The session's name: the person's choice, which nobody else may have, or its project's.
fn name(request: &Request) -> Result<String> {
    let found = discover(&request.runtime_dir);
    let mut taken = found.iter().map(|found| found.record.name.as_str());
    match &request.name {
        Some(name) if taken.any(|other| other == name) => {
            bail!("there is a session named {name:?} already; choose another name, or end that one")
        }
        Some(name) => Ok(name.clone()),
        None => {
            let project = request.project.path().file_name().unwrap_or_default();
            Ok(session::unique_name(&project.to_string_lossy(), taken))
        }
    }
}
