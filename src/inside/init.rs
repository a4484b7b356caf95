//! The sandbox's first process: it makes the root, raises the walls, and from then on starts, signals
//! and reaps commands as its launcher says. When the launcher is gone it ends, and the kernel ends
//! every other process of the sandbox with it (pid_namespaces(7)).

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use rustix::process::set_parent_process_death_signal;
use rustix::system::sethostname;

use super::jobs::Jobs;
use super::{Doing, Failure, root, say, walls};
use crate::api::enclosure::{
    FromEnclosure, HOSTNAME, LONGEST_TOLD, MOST_DESCRIPTORS, Plan, ToEnclosure,
};
use crate::transport::passing::Incoming;

/// Runs the sandbox to its end. Standard input is the channel to the launcher.
pub fn init() -> ExitCode {
    let Ok(channel) = io::stdin().as_fd().try_clone_to_owned() else {
        return ExitCode::FAILURE;
    };
    match Init::new(channel) {
        Ok(mut init) => match init.serve() {
            Ok(()) => ExitCode::SUCCESS,
            Err(why) => {
                let _ = writeln!(io::stderr(), "{why}");
                ExitCode::FAILURE
            }
        },
        Err((channel, why)) => {
            let _ = writeln!(io::stderr(), "{why}");
            let _ = say(channel, &FromEnclosure::Failed(why), &[]);
            ExitCode::FAILURE
        }
    }
}

struct Init {
    channel: OwnedFd,
    incoming: Incoming,
    ends: SignalFd,
    jobs: Jobs,
}

impl Init {
    fn new(channel: OwnedFd) -> Result<Self, (OwnedFd, Failure)> {
        let mut incoming = Incoming::new(LONGEST_TOLD, MOST_DESCRIPTORS);
        match prepare(&channel, &mut incoming) {
            Ok(ends) => Ok(Self {
                channel,
                incoming,
                ends,
                jobs: Jobs::default(),
            }),
            Err(why) => Err((channel, why)),
        }
    }

    /// Until the launcher is gone.
    fn serve(&mut self) -> Result<(), Failure> {
        loop {
            while let Some(line) = self.incoming.line() {
                self.obey(&line)?;
            }
            let mut waiting = [
                PollFd::new(self.channel.as_fd(), PollFlags::POLLIN),
                PollFd::new(self.ends.as_fd(), PollFlags::POLLIN),
            ];
            poll(&mut waiting, PollTimeout::NONE).doing("the launcher cannot be waited for")?;
            let [told, ended] = waiting.map(|one| one.any().unwrap_or(true));
            if ended {
                while matches!(self.ends.read_signal(), Ok(Some(_))) {}
                self.tell_ends()?;
            }
            if told && !self.incoming.read(&self.channel).doing("the launcher")? {
                return Ok(());
            }
        }
    }

    fn obey(&mut self, line: &[u8]) -> Result<(), Failure> {
        match serde_json::from_slice(line).doing("the launcher is not understood")? {
            ToEnclosure::Plan(_) => Err("the launcher begins twice".to_owned()),
            ToEnclosure::Signal { job, signal } => {
                if let Ok(signal) = signal.parse() {
                    self.jobs.signal(job, signal);
                }
                Ok(())
            }
            ToEnclosure::Run { job, command } if command.terminal.is_some() => {
                match self.unblocked(|jobs| jobs.start_at_terminal(job, &command))? {
                    Ok(terminal) => say(
                        &self.channel,
                        &FromEnclosure::Started { job },
                        &[terminal.as_fd()],
                    )
                    .doing("the launcher is gone")?,
                    Err(cannot) => self.say(&cannot.of(job))?,
                }
                self.tell_ends()
            }
            ToEnclosure::Run { job, command } => {
                let mut next = || self.incoming.descriptor();
                let (Some(input), Some(output), Some(error)) = (next(), next(), next()) else {
                    return Err("a command came without its streams".to_owned());
                };
                let streams = [input, output, error];
                match self.unblocked(|jobs| jobs.start(job, &command, streams))? {
                    Ok(()) => self.say(&FromEnclosure::Started { job })?,
                    Err(cannot) => self.say(&cannot.of(job))?,
                }
                self.tell_ends()
            }
        }
    }

    /// Starts something while no signal is blocked: what is started inherits those that are, and a
    /// shell that never hears of its children waits for them for ever. Ends that come meanwhile are
    /// not put by, so they are to be looked for afterwards.
    fn unblocked<T>(&mut self, start: impl FnOnce(&mut Jobs) -> T) -> Result<T, Failure> {
        let set = child_ends();
        set.thread_unblock()
            .doing("a command cannot be started with no signal blocked")?;
        let started = start(&mut self.jobs);
        set.thread_block()
            .doing("the ends of commands cannot be waited for")?;
        Ok(started)
    }

    fn tell_ends(&mut self) -> Result<(), Failure> {
        for end in self.jobs.reap() {
            self.say(&end)?;
        }
        Ok(())
    }

    fn say(&self, line: &FromEnclosure) -> Result<(), Failure> {
        say(&self.channel, line, &[]).doing("the launcher is gone")
    }
}

/// Everything before the first command.
fn prepare(channel: &OwnedFd, incoming: &mut Incoming) -> Result<SignalFd, Failure> {
    // With the process that waits for this one.
    set_parent_process_death_signal(Some(rustix::process::Signal::KILL))
        .doing("the sandbox cannot be bound to its launcher")?;
    let plan = plan(channel, incoming)?;
    root::enter(&plan)?;
    sethostname(HOSTNAME.as_bytes()).doing("the sandbox's host name cannot be set")?;
    // Blocked, so that they wait to be read.
    let ends = child_ends();
    ends.thread_block()
        .doing("the ends of commands cannot be waited for")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    let ends =
        SignalFd::with_flags(&ends, flags).doing("the ends of commands cannot be waited for")?;
    walls::raise(&plan)?;
    say(channel, &FromEnclosure::Ready, &[]).doing("the launcher is gone")?;
    Ok(ends)
}

/// The signal that tells of commands that have ended.
fn child_ends() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set
}

fn plan(channel: &OwnedFd, incoming: &mut Incoming) -> Result<Plan, Failure> {
    loop {
        if let Some(line) = incoming.line() {
            return match serde_json::from_slice(&line).doing("the plan is not understood")? {
                ToEnclosure::Plan(plan) => Ok(*plan),
                _ => Err("the first line is no plan".to_owned()),
            };
        }
        if !incoming.read(channel).doing("the launcher")? {
            return Err("the launcher is gone".to_owned());
        }
    }
}
