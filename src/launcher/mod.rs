//! Starting and ending a session on the host: the steps in order, each with its undo.
//!
//! Owns the container engine. Knows nothing of the inside of the proxy that it starts: the two
//! processes share the words of `api`, and nothing else.

mod attach;
mod container;
mod docker;
mod engine;
mod environment;
mod home;
mod host_ports;
mod image;
mod labels;
mod link;
mod mounts;
mod network;
mod offlimits;
pub mod pki;
mod project;
mod proxy;
mod prune;
mod report;
mod request;
pub mod resolvers;
mod running;
mod sandbox;
mod signals;
mod undo;
mod userland;
mod volume;

pub use docker::run;
pub use engine::{Engine, EngineError, Facts, socket_path};
pub use environment::{Variable, VariableError};
pub use offlimits::{Held, OffLimits, What};
pub use project::{Project, ProjectError};
pub use prune::{Pruned, prune, prune_directories};
pub use report::{Pull, Report};
pub use request::{CannotRun, Outcome, Policy, Request};
pub use signals::Interrupted;
pub use volume::{Volume, VolumeError, VolumeSpec};
