//! The web page of every session, and the gateway that serves it on a loopback port: a client of
//! the same sockets as every command, for the one browser that was let in. It is no control plane
//! of its own, starts nothing and saves nothing; who opens the browser is for others.

mod calls;
mod door;
mod gateway;
mod hub;
mod page;
mod shown;
mod stream;

pub use gateway::{Audit, Gateway, Links, OpenError};
