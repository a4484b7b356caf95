//! The sandbox: what it is made of, what it sees of the machine, and its command while it runs.

mod announced;
mod container;
mod environment;
pub(super) mod equipment;
mod exec;
mod further;
mod home;
mod userland;
mod volume;

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use tokio::io::{AsyncRead, AsyncWrite};

use self::container::ProjectSource;
use self::environment::Environment;
use self::volume::Volume;
use super::attach;
use super::copy;
use super::docker::Containers;
use super::engine::{Engine, Kind};
use super::filter;
use super::image::{self, Home, Image};
use super::job::{Job, Output, Spec};
use super::login;
use super::mounted;
use super::proxy::Proxy;
use super::request::{CannotRun, Purpose, Request};
use super::session::Launch;
use super::signals::Signals;
use super::undo::Undo;
use crate::api::Listening;

pub(super) use self::container::SCRATCH;
pub use self::environment::{Variable, VariableError, sees_program};
pub(crate) use self::userland::Userland;
pub use self::volume::{VolumeError, VolumeSpec};

/// What a sandbox will see, looked up and judged before anything is made.
pub(crate) struct Inside {
    /// The host's programs; none when the person named an image.
    pub(super) userland: Option<Userland>,
    pub(super) home: PathBuf,
    /// Without one, a home that goes with the sandbox.
    home_volume: Option<String>,
    pub(super) volumes: Vec<Volume>,
    pub(super) command: Vec<String>,
}

impl Inside {
    /// Judges what the person asked for.
    pub(crate) fn of(request: &Request) -> Result<Self> {
        let project = request.project.path();
        let mut inside = Self {
            userland: request.image.is_none().then(Userland::of_host),
            home: home::path(request.home.as_deref()),
            home_volume: request
                .throw_away
                .is_none()
                .then(|| home::volume_name(project, request.agent.as_deref())),
            volumes: Vec::new(),
            command: request.command.clone(),
        };
        match request.purpose {
            Purpose::Command if inside.command.is_empty() && request.image.is_none() => {
                inside.command = vec![request.shell()];
            }
            Purpose::Command => {}
            Purpose::Keep => inside.command = WAIT.map(str::to_owned).to_vec(),
        }
        let taken = container::targets(&inside, project, request.project.meta());
        let login = login::shared(request, &inside.home)?;
        for spec in request.volumes.iter().chain(&login) {
            inside
                .volumes
                .push(spec.resolve(&request.off_limits, &taken)?);
        }
        Ok(inside)
    }

    /// `NAME=VALUE`, what every command in the sandbox has.
    pub(super) fn environment(
        &self,
        request: &Request,
        doors: &Listening,
        equipped: bool,
        terminal: bool,
    ) -> Result<Vec<String>> {
        let environment = Environment {
            proxy: doors.http.context("the proxy has no HTTP door")?,
            socks5: doors.socks5,
            equipped,
            home: &self.home,
            host_path: self
                .userland
                .is_some()
                .then(|| std::env::var("PATH").unwrap_or_default()),
            term: std::env::var("TERM").ok().filter(|_| terminal),
            variables: &request.env,
        };
        Ok(environment.list())
    }

    /// Makes sure that the engine has the image and the home volume.
    pub(crate) async fn prepare(
        &self,
        containers: &Containers<'_>,
        signals: &mut Signals,
    ) -> Result<Image> {
        let (engine, launch) = (containers.engine, containers.launch);
        if let Some(volume) = &self.home_volume {
            home::ensure(engine, volume, launch.request.project.path()).await?;
        }
        let Some(name) = &launch.request.image else {
            return self.base(containers).await;
        };
        if let Some(volume) = &self.home_volume {
            super::container::create_from(
                || self.base(containers),
                |base| home::hand_over(engine, &containers.names, base, volume, &self.home),
            )
            .await?;
        }
        signals.check()?;
        let pull = image::fetch(&engine.docker, name, launch.report);
        signals.unless_called_off(pull).await?
    }

    async fn base(&self, containers: &Containers<'_>) -> Result<Image> {
        let home = Home {
            path: self.home.clone(),
            directories: home::between(&self.home, containers.launch.request.project.path()),
            owner: containers.engine.facts().user(),
        };
        let nothing = Userland::default();
        let userland = self.userland.as_ref().unwrap_or(&nothing);
        image::base(&containers.engine.docker, userland, &home).await
    }
}

/// What keeps a container there that has no command of its own: a shell that waits for an input
/// which never comes. The engine ends that input when its launcher is gone, however it went.
const WAIT: [&str; 3] = ["/bin/sh", "-c", "read -r nothing"];

/// A container in which commands are run.
pub(crate) struct Sandbox {
    engine: Engine,
    name: String,
}

/// Starts the container and its command. The proxy admits by now.
pub(crate) async fn start(
    containers: &Containers<'_>,
    inside: &Inside,
    image: Image,
    proxy: &Proxy,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<(Sandbox, Job)> {
    let (engine, launch) = (containers.engine, containers.launch);
    let name = containers.names.sandbox();
    let terminal = launch
        .request
        .terminal()
        .then(|| attach::size().unwrap_or((24, 80)));
    let remote = engine.facts().remote;
    let environment = inside.environment(
        launch.request,
        &proxy.listening,
        !remote,
        terminal.is_some(),
    )?;
    let mut kept = None;
    let source = match (&launch.request.remote_path, remote) {
        (_, false) => match mounted::held_volume(containers).await? {
            Some(volume) => ProjectSource::Volume(volume),
            None => ProjectSource::Here,
        },
        (Some(directory), true) => ProjectSource::Far(directory.clone()),
        (None, true) => {
            let volume = containers.names.project_volume();
            let made = copy::make_volume(containers, &volume, undo).await?;
            give_away(containers, &volume).await?;
            // Nobody works in a sandbox that is thrown away.
            kept = launch.request.throw_away.is_none().then_some(made);
            ProjectSource::Volume(volume)
        }
    };
    let plan = container::Plan {
        inside,
        project: launch.request.project.path(),
        source,
        // Of another machine's project nothing is read here, and a copy is made without them.
        meta: launch.request.project.meta().filter(|_| !remote),
        // There, the one of the network's holder.
        resolv_conf: match remote {
            true => None,
            false => Some(resolv_conf(launch, proxy)?),
        },
        equipment: match remote {
            true => Vec::new(),
            false => equipment::binds(launch, inside)?,
        },
        filter: filter::option_by_file(engine.facts(), &launch.directory.filter())
            .context("the filter of the sandbox's kernel calls could not be written")?,
        env: environment,
        kept: launch.request.purpose == Purpose::Keep,
        terminal,
    };
    {
        let (engine, name) = (engine.clone(), name.clone());
        undo.push("the sandbox", move || async move {
            super::container::remove(&engine, &name).await
        });
    }
    let mut prepared = Some(image);
    let made = super::container::create_from(
        async || match prepared.take() {
            Some(image) => Ok(image),
            None => inside.prepare(containers, signals).await,
        },
        |image| {
            super::container::create_with_init(
                engine,
                &name,
                plan.body(engine.facts(), &containers.names, image),
                launch.report,
            )
        },
    )
    .await;
    // Before the engine's word: that it cannot mount what is there now is a consequence.
    let project = &launch.request.project;
    project.still_there()?;
    made.context("the sandbox's container could not be made")?;
    signals.check()?;
    login::put_into(engine, &name, launch.request, &inside.home).await?;
    if kept.is_some() {
        launch.report.step("copying the project");
        let copying = copy::upload(engine, &name, project, launch.id());
        signals.unless_called_off(copying).await??;
    }
    let command = inside.command.first().map_or("", String::as_str);
    let (output, input) = match attach::attach(engine, &name).await {
        Ok(streams) => streams,
        Err(error) => {
            project.still_there()?;
            return Err(about_command(command, error));
        }
    };
    // Podman has made the container whole with that, and its command does not run yet.
    let is_made = engine.facts().kind == Kind::Podman;
    if is_made {
        mounted::check(containers, &name).await?;
    }
    let started = exec::start_container(engine, &name, command).await;
    match &started {
        Ok(()) if is_made => {}
        Ok(()) => mounted::check(containers, &name).await?,
        Err(_) => project.still_there()?,
    }
    started?;
    if let Some(kept) = kept {
        kept.keep();
        launch.report.warning(
            "the command works on a copy of the project on the engine's machine; vibepit pull \
             brings here what it changes, also when the session is over",
        );
    }
    type Streams = (
        Box<dyn AsyncRead + Send + Unpin>,
        Box<dyn AsyncWrite + Send + Unpin>,
    );
    let (output, input): Streams = match terminal {
        Some(_) if remote => {
            let (output, input) = attach::lasting(engine, name.clone(), output, input);
            (Box::new(output), Box::new(input))
        }
        _ => (Box::new(output), Box::new(input)),
    };
    let (output, refusal) = attach::BesideInit::new(output, terminal.is_none());
    let engine = engine.clone();
    let control = exec::MainCommand::new(engine.clone(), name.clone(), command, refusal);
    let job = Job {
        output: match terminal {
            Some(_) => Output::Terminal(Box::new(output)),
            None => Output::Framed(Box::new(output)),
        },
        input,
        control: Box::new(control),
    };
    Ok((Sandbox { engine, name }, job))
}

impl Sandbox {
    /// The container's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Starts a further command in it.
    pub(crate) async fn exec(&self, spec: &Spec) -> Result<Job> {
        further::start(&self.engine, &self.name, spec).await
    }

    /// Ends what runs in it, and takes the container away.
    pub(crate) async fn end(&self) -> Result<()> {
        super::container::remove(&self.engine, &self.name).await
    }
}

/// Gives the new volume of a copy to the sandbox's user: an archive that is put there says nothing
/// of the directory that it is put into.
async fn give_away(containers: &Containers<'_>, volume: &str) -> Result<()> {
    let (engine, names) = (containers.engine, &containers.names);
    let project = containers.launch.request.project.path();
    let place = Home {
        path: project.to_owned(),
        directories: Vec::new(),
        owner: engine.facts().user(),
    };
    let nothing = Userland::default();
    super::container::create_from(
        || image::base(&engine.docker, &nothing, &place),
        |base| home::hand_over(engine, names, base, volume, project),
    )
    .await
}

/// An engine that says at the attachment what it says of a command that cannot be run.
fn about_command(command: &str, error: anyhow::Error) -> anyhow::Error {
    let refused = error.downcast_ref::<attach::Refused>();
    let cannot = refused.and_then(|refused| CannotRun::read(command, &refused.message));
    cannot.map_or(error, Into::into)
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
