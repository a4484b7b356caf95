//! `vibepit run` under test: a project in an environment of its own, and a shell in its sandbox
//! that is asked one thing after the other.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use super::{Home, PATIENCE, Ran, engine};

/// The steps of a start, as the engine tells of them: before the holder of the network runs; before
/// the proxy does; before it admits; when it admits and the sandbox does not run.
pub(crate) const START: [(&str, &str); 5] = [
    ("create", "holder"),
    ("create", "proxy"),
    ("start", "holder"),
    ("start", "proxy"),
    ("create", "sandbox"),
];

/// A project and its environment. At its end nothing of its sessions may be left in the engine.
pub(crate) struct Bench {
    pub(crate) home: Home,
    project: PathBuf,
}

/// A shell in a sandbox.
pub(crate) struct Shell {
    child: Child,
    stdin: Option<ChildStdin>,
    out: Receiver<String>,
    err: Receiver<String>,
}

impl Bench {
    /// With this `config.toml` of the person's.
    pub(crate) fn new(config: &str) -> Self {
        let home = Home::new();
        home.write_own_config(config);
        let project = home.home().join("project");
        fs::create_dir(&project).expect("the project");
        Self { home, project }
    }

    /// The project's directory.
    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    /// Another project of the same person.
    pub(crate) fn another_project(&self) -> PathBuf {
        let project = self.home.home().join("another");
        fs::create_dir(&project).expect("another project");
        project
    }

    /// The binary in the project, with the engine that the tests use.
    pub(crate) fn vibepit(&self) -> Command {
        let mut command = self.home.vibepit();
        with_engine(&mut command);
        command.current_dir(&self.project);
        command
    }

    /// `vibepit ARGUMENTS` to its end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.vibepit().args(arguments))
    }

    /// `vibepit run OPTIONS -- sh -c SCRIPT` to its end.
    pub(crate) fn run(&self, options: &[&str], script: &str) -> Ran {
        Ran::of(
            self.vibepit()
                .arg("run")
                .args(options)
                .args(["--", "sh", "-c", script]),
        )
    }

    /// A shell in a sandbox. When this returns, the session is announced.
    #[track_caller]
    pub(crate) fn shell(&self, options: &[&str]) -> Shell {
        let mut shell = self.start(options, &["sh"]);
        assert_eq!(shell.ask("echo here"), "here\n");
        shell
    }

    /// A command in a sandbox that is not waited for.
    #[track_caller]
    pub(crate) fn start(&self, options: &[&str], command: &[&str]) -> Shell {
        let mut vibepit = self.vibepit();
        vibepit.arg("run").args(options).arg("--").args(command);
        Shell::spawn(&mut vibepit)
    }

    /// What a session's things in the engine are labelled with.
    pub(crate) fn label(&self) -> String {
        format!("x-vibepit.runtime-dir={}", self.runtime_dir().display())
    }

    /// vibepit's runtime directory.
    pub(crate) fn runtime_dir(&self) -> PathBuf {
        self.home.runtime().join("vibepit")
    }

    /// Ids of the sessions that have a directory.
    pub(crate) fn directories(&self) -> Vec<String> {
        let entries = fs::read_dir(self.runtime_dir()).into_iter().flatten();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
        let names = entries.map(|entry| name(entry.expect("an entry")));
        let is_session = |name: &String| name.len() == 16;
        names.filter(is_session).collect()
    }

    /// The records of the sessions that run.
    #[track_caller]
    pub(crate) fn sessions(&self) -> Vec<Value> {
        let said = self.cli(&["sessions", "--json"]).ok();
        let said: Value = serde_json::from_str(&said).expect("JSON");
        said["sessions"].as_array().expect("a list").clone()
    }

    /// The id of the one session that runs.
    #[track_caller]
    pub(crate) fn session(&self) -> String {
        let sessions = self.sessions();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        sessions[0]["id"].as_str().expect("an id").to_owned()
    }

    /// Containers and directories of this bench's sessions.
    pub(crate) fn left(&self) -> Vec<String> {
        let label = self.label();
        let mut left = engine::containers(&label);
        left.extend(self.directories());
        left
    }

    /// Nothing of any session is there.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.left(), [""; 0]);
    }
}

/// Names the engine of the tests to a command.
pub(crate) fn with_engine(command: &mut Command) {
    if let Some(host) = env::var_os("DOCKER_HOST") {
        command.env("DOCKER_HOST", host);
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let left = self.left();
        for name in engine::containers(&self.label()) {
            engine::call("DELETE", &format!("/containers/{name}?force=1&v=1"), b"");
        }
        for project in [self.project.clone(), self.home.home().join("another")] {
            let label = format!("x-vibepit.project-dir={}", project.display());
            for name in engine::volumes(&label) {
                let gone = engine::call("DELETE", &format!("/volumes/{name}"), b"");
                assert!(thread::panicking() || gone.status() == 204, "{name}");
            }
        }
        assert!(thread::panicking() || left.is_empty(), "left: {left:?}");
    }
}

/// What ends an answer of the shell.
const MARK: &str = "--the-answer-ends-here--";

impl Shell {
    /// Starts a command whose streams are all piped.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        Self {
            stdin: child.stdin.take(),
            out: lines(child.stdout.take().expect("its output")),
            err: lines(child.stderr.take().expect("its errors")),
            child,
        }
    }

    /// What a script prints, on both streams.
    #[track_caller]
    pub(crate) fn ask(&mut self, script: &str) -> String {
        self.tell(&format!(
            "{{ {script}\n}} </dev/null 2>&1; echo; echo {MARK}"
        ));
        let mut said = String::new();
        loop {
            let line = self.line();
            if line == MARK {
                // The empty line is ours, unless the answer does not end in one.
                let shorter = said.strip_suffix("\n\n").map(|said| format!("{said}\n"));
                return shorter.unwrap_or_else(|| said.trim_end_matches('\n').to_owned());
            }
            said.push_str(&line);
            said.push('\n');
        }
    }

    /// Sends a line to the command.
    #[track_caller]
    pub(crate) fn tell(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open input");
        writeln!(stdin, "{line}").expect("the line is taken");
    }

    /// The next line of its output.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        match self.out.recv_timeout(PATIENCE) {
            Ok(line) => line,
            Err(error) => panic!("no line: {error}; {:?}", self.errors_so_far()),
        }
    }

    /// Waits for a line of its errors that fits.
    #[track_caller]
    pub(crate) fn warns(&mut self, fits: impl Fn(&str) -> bool) -> String {
        loop {
            let line = self.err.recv_timeout(PATIENCE).expect("such a line");
            if fits(&line) {
                return line;
            }
        }
    }

    fn errors_so_far(&self) -> Vec<String> {
        self.err.try_iter().collect()
    }

    /// The launcher.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"))
    }

    /// Sends a signal to the launcher.
    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("a signal");
    }

    /// Waits for the launcher's end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("its end")
    }

    /// Ends the command's input, waits, and gives the exit code and what was said on standard
    /// error meanwhile.
    #[track_caller]
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        drop(self.stdin.take());
        let status = self.wait();
        let said: Vec<String> = self.err.iter().collect();
        (status.code(), said.join("\n"))
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Only what a test did not bring to its end: everything is to be taken away again.
        drop(self.stdin.take());
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill(self.pid(), Signal::SIGTERM);
            let _ = self.child.wait();
        }
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while matches!(stream.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim_end_matches(['\r', '\n']).to_owned();
            line.clear();
            if send.send(text).is_err() {
                break;
            }
        }
    });
    receive
}
