//! What the tests stand on: the real binary in an environment of its own, origins and a resolver
//! that the test makes and that remember what reached them, and a client that sends bytes as they
//! are written.

mod browser;
pub(crate) mod bulk;
mod control;
pub(crate) mod csv;
mod disk;
pub(crate) mod dns;
pub(crate) mod engine;
mod gateway;
mod home;
pub(crate) mod local;
mod middleman;
pub(crate) mod network;
mod origin;
mod person;
pub(crate) mod probe;
mod proxy;
mod require;
mod resolver;
mod running;
mod sandbox;
mod sshd;
mod tls;
mod tmux;
mod wire;

pub(crate) use browser::{Browser, ENTER, SPACE, TAB, browser_is_here};
pub(crate) use control::Events;
pub(crate) use disk::{Disk, disks};
pub(crate) use gateway::{Followed, Pass, Ui};
pub(crate) use home::{Home, Ran, binary};
pub(crate) use middleman::{Deed, Middleman};
pub(crate) use origin::{BlackHole, Origin, closed_port, ok, own_loopback};
pub(crate) use person::Person;
pub(crate) use proxy::{Launch, Proxy, announced};
pub(crate) use require::{ROOTLESS_SCRIPTS, require};
pub(crate) use resolver::{Resolver, Says};
pub(crate) use running::Running;
pub(crate) use sandbox::{Bench, START, Shell, sessions_in, with_engine};
pub(crate) use sshd::Sshd;
pub(crate) use tls::{Authority, hello};
pub(crate) use tmux::Tmux;
pub(crate) use wire::{Message, Wire, unescaped};

use std::time::Duration;

/// How long a test waits for what must come. Nothing is measured against it: it only keeps a
/// broken test from hanging.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
