//! `vibepit run` under test: a project in an environment of its own, and a shell in its sandbox
//! that is asked one thing after the other.

use std::env;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;

use super::{Events, Home, Ran, Running, engine};

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

/// A shell in a sandbox, and the launcher that carries its streams.
pub(crate) struct Shell(Running);

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
        sessions_in(&self.runtime_dir())
    }

    /// What happens in a session from now on.
    #[track_caller]
    pub(crate) fn events(&self, session: &str) -> Events {
        let directory = self.runtime_dir().join(session);
        Events::begin(&directory.join("socket/control.sock"), None)
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

    /// Removes what the engine keeps for a project of this bench.
    pub(crate) fn forget_volumes(&self, project: &Path) {
        debug_assert!(project.starts_with(self.home.home()));
        let label = format!("x-vibepit.project-dir={}", project.display());
        for name in engine::volumes(&label) {
            let gone = engine::call("DELETE", &format!("/volumes/{name}"), b"");
            assert!(thread::panicking() || gone.status() == 204, "{name}");
        }
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

/// Ids of the sessions that have a directory in a runtime directory.
pub(crate) fn sessions_in(runtime_dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(runtime_dir).into_iter().flatten();
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
    let names = entries.map(|entry| name(entry.expect("an entry")));
    let is_session = |name: &String| name.len() == 16;
    names.filter(is_session).collect()
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
            self.forget_volumes(&project);
        }
        assert!(thread::panicking() || left.is_empty(), "left: {left:?}");
    }
}

/// What ends an answer of the shell.
const MARK: &str = "--the-answer-ends-here--";

impl Shell {
    /// Starts it with a command.
    #[track_caller]
    pub(crate) fn spawn(command: &mut Command) -> Self {
        Self(Running::spawn(command))
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

    /// Ends the shell and waits for the launcher's end: see [`Running::end`].
    #[track_caller]
    pub(crate) fn end(self) -> (Option<i32>, String) {
        self.0.end()
    }
}

impl Deref for Shell {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.0
    }
}

impl DerefMut for Shell {
    fn deref_mut(&mut self) -> &mut Running {
        &mut self.0
    }
}
