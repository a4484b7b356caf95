//! The images a session runs on: made here from what the machine has, or fetched by name.
//! Starts nothing.

mod base;
mod build;
mod executable;
mod pull;
mod tarball;

use anyhow::{Context, Result};
use bollard::Docker;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;

pub(crate) use base::{Home, base};
pub use build::{SANDBOX_IMAGE, build_image, default_image};
pub(crate) use executable::{Executable, Parts, of_this_process};
pub(crate) use pull::fetch;
use tarball::Tarball;

use super::labels;

/// Repository of the images that hold the proxy.
pub(crate) const PROXY: &str = "vibepit-proxy";
/// Repository of the skeletons that the host's userland is mounted into.
pub(crate) const BASE: &str = "vibepit-base";

/// An image that the engine has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Image(pub(crate) String);

/// Makes sure that the engine has this tarball as an image, tagged by its content.
async fn ensure(docker: &Docker, repository: &str, tarball: Tarball) -> Result<Image> {
    let image = Image(format!("{repository}:{}", tarball.digest()));
    if !exists(docker, &image.0).await? {
        import(docker, &image.0, tarball)
            .await
            .with_context(|| format!("the image {} could not be made", image.0))?;
    }
    Ok(image)
}

/// Whether the engine has an image by this name.
pub(crate) async fn exists(docker: &Docker, name: &str) -> Result<bool> {
    match docker.inspect_image(name).await {
        Ok(_) => Ok(true),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error).with_context(|| format!("the image {name} cannot be looked up")),
    }
}

/// The engine knows nothing by that name.
pub(crate) fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::DockerResponseServerError {
            status_code: 404,
            ..
        }
    )
}

/// Podman 4 takes the tag from the name alone, and one change, so there is one label.
async fn import(docker: &Docker, name: &str, tarball: Tarball) -> Result<()> {
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(name)
        .changes(vec![format!("LABEL {}=true", labels::OURS)])
        .build();
    let body = bollard::body_full(tarball.into_bytes());
    let mut answers = docker.create_image(Some(options), Some(body), None);
    while let Some(answer) = answers.next().await {
        answer?;
    }
    Ok(())
}
