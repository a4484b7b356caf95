//! The bare relays: this binary again.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use anyhow::Result;

use crate::process::{Process, free_address};
use crate::relay::RelayKind;

pub(crate) fn start(kind: RelayKind) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg("relay")
        .arg(kind.name())
        .arg(address.to_string())
        .stdin(Stdio::piped());
    let mut process = Process::start(kind.name(), &mut command)?;
    process.wait_for_port(address)?;
    Ok((address, process))
}
