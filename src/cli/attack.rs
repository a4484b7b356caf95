//! What a launcher runs in a sandbox to see whether it holds. Not a command for people, so not one of
//! clap's: it has no page, and no shell completes it.

use std::io::{Write, stderr, stdin, stdout};
use std::process::ExitCode;

use crate::attack;

use super::failure::Kind;

/// Runs it, if it is what the arguments ask for.
pub(super) fn run() -> Option<ExitCode> {
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["attack", "--stdin"] => Some(attacked()),
        ["attack", "--alone", name] => Some(alone(name)),
        // A project of this name, say.
        _ => None,
    }
}

fn attacked() -> ExitCode {
    let mut findings = Vec::new();
    match attack::run(stdin().lock(), &mut findings) {
        Ok(()) => written(&findings),
        Err(error) => {
            let said = writeln!(stderr().lock(), "the targets cannot be read: {error}");
            // Whoever does not listen is told by the exit code.
            drop(said);
            ExitCode::from(Kind::Usage as u8)
        }
    }
}

fn alone(name: &str) -> ExitCode {
    match attack::alone(name) {
        Some(said) => written(format!("{said}\n").as_bytes()),
        None => ExitCode::from(Kind::Usage as u8),
    }
}

fn written(bytes: &[u8]) -> ExitCode {
    let mut stdout = stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
