//! `monitor`: starts the screen of every session.

use std::io::{self, BufRead, IsTerminal};
use std::process::ExitCode;
use std::thread;

use tokio::sync::mpsc;

use crate::monitor::{self, End, Paint};
use crate::overview::Overview;

use super::args::MonitorArgs;
use super::failure::Failure;
use super::output::Output;
use super::reach;

pub(super) async fn run(args: &MonitorArgs, out: &Output) -> Result<ExitCode, Failure> {
    if out.json {
        return Err(Failure::usage("the monitor is for people")
            .hint("vibepit pending --watch --json prints what waits as it comes"));
    }
    let overview = || Overview::new(Box::new(reach::connect)).map_err(Failure::failed);
    let end = if args.plain {
        monitor::plain(overview()?, commands(), |line| out.line(line)).await?
    } else {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        if dumb || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
            return Err(
                Failure::failed("the monitor needs a terminal that can move its cursor").hint(
                    "vibepit monitor --plain tells the same line by line; vibepit pending --watch, \
                 what waits in one session",
                ),
            );
        }
        let color = out.colored();
        monitor::run(overview()?, Paint { color }).await?
    };
    Ok(match end {
        End::Quit => ExitCode::SUCCESS,
        // As a shell says it.
        End::Signal(signal) => ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)),
        End::Panicked => ExitCode::FAILURE,
    })
}

/// The lines of standard input. The thread that reads them stays in its read, and ends with the
/// process.
fn commands() -> mpsc::Receiver<String> {
    let (tell, commands) = mpsc::channel(1);
    thread::spawn(move || {
        let lines = io::stdin().lock().lines();
        for line in lines.map_while(Result::ok) {
            if tell.blocking_send(line).is_err() {
                return;
            }
        }
    });
    commands
}
