//! Starting a session's proxy: its network, its container, its document, and the wait until it
//! admits. What happens in the container is not known here.

mod container;
mod host_ports;
mod link;
mod network;
mod policy;

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use time::OffsetDateTime;

use self::container::{AUDIT_FILE, SOCKET_DIR};
use self::network::Addresses;
use super::docker::Launch;
use super::image::Executable;
use super::signals::Signals;
use super::undo::Undo;
use super::{attach, image, pki};
use crate::api::{Document, HostAccess, Identity, Listening};
use crate::client::{Client, Ends};
use crate::config;

pub(crate) use self::link::Link;
pub(crate) use self::network::remove as remove_network;

/// A proxy that admits.
pub(crate) struct Proxy {
    /// Its lifeline, and the way to hear of its end.
    pub(crate) link: Link,
    /// Its address on the session's network.
    pub(crate) address: Ipv4Addr,
    /// Its doors.
    pub(crate) listening: Listening,
    /// Its control port as this machine sees it.
    pub(crate) control_tcp: SocketAddr,
}

/// Starts the proxy and waits until its control plane answers.
pub(crate) async fn start(
    launch: &Launch<'_>,
    executable: Executable,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Proxy> {
    let (engine, names) = (launch.engine, &launch.names);
    let audit = audit_file(launch, undo)?;
    {
        let (engine, network) = (engine.clone(), names.network());
        undo.push("the session's network", move || async move {
            network::remove(&engine, &network).await
        });
    }
    network::create(engine, names).await?;
    signals.check()?;

    launch.report.step("starting the proxy");
    let name = names.proxy();
    {
        let (engine, name) = (engine.clone(), name.clone());
        undo.push("the proxy", move || async move {
            super::container::remove(&engine, &name).await
        });
    }
    let plan = container::Plan {
        socket_dir: launch.directory.socket_dir(),
        audit,
    };
    let mut prepared = Some(executable);
    super::container::create_from(
        async || match prepared.take() {
            Some(executable) => Ok(executable),
            None => image::of_this_process(&engine.docker).await,
        },
        |executable| container::create(engine, names, &plan, executable),
    )
    .await
    .context("the proxy's container could not be made")?;
    network::open_to_the_outside(engine, &name).await?;
    signals.check()?;

    let (output, input) = attach::attach(engine, &name).await?;
    engine
        .docker
        .start_container(&name, None)
        .await
        .context("the proxy's container could not be started")?;
    let inspected = super::container::inspect(engine, &name).await?;
    let addresses = Addresses::of(&inspected, names)?;
    let control_tcp = container::published(&inspected)?;
    let minted = pki::mint(OffsetDateTime::now_utc())?;
    let source = policy::Source::new(&launch.request.policy, launch.directory.socket_dir());
    let document = Document {
        session: Identity {
            id: names.id().to_string(),
            name: launch.name.clone(),
            project_dir: Some(launch.request.project.path().to_owned()),
            runtime: "docker".to_owned(),
        },
        policy: source.read().await?,
        doors: container::doors(addresses),
        control: container::control(addresses),
        tls: Some(minted.server),
        audit: Some(PathBuf::from(AUDIT_FILE)),
        host: HostAccess::Sockets(PathBuf::from(SOCKET_DIR)),
    };
    let mut link = Link::start(output, input, document, source.into_reload());
    let listening = signals.unless_called_off(link.ready()).await??;
    let client = Client::new(Ends {
        socket: Some(launch.directory.control_socket()),
        tcp: None,
    });
    signals
        .unless_called_off(client.health())
        .await?
        .context("the proxy says that it is ready, but its control plane does not")?;
    launch.directory.write_credentials(&minted.client)?;
    Ok(Proxy {
        link,
        address: addresses.inside,
        listening,
        control_tcp,
    })
}

/// The session's audit file, empty. It alone is mounted: other sessions' files are not the
/// proxy's to touch.
fn audit_file(launch: &Launch<'_>, undo: &mut Undo) -> Result<PathBuf> {
    let path = config::audit_file(launch.names.id().as_str())?;
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("the audit file {} cannot be made", path.display()))?;
    let made = path.clone();
    undo.push("the empty audit file", move || async move {
        // What was written to it stays: it is the record of what happened.
        if std::fs::metadata(&made).is_ok_and(|file| file.len() == 0) {
            std::fs::remove_file(&made)?;
        }
        Ok(())
    });
    Ok(path)
}
