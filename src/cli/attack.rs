//! `attack`: what `doctor` runs in a throw-away sandbox. Not for people: its input says what to try.

use std::io::stdin;
use std::process::ExitCode;

use crate::attack;

use super::args::AttackArgs;
use super::failure::Failure;
use super::output::Output;

pub(super) fn run(args: &AttackArgs, out: &Output) -> Result<ExitCode, Failure> {
    if let Some(name) = &args.alone {
        let said = attack::alone(name)
            .ok_or_else(|| Failure::usage(format!("there is no try named {name:?}")))?;
        out.line(said)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut findings = Vec::new();
    attack::run(stdin().lock(), &mut findings)
        .map_err(|error| Failure::usage(format!("the targets cannot be read: {error}")))?;
    out.raw(&findings)?;
    Ok(ExitCode::SUCCESS)
}
