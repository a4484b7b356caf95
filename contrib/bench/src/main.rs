//! Measures the running vibepit proxy beside a direct connection, bare relays and other proxies,
//! in one interleaved run, and prints one Markdown table.
//!
//! The harness is also the load generator. The origin server and the bare relays are this same
//! binary, started as processes of their own so that the CPU time of each can be told apart.

mod args;
mod contender;
mod control;
mod load;
mod origin;
mod proc;
mod process;
mod relay;
mod report;
mod results;
mod run;
mod soak;
mod stats;
mod workload;

use anyhow::{Context, Result};

use crate::args::Role;

fn main() -> Result<()> {
    match args::parse(std::env::args().skip(1))? {
        Role::Help => {
            report::say(args::HELP);
            Ok(())
        }
        Role::Origin => {
            raise_descriptor_limit()?;
            origin::serve()
        }
        Role::Relay(kind, address) => {
            raise_descriptor_limit()?;
            relay::serve(kind, address)
        }
        Role::Soak(program, minutes) => {
            raise_descriptor_limit()?;
            soak::run(&program, minutes)
        }
        Role::Run(options) => {
            raise_descriptor_limit()?;
            run::run(&options)
        }
    }
}

/// Raises the soft limit of open files to the hard one. Children inherit it.
fn raise_descriptor_limit() -> Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) =
        getrlimit(Resource::RLIMIT_NOFILE).context("reading the limit of open files")?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).context("raising the limit of open files")
}
