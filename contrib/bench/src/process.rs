//! Processes the harness starts, and their end: with their value, or with the harness.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::signal::unix::{self, SignalKind};

use crate::proc;

/// How long a contender may take until it answers: a squid with a cold disk, a million rules.
const START: Duration = Duration::from_secs(60);
/// How long it may take to end on SIGTERM.
const END: Duration = Duration::from_secs(5);

static LIVE: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// A process that ends when this value does.
pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let child = command.spawn().with_context(|| {
            let program = command.get_program().display();
            format!("{name} does not start: {program}. Install it, or leave it out with --against")
        })?;
        live().insert(child.id());
        Ok(Self {
            name: name.to_owned(),
            child,
        })
    }

    /// Starts one that talks to nobody but at its port, and waits until that accepts a connection.
    pub(crate) fn serving(name: &str, command: &mut Command, port: SocketAddr) -> Result<Self> {
        let command = command.stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let mut process = Self::start(name, command)?;
        process.wait_for_port(port)?;
        Ok(process)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub(crate) fn resident(&self) -> Result<u64> {
        proc::tree_resident(self.id()).with_context(|| format!("memory of {}", self.name))
    }

    /// Waits until `ready` says so; the process must live on meanwhile.
    pub(crate) fn wait_until(&mut self, mut ready: impl FnMut() -> bool) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended at its start: {status}", self.name);
            }
            if start.elapsed() > START {
                bail!("{} did not answer within {} s", self.name, START.as_secs());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Waits until the port accepts a connection.
    pub(crate) fn wait_for_port(&mut self, address: SocketAddr) -> Result<()> {
        self.wait_until(|| TcpStream::connect(address).is_ok())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        live().remove(&self.child.id());
        signal(self.child.id(), Signal::SIGTERM);
        let start = Instant::now();
        while start.elapsed() < END {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn live() -> std::sync::MutexGuard<'static, BTreeSet<u32>> {
    LIVE.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _ = kill(Pid::from_raw(pid), signal);
    }
}

/// Makes SIGINT and SIGTERM end the children and remove the directory too. (The origin and the
/// relays also end by themselves when their standard input does.)
pub(crate) fn clean_up_on_signals(directory: &Path) -> Result<()> {
    let directory = directory.to_owned();
    // Handlers, not a blocked mask: children would inherit the mask and ignore their SIGTERM.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (mut interrupt, mut terminate) = {
        let _guard = runtime.enter();
        (
            unix::signal(SignalKind::interrupt())?,
            unix::signal(SignalKind::terminate())?,
        )
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
        let children = live().clone();
        children
            .iter()
            .for_each(|&pid| signal(pid, Signal::SIGTERM));
        std::thread::sleep(Duration::from_secs(2));
        children
            .iter()
            .for_each(|&pid| signal(pid, Signal::SIGKILL));
        let _ = std::fs::remove_dir_all(directory);
        #[expect(
            clippy::exit,
            reason = "the measuring threads cannot be interrupted otherwise"
        )]
        std::process::exit(130);
    });
    Ok(())
}

/// A directory under the temporary one, removed with its value.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("vibepit-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("making {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A loopback port nobody listens on, below the range that outgoing connections take theirs from,
/// so that it is still free when its server starts.
pub(crate) fn free_address() -> Result<SocketAddr> {
    static NEXT: Mutex<u16> = Mutex::new(21_000);
    let mut next = NEXT
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    while *next < 32_000 {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *next));
        *next += 1;
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no free port between 21000 and 32000")
}

/// Ends this process when its standard input does: with the harness that started it.
pub(crate) fn exit_with_standard_input() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        #[expect(clippy::exit, reason = "a server has nothing to finish")]
        std::process::exit(0);
    });
}
