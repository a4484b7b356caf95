//! vibepit

pub mod api;
pub mod launcher;
pub mod policy;
pub mod session;
pub mod transport;
