//! A session in containers: the steps of its start, in order.

use std::sync::Arc;

use anyhow::{Result, bail};

use super::engine::Engine;
use super::image;
use super::labels::Names;
use super::proxy;
use super::request::Request;
use super::sandbox::{self, Inside};
use super::session::{Launch, Sandbox, Started};
use super::signals::Signals;
use super::undo::Undo;

/// A start on an engine.
pub(crate) struct Containers<'a> {
    pub(crate) launch: &'a Launch<'a>,
    pub(crate) engine: &'a Engine,
    /// What its things in the engine are called.
    pub(crate) names: Names,
}

/// Starts the proxy, and then the sandbox with its command.
pub(crate) async fn start(
    launch: &Launch<'_>,
    engine: &Engine,
    undo: &mut Undo,
    signals: &mut Signals,
) -> Result<Started> {
    let request = launch.request;
    judge(engine, request)?;
    let containers = Containers {
        launch,
        engine,
        names: Names::new(
            launch.id(),
            request.project.path(),
            request.runtime_dir.path(),
        ),
    };
    let inside = Inside::of(request)?;
    launch.report.step("preparing the images");
    let executable = image::of_this_process(&engine.docker).await?;
    signals.check()?;
    let image = inside.prepare(&containers, signals).await?;
    signals.check()?;
    let proxy = proxy::start(&containers, executable, undo, signals).await;
    // Before the engine's word: that it cannot mount what is there now is a consequence.
    request.project.still_there()?;
    let proxy = proxy?;
    signals.check()?;
    launch.report.step("starting the sandbox");
    let (sandbox, main) =
        sandbox::start(&containers, &inside, image, &proxy, undo, signals).await?;
    Ok(Started {
        proxy,
        sandbox: Arc::new(Sandbox::Docker(sandbox)),
        main,
    })
}

/// Whether what was asked for can be had where the engine is.
fn judge(engine: &Engine, request: &Request) -> Result<()> {
    let facts = engine.facts();
    if !facts.remote {
        if let Some(path) = &request.remote_path {
            bail!(
                "--remote-path {} is for an engine on another machine, and {facts} is on this one; \
                 leave it out",
                path.display()
            );
        }
        return Ok(());
    }
    if request.image.is_none() {
        bail!(
            "{facts} is not on this machine, so its sandboxes cannot have this machine's programs; \
             name an image: --image debian:12; or vibepit image build, whose image is used where \
             none is named"
        );
    }
    if !request.volumes.is_empty() {
        bail!(
            "{facts} is not on this machine, so nothing of this machine can be mounted there; leave \
             --volume out"
        );
    }
    Ok(())
}
