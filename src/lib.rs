//! vibepit: a sandbox whose only way out is a proxy that a person decides about, live.
//!
//! The folders are the two processes and the contracts between them; each module begins with
//! what it owns and what it must not know.

pub mod api;
pub mod attack;
pub mod cli;
pub mod client;
pub mod config;
pub mod inside;
pub mod kept;
pub mod launcher;
pub mod monitor;
pub mod overview;
pub mod policy;
pub mod proxy;
pub mod session;
pub mod transport;
pub mod ui;
