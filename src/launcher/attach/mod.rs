//! Joining this process's standard streams to those of a container. Knows streams and terminals,
//! and nothing of sessions.

mod pump;
mod stream;
mod terminal;

pub(crate) use pump::{feed, forward_raw, forward_split};
pub(crate) use stream::{Channel, Demux, Input, Output, attach};
pub(crate) use terminal::{RawMode, is_interactive, size};
