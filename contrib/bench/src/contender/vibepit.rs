//! vibepit, as `vibepit proxy` runs it: a session with a runtime directory of its own.

use std::fs;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::{ALLOWED, Place};
use crate::proc;
use crate::process::{Process, free_address};

/// A proxy that answers.
pub(crate) struct Started {
    pub(crate) http: SocketAddr,
    pub(crate) process: Process,
    /// The home of this one session: HOME, XDG_RUNTIME_DIR and the rest are in it.
    pub(crate) home: PathBuf,
    pub(crate) control: PathBuf,
    /// From its start until /healthz said yes.
    pub(crate) ready_in: Duration,
    /// The CPU seconds that took.
    pub(crate) ready_cpu: f64,
}

/// A proxy with all its doors.
pub(crate) struct Doors {
    pub(crate) started: Started,
    pub(crate) socks5: SocketAddr,
    /// For programs that know no proxy.
    pub(crate) tls: SocketAddr,
}

/// What a proxy does with what no rule covers.
#[derive(Clone, Copy)]
enum Unlisted {
    /// As every other contender does.
    Reject,
    Ask,
}

/// Starts a proxy with the one rule that the others have, and so many that match nothing.
pub(crate) fn start(place: &Place, fillers: usize) -> Result<Started> {
    start_with(
        place,
        &configuration(place, fillers, Unlisted::Reject)?,
        &[],
    )
}

/// Starts a proxy that holds what no rule covers.
pub(crate) fn start_asking(place: &Place) -> Result<Started> {
    start_with(place, &configuration(place, 0, Unlisted::Ask)?, &[])
}

/// Starts a proxy with all its doors that allows one name, and asks a name server for it.
pub(crate) fn start_doors(place: &Place, name: &str, server: SocketAddr) -> Result<Doors> {
    let config = place.directory.join("vibepit-doors.toml");
    let text = format!(
        "allow_cidr = [\"127.0.0.0/8\"]\nupstream_dns = [\"{server}\"]\n\
         unlisted_domain_behavior = \"reject\"\nallow = [\"{name}:*\"]\n"
    );
    fs::write(&config, text)?;
    start_all(place, &config)
}

/// Starts a proxy with all its doors and this configuration.
pub(crate) fn start_all(place: &Place, config: &Path) -> Result<Doors> {
    let (socks5, tls) = (free_address()?, free_address()?);
    let doors = [("--socks5", socks5), ("--tls", tls)];
    let mut started = start_with(place, config, &doors)?;
    for (_, door) in doors {
        started.process.wait_for_port(door)?;
    }
    Ok(Doors {
        started,
        socks5,
        tls,
    })
}

fn start_with(place: &Place, config: &Path, doors: &[(&str, SocketAddr)]) -> Result<Started> {
    let http = free_address()?;
    let dns = free_address()?;
    let home = place.directory.join(format!("vibepit-{}", http.port()));
    private(&home, &["", "runtime", "socket"])?;
    let control = home.join("socket/control.sock");
    let mut command = command(&place.vibepit, &home);
    // -q: a warning still shows, the greeting does not.
    command.args(["-q", "proxy", "--name", "bench"]);
    command.args(["--http", &http.to_string(), "--dns", &dns.to_string()]);
    command.arg("--control").arg(&control);
    command.arg("--config").arg(config);
    for (flag, address) in doors {
        command.arg(flag).arg(address.to_string());
    }
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let start = Instant::now();
    let mut process = Process::start("vibepit", &mut command)?;
    process.wait_until(|| healthy(&control).unwrap_or(false))?;
    let ready_in = start.elapsed();
    let ready_cpu = proc::tree_cpu(process.id())?;
    process.wait_for_port(http)?;
    Ok(Started {
        http,
        process,
        home,
        control,
        ready_in,
        ready_cpu,
    })
}

/// Makes directories that only their owner enters.
pub(crate) fn private(home: &Path, parts: &[&str]) -> io::Result<()> {
    for part in parts {
        fs::DirBuilder::new().mode(0o700).create(home.join(part))?;
    }
    Ok(())
}

/// A vibepit command that sees this session and nothing of the person who measures.
pub(crate) fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", home);
    command.env("XDG_RUNTIME_DIR", home.join("runtime"));
    command.env("XDG_STATE_HOME", home.join("state"));
    command.env("XDG_CONFIG_HOME", home.join("config"));
    command.current_dir(home);
    command
}

/// Writes the configuration once for each number of rules.
fn configuration(place: &Place, fillers: usize, unlisted: Unlisted) -> Result<PathBuf> {
    let behavior = match unlisted {
        Unlisted::Reject => "reject",
        Unlisted::Ask => "request_approval",
    };
    let file = place
        .directory
        .join(format!("vibepit-{behavior}-{fillers}.toml"));
    if file.exists() {
        return Ok(file);
    }
    let mut out = io::BufWriter::new(fs::File::create(&file)?);
    writeln!(
        out,
        "allow_cidr = [\"127.0.0.0/8\"]\nupstream_dns = [\"127.0.0.1:53\"]\n\
         unlisted_domain_behavior = \"{behavior}\"\napproval_timeout = \"1h\""
    )?;
    writeln!(out, "allow = [\n\"{ALLOWED}:*\",")?;
    for filler in 0..fillers {
        writeln!(out, "\"h{filler}.bulk.example:443\",")?;
    }
    writeln!(out, "]")?;
    out.flush()?;
    Ok(file)
}

fn healthy(control: &Path) -> io::Result<bool> {
    let mut stream = UnixStream::connect(control)?;
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: vibepit\r\nConnection: close\r\n\r\n")?;
    let mut status = [0; 12];
    stream.read_exact(&mut status)?;
    Ok(&status == b"HTTP/1.1 200")
}
