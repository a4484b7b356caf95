//! Why a call did not bring an answer.

use std::io;

use crate::api::Fault;

/// Why a call did not bring an answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there: the session has ended, or is about to.
    #[error("the session's control plane cannot be reached at {at}: {error}")]
    Unreachable {
        /// Path or address.
        at: String,
        /// What the system says.
        error: io::Error,
    },
    /// It hung up without a word, as it does on a peer who is not its owner.
    #[error(
        "the control plane at {at} closed the connection without an answer: it speaks to the user \
         who started the session, and to nobody else ({error})"
    )]
    HungUp {
        /// Path or address.
        at: String,
        /// What hyper says.
        error: String,
    },
    /// Whoever listens on the port does not prove to be the session.
    #[error(
        "whoever listens on {at} does not prove to be this session's control plane: {error}; \
         another program may have the port by now, or a tunnel may lead elsewhere"
    )]
    Handshake {
        /// The address.
        at: String,
        /// What the handshake says.
        error: io::Error,
    },
    /// It said no, and why.
    #[error("{0}")]
    Fault(Fault),
    /// It said something that this version does not understand.
    #[error("the control plane's answer is not understood: {0}")]
    Answer(String),
    /// There is neither a socket nor a port to try.
    #[error("the session has neither a control socket nor a control port")]
    NoEnd,
}
