//! `image`: the image of sandboxes that cannot have this machine's programs.

use std::collections::HashMap;
use std::process::ExitCode;

use crate::launcher::{Engine, SANDBOX_IMAGE, Surroundings, build_image};

use super::agents;
use super::args::agents::ImageBuildArgs;
use super::failure::Failure;
use super::output::{Output, printable};

/// The build arguments of contrib/image/Dockerfile that are spoken of here.
const INSTALL: &str = "INSTALL";

pub(super) async fn build(args: &ImageBuildArgs, out: &Output) -> Result<ExitCode, Failure> {
    let mut arguments = args
        .build_arg
        .iter()
        .map(|text| argument(text))
        .collect::<Result<HashMap<_, _>, _>>()?;
    if !args.agent.is_empty() {
        if arguments.contains_key(INSTALL) {
            return Err(Failure::usage(
                "--build-arg INSTALL and --agent say the same: leave one of them out",
            ));
        }
        arguments.insert(INSTALL.to_owned(), installing(&args.agent)?);
    }
    let name = args.tag.as_deref().unwrap_or(SANDBOX_IMAGE);
    let engine = Engine::find(&Surroundings::of_this_process())
        .await
        .map_err(|error| {
            Failure::failed(error)
                .hint("an image is built by a container engine, and only needed with one")
        })?;
    out.note(format!(
        "vibepit: {} builds {}",
        engine.facts(),
        printable(name)
    ));
    let tell = |line: &str| out.note(printable(line));
    build_image(&engine, name, &arguments, &tell)
        .await
        .map_err(|error| {
            Failure::from(error).hint(
                "--build-arg BASE=IMAGE begins with another image, such as one of your own \
                 registry; contrib/image/Dockerfile says what else can be set",
            )
        })?;
    match out.json {
        true => out.json(&serde_json::json!({ "image": name }))?,
        false => out.line(printable(name))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// `NAME=VALUE`, or `NAME`, whose value is the environment's.
fn argument(text: &str) -> Result<(String, String), Failure> {
    let wrong = |why: &str| Failure::usage(format!("{text:?} is no build argument: {why}"));
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, value.to_owned()),
        None => {
            let value = std::env::var(text);
            (
                text,
                value.map_err(|_| wrong("it has no value, and is not set in your environment"))?,
            )
        }
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    match !name.is_empty() && name.bytes().all(fits) {
        true => Ok((name.to_owned(), value)),
        false => Err(wrong("write NAME=VALUE")),
    }
}

/// The command that installs agents.
fn installing(names: &[String]) -> Result<String, Failure> {
    let mut commands = Vec::new();
    for name in names {
        let agent = agents::find(name)?;
        let how = agent.install.ok_or_else(|| {
            Failure::usage(format!("the agent {name} does not say how it is installed"))
        })?;
        commands.push(how);
    }
    Ok(commands.join(" && "))
}
