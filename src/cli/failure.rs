//! What went wrong, for a person and for a script: kind, message, hint. The kind fixes the exit
//! code; [`super::output::Output::failure`] is the one place that prints it.

use std::fmt;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

use crate::client::ClientError;
use crate::session::ChooseError;

/// Exit codes (design 10), in order: 1 to 5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    /// Nobody reads on.
    Done = 0,
    /// It did not work out.
    Failed = 1,
    /// What was typed is not what the command takes.
    Usage = 2,
    /// There is no such session.
    NoSession = 3,
    /// There are several, and nobody to choose.
    Choice = 4,
    /// The control plane said no.
    Refused = 5,
}

/// A command's failure.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) kind: Kind,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Failure {
    pub(super) fn new(kind: Kind, message: impl fmt::Display) -> Self {
        Self {
            kind,
            message: message.to_string(),
            hint: None,
        }
    }

    pub(super) fn failed(message: impl fmt::Display) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub(super) fn usage(message: impl fmt::Display) -> Self {
        Self::new(Kind::Usage, message)
    }

    pub(super) fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// Nothing went wrong, and there is nothing more to do.
    pub(super) fn done() -> Self {
        Self {
            kind: Kind::Done,
            message: String::new(),
            hint: None,
        }
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        // The whole chain, outermost first.
        Self::failed(format!("{error:#}"))
    }
}

impl From<ChooseError> for Failure {
    fn from(error: ChooseError) -> Self {
        let kind = match error {
            ChooseError::NoSuchSession { .. } | ChooseError::NoSession => Kind::NoSession,
            ChooseError::Several { .. } | ChooseError::Ambiguous { .. } => Kind::Choice,
        };
        Self::new(kind, error)
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match &error {
            // An entry that is none is the caller's slip, like a flag that is none.
            ClientError::Fault(fault) if fault.status == 400 => Self::usage(&fault.detail),
            ClientError::Fault(fault) => Self::new(Kind::Refused, &fault.detail),
            ClientError::HungUp { .. } => Self::new(Kind::Refused, error),
            ClientError::Unreachable { .. } => Self::new(Kind::NoSession, error)
                .hint("the session may have ended: vibepit sessions lists those that run"),
            ClientError::Handshake { .. } | ClientError::Answer(_) | ClientError::NoEnd => {
                Self::failed(error)
            }
        }
    }
}

/// What clap has to say: help and version on stdout with 0, the rest on stderr with 2.
pub(super) fn usage(error: &clap::Error) -> ExitCode {
    // If even that cannot be printed, the exit code still tells.
    let _ = error.print();
    ExitCode::from(if error.use_stderr() {
        Kind::Usage as u8
    } else {
        0
    })
}
