//! The proxy under test: the real `vibepit proxy`, with its doors on ports the kernel chose.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::home::binary;
use super::running::lines;
use super::{Events, Home, Message, PATIENCE, Ran, Wire, control};

/// How a proxy is to be started.
pub(crate) struct Launch {
    home: Home,
    config: String,
    arguments: Vec<OsString>,
    wrapper: Vec<OsString>,
}

/// A running proxy. Dropping it kills the process.
pub(crate) struct Proxy {
    pub(crate) home: Home,
    /// The configuration it was started with: write it anew and reload.
    pub(crate) config: PathBuf,
    child: Child,
    said: Mutex<Receiver<String>>,
    record: Value,
}

/// Most tests are about rules alone: what none covers is refused at once, unless they say
/// otherwise.
pub(crate) fn rejecting(config: String) -> String {
    match config.contains("unlisted_domain_behavior") {
        true => config,
        false => format!("{config}\nunlisted_domain_behavior = \"reject\"\n"),
    }
}

impl Launch {
    /// With this `config.toml`, in an environment of its own.
    pub(crate) fn new(config: impl Into<String>) -> Self {
        Self {
            home: Home::new(),
            config: rejecting(config.into()),
            arguments: Vec::new(),
            wrapper: Vec::new(),
        }
    }

    /// In an environment that there is, beside others.
    pub(crate) fn home(mut self, home: &Home) -> Self {
        self.home = home.clone();
        self
    }

    /// With a further argument.
    pub(crate) fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Writes a file into the environment.
    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.home().join(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Through a program that becomes the proxy, such as `sh -c '…; exec "$@"' sh`.
    pub(crate) fn through(mut self, wrapper: &[impl AsRef<OsStr>]) -> Self {
        self.wrapper = wrapper.iter().map(Into::into).collect();
        self
    }

    /// Starts it and waits until its session is announced.
    #[track_caller]
    pub(crate) fn start(self) -> Proxy {
        match self.try_start() {
            Ok(proxy) => proxy,
            Err((_, said)) => panic!("the proxy does not start: {said}"),
        }
    }

    /// Starts it; how it ended, and what it said, where it does not.
    pub(crate) fn try_start(self) -> Result<Proxy, (ExitStatus, String)> {
        let config = self.home.write_config(&self.config);
        let mut command = match self.wrapper.split_first() {
            None => self.home.vibepit(),
            Some((program, arguments)) => {
                let mut command = self.home.command(program);
                command.args(arguments).arg(binary());
                command
            }
        };
        command.args(["proxy", "--http", "127.0.0.1:0", "--dns", "127.0.0.1:0"]);
        let mut child = command
            .arg("--config")
            .arg(&config)
            .args(&self.arguments)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let said = lines(child.stderr.take().expect("its standard error"));
        let mut before = String::new();
        let id = loop {
            match said.recv_timeout(PATIENCE) {
                Ok(line) => {
                    // The line that comes once the session is announced.
                    if let Some(id) = announced(&line) {
                        break id;
                    }
                    before.push_str(&line);
                    before.push('\n');
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err((child.wait().expect("its end"), before));
                }
                Err(RecvTimeoutError::Timeout) => {
                    let _ = child.kill();
                    panic!("the proxy neither starts nor ends: {before}");
                }
            }
        };
        let directory = self.home.runtime().join("vibepit").join(id);
        let record = fs::read(directory.join("session.json")).expect("session.json");
        Ok(Proxy {
            home: self.home,
            config,
            child,
            said: Mutex::new(said),
            record: serde_json::from_slice(&record).expect("session.json is JSON"),
        })
    }
}

/// The id of the session that a proxy announces with this line of its errors, if it does.
pub(crate) fn announced(line: &str) -> Option<String> {
    let id = line.strip_prefix("vibepit proxy ")?.split(' ').next()?;
    Some(id.to_owned())
}

impl Proxy {
    /// With this `config.toml`, in an environment of its own.
    #[track_caller]
    pub(crate) fn start(config: impl Into<String>) -> Self {
        Launch::new(config).start()
    }

    /// The session's id.
    pub(crate) fn id(&self) -> &str {
        self.record["id"].as_str().expect("an id")
    }

    /// The session's directory. The client's credentials are in it: `ca.pem`, `client-cert.pem`,
    /// `client-key.pem`.
    pub(crate) fn session_dir(&self) -> PathBuf {
        self.home.runtime().join("vibepit").join(self.id())
    }

    /// The control socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.session_dir().join("socket/control.sock")
    }

    /// The audit file.
    pub(crate) fn audit_file(&self) -> PathBuf {
        let name = format!("vibepit/audit/{}.jsonl", self.id());
        self.home.state().join(name)
    }

    /// The HTTP door.
    pub(crate) fn http(&self) -> SocketAddr {
        self.address("/proxy/http")
    }

    /// The DNS door.
    pub(crate) fn dns(&self) -> SocketAddr {
        self.address("/proxy/dns")
    }

    /// The mTLS control port.
    pub(crate) fn tcp(&self) -> SocketAddr {
        self.address("/control/tcp")
    }

    fn address(&self, pointer: &str) -> SocketAddr {
        let address = self.record.pointer(pointer).and_then(Value::as_str);
        address.expect(pointer).parse().expect("an address")
    }

    /// Process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Memory that is in use, in KiB.
    pub(crate) fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("/proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
        number
            .and_then(|number| number.trim().parse().ok())
            .expect("VmRSS")
    }

    /// The next line of its standard error that fits.
    #[track_caller]
    pub(crate) fn says(&self, fits: impl Fn(&str) -> bool) -> String {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match said.recv_timeout(left) {
                Ok(line) if fits(&line) => return line,
                Ok(_) => {}
                Err(error) => panic!("it does not say that: {error}"),
            }
        }
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("a signal");
    }

    /// Waits for its end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("its end")
    }

    /// A connection to the HTTP door.
    #[track_caller]
    pub(crate) fn client(&self) -> Wire {
        Wire::to(self.http())
    }

    /// A tunnel to a target, which has to be let through.
    #[track_caller]
    pub(crate) fn tunnel(&self, target: &str) -> Wire {
        let mut wire = self.client();
        wire.send(format!(
            "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
        ));
        let head = wire.head();
        assert_eq!(head.status(), 200, "{head:?}");
        wire
    }

    /// The answer to a GET of a URL, on a connection of its own.
    #[track_caller]
    pub(crate) fn fetch(&self, url: &str) -> Message {
        let mut wire = self.client();
        wire.send(format!(
            "GET {url} HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n"
        ));
        wire.answer()
    }

    /// GET on the control socket.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Message {
        control::call(&self.socket(), "GET", path, None)
    }

    /// POST on the control socket.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, body: &Value) -> Message {
        control::call(&self.socket(), "POST", path, Some(&body.to_string()))
    }

    /// The JSON of a GET that has to succeed.
    #[track_caller]
    pub(crate) fn read(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// The JSON of a POST that has to succeed.
    #[track_caller]
    pub(crate) fn does(&self, path: &str, body: &Value) -> Value {
        let answer = self.post(path, body);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// Asks until no connection of the sandbox is open: that one ends is in the books a moment
    /// after its ends see it, and no event tells.
    #[track_caller]
    pub(crate) fn settles(&self) {
        let until = Instant::now() + PATIENCE;
        while self.read("/session")["counts"]["connections"] != 0 {
            assert!(Instant::now() < until, "{}", self.read("/connections"));
            thread::yield_now();
        }
    }

    /// The log's entries behind a number. What happened before the call is in them.
    #[track_caller]
    pub(crate) fn logs(&self, after: u64) -> Vec<Value> {
        let logs = self.read(&format!("/logs?after={after}"));
        logs["entries"].as_array().expect("entries").clone()
    }

    /// The number of the log's last entry.
    #[track_caller]
    pub(crate) fn logged(&self) -> u64 {
        self.read("/logs?limit=0")["next"]
            .as_u64()
            .expect("a number")
    }

    /// The audit file's lines. What happened before the call is in them.
    #[track_caller]
    pub(crate) fn audit(&self) -> Vec<Value> {
        // An answer of the log means that the books, and the file, are up to date.
        self.logged();
        self.audit_so_far()
    }

    /// The audit file's lines as it stands; of a proxy that has ended, all of them.
    #[track_caller]
    pub(crate) fn audit_so_far(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.audit_file()).expect("the audit file");
        let lines = text.lines().map(|line| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
        });
        lines.collect()
    }

    /// The events from now on, or behind a number.
    #[track_caller]
    pub(crate) fn events(&self, after: Option<u64>) -> Events {
        Events::begin(&self.socket(), after)
    }

    /// Runs `vibepit` in the proxy's environment.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        self.home.cli(arguments)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
