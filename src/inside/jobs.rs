//! The commands of a sandbox: starting them, with a terminal of the sandbox's own or without,
//! signalling them, and telling how they ended.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};

use crate::api::enclosure::{CommandLine, FromEnclosure, OWN_EXECUTABLE};

/// The commands that run.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    by_pid: HashMap<Pid, Running>,
}

#[derive(Debug)]
struct Running {
    job: u64,
    /// The side of its terminal that it does not have.
    terminal: Option<OwnedFd>,
}

/// Why a command does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cannot {
    /// What a shell would exit with.
    exit_code: u8,
    why: String,
}

impl Cannot {
    /// The line that says so.
    pub(super) fn of(self, job: u64) -> FromEnclosure {
        FromEnclosure::CannotRun {
            job,
            exit_code: self.exit_code,
            why: self.why,
        }
    }

    /// What exec(2) says of a program.
    fn run(error: &io::Error) -> Self {
        let (exit_code, why) = match error.kind() {
            io::ErrorKind::NotFound => (127, "there is no such program".to_owned()),
            io::ErrorKind::PermissionDenied => (126, "it is not executable".to_owned()),
            _ => (126, error.to_string()),
        };
        Self { exit_code, why }
    }

    fn other(error: impl Into<io::Error>) -> Self {
        Self {
            exit_code: 126,
            why: error.into().to_string(),
        }
    }
}

impl Jobs {
    /// Starts a command on these: its standard input, output and error.
    pub(super) fn start(
        &mut self,
        job: u64,
        line: &CommandLine,
        streams: [OwnedFd; 3],
    ) -> Result<(), Cannot> {
        let Some((program, arguments)) = line.words.split_first() else {
            return Err(Cannot::run(&io::ErrorKind::NotFound.into()));
        };
        let [input, output, error] = streams.map(Stdio::from);
        let mut command = in_place(program, line)?;
        let child = command
            .args(arguments)
            .stdin(input)
            .stdout(output)
            .stderr(error)
            // Whoever signals its own group signals nobody else's.
            .process_group(0)
            .spawn()
            .map_err(|error| Cannot::run(&error))?;
        self.remember(child.id(), job, None)
    }

    /// Starts a command in a session of its own at a new terminal, whose other side is returned.
    pub(super) fn start_at_terminal(
        &mut self,
        job: u64,
        line: &CommandLine,
    ) -> Result<OwnedFd, Cannot> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let terminal = openpt(flags).map_err(Cannot::other)?;
        unlockpt(&terminal).map_err(Cannot::other)?;
        if let Some((rows, columns)) = line.terminal {
            let size = Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            tcsetwinsize(&terminal, size).map_err(Cannot::other)?;
        }
        let side = ioctl_tiocgptpeer(&terminal, flags).map_err(Cannot::other)?;
        let (mut report, end) = io::pipe().map_err(Cannot::other)?;
        let child = in_place(OWN_EXECUTABLE, line)?
            .args(["inside", "terminal", "--"])
            .args(&line.words)
            .stdin(Stdio::from(side.try_clone().map_err(Cannot::other)?))
            .stdout(Stdio::from(end))
            .stderr(Stdio::from(side))
            .spawn()
            .map_err(Cannot::other)?;
        // It ends without a word when the command begins.
        let mut said = String::new();
        report.read_to_string(&mut said).map_err(Cannot::other)?;
        if !said.is_empty() {
            let error = said
                .parse()
                .map_or_else(|_| io::Error::other(said), io::Error::from_raw_os_error);
            return Err(Cannot::run(&error));
        }
        let other = terminal.try_clone().map_err(Cannot::other)?;
        self.remember(child.id(), job, Some(other))?;
        Ok(terminal)
    }

    fn remember(&mut self, pid: u32, job: u64, terminal: Option<OwnedFd>) -> Result<(), Cannot> {
        let pid = i32::try_from(pid).map_err(|error| Cannot::other(io::Error::other(error)))?;
        self.by_pid
            .insert(Pid::from_raw(pid), Running { job, terminal });
        Ok(())
    }

    /// Sends a signal. A command that has ended needs none.
    pub(super) fn signal(&self, job: u64, signal: Signal) {
        let Some((pid, running)) = self.by_pid.iter().find(|(_, running)| running.job == job)
        else {
            return;
        };
        let foreground = running
            .terminal
            .as_ref()
            .and_then(|terminal| tcgetpgrp(terminal).ok())
            .map(|group| Pid::from_raw(group.as_raw_nonzero().get()));
        let _ = match (foreground, &running.terminal) {
            (Some(group), _) => killpg(group, signal),
            // Nothing runs in the foreground any more.
            (None, Some(_)) => killpg(*pid, signal),
            (None, None) => kill(*pid, signal),
        };
    }

    /// Takes what has ended, orphans among it, and tells of the commands.
    pub(super) fn reap(&mut self) -> Vec<FromEnclosure> {
        let mut ends = Vec::new();
        loop {
            let (pid, exit_code) = match waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                // Nothing more, or nobody left.
                Ok(WaitStatus::StillAlive) | Err(_) => return ends,
                Ok(_) => continue,
            };
            if let Some(running) = self.by_pid.remove(&pid) {
                ends.push(FromEnclosure::Ended {
                    job: running.job,
                    exit_code: u8::try_from(exit_code).unwrap_or(u8::MAX),
                });
            }
        }
    }
}

/// A program in its directory, with its environment and nothing of ours.
fn in_place(program: &str, line: &CommandLine) -> Result<Command, Cannot> {
    // What exec(2) says of a directory that is missing sounds like a program that is.
    if let Err(error) = fs::metadata(&line.directory) {
        return Err(Cannot {
            exit_code: 126,
            why: format!("its directory {:?}: {error}", line.directory),
        });
    }
    let mut command = Command::new(program);
    let variables = line.env.iter().filter_map(|entry| entry.split_once('='));
    command
        .env_clear()
        .envs(variables)
        .current_dir(&line.directory);
    Ok(command)
}
