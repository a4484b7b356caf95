//! A session's proxy as a process of this machine, for a sandbox that is on it too: the doors'
//! sockets are handed to it, and the rest is as in a container.

use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result};
use time::OffsetDateTime;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::super::pki;
use super::super::session::Launch;
use super::super::signals::Signals;
use super::super::undo::Undo;
use super::lifeline::{self, Lifeline};
use super::link::Link;
use super::{Proxy, Source, audit_dir, decisions_dir};
use crate::api::enclosure::DoorName;
use crate::api::{
    AuditPlace, ControlPoints, DecisionsPlace, Document, Doors, HostAccess, Identity,
    PolicyDocument,
};
use crate::client::{Client, Ends};
use crate::config;
use crate::transport::{handover, unix};

/// Where the proxy gets the doors, in the session's socket directory.
const DOORS: &str = "doors.sock";

/// Starts the proxy and waits until its control plane answers.
pub(crate) async fn start_here(
    launch: &Launch<'_>,
    doors: Vec<(DoorName, OwnedFd)>,
    (policy, source): (PolicyDocument, Source),
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Proxy> {
    let audit = audit_dir(launch, undo)?;
    let decisions = decisions_dir(launch)?;
    let socket_dir = launch.directory.socket_dir();
    let lifeline = Lifeline::hold(&socket_dir).context("the proxy's lifeline cannot be made")?;
    let minted = pki::mint(OffsetDateTime::now_utc())?;
    let document = Document {
        session: Identity {
            id: launch.id().to_string(),
            name: launch.name.clone(),
            project_dir: Some(launch.request.project.path().to_owned()),
            runtime: "local".to_owned(),
        },
        policy,
        doors: Doors::Held(socket_dir.join(DOORS)),
        control: ControlPoints {
            sockets: vec![launch.directory.control_socket()],
            tcp: Some(([127, 0, 0, 1], 0).into()),
        },
        tls: Some(minted.server),
        decisions: Some(DecisionsPlace {
            directory: decisions.clone(),
            shown: decisions,
            project: Some(config::project_slug(launch.request.project.path())),
        }),
        saved: Vec::new(),
        audit: Some(AuditPlace {
            directory: audit.clone(),
            shown: audit,
        }),
        audit_over_output: false,
        patience: None,
        host: HostAccess::Loopback,
        lifeline: Some(socket_dir.join(lifeline::SOCKET)),
    };
    let _handing_over = hand_over(&socket_dir.join(DOORS), doors)?;
    let process = Arc::new(Mutex::new(None::<Child>));
    {
        let process = Arc::clone(&process);
        undo.push("the proxy", move || async move {
            if let Some(mut child) = process.lock().await.take()
                && child.try_wait()?.is_none()
            {
                child.kill().await?;
            }
            Ok(())
        });
    }
    let mut child = Command::new("/proc/self/exe")
        .args(["proxy", "--stdin"])
        .env_clear()
        .current_dir("/")
        // A key pressed at our terminal is meant for the command.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the proxy could not be started")?;
    let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    *process.lock().await = Some(child);
    let (Some(input), Some(output), Some(error)) = streams else {
        anyhow::bail!("the proxy was started without its streams");
    };
    let mut link = Link::to_process((output, error), input, (document, source.into_reload()));
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
    let control_tcp = listening.tcp.context("the proxy has no control port")?;
    Ok(Proxy {
        link,
        _network: None,
        _lifeline: Some(lifeline),
        _relay: None,
        control_socket: Some(launch.directory.control_socket()),
        listening,
        control_tcp,
    })
}

/// Gives the doors' sockets to the first peer that may have them, and keeps none: when the proxy
/// ends, the sandbox is refused, instead of waiting in a queue that nobody serves.
fn hand_over(
    path: &std::path::Path,
    doors: Vec<(DoorName, OwnedFd)>,
) -> Result<JoinSet<Result<()>>> {
    let listener = unix::listen(path).context("the doors cannot be handed over")?;
    let path = path.to_owned();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let stream = handover::first_peer(listener, &path).await?;
        let named: Vec<_> = doors
            .iter()
            .map(|(name, socket)| (*name as u8, socket.as_fd()))
            .collect();
        Ok(handover::send(&stream, &named).await?)
    });
    Ok(task)
}
