//! What runs on the host to start a session and to end it.

pub mod pki;
