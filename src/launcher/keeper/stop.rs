//! Ending a launcher that does not answer.

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::{KeeperClient, wire};
use crate::api::FromKeeper;
use crate::session::Found;
use crate::transport::peer;

/// How long a launcher may take to hear that it is to end.
const ANSWER: Duration = Duration::from_secs(10);
/// How long it may take to take everything away.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a launcher that got a signal may take to take everything away.
const GRACE: Duration = Duration::from_secs(20);
/// How long a process that was killed may take to be gone.
const GONE: Duration = Duration::from_secs(5);

/// Has the launcher of a session end it, and waits until nothing holds the session any more.
/// Answers what a person should know of what it left.
///
/// # Errors
///
/// When it does not answer, or takes too long.
pub async fn end_session(found: &Found) -> Result<Vec<String>> {
    let mut freed = freed(found);
    let keeper = KeeperClient::of(found);
    let mut connection = timeout(ANSWER, keeper.tell_to_end())
        .await
        .context("its launcher does not answer")??;
    // A launcher that goes without a word may have ended it all the same.
    let last_words = async {
        let said = wire::hear(&mut connection).await;
        (said.ok(), (&mut freed).await)
    };
    let (said, freed) = timeout(PATIENCE, last_words)
        .await
        .context("its launcher takes too long")?;
    freed?;
    Ok(match said {
        Some(FromKeeper::Ended { warnings }) => warnings,
        _ => Vec::new(),
    })
}

/// Done when nothing holds the session any more.
fn freed(found: &Found) -> oneshot::Receiver<()> {
    let (tell, freed) = oneshot::channel();
    let watched = found.clone();
    // A thread of its own: it waits for as long as the lock is held.
    thread::spawn(move || {
        watched.wait_until_free();
        let _ = tell.send(());
    });
    freed
}

/// Ends the process that holds a session, by a signal, and by SIGKILL where that does not do. What
/// it leaves is for the next pruning.
///
/// # Errors
///
/// When it cannot be told which process that is, or it does not end.
pub async fn stop_launcher(found: &Found) -> Result<()> {
    let mut freed = freed(found);
    // Who listens: a pid in a file may be anybody's by now.
    let pid = match peer::listener(&found.keeper_socket()).await {
        Ok(pid) => pid,
        Err(_) => match found.control_socket() {
            // A proxy that was started by hand is its own launcher.
            Some(socket) if found.record.sandbox.is_none() => peer::listener(&socket).await?,
            // One that is dying has closed its socket, and lets go of the rest in a moment.
            _ if timeout(GONE, &mut freed).await.is_ok() => return Ok(()),
            _ => bail!(
                "its launcher does not answer, and its socket does not tell which process it is; \
                 it said that it is process {}",
                found.record.pid
            ),
        },
    };
    let pid = Pid::from_raw(i32::try_from(pid)?);
    for (signal, patience) in [(Signal::SIGTERM, GRACE), (Signal::SIGKILL, GONE)] {
        kill(pid, signal).with_context(|| format!("process {pid} could not be ended"))?;
        if timeout(patience, &mut freed).await.is_ok() {
            return Ok(());
        }
    }
    bail!("process {pid} does not end")
}
