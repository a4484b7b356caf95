//! The runtime directory: how a session announces itself, how it is found again, and what is left
//! of it when it is gone. Reads files and probes sockets; knows neither the engine nor what is
//! said over a socket.

mod choose;
mod credentials;
mod dir;
mod discovery;
mod id;
mod layout;
mod names;
mod reap;
mod record;
#[cfg(test)]
mod testing;
mod watcher;

pub use choose::{ChooseError, among, choose};
pub use credentials::{Credentials, CredentialsError};
pub use dir::SessionDir;
pub use discovery::{Found, discover, live};
pub use id::{BadSessionId, SessionId, random_bytes};
pub use layout::{LayoutError, RuntimeDir};
pub use names::unique_name;
pub use reap::{Reaped, reap};
pub use record::{Control, Doors, Record, RecordError};
pub use watcher::{Change, SessionWatcher, WatchError};
