//! The person's configuration: where its files are, and what they say. Reads files; knows neither
//! sessions nor proxies.

mod file;
mod paths;
mod toml;

pub use file::{Config, ConfigError, Unlisted, patience};
pub use paths::{
    PathError, audit_dir, config_file, decisions_dir, discard_audit_dir, home_dir, homes,
    own_state_dir, project_slug, state_dir,
};
