//! A command in a sandbox while it runs, whatever the sandbox is made of: its streams, its
//! terminal's size, its signals, its end. Who joins it to a person's streams does not see whether
//! an engine, this machine's kernel or another launcher is behind it.

use std::path::PathBuf;

use anyhow::Result;
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

use super::signals::Signal;

/// What is to be run in a sandbox that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spec {
    /// The program and its arguments; never empty.
    pub(crate) command: Vec<String>,
    /// `NAME=VALUE`, beside what every command in the sandbox has.
    pub(crate) env: Vec<String>,
    /// The working directory, as the sandbox sees it.
    pub(crate) directory: PathBuf,
    /// Rows and columns of the terminal it gets, if it gets one.
    pub(crate) terminal: Option<(u16, u16)>,
}

/// A command that has been started.
pub(crate) struct Job {
    /// What it writes.
    pub(crate) output: Output,
    /// What it reads. Shutting it down is the end of its standard input.
    pub(crate) input: Box<dyn AsyncWrite + Send + Unpin>,
    /// Everything else about it.
    pub(crate) control: Box<dyn Control>,
}

/// The output of a command.
pub(crate) enum Output {
    /// Of its terminal: one stream.
    Terminal(Box<dyn AsyncRead + Send + Unpin>),
    /// Both streams in one, as an engine frames them ([`Demux`](super::attach::Demux)).
    Framed(Box<dyn AsyncRead + Send + Unpin>),
    /// Standard output and standard error.
    Apart(
        Box<dyn AsyncRead + Send + Unpin>,
        Box<dyn AsyncRead + Send + Unpin>,
    ),
}

/// Steers a command. A command that has ended takes every call and ignores it.
pub(crate) trait Control: Send + Sync {
    /// Gives its terminal so many rows and columns.
    fn resize(&self, rows: u16, columns: u16) -> BoxFuture<'_, ()>;

    /// Sends it a signal; with a terminal, to all that runs in its foreground.
    fn signal(&self, signal: Kill) -> BoxFuture<'_, ()>;

    /// Waits for its end. The answer is what a shell would call its exit code: 128 and the number
    /// of the signal that ended it. May be called more than once, and dropped while it waits.
    fn wait(&self) -> BoxFuture<'_, Result<i64>>;

    /// What a person should know of an end with this exit code: one sentence, if there is one.
    fn explain(&self, _exit_code: i64) -> BoxFuture<'_, Option<String>> {
        Box::pin(std::future::ready(None))
    }
}

/// A signal for a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kill {
    /// One that this process got, handed on.
    As(Signal),
    /// Its reader is gone: what a pipeline does to it.
    Pipe,
    /// The end of all patience.
    Now,
}

impl Kill {
    /// The name that an engine's API takes.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::As(signal) => signal.name(),
            Self::Pipe => "SIGPIPE",
            Self::Now => "SIGKILL",
        }
    }
}
