//! Volumes of an engine's: made, found and removed. What is in them is not known here.

use std::collections::HashMap;

use anyhow::{Context, Result};
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder};

use super::engine::Engine;
use super::image::is_missing;
use super::undo::Undo;

/// Makes a volume.
pub(crate) async fn create(engine: &Engine, request: VolumeCreateRequest) -> Result<()> {
    let name = request.name.clone().unwrap_or_default();
    let made = engine.docker.create_volume(request).await;
    made.map(drop)
        .with_context(|| format!("the volume {name} could not be made"))
}

/// Removes a volume, if it is there.
pub(crate) async fn remove(engine: &Engine, name: &str) -> Result<()> {
    let options = RemoveVolumeOptionsBuilder::default().build();
    match engine.docker.remove_volume(name, Some(options)).await {
        Err(error) if !is_missing(&error) => {
            Err(error).with_context(|| format!("the volume {name} could not be removed"))
        }
        _ => Ok(()),
    }
}

/// Has a volume removed when what is made after this is gone.
pub(crate) fn remove_at_the_end(engine: &Engine, name: &str, what: &str, undo: &mut Undo) {
    let (engine, name) = (engine.clone(), name.to_owned());
    undo.push(what, move || async move { remove(&engine, &name).await });
}

/// The volumes with all of these labels.
pub(crate) async fn list(engine: &Engine, labels: &[String]) -> Result<Vec<Volume>> {
    let filters = HashMap::from([("label".to_owned(), labels.to_vec())]);
    let options = ListVolumesOptionsBuilder::default()
        .filters(&filters)
        .build();
    let listed = engine
        .docker
        .list_volumes(Some(options))
        .await
        .context("the engine does not list its volumes")?;
    Ok(listed.volumes.unwrap_or_default())
}
