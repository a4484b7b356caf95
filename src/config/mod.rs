//! The person's configuration: where its files are, and what they say; what the person said about a
//! project; and what the person's tools say. Knows neither sessions nor proxies.

pub mod agents;
mod file;
mod paths;
mod project;
mod toml;
pub mod tools;

/// More than any of the small files has that are kept.
const BYTES_MAX: u64 = 1024 * 1024;

pub use file::{Config, ConfigError, Unlisted, patience};
pub use paths::{
    PathError, audit_dir, config_file, decisions_dir, discard_audit_dir, home_dir, homes,
    own_state_dir, project_slug, state_dir,
};
pub use project::{KeptError, choose, chosen, trust, trusted, untrust};
