//! tinyproxy as Debian packs it: a thread a connection, no logs, one allowed host.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::{ALLOWED, Place};
use crate::process::{Process, free_address};

pub(crate) const PROGRAM: &str = "/usr/bin/tinyproxy";

pub(crate) fn start(place: &Place) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let filter = place
        .directory
        .join(format!("tinyproxy-{}.filter", address.port()));
    std::fs::write(&filter, format!("^{}$\n", ALLOWED.replace('.', "\\.")))?;
    let file = place
        .directory
        .join(format!("tinyproxy-{}.conf", address.port()));
    let user = if nix::unistd::geteuid().is_root() {
        "User tinyproxy\nGroup tinyproxy\n"
    } else {
        ""
    };
    let configuration = format!(
        "{user}Port {}
Listen {}
Timeout 600
MaxClients 20000
LogLevel Critical
Syslog Off
Allow 127.0.0.0/8
Filter \"{}\"
FilterCaseSensitive On
FilterDefaultDeny Yes
",
        address.port(),
        address.ip(),
        filter.display()
    );
    std::fs::write(&file, configuration)?;
    let mut command = Command::new(PROGRAM);
    command.arg("-d").arg("-c").arg(&file);
    let process = Process::serving("tinyproxy", &mut command, address)?;
    Ok((address, process))
}
