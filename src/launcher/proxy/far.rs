//! A session's proxy on another machine. Nothing of this machine is mounted there: what the proxy
//! needs goes over its input, its audit lines come back over its output, and its control port is
//! reached through the engine.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use bollard::models::VolumeCreateRequest;
use time::OffsetDateTime;

use super::super::attach;
use super::super::docker::Containers;
use super::super::image::Executable;
use super::super::pki;
use super::super::request::Follow;
use super::super::session::Launch;
use super::super::signals::Signals;
use super::super::undo::Undo;
use super::super::volumes;
use super::audit_file::AuditFile;
use super::container::{self, CONTROL_PORT_NUMBER, SOCKET_DIR};
use super::link::Link;
use super::relay::Relay;
use super::talk::Far;
use super::{PATIENCE, Proxy, Source, answers, audit_dir, holder, identity, run};
use crate::api::{Document, Doors, HostAccess, PolicyDocument, Saved};
use crate::client::{Client, Ends, TlsEnd};
use crate::transport::tls;

/// Starts the proxy and waits until its control plane answers.
pub(super) async fn start(
    containers: &Containers<'_>,
    executable: Executable,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Proxy> {
    let (engine, names, launch) = (containers.engine, &containers.names, containers.launch);
    let audit = audit_dir(launch, undo)?;
    let volume = names.socket_volume();
    volumes::remove_at_the_end(engine, &volume, "the proxy's socket volume", undo);
    volumes::create(engine, socket_volume(containers, &volume)).await?;
    let plan = container::Plan::Far {
        socket_volume: volume,
    };
    let program = executable.program.clone();
    let (network, (output, input)) = run(containers, &plan, &[], executable, undo, signals).await?;
    let control = SocketAddr::from(([127, 0, 0, 1], CONTROL_PORT_NUMBER));
    let relay = Relay::open(engine, names.proxy(), program, control).await?;
    let minted = pki::mint(OffsetDateTime::now_utc())?;
    let source = Source::far(&launch.request.policy);
    let policy = source.read().await?;
    if !policy.allow_host_ports.is_empty() {
        launch.report.warning(&no_host_ports(&policy));
    }
    let (saved, follow) = saved(launch).await?;
    let inspected = super::super::container::inspect(engine, &names.proxy()).await?;
    let document = Document {
        session: identity(containers),
        policy,
        doors: Doors::Held(PathBuf::from(holder::DOORS)),
        control: container::control(engine.facts(), &inspected)?,
        tls: Some(minted.server),
        // They are saved on this side, by the client that decided.
        decisions: None,
        saved,
        audit: None,
        audit_over_output: true,
        patience: Some(PATIENCE),
        host: HostAccess::Sockets(PathBuf::from(SOCKET_DIR)),
        lifeline: None,
    };
    let audit = AuditFile::open(audit).context("the audit file cannot be opened")?;
    let again = attach::again(engine, names.proxy());
    let told = (document, source.into_reload());
    let far = Far {
        audit,
        saved: follow,
    };
    let mut link = Link::to_far_proxy(output, input, told, far, again);
    let listening = signals.unless_called_off(link.ready()).await??;
    let client = &minted.client;
    let config = tls::client_config(&client.ca, &client.cert, &client.key)?;
    let client = Client::new(Ends {
        socket: None,
        tcp: Some(TlsEnd {
            addr: relay.local,
            config,
        }),
    });
    answers(&client, signals).await?;
    launch.directory.write_credentials(&minted.client)?;
    Ok(Proxy {
        link,
        _network: Some(network),
        _lifeline: None,
        control_tcp: relay.local,
        _relay: Some(relay),
        listening,
        control_socket: None,
    })
}

/// What is saved on this machine, and what comes to be.
async fn saved(launch: &Launch<'_>) -> Result<(Vec<Saved>, Option<Follow>)> {
    let Some(decisions) = launch.request.decisions.clone() else {
        return Ok((Vec::new(), None));
    };
    // In this order nothing that is saved meanwhile is missed.
    let follow = decisions.follow()?;
    let saved = tokio::task::spawn_blocking(move || decisions.read()).await??;
    Ok((saved, Some(follow)))
}

fn no_host_ports(policy: &PolicyDocument) -> String {
    let ports: Vec<String> = policy.allow_host_ports.iter().map(u16::to_string).collect();
    format!(
        "allow_host_ports ({}) opens nothing here: the engine is on another machine, and the \
         services of this one's loopback are not reached from there",
        ports.join(", ")
    )
}

/// In memory, and open to the proxy's user alone.
fn socket_volume(containers: &Containers<'_>, name: &str) -> VolumeCreateRequest {
    let (uid, gid) = containers.engine.facts().user();
    let options = [
        ("type", "tmpfs".to_owned()),
        ("device", "tmpfs".to_owned()),
        ("o", format!("uid={uid},gid={gid},mode=0700,size=1m")),
    ];
    let options = options.map(|(name, value)| (name.to_owned(), value));
    VolumeCreateRequest {
        name: Some(name.to_owned()),
        driver_opts: Some(HashMap::from(options)),
        labels: Some(containers.names.labels("socket")),
        ..VolumeCreateRequest::default()
    }
}
