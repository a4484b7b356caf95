//! A session without an engine: this machine's kernel parts the sandbox off. The steps of its start,
//! in order. What happens within the sandbox's namespaces is `inside`'s, and only spoken to here.

mod channel;
mod enclosure;
mod home;
mod kernel;
mod limits;
mod plan;
mod sandbox;
mod streams;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use anyhow::{Result, bail};

use self::enclosure::Enclosure;
use self::limits::Limits;
use super::attach;
use super::job::Spec;
use super::proxy;
use super::request::Purpose;
use super::sandbox::Inside;
use super::session::{self, Launch, Started};
use super::signals::Signals;
use super::undo::Undo;

pub use self::kernel::{LocalError, LocalFacts, possible};
pub(crate) use self::limits::sweep;
pub(crate) use self::sandbox::Sandbox;

/// Starts the sandbox, the proxy and then the command.
///
/// # Errors
///
/// When a step fails; a [`LocalError`] where this machine does not allow it at all.
pub(crate) async fn start(
    launch: &Launch<'_>,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Started> {
    let request = launch.request;
    if let Some(image) = &request.image {
        bail!(
            "the image {image:?} takes a container engine: without one a sandbox has this machine's \
             own programs; leave it out, or use --runtime docker"
        );
    }
    let inside = Inside::of(request)?;
    let source = proxy::Source::here(&request.policy);
    let policy = signals.unless_called_off(source.read()).await??;
    let host_ports = proxy::with_doors(launch, &policy);
    launch.report.step("starting the sandbox");
    let mut limits = Limits::of(launch.id().as_str());
    if let Some(group) = limits.group().cloned() {
        undo.push("the sandbox's control group", move || async move {
            Ok(group.end().await?)
        });
    }
    let (mut enclosure, doors) = {
        let starting = Enclosure::start(&host_ports, undo);
        signals.unless_called_off(starting).await??
    };
    if let Some(process) = enclosure.process.id().await {
        limits.hold(process);
    }
    let plan = plan::of(request, &inside, &limits)?;
    enclosure.tell(&plan).await?;
    launch.report.step("starting the proxy");
    let proxy = proxy::start_here(launch, doors, (policy, source), undo, signals).await?;
    signals.unless_called_off(enclosure.ready()).await??;
    // What is mounted is what was looked at: the inside has seen to that. What is hidden in it may
    // have come or gone meanwhile, and no command has seen it yet.
    request.project.still_there()?;
    let environment = inside.environment(request, &proxy.listening, true, false)?;
    let sandbox = Sandbox::new(enclosure, environment, limits);
    let main = match request.purpose {
        Purpose::Keep => sandbox.life(),
        Purpose::Command => {
            let terminal = request
                .terminal()
                .then(|| attach::size().unwrap_or((24, 80)));
            let term = std::env::var("TERM").ok().filter(|_| terminal.is_some());
            let spec = Spec {
                command: inside.command.clone(),
                env: term
                    .map(|term| format!("TERM={term}"))
                    .into_iter()
                    .collect(),
                directory: request.project.path().to_owned(),
                terminal,
            };
            signals.unless_called_off(sandbox.exec(&spec)).await??
        }
    };
    Ok(Started {
        proxy,
        sandbox: Arc::new(session::Sandbox::Local(sandbox)),
        main,
    })
}
