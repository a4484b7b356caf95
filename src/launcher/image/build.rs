//! The image of a sandbox that cannot have this machine's programs: built by the engine, from the
//! Dockerfile that comes with vibepit.

use std::collections::HashMap;
use std::io;

use anyhow::{Context, Result, bail};
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures_util::StreamExt;
use tar::{Builder, Header};

use super::super::engine::Engine;

/// What is built, and what is used where an image is needed and nobody named one.
pub const SANDBOX_IMAGE: &str = "vibepit-sandbox";

/// What it is built of.
const DOCKERFILE: &str = include_str!("../../../contrib/image/Dockerfile");

/// Builds the sandbox's image under this name. What the engine says meanwhile goes to `tell`, line by
/// line.
///
/// # Errors
///
/// When the engine cannot build it, in its own words.
pub async fn build_image(
    engine: &Engine,
    name: &str,
    arguments: &HashMap<String, String>,
    tell: &dyn Fn(&str),
) -> Result<()> {
    super::pull::check_name(name)?;
    build(&engine.docker, name, arguments, tell)
        .await
        .with_context(|| format!("the image {name} could not be built"))
}

async fn build(
    docker: &Docker,
    name: &str,
    arguments: &HashMap<String, String>,
    tell: &dyn Fn(&str),
) -> Result<()> {
    let options = BuildImageOptionsBuilder::default()
        .dockerfile("Dockerfile")
        .t(name)
        .buildargs(arguments)
        .rm(true)
        .forcerm(true)
        .build();
    let body = bollard::body_full(context()?.into());
    let mut answers = docker.build_image(options, None, Some(body));
    while let Some(answer) = answers.next().await {
        let answer = answer?;
        if let Some(why) = answer.error_detail.and_then(|error| error.message) {
            bail!("{}", why.trim());
        }
        let said = answer.stream.or(answer.status).unwrap_or_default();
        said.lines()
            .map(str::trim_end)
            .filter(|line| !line.is_empty())
            .for_each(tell);
    }
    // An engine that was stopped meanwhile says nothing more.
    match super::exists(docker, name).await? {
        true => Ok(()),
        false => bail!("the engine ended before it was done"),
    }
}

/// The Dockerfile, and nothing of this machine's.
fn context() -> io::Result<Vec<u8>> {
    let mut archive = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_mode(0o644);
    header.set_size(DOCKERFILE.len() as u64);
    archive.append_data(&mut header, "Dockerfile", DOCKERFILE.as_bytes())?;
    archive.into_inner()
}

/// The image for a sandbox where one is needed and nobody named one: that which was built, if the
/// engine has it.
///
/// # Errors
///
/// When the engine does not say.
pub async fn default_image(engine: &Engine) -> Result<Option<String>> {
    let there = super::exists(&engine.docker, SANDBOX_IMAGE).await?;
    Ok(there.then(|| SANDBOX_IMAGE.to_owned()))
}
