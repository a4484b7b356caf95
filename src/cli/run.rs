//! `run`.

use std::process::ExitCode;

use super::args::RunArgs;
use super::failure::Failure;
use super::output::Output;

pub(super) async fn run(_args: RunArgs, _out: &Output) -> Result<ExitCode, Failure> {
    Err(Failure::failed("no runtime yet"))
}
