//! Joining this process's standard streams to those of a container. Knows streams and terminals,
//! and nothing of sessions.

mod desk;
mod escapes;
mod joined;
mod lasting;
mod notice;
mod pump;
mod refusal;
mod screen;
mod stream;
mod terminal;

pub use desk::{Question, Word};
pub use joined::Person;
pub(crate) use joined::{Farewell, Joined, Parted};
pub(crate) use lasting::{Again, again, lasting};
pub use notice::{Desktop, Means, Notice, Notices};
pub(crate) use refusal::{BesideInit, Refusal};
pub(crate) use stream::{Channel, Demux, Input, Output, Refused, Told, attach, start_exec};
pub(crate) use terminal::{is_interactive, size};
