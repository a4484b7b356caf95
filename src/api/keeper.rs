//! What a terminal says to the launcher that keeps a session, and hears from it: one JSON line each
//! way, and then, where a command has been started, frames.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The longest first line, in bytes: a command with its environment.
pub const KEEPER_LINE: usize = 1024 * 1024;

/// What a terminal asks for: the one line it begins with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToKeeper {
    /// A command that belongs to the terminal: it ends with it.
    Exec(Order),
    /// A shell that outlives the terminal: one that is there, or a new one.
    Shell {
        /// Which one.
        which: Which,
        /// What a new one is made of.
        order: Order,
    },
    /// What the keeper has to tell.
    Ask,
    /// The end of the session.
    End,
}

/// A shell that is to be joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// The one that was left last, or a new one where none was.
    Left,
    /// A new one.
    New,
    /// This one, whoever has joined it already.
    Number(u32),
}

/// A command as it is to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The program and its arguments; empty for the session's shell.
    pub command: Vec<String>,
    /// `NAME=VALUE`, beside what the sandbox has anyway.
    pub env: Vec<String>,
    /// The working directory; without one, the project's.
    pub directory: Option<PathBuf>,
    /// Rows and columns of the terminal it gets, if it gets one.
    pub terminal: Option<(u16, u16)>,
}

/// A keeper's answer: the one line it begins with.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromKeeper {
    /// It runs; frames follow.
    Started {
        /// The number of the shell, if it is one.
        shell: Option<u32>,
    },
    /// It does not.
    Failed {
        /// One sentence.
        why: String,
        /// What a shell would exit with, where there is no such program.
        exit_code: Option<i64>,
    },
    /// What there is to tell.
    Told(Told),
    /// The session is going to end.
    Ending,
    /// It has ended.
    Ended {
        /// What a person should know of what it left: sentences.
        warnings: Vec<String>,
    },
}

/// What a keeper tells of its session.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The session stays until somebody ends it; otherwise it ends with its own command.
    pub stays: bool,
    /// Its shells, the oldest first.
    pub shells: Vec<ShellView>,
    /// What happened that a person should know: sentences.
    pub warnings: Vec<String>,
}

/// A shell that can be joined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShellView {
    /// What it is joined by.
    pub number: u32,
    /// Its command.
    pub command: Vec<String>,
    /// Terminals that have joined it.
    pub joined: usize,
    /// How long it has been there, in seconds.
    pub age_seconds: u64,
}

/// A signal that a terminal hands on to its command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignalName {
    /// SIGINT.
    Int,
    /// SIGQUIT.
    Quit,
    /// SIGTERM.
    Term,
    /// SIGHUP.
    Hup,
    /// SIGPIPE.
    Pipe,
    /// SIGKILL.
    Kill,
}

/// What goes back and forth while a command runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// Standard input, or standard output: 0.
    Bytes(Vec<u8>),
    /// Standard error: 1.
    Error(Vec<u8>),
    /// The end of standard input: 2.
    End,
    /// The terminal's rows and columns: 3.
    Size(u16, u16),
    /// A signal: 4.
    Signal(SignalName),
    /// The exit code, and with it the end: 5.
    Exit(i64),
    /// A sentence for the person: 6.
    Tell(String),
    /// The command has taken what was typed: 7. Before that a terminal sends no more of it, so that
    /// what steers never waits behind what is not read.
    Taken,
}

/// The most bytes of one frame's content.
pub const FRAME: usize = 64 * 1024;
/// The bytes before a frame's content: its kind, and how long it is, big-endian.
pub const FRAME_HEAD: usize = 5;

impl Frame {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, content) = match self {
            Self::Bytes(bytes) => (0, bytes.clone()),
            Self::Error(bytes) => (1, bytes.clone()),
            Self::End => (2, Vec::new()),
            Self::Size(rows, columns) => (3, [rows.to_be_bytes(), columns.to_be_bytes()].concat()),
            Self::Signal(signal) => (4, vec![*signal as u8]),
            Self::Exit(code) => (5, code.to_be_bytes().to_vec()),
            Self::Tell(text) => (6, text.clone().into_bytes()),
            Self::Taken => (7, Vec::new()),
        };
        let length = u32::try_from(content.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        [&[kind], &length[..], &content].concat()
    }

    /// The length of the content that a head announces; `None` when it is longer than any is.
    pub fn length(head: [u8; FRAME_HEAD]) -> Option<usize> {
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]);
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= FRAME)
    }

    /// From a head's kind and its content; `None` for what is no frame.
    pub fn decode(kind: u8, content: Vec<u8>) -> Option<Self> {
        Some(match kind {
            0 => Self::Bytes(content),
            1 => Self::Error(content),
            2 => Self::End,
            3 => {
                let size: [u8; 4] = content.try_into().ok()?;
                Self::Size(
                    u16::from_be_bytes([size[0], size[1]]),
                    u16::from_be_bytes([size[2], size[3]]),
                )
            }
            4 => Self::Signal(
                SignalName::ALL
                    .get(usize::from(*content.first()?))
                    .copied()?,
            ),
            5 => Self::Exit(i64::from_be_bytes(content.try_into().ok()?)),
            6 => Self::Tell(String::from_utf8(content).ok()?),
            7 => Self::Taken,
            _ => return None,
        })
    }
}

impl SignalName {
    const ALL: [Self; 6] = [
        Self::Int,
        Self::Quit,
        Self::Term,
        Self::Hup,
        Self::Pipe,
        Self::Kill,
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        for frame in [
            Frame::Bytes(b"typed".to_vec()),
            Frame::Error(Vec::new()),
            Frame::End,
            Frame::Size(24, 80),
            Frame::Signal(SignalName::Kill),
            Frame::Signal(SignalName::Int),
            Frame::Exit(-1),
            Frame::Tell("a sentence".to_owned()),
            Frame::Taken,
        ] {
            let bytes = frame.encode();
            let head: [u8; FRAME_HEAD] = bytes[..FRAME_HEAD].try_into().unwrap();
            assert_eq!(Frame::length(head), Some(bytes.len() - FRAME_HEAD));
            assert_eq!(
                Frame::decode(head[0], bytes[FRAME_HEAD..].to_vec()),
                Some(frame)
            );
        }
    }

    #[test]
    fn what_is_no_frame_is_not_read_as_one() {
        assert_eq!(Frame::length([0, 0xff, 0xff, 0xff, 0xff]), None);
        for (kind, content) in [
            (3, &b"123"[..]),
            (4, b""),
            (4, b"\x09"),
            (5, b"1"),
            (6, b"\xff"),
            (8, b""),
        ] {
            assert_eq!(Frame::decode(kind, content.to_vec()), None, "{kind}");
        }
    }
}
