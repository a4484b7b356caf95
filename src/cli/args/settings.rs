//! Presets, trust and the configuration.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::super::examples;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(in crate::cli) struct PresetsArgs {
    #[command(subcommand)]
    pub(in crate::cli) command: Option<PresetsCommand>,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum PresetsCommand {
    /// Show what a preset opens, and who says that it is needed.
    ///
    /// A preset of a tool asks it anew.
    #[command(after_long_help = examples::PRESETS_SHOW)]
    Show(PresetsShowArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PresetsShowArgs {
    /// Which preset.
    #[arg(value_name = "NAME")]
    pub(in crate::cli) name: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TrustArgs {
    /// The project: a directory; its git root is what is meant.
    #[arg(value_name = "PATH")]
    pub(in crate::cli) path: Option<PathBuf>,
    /// Only show the file, beside what was trusted last.
    #[arg(long)]
    pub(in crate::cli) show: bool,
    /// Trust it no more.
    #[arg(long, conflicts_with_all = ["show", "yes"])]
    pub(in crate::cli) revoke: bool,
    /// Do not ask.
    #[arg(long, conflicts_with = "show")]
    pub(in crate::cli) yes: bool,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum ConfigCommand {
    /// Write a configuration to begin with, in which every line is a comment.
    ///
    /// One that is there stays as it is.
    #[command(after_long_help = examples::CONFIG_INIT)]
    Init,
    /// Show what files say in a project; with --effective, all that holds in a session of it.
    #[command(after_long_help = examples::CONFIG_SHOW)]
    Show(ConfigShowArgs),
    /// Say whether a configuration can be used; errors name line and column.
    #[command(after_long_help = examples::CONFIG_CHECK)]
    Check(ConfigCheckArgs),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigCheckArgs {
    /// The file; without one, the person's own.
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConfigShowArgs {
    /// Also presets, host by host, saved decisions, and what nobody has said otherwise.
    #[arg(long)]
    pub(in crate::cli) effective: bool,
    /// The project: a directory; its git root is what is meant.
    #[arg(value_name = "PATH")]
    pub(in crate::cli) path: Option<PathBuf>,
}
