//! Starting a session's proxy: the sandbox's network and the doors in it, the proxy's container,
//! its document, and the wait until it admits. What happens in the containers is not known here.

mod audit_file;
mod container;
mod far;
mod here;
mod holder;
mod host_ports;
mod lifeline;
mod link;
mod policy;
mod relay;
mod speech;
mod talk;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use time::OffsetDateTime;

use self::container::{AUDIT_DIR, DECISIONS_DIR, SOCKET_DIR};
use self::lifeline::Lifeline;
use super::docker::Containers;
use super::engine::Engine;
use super::image::Executable;
use super::labels::Names;
use super::session::Launch;
use super::signals::Signals;
use super::undo::Undo;
use super::{attach, image, mounted, pki};
use crate::api::enclosure::{MOST_HOST_DOORS, PLAIN_DOOR, TLS_DOOR, with_host_doors};
use crate::api::{
    AuditPlace, DecisionsPlace, Document, Doors, HostAccess, Identity, Listening, PolicyDocument,
    audit_file_name,
};
use crate::client::{Client, Ends};
use crate::config;

pub(crate) use self::here::start_here;
pub(crate) use self::link::Link;
pub(crate) use self::policy::Source;
use self::relay::Relay;

/// Seconds for which what runs on another machine waits for a launcher whose connection is lost.
const PATIENCE: u16 = 120;

/// A proxy that admits.
pub(crate) struct Proxy {
    /// Its lifeline, and the way to hear of its end.
    pub(crate) link: Link,
    /// The network that the sandbox will join, held by a container.
    _network: Option<Link>,
    _lifeline: Option<Lifeline>,
    /// The way to its control port, on another machine.
    _relay: Option<Relay>,
    /// Its doors.
    pub(crate) listening: Listening,
    /// Its control socket, unless it is on another machine.
    pub(crate) control_socket: Option<PathBuf>,
    /// Its control port as this machine sees it.
    pub(crate) control_tcp: SocketAddr,
}

/// Starts the proxy and waits until its control plane answers.
pub(crate) async fn start(
    containers: &Containers<'_>,
    executable: Executable,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Proxy> {
    if containers.engine.facts().remote {
        return far::start(containers, executable, undo, signals).await;
    }
    let (engine, names, launch) = (containers.engine, &containers.names, containers.launch);
    let audit = audit_dir(launch, undo)?;
    let socket_dir = launch.directory.socket_dir();
    let lifeline = Lifeline::hold(&socket_dir).context("the proxy's lifeline cannot be made")?;
    let decisions = decisions_dir(launch)?;
    let plan = container::Plan::Here {
        socket_dir: socket_dir.clone(),
        decisions: decisions.clone(),
        audit: audit.clone(),
    };
    let source = Source::new(&launch.request.policy, socket_dir);
    let policy = source.read().await?;
    let host_ports = with_doors(launch, &policy);
    let (network, (output, input)) =
        run(containers, &plan, &host_ports, executable, undo, signals).await?;
    let inspected = super::container::inspect(engine, &names.proxy()).await?;
    let control_tcp = container::published(&inspected)?;
    let minted = pki::mint(OffsetDateTime::now_utc())?;
    let document = Document {
        session: identity(containers),
        policy,
        doors: Doors::Held(PathBuf::from(holder::DOORS)),
        control: container::control(engine.facts(), &inspected)?,
        tls: Some(minted.server),
        decisions: Some(DecisionsPlace {
            directory: PathBuf::from(DECISIONS_DIR),
            shown: decisions,
            project: Some(config::project_slug(launch.request.project.path())),
        }),
        saved: Vec::new(),
        audit: Some(AuditPlace {
            directory: PathBuf::from(AUDIT_DIR),
            shown: audit,
        }),
        audit_over_output: false,
        patience: None,
        host: HostAccess::Sockets(PathBuf::from(SOCKET_DIR)),
        lifeline: Some(Path::new(SOCKET_DIR).join(lifeline::SOCKET)),
    };
    let mut link = Link::to_proxy(output, input, (document, source.into_reload()));
    let listening = signals.unless_called_off(link.ready()).await??;
    let client = Client::new(Ends {
        socket: Some(launch.directory.control_socket()),
        tcp: None,
    });
    answers(&client, signals).await?;
    launch.directory.write_credentials(&minted.client)?;
    Ok(Proxy {
        link,
        _network: Some(network),
        _lifeline: Some(lifeline),
        _relay: None,
        listening,
        control_socket: Some(launch.directory.control_socket()),
        control_tcp,
    })
}

/// The ports of the host that get doors of their own. The others are told of.
pub(crate) fn with_doors(launch: &Launch<'_>, policy: &PolicyDocument) -> Vec<u16> {
    let (with, without) = with_host_doors(&policy.allow_host_ports);
    // At these, doors read which host is meant.
    let read = [PLAIN_DOOR.port(), TLS_DOOR.port()];
    let without: Vec<_> = without
        .iter()
        .filter(|port| !read.contains(port))
        .map(u16::to_string)
        .collect();
    if !without.is_empty() {
        launch.report.warning(&format!(
            "allow_host_ports: {} of host.vibepit can be reached through the proxy alone: what \
             connects there by itself finds one of vibepit's own doors, or none, for there are {} \
             at the most",
            without.join(", "),
            MOST_HOST_DOORS
        ));
    }
    with
}

/// Who the session is, as its control plane tells it.
fn identity(containers: &Containers<'_>) -> Identity {
    Identity {
        id: containers.names.id().to_string(),
        name: containers.launch.name.clone(),
        project_dir: Some(containers.launch.request.project.path().to_owned()),
        runtime: "docker".to_owned(),
    }
}

async fn answers(client: &Client, signals: &mut Signals) -> Result<()> {
    signals
        .unless_called_off(client.health())
        .await?
        .context("the proxy says that it is ready, but its control plane does not")?;
    Ok(())
}

/// Makes both containers and runs them: the network's holder, whose doors are open then, and the
/// proxy, which has been told nothing yet.
async fn run(
    containers: &Containers<'_>,
    plan: &container::Plan,
    host_ports: &[u16],
    executable: Executable,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<(Link, (attach::Output, attach::Input))> {
    let (engine, names) = (containers.engine, &containers.names);
    containers.launch.report.step("starting the proxy");
    for (what, name) in [
        ("the sandbox's network", names.holder()),
        ("the proxy", names.proxy()),
    ] {
        let engine = engine.clone();
        undo.push(what, move || async move {
            super::container::remove(&engine, &name).await
        });
    }
    let mut prepared = Some(executable);
    super::container::create_from(
        async || match prepared.take() {
            Some(executable) => Ok(executable),
            None => image::of_this_process(&engine.docker).await,
        },
        async |executable| {
            // An image that a container holds is not pruned: what is missing is missing here.
            let project = containers.launch.request.project.path();
            let project = mounted::held(engine.facts(), project);
            holder::create(engine, names, plan, host_ports, project, &executable).await?;
            container::create(engine, names, plan, &executable).await
        },
    )
    .await
    .context("the proxy's containers could not be made")?;
    signals.check()?;
    let starting = async { tokio::try_join!(holder::start(engine, names), started(engine, names)) };
    signals.unless_called_off(starting).await?
}

/// Attaches to the proxy's container and starts it.
async fn started(engine: &Engine, names: &Names) -> Result<(attach::Output, attach::Input)> {
    let name = names.proxy();
    let streams = attach::attach(engine, &name).await?;
    engine
        .docker
        .start_container(&name, None)
        .await
        .context("the proxy's container could not be started")?;
    Ok(streams)
}

/// The directory of the session's audit files.
fn audit_dir(launch: &Launch<'_>, undo: &mut Undo) -> Result<PathBuf> {
    if let Some(instead) = &launch.request.throw_away {
        return own_dir(instead, "audit");
    }
    let file = audit_file_name(0);
    let directory = config::audit_dir(launch.id().as_str(), &file)?;
    let made = directory.clone();
    undo.push("the empty audit log", move || async move {
        Ok(config::discard_audit_dir(&made, &file)?)
    });
    Ok(directory)
}

/// The directory of saved decisions.
fn decisions_dir(launch: &Launch<'_>) -> Result<PathBuf> {
    match &launch.request.throw_away {
        Some(instead) => own_dir(instead, "decisions"),
        None => Ok(config::decisions_dir()?),
    }
}

/// A directory of a session that is thrown away.
fn own_dir(base: &Path, name: &str) -> Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    let directory = base.join(name);
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(&directory)
        .with_context(|| format!("{} cannot be made", directory.display()))?;
    Ok(directory)
}
