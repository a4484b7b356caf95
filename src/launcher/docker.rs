//! A session in containers: the steps in order. What each makes is pushed onto the undo stack
//! before it is made, so that a failure, a signal or the end takes everything away again.

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::mpsc;

use super::attach::Word;
use super::engine::Engine;
use super::image;
use super::labels::Names;
use super::leavings::Before;
use super::proxy::{self, Proxy};
use super::prune;
use super::report::Report;
use super::repository;
use super::request::{Outcome, Request};
use super::sandbox::{self, Inside};
use super::signals::Signals;
use super::undo::Undo;
use crate::session::{self, Control, Doors, Record, SessionDir, SessionId, discover};

/// Starts a session, runs its command to the end, and takes everything away again.
///
/// # Errors
///
/// When a step fails, with nothing left of the steps before it.
/// [`Interrupted`](super::Interrupted) when a signal called the start off,
/// [`CannotRun`](super::CannotRun) when there is no such command.
///
/// `words` are for the person at the terminal that the command runs in.
pub async fn run(
    engine: &Engine,
    request: &Request,
    report: &dyn Report,
    words: mpsc::Receiver<Word>,
) -> Result<Outcome> {
    let mut signals = Signals::listen()?;
    // What a crash left behind goes first. It must not keep anybody from starting.
    for sentence in prune::leftovers(engine, &request.runtime_dir).await.failed {
        report.warning(&sentence);
    }
    let name = name(request)?;
    let id = SessionId::random().context("no random bytes for the session's id")?;
    let directory = SessionDir::create(&request.runtime_dir, &id)?;
    if let Some(sentence) = repository::missing(&request.project) {
        report.warning(&sentence);
    }
    let before = Before::look(&request.project);
    let mut undo = Undo::default();
    let launch = Launch {
        engine,
        request,
        report,
        names: Names::new(id, request.project.path(), request.runtime_dir.path()),
        directory: &directory,
        name,
    };
    let outcome = launch.start_and_run(&mut undo, &mut signals, words).await;
    for sentence in undo.run().await {
        report.warning(&format!("{sentence}; `vibepit prune` will try again"));
    }
    // Nothing of the sandbox runs any more.
    before.tell(report);
    // Last: a directory whose lock is held tells everybody that its containers are in use.
    if let Err(error) = directory.remove() {
        report.warning(&error.to_string());
    }
    outcome
}

/// One start, and what every step of it needs to know.
pub(crate) struct Launch<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) request: &'a Request,
    pub(crate) report: &'a dyn Report,
    /// What its things in the engine are called.
    pub(crate) names: Names,
    /// Its runtime directory, locked.
    pub(crate) directory: &'a SessionDir,
    /// Its name for people.
    pub(crate) name: String,
}

impl Launch<'_> {
    async fn start_and_run(
        &self,
        undo: &mut Undo,
        signals: &mut Signals,
        words: mpsc::Receiver<Word>,
    ) -> Result<Outcome> {
        let inside = Inside::of(self)?;
        self.report.step("preparing the images");
        let executable = image::of_this_process(&self.engine.docker).await?;
        signals.check()?;
        let image = inside.prepare(self, signals).await?;
        signals.check()?;
        let mut proxy = proxy::start(self, executable, undo, signals).await?;
        signals.check()?;
        self.report.step("starting the sandbox");
        let sandbox = sandbox::start(self, &inside, image, &proxy, undo, signals).await?;
        let record = self.record(&proxy)?;
        self.directory.announce(&record)?;
        self.report.ready(&record);
        // The sandbox is gone when this returns: nothing of it outlives its proxy.
        let outcome = sandbox.run(self, &mut proxy, signals, words).await;
        proxy.link.end().await;
        outcome
    }

    fn record(&self, proxy: &Proxy) -> Result<Record> {
        Ok(Record {
            version: Record::VERSION,
            id: self.names.id(),
            name: self.name.clone(),
            project_dir: Some(self.request.project.path().to_owned()),
            runtime: "docker".to_owned(),
            created: OffsetDateTime::now_utc().format(&Rfc3339)?,
            pid: std::process::id(),
            control: Control {
                socket: Some(self.directory.control_socket()),
                tcp: Some(proxy.control_tcp),
            },
            proxy: Doors {
                http: proxy.listening.http,
                socks5: None,
                dns: proxy.listening.dns,
            },
            sandbox: Some(self.names.sandbox()),
        })
    }
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
