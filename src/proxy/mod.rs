//! Next to the sandbox: everything `vibepit proxy` does.
//!
//! A request's story, top to bottom: a door ([`doors`]) parses it into a target, the [`gate`]
//! admits it or not, [`dial`] resolves the name once, screens the addresses and connects to one
//! of them, [`relay`] moves the bytes, and the [`ledger`] remembers what happened. The person
//! outside speaks to [`control`], which meets the doors in the gate and nowhere else.
//!
//! Nothing here knows what started the proxy: it gets a document, and asks for a new policy
//! through a function it was given.

mod audit;
mod control;
mod decisions;
mod descriptors;
mod dial;
mod doors;
mod gate;
mod ledger;
mod queue;
mod relay;
mod reload;
mod resolve;
mod serve;
mod sockets;
mod stall;

pub use decisions::{Decisions, DecisionsError, Watch};
#[doc(hidden)]
pub use doors::dns::read_and_answer as read_dns;
pub use reload::Reload;
pub use serve::{Proxy, StartError};
pub use sockets::Sockets;
