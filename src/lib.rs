//! vibepit

pub mod policy;
