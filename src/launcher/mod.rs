//! Starting and ending a session on the host: the steps in order, each with its undo.
//!
//! Owns the container engine. Knows nothing of the inside of the proxy that it starts: the two
//! processes share the words of `api`, and nothing else.

mod engine;
mod image;
mod labels;
mod mounts;
mod offlimits;
pub mod pki;
mod project;
mod report;
mod undo;
mod userland;
mod volume;

pub use engine::{Engine, EngineError, Facts, socket_path};
pub use offlimits::{Held, OffLimits, What};
pub use project::{Project, ProjectError};
pub use report::{Pull, Report};
pub use volume::{Volume, VolumeError, VolumeSpec};
