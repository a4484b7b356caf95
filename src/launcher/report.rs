//! What a launcher tells about its work while it does it. It prints nothing itself.

use serde::{Deserialize, Serialize};

use crate::session::Record;

/// Whoever shows a person how a start comes along.
///
/// The calls come from the launcher's own task, in order.
pub trait Report: Send + Sync {
    /// A step begins: a short phrase in the present participle ("starting the proxy").
    fn step(&self, what: &str);
    /// Something a person should know, that does not stop the session: one sentence.
    fn warning(&self, what: &str);
    /// The session is there: its control plane answers, and its command has begun.
    fn ready(&self, session: &Record);
    /// An image is being pulled; called often, and a last time with `finished`.
    fn pulling(&self, pull: &Pull);
}

/// How far a pull has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// The image as the person named it.
    pub image: String,
    /// Bytes fetched so far, over all layers that are known.
    pub done: u64,
    /// Bytes of all layers that are known; it grows while layers appear.
    pub total: u64,
    /// The pull is over, and it succeeded.
    pub finished: bool,
}
