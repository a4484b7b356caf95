//! The process that holds a sandbox's namespaces, seen from outside: starting it, its doors, the
//! moment when every wall stands, and its end.

use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::super::undo::Undo;
use super::channel::{Channel, Hearing};
use super::kernel;
use crate::api::enclosure::{DoorName, FromEnclosure, Plan, ToEnclosure};

/// How long each step of the inside may take on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much of what the inside says on standard error is kept.
const TAIL: usize = 4096;

/// A sandbox that is being made, or is there.
pub(super) struct Enclosure {
    pub(super) channel: Arc<Channel>,
    pub(super) hearing: Hearing,
    pub(super) process: Process,
    said: JoinHandle<String>,
}

/// How long a sandbox may take to end when its channel has: the kernel kills what runs in it.
const END: Duration = Duration::from_secs(10);

/// The process, if it has been started. Undone is ended.
#[derive(Clone, Default)]
pub(super) struct Process(Arc<Mutex<Option<Running>>>);

struct Running {
    child: Child,
    /// Its end is the sandbox's.
    channel: Arc<Channel>,
}

impl Process {
    /// Its number, while it runs.
    pub(super) async fn id(&self) -> Option<u32> {
        self.0.lock().await.as_ref()?.child.id()
    }

    /// Ends it, and waits: what ran in the sandbox is gone then.
    pub(super) async fn end(&self) -> Result<()> {
        let Some(Running { mut child, channel }) = self.0.lock().await.take() else {
            return Ok(());
        };
        channel.close();
        // Its end is that of the sandbox's first process, and that of all the others is before it.
        if timeout(END, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(())
    }
}

impl Enclosure {
    /// Starts it, and waits for the doors' sockets.
    pub(super) async fn start(
        host_ports: &[u16],
        undo: &mut Undo,
    ) -> Result<(Self, Vec<(DoorName, OwnedFd)>)> {
        let process = Process::default();
        {
            let process = process.clone();
            undo.push("the sandbox", move || async move { process.end().await });
        }
        Self::start_process(process, host_ports).await
    }

    /// The same for whoever ends it by hand.
    pub(super) async fn start_process(
        process: Process,
        host_ports: &[u16],
    ) -> Result<(Self, Vec<(DoorName, OwnedFd)>)> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair()
            .context("the channel to the sandbox cannot be made")?;
        ours.set_nonblocking(true)?;
        let channel = Arc::new(Channel::new(UnixStream::from_std(ours)?));
        let mut child = Command::new("/proc/self/exe")
            .args(["inside", "enclosure"])
            .args(host_ports.iter().map(u16::to_string))
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the sandbox's enclosure cannot be started")?;
        let errors = child.stderr.take().context("it has a standard error")?;
        *process.0.lock().await = Some(Running {
            child,
            channel: Arc::clone(&channel),
        });
        let mut enclosure = Self {
            channel,
            hearing: Hearing::new(),
            process,
            said: tokio::spawn(tail(errors)),
        };
        let FromEnclosure::Doors = enclosure.next().await? else {
            bail!("the sandbox's enclosure begins with something else than its doors");
        };
        let mut doors = Vec::new();
        let of_host = host_ports.iter().map(|_| DoorName::Host);
        for door in DoorName::ALL.into_iter().chain(of_host) {
            doors.push((door, enclosure.hearing.descriptor()?));
        }
        Ok((enclosure, doors))
    }

    /// One that is nothing but the other end of this stream.
    #[cfg(test)]
    pub(super) fn of(stream: UnixStream) -> Self {
        Self {
            channel: Arc::new(Channel::new(stream)),
            hearing: Hearing::new(),
            process: Process::default(),
            said: tokio::spawn(std::future::ready("last words".to_owned())),
        }
    }

    /// Tells it what the sandbox is made of.
    pub(super) async fn tell(&self, plan: &Plan) -> Result<()> {
        let plan = ToEnclosure::Plan(Box::new(plan.clone()));
        let told = self.channel.say(&plan, &[]).await;
        told.context("the sandbox's enclosure ended at its start")
    }

    /// Waits until every wall stands.
    pub(super) async fn ready(&mut self) -> Result<()> {
        match self.next().await? {
            FromEnclosure::Ready => Ok(()),
            _ => bail!("the sandbox's first process begins with something else than its walls"),
        }
    }

    /// What is said next at the start, where an end is a failure.
    async fn next(&mut self) -> Result<FromEnclosure> {
        let next = timeout(PATIENCE, self.hearing.next(&self.channel)).await;
        let next = next
            .with_context(|| format!("the sandbox was not made within {} s", PATIENCE.as_secs()))?;
        match next? {
            Some(FromEnclosure::Refused(why)) => Err(kernel::refused(why).into()),
            Some(FromEnclosure::Failed(why)) => Err(anyhow!(why)),
            Some(line) => Ok(line),
            None => Err(anyhow!(
                "the sandbox's enclosure ended at its start{}",
                self.last_words().await
            )),
        }
    }

    /// A clause that says what the inside said last, when it has ended.
    pub(super) async fn last_words(&mut self) -> String {
        let _ = self.process.end().await;
        match (&mut self.said).await {
            Ok(said) if !said.trim().is_empty() => format!(": {}", said.trim()),
            _ => String::new(),
        }
    }
}

/// The end of a stream, once it is over.
async fn tail(mut stream: impl AsyncRead + Unpin) -> String {
    let mut kept = Vec::new();
    let mut piece = [0; 1024];
    while let Ok(length @ 1..) = stream.read(&mut piece).await {
        kept.extend_from_slice(&piece[..length]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    String::from_utf8_lossy(&kept).into_owned()
}
