//! `prune`.

use std::process::ExitCode;

use super::args::PruneArgs;
use super::failure::Failure;
use super::output::Output;

pub(super) async fn run(_args: &PruneArgs, _out: &Output) -> Result<ExitCode, Failure> {
    Err(Failure::failed("no runtime yet"))
}
