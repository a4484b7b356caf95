//! How the processes meet: Unix sockets and TLS, listening and connecting, and who is at the
//! other end. Knows not a word of what is said, and names nothing of the crate.

pub mod handover;
pub mod keepalive;
pub mod passing;
pub mod peer;
pub mod tls;
pub mod unix;
