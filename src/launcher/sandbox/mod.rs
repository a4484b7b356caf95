//! The sandbox: what it is made of, what it sees of the machine, and its command while it runs.

mod container;
mod environment;
mod home;
mod running;
mod userland;
mod volume;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tokio::sync::mpsc;

use self::environment::Environment;
use self::volume::Volume;
use super::attach::{self, Word};
use super::docker::Launch;
use super::image::{self, Home, Image};
use super::proxy::Proxy;
use super::request::{CannotRun, Outcome};
use super::signals::Signals;
use super::undo::Undo;

pub use self::environment::{Variable, VariableError};
pub(crate) use self::userland::Userland;
pub use self::volume::{VolumeError, VolumeSpec};

/// What a sandbox will see, looked up and judged before anything is made.
pub(crate) struct Inside {
    /// The host's programs; none when the person named an image.
    userland: Option<Userland>,
    home: PathBuf,
    home_volume: String,
    volumes: Vec<Volume>,
    command: Vec<String>,
}

impl Inside {
    /// Judges what the person asked for.
    pub(crate) fn of(launch: &Launch<'_>) -> Result<Self> {
        let request = launch.request;
        let project = request.project.path();
        let mut inside = Self {
            userland: request.image.is_none().then(Userland::of_host),
            home: home::path(request.home.as_deref()),
            home_volume: home::volume_name(project),
            volumes: Vec::new(),
            command: request.command.clone(),
        };
        if inside.command.is_empty() && request.image.is_none() {
            inside.command = vec![shell()];
        }
        let taken = container::targets(&inside, project, request.project.meta());
        for spec in &request.volumes {
            inside
                .volumes
                .push(spec.resolve(&request.off_limits, &taken)?);
        }
        Ok(inside)
    }

    /// Makes sure that the engine has the image and the home volume.
    pub(crate) async fn prepare(
        &self,
        launch: &Launch<'_>,
        signals: &mut Signals,
    ) -> Result<Image> {
        let engine = launch.engine;
        home::ensure(engine, &self.home_volume, launch.request.project.path()).await?;
        let Some(name) = &launch.request.image else {
            return self.base(launch).await;
        };
        super::container::create_from(
            || self.base(launch),
            |base| home::hand_over(engine, &launch.names, base, &self.home_volume, &self.home),
        )
        .await?;
        signals.check()?;
        let pull = image::fetch(&engine.docker, name, launch.report);
        signals.unless_called_off(pull).await?
    }

    async fn base(&self, launch: &Launch<'_>) -> Result<Image> {
        let home = Home {
            path: self.home.clone(),
            directories: home::between(&self.home, launch.request.project.path()),
            owner: launch.engine.facts().user(),
        };
        let nothing = Userland::default();
        let userland = self.userland.as_ref().unwrap_or(&nothing);
        image::base(&launch.engine.docker, userland, &home).await
    }
}

/// A command that has been started.
pub(crate) struct Sandbox {
    name: String,
    terminal: bool,
    output: attach::Output,
    input: attach::Input,
}

/// Starts the command. The proxy admits by now.
pub(crate) async fn start(
    launch: &Launch<'_>,
    inside: &Inside,
    image: Image,
    proxy: &Proxy,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Sandbox> {
    let engine = launch.engine;
    let name = launch.names.sandbox();
    let terminal = attach::is_interactive().then(|| attach::size().unwrap_or((24, 80)));
    let environment = Environment {
        proxy: proxy.listening.http.context("the proxy has no HTTP door")?,
        home: &inside.home,
        host_path: inside
            .userland
            .is_some()
            .then(|| std::env::var("PATH").unwrap_or_default()),
        term: std::env::var("TERM").ok().filter(|_| terminal.is_some()),
        variables: &launch.request.env,
    };
    let plan = container::Plan {
        inside,
        project: launch.request.project.path(),
        meta: launch.request.project.meta(),
        resolv_conf: resolv_conf(launch, proxy)?,
        env: environment.list(),
        terminal,
    };
    {
        let (engine, name) = (engine.clone(), name.clone());
        undo.push("the sandbox", move || async move {
            super::container::remove(&engine, &name).await
        });
    }
    let mut prepared = Some(image);
    super::container::create_from(
        async || match prepared.take() {
            Some(image) => Ok(image),
            None => inside.prepare(launch, signals).await,
        },
        |image| {
            super::container::create_with_init(
                engine,
                &name,
                plan.body(engine.facts(), &launch.names, image),
                launch.report,
            )
        },
    )
    .await
    .context("the sandbox's container could not be made")?;
    signals.check()?;
    let command = inside.command.first().map_or("", String::as_str);
    let (output, input) = attach::attach(engine, &name)
        .await
        .map_err(|error| about_command(command, error))?;
    running::start(engine, &name, command).await?;
    Ok(Sandbox {
        name,
        terminal: terminal.is_some(),
        output,
        input,
    })
}

impl Sandbox {
    /// Joins our streams to the command's until it has ended, and takes its container away.
    pub(crate) async fn run(
        self,
        launch: &Launch<'_>,
        proxy: &mut Proxy,
        signals: &mut Signals,
        words: mpsc::Receiver<Word>,
    ) -> Result<Outcome> {
        let running = running::Running {
            engine: launch.engine,
            sandbox: &self.name,
            terminal: self.terminal,
            report: launch.report,
        };
        let outcome = running
            .run(self.output, self.input, &mut proxy.link, signals, words)
            .await;
        // What cannot be removed now is tried again, and told, by the undo stack.
        let _ = super::container::remove(launch.engine, &self.name).await;
        outcome
    }
}

/// An engine that says at the attachment what it says of a command that cannot be run.
fn about_command(command: &str, error: anyhow::Error) -> anyhow::Error {
    let refused = error.downcast_ref::<attach::Refused>();
    let cannot = refused.and_then(|refused| CannotRun::read(command, &refused.message));
    cannot.map_or(error, Into::into)
}

/// The person's shell, if the sandbox has it too.
fn shell() -> String {
    let own = std::env::var("SHELL").unwrap_or_default();
    let trees = ["/bin/", "/usr/", "/opt/", "/nix/store/"];
    let visible = |shell: &&str| {
        trees.iter().any(|tree| shell.starts_with(tree)) && Path::new(shell).is_file()
    };
    [own.as_str(), "/bin/bash"]
        .into_iter()
        .find(visible)
        .unwrap_or("/bin/sh")
        .to_owned()
}

/// The file that makes the proxy the sandbox's name server. An engine would write the host's own
/// ones into it, which nobody reaches from there.
fn resolv_conf(launch: &Launch<'_>, proxy: &Proxy) -> Result<PathBuf> {
    let server = proxy
        .listening
        .dns
        .context("the proxy has no name server")?;
    let path = launch.directory.resolv_conf();
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(&path)
        .and_then(|mut file| writeln!(file, "nameserver {}", server.ip()))
        .with_context(|| format!("{} could not be written", path.display()))?;
    Ok(path)
}
