//! Starting and ending a session on the host: the steps in order, each with its undo.
//!
//! Owns the container engine. Knows nothing of the inside of the proxy that it starts: the two
//! processes share the words of `api`, and nothing else.

mod attach;
mod checkup;
mod command_line;
mod container;
mod copy;
mod docker;
mod endpoint;
mod engine;
mod filter;
mod homes;
mod image;
mod job;
mod keeper;
mod labels;
mod leavings;
mod local;
mod login;
mod mounted;
mod mountinfo;
mod mounts;
mod nofollow;
mod offlimits;
pub mod pki;
mod project;
mod proxy;
mod prune;
mod report;
mod repository;
mod request;
pub mod resolvers;
mod sandbox;
mod session;
mod settings;
mod signals;
mod trial;
mod undo;
mod volumes;

pub use attach::{Desktop, Means, Notice, Notices, Person, Question, Word};
pub use checkup::{Check, Checkup, State, look};
pub use copy::{Change, ChangeKind, Copied, Pull as Changes};
pub use endpoint::{Endpoint, EndpointError, Surroundings};
pub use engine::{Engine, EngineError, Facts, Kind};
pub use homes::{Homes, prune_homes};
pub use image::{SANDBOX_IMAGE, build_image, default_image};
pub use keeper::{Ending, KeeperClient, end_session, stop_launcher, terminal};
pub use local::{LocalError, LocalFacts, possible as local_is_possible};
pub use login::{Login, LoginError};
pub use offlimits::{Held, OffLimits, What};
pub use project::{Project, ProjectError};
pub use prune::{Pruned, leftovers, prune, prune_directories};
pub use report::{Pull, Report};
pub use request::{CannotRun, Follow, Outcome, Policy, Purpose, Request, SavedHere, SelfTest};
pub use sandbox::{Variable, VariableError, VolumeError, VolumeSpec, sees_program};
pub use session::{Runtime, keep, run};
pub use settings::{SettingsError, names, settings, settings_path};
pub use signals::Interrupted;
pub use trial::{Depth, NotHeld, attack};
