//! The last step of a command that gets a terminal: a session of its own, the terminal as its
//! controlling one, then the command in the place of this process.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::stdio::dup2_stdout;

/// Begins the command. Standard input and error are the terminal; standard output is where it is
/// said why not, as the number of an error where there is one.
pub fn take_terminal(words: &[&str]) -> ExitCode {
    let Ok(mut report) = io::stdout()
        .as_fd()
        .try_clone_to_owned()
        .map(std::fs::File::from)
    else {
        return ExitCode::FAILURE;
    };
    let error = begin(words);
    let _ = match error.raw_os_error() {
        Some(number) => write!(report, "{number}"),
        None => write!(report, "{error}"),
    };
    ExitCode::FAILURE
}

/// Returns only when the command did not begin.
fn begin(words: &[&str]) -> io::Error {
    let prepare = || {
        dup2_stdout(io::stdin())?;
        setsid()?;
        ioctl_tiocsctty(io::stdin())
    };
    if let Err(error) = prepare() {
        return error.into();
    }
    match words.split_first() {
        Some((program, arguments)) => Command::new(program).args(arguments).exec(),
        None => io::ErrorKind::NotFound.into(),
    }
}
