//! The way to an engine on another machine: the person's own `ssh`, which forwards a socket of
//! ours to the engine's. It is started again when it ends, for as long as this process lives.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::super::endpoint::SshEnd;
use crate::session::{RuntimeDir, SessionId};

/// The forwarded socket in the tunnel's own directory.
const SOCKET: &str = "engine.sock";
/// What the directories of tunnels are called; no session is.
const PREFIX: &str = "engine-";

/// How long `ssh` may take to log in.
const LOGIN: Duration = Duration::from_secs(60);
/// Pauses before it is tried again: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20));
/// What is kept of what it says.
const TAIL: u64 = 4096;

/// It says so when the forwarding stands, and ends when this process does, however that goes: its
/// input ends then.
const REMOTE: &str = "exec sh -c 'echo vibepit $(id -u) $(id -g); exec cat >/dev/null'";

/// Forwards connections for as long as it lives.
#[derive(Debug)]
pub(crate) struct Tunnel {
    directory: TunnelDir,
    way: watch::Receiver<Way>,
    /// Uid and gid over there.
    person: (u32, u32),
    supervision: JoinHandle<()>,
}

/// What is known of the way there.
#[derive(Debug, Clone, Copy)]
struct Way {
    up: bool,
    /// How often it was made again.
    again: u64,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.supervision.abort();
    }
}

impl Tunnel {
    /// Logs in.
    ///
    /// # Errors
    ///
    /// What `ssh` says, when it does not come that far.
    pub(super) async fn open(end: &SshEnd) -> io::Result<Self> {
        let directory = TunnelDir::create().map_err(io::Error::other)?;
        let (ssh, person) = Ssh::start(end, &directory.path).await?;
        let (tell, way) = watch::channel(Way { up: true, again: 0 });
        let supervision = tokio::spawn(supervise(ssh, end.clone(), directory.path.clone(), tell));
        Ok(Self {
            directory,
            way,
            person,
            supervision,
        })
    }

    /// Who we are over there.
    pub(super) fn person(&self) -> (u32, u32) {
        self.person
    }

    /// How often the way was lost and made again: what was connected before that is gone.
    pub(super) fn again(&self) -> u64 {
        self.way.borrow().again
    }

    /// A connection to the engine. Waits while the way is being made again.
    pub(super) async fn connect(&self) -> io::Result<UnixStream> {
        let mut way = self.way.clone();
        way.wait_for(|way| way.up).await.map_err(io::Error::other)?;
        // Through a descriptor, because sun_path is short (unix(7)).
        let descriptor = self.directory.lock.as_raw_fd();
        UnixStream::connect(format!("/proc/self/fd/{descriptor}/{SOCKET}")).await
    }
}

/// Starts it again whenever it ends, with longer and longer pauses while that fails.
async fn supervise(mut ssh: Ssh, end: SshEnd, directory: PathBuf, way: watch::Sender<Way>) {
    loop {
        let _ = ssh.child.wait().await;
        way.send_modify(|way| way.up = false);
        let mut pause = BACKOFF.0;
        ssh = loop {
            sleep(pause).await;
            pause = (pause * 2).min(BACKOFF.1);
            if let Ok((ssh, _)) = Ssh::start(&end, &directory).await {
                break ssh;
            }
        };
        way.send_modify(|way| {
            way.up = true;
            way.again += 1;
        });
    }
}

/// A running `ssh`.
struct Ssh {
    child: Child,
    /// Keeps it there. (Waiting for a child closes what input it has itself.)
    _input: ChildStdin,
}

impl Ssh {
    /// Starts it, and waits until the forwarding stands.
    async fn start(end: &SshEnd, directory: &Path) -> io::Result<(Self, (u32, u32))> {
        let _ = fs::remove_file(directory.join(SOCKET));
        let mut command = Command::new("ssh");
        for option in [
            // Nobody else's connection, and none for others.
            "ControlMaster=no",
            "ControlPath=none",
            // It has no terminal to ask in: the person's is the command's.
            "BatchMode=yes",
            "ExitOnForwardFailure=yes",
            "StreamLocalBindMask=0177",
            "ServerAliveInterval=5",
            "ServerAliveCountMax=3",
            "PermitLocalCommand=no",
            "RequestTTY=no",
        ] {
            command.args(["-o", option]);
        }
        if let Some(user) = end.user() {
            command.args(["-l", user]);
        }
        if let Some(port) = end.port() {
            command.args(["-p", &port.to_string()]);
        }
        // Its working directory stands in for a path that may be too long for it.
        let forward = format!("/proc/self/cwd/{SOCKET}:{}", end.socket().display());
        let mut child = command
            .args(["-L", &forward, "--", end.host(), REMOTE])
            .current_dir(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in our terminal is not for it.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| io::Error::new(error.kind(), format!("ssh: {error}")))?;
        let input = child.stdin.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let errors = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut output = BufReader::new(output).lines();
        let ready = async {
            // A login script may say something first.
            while let Some(line) = output.next_line().await? {
                if let Some(person) = person(&line) {
                    return Ok(Some(person));
                }
            }
            Ok::<_, io::Error>(None)
        };
        let ready = timeout(LOGIN, ready).await;
        match ready {
            Ok(Ok(Some(person))) => {
                // So that it never waits for a reader.
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut { errors }, &mut tokio::io::sink()).await;
                });
                Ok((
                    Self {
                        child,
                        _input: input,
                    },
                    person,
                ))
            }
            Ok(_) => Err(io::Error::other(said(errors).await)),
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("no login within {} s", LOGIN.as_secs()),
            )),
        }
    }
}

/// The last line that is not empty.
async fn said(errors: impl tokio::io::AsyncRead + Unpin) -> String {
    let mut text = Vec::new();
    let _ = errors.take(TAIL).read_to_end(&mut text).await;
    let text = String::from_utf8_lossy(&text);
    let last = text.lines().rfind(|line| !line.trim().is_empty());
    last.unwrap_or("it ended without a word").trim().to_owned()
}

fn person(line: &str) -> Option<(u32, u32)> {
    let (uid, gid) = line.strip_prefix("vibepit ")?.split_once(' ')?;
    Some((uid.parse().ok()?, gid.trim().parse().ok()?))
}

/// A directory of our own with the socket in it, locked for as long as it is used.
#[derive(Debug)]
struct TunnelDir {
    path: PathBuf,
    lock: Flock<File>,
}

impl TunnelDir {
    /// Takes away what others left who were killed, and makes one.
    fn create() -> anyhow::Result<Self> {
        let runtime = RuntimeDir::open_or_create()?;
        for entry in fs::read_dir(runtime.path())?.flatten() {
            let ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
            if let Some(left) = ours.then(|| lock(&entry.path())).flatten() {
                clear(&entry.path());
                drop(left);
            }
        }
        let path = runtime
            .path()
            .join(format!("{PREFIX}{}", SessionId::random()?));
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = lock(&path).ok_or_else(|| anyhow::anyhow!("{}: locked", path.display()))?;
        Ok(Self { path, lock })
    }
}

impl Drop for TunnelDir {
    fn drop(&mut self) {
        clear(&self.path);
    }
}

fn lock(path: &Path) -> Option<Flock<File>> {
    let directory = File::open(path).ok()?;
    Flock::lock(directory, FlockArg::LockExclusiveNonblock).ok()
}

fn clear(path: &Path) {
    let _ = fs::remove_file(path.join(SOCKET));
    let _ = fs::remove_dir(path);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_we_are_over_there_is_read_from_one_line_and_no_other() {
        assert_eq!(person("vibepit 1000 100"), Some((1000, 100)));
        for other in ["Welcome to box", "vibepit", "vibepit x y", "vibepit 1"] {
            assert_eq!(person(other), None, "{other}");
        }
    }

    #[tokio::test]
    async fn of_what_ssh_says_the_last_line_is_told() {
        let text = b"Warning: added\nme@box: Permission denied (publickey).\n\n";
        assert_eq!(
            said(&text[..]).await,
            "me@box: Permission denied (publickey)."
        );
        assert_eq!(said(&b""[..]).await, "it ended without a word");
    }
}
