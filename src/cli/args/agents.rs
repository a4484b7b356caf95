//! The arguments about agents, and about the image that has them.

use clap::{Args, Subcommand};

use crate::cli::examples;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ImageCommand {
    /// Build it: Debian with git, a compiler, Python, Node and the agents that are named.
    ///
    /// The engine builds it from contrib/image/Dockerfile, which is part of vibepit. It is used where
    /// an image is needed and none is named: with an engine on another machine. What is fetched
    /// comes from where the engine and the build arguments say.
    #[command(after_long_help = examples::IMAGE_BUILD)]
    Build(ImageBuildArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ImageBuildArgs {
    /// Install this agent; vibepit agents lists them.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) agent: Vec<String>,
    /// The image's name; without one, vibepit-sandbox, which is used by itself.
    #[arg(long, value_name = "TAG")]
    pub(in crate::cli) tag: Option<String>,
    /// A build argument, such as BASE=IMAGE, PACKAGES, NPM_CONFIG_REGISTRY or HTTPS_PROXY; a NAME
    /// alone passes your variable on.
    #[arg(long, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) build_arg: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AgentsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<AgentsCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AgentsCommand {
    /// Show what an agent is started with, and what of yours it is given.
    #[command(after_long_help = examples::AGENTS_SHOW)]
    Show(AgentsShowArgs),
    /// Say anew which files an agent is given to be signed in.
    ///
    /// Without an option it asks about each, on a terminal. Kept in agents.toml beside config.toml;
    /// a session that runs keeps what it has.
    #[command(after_long_help = examples::AGENTS_LOGIN)]
    Login(AgentsLoginArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AgentsShowArgs {
    /// The agent.
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct AgentsLoginArgs {
    /// The agent.
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
    /// Its sandboxes have this file itself, and may change it.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) share: Vec<String>,
    /// Its sandboxes get a copy of this file into their own home, where it is not there yet.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) copy: Vec<String>,
    /// Its sandboxes do without this file.
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) no: Vec<String>,
}
