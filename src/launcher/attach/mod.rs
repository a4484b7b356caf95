//! Joining this process's standard streams to those of a container. Knows streams and terminals,
//! and nothing of sessions.

mod desk;
mod pump;
mod stream;
mod terminal;

pub(crate) use desk::{Desk, leave_question};
pub use desk::{Question, Word};
pub(crate) use pump::{forward_raw, forward_split};
pub(crate) use stream::{Channel, Demux, Input, Output, Refused, attach};
pub(crate) use terminal::{Mode, is_interactive, size};
