//! `completions`: made from the arguments' own definitions.

use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{Cli, CompletionsArgs};
use super::failure::Failure;
use super::output::Output;

pub(super) fn run(args: &CompletionsArgs, out: &Output) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vibepit", &mut script);
    out.raw(&script)?;
    Ok(ExitCode::SUCCESS)
}
