//! What changes while clients are at work, ten times a second, with a look at what each change did.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::contender::vibepit::Doors;
use crate::control;
use crate::origin::{NAME, Origin};

/// From one round of changes to the next.
const EVERY: Duration = Duration::from_millis(100);
/// How long a change, or an answer, may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Told of the first wrong ones alone.
const TOLD: usize = 20;

/// The host whose rule comes and goes.
const FLIPPED: &str = "flipped.test:443";
/// The one that the configuration allows in every second version of it, and denies in the others.
const RELOADED: &str = "reloaded.test:443";

/// The configuration of a soak, in one of its two versions.
pub(super) fn configuration(origin: &Origin, allowed: bool) -> String {
    let (allow, deny) = match allowed {
        true => (format!(", \"{RELOADED}\""), String::new()),
        false => (String::new(), format!(", \"{RELOADED}\"")),
    };
    format!(
        "allow_cidr = [\"127.0.0.0/8\"]\nupstream_dns = [\"{}\"]\n\
         unlisted_domain_behavior = \"request_approval\"\napproval_timeout = \"20s\"\n\
         allow = [\"127.0.0.1:*\", \"{NAME}:*\"{allow}]\ndeny = [\"**.never.test:*\"{deny}]\n",
        origin.services.names
    )
}

/// Whoever changes things.
pub(super) struct Changes<'a> {
    origin: &'a Origin,
    proxy: SocketAddr,
    socket: PathBuf,
    config: &'a Path,
}

/// What was done, and what did not come of it.
#[derive(Default)]
pub(super) struct Changed {
    pub(super) rounds: u64,
    pub(super) approved: u64,
    pub(super) denied: u64,
    pub(super) wrong: Vec<String>,
}

impl<'a> Changes<'a> {
    pub(super) fn new(origin: &'a Origin, doors: &Doors, config: &'a Path) -> Self {
        Self {
            origin,
            proxy: doors.started.http,
            socket: doors.started.control.clone(),
            config,
        }
    }

    /// Changes things until it is over.
    pub(super) fn make(&self, over: &AtomicBool) -> Result<Changed> {
        let mut changed = Changed::default();
        while !over.load(Ordering::Relaxed) {
            let start = Instant::now();
            let allowed = changed.rounds % 2 == 0;
            if let Err(error) = self.round(allowed, &mut changed)
                && changed.wrong.len() < TOLD
            {
                changed
                    .wrong
                    .push(format!("round {}: {error:#}", changed.rounds));
            }
            changed.rounds += 1;
            std::thread::sleep(EVERY.saturating_sub(start.elapsed()));
        }
        Ok(changed)
    }

    fn round(&self, allowed: bool, changed: &mut Changed) -> Result<()> {
        self.decide(changed)?;
        let entry = json!({"entries": [FLIPPED]});
        self.post("/allow", &entry)?;
        let open = self.gets(FLIPPED, 200)?;
        self.post("/deny", &entry)?;
        self.gets(FLIPPED, 403)?;
        is_closed(open)?;
        self.post("/revoke", &entry)?;
        std::fs::write(self.config, configuration(self.origin, allowed))?;
        self.post("/reload", &json!({}))?;
        self.gets(RELOADED, if allowed { 200 } else { 403 })?;
        Ok(())
    }

    /// Answers everybody who waits, as the name of what is asked for wants it.
    fn decide(&self, changed: &mut Changed) -> Result<()> {
        let waiting = control::get(&self.socket, "/pending-domains")?;
        for request in waiting["pending"].as_array().into_iter().flatten() {
            let (Some(id), Some(host)) = (request["id"].as_str(), request["domain"].as_str())
            else {
                bail!("what waits is not as described: {request}");
            };
            let (call, count) = match host.starts_with("yes-") {
                true => ("approve-domain", &mut changed.approved),
                false => ("deny-domain", &mut changed.denied),
            };
            self.post(&format!("/{call}/{id}"), &json!({"scope": "once"}))?;
            *count += 1;
        }
        Ok(())
    }

    fn post(&self, path: &str, body: &Value) -> Result<Value> {
        control::post(&self.socket, path, body)
    }

    /// Asks for a tunnel, whose answer has to have this status.
    fn gets(&self, target: &str, due: u16) -> Result<TcpStream> {
        let mut stream = TcpStream::connect(self.proxy)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(
            stream,
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        )?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte)?;
            head.push(byte[0]);
        }
        if !head.starts_with(format!("HTTP/1.1 {due} ").as_bytes()) {
            let said = head.escape_ascii().to_string();
            bail!("{target}: {due} was due, and it was {said}");
        }
        Ok(stream)
    }
}

/// A tunnel that a rule denies by now ends.
fn is_closed(mut stream: TcpStream) -> Result<()> {
    match stream.read(&mut [0]) {
        Ok(0) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(()),
        Ok(_) => bail!("a tunnel that is denied said something"),
        Err(error) => bail!("a tunnel that is denied stays open: {error}"),
    }
}
