//! squid as Debian packs it: one process, no cache, no logs, one allowed host.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;

use super::{ALLOWED, Place};
use crate::process::{Process, free_address};

pub(crate) const PROGRAM: &str = "/usr/sbin/squid";

pub(crate) fn start(place: &Place) -> Result<(SocketAddr, Process)> {
    let address = free_address()?;
    let file = place
        .directory
        .join(format!("squid-{}.conf", address.port()));
    std::fs::write(&file, configuration(address, place.descriptors))?;
    let mut command = Command::new(PROGRAM);
    command.arg("-N").arg("-f").arg(&file);
    let process = Process::serving("squid", &mut command, address)?;
    Ok((address, process))
}

fn configuration(address: SocketAddr, descriptors: u64) -> String {
    // -n: the name is compared as it stands, without a question to a name server.
    format!(
        "http_port {address}
acl allowed dstdomain -n {ALLOWED}
http_access allow allowed
http_access deny all
cache deny all
cache_mem 0 MB
access_log none
cache_log /dev/null
cache_store_log none
pid_filename none
pinger_enable off
icp_port 0
dns_nameservers 127.0.0.1
coredump_dir none
shutdown_lifetime 0 seconds
max_filedescriptors {descriptors}
{}",
        if nix::unistd::geteuid().is_root() {
            "cache_effective_user proxy\n"
        } else {
            ""
        }
    )
}
