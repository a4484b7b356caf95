//! `vibepit run --runtime local` under test, for whoever runs the tests and, where that is root, for
//! an ordinary user too.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Uid;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::Value;

use super::{Events, Home, Ran, Shell, require};

/// A user whom no account names.
pub(crate) const ORDINARY: u32 = 12_345;

/// A project and its environment.
pub(crate) struct Local {
    pub(crate) home: Home,
    project: PathBuf,
    /// Who runs vibepit, if not whoever runs the tests.
    user: Option<u32>,
}

/// Runs a test for each kind of person, where this machine parts off sandboxes.
#[track_caller]
pub(crate) fn each(config: &str, test: impl Fn(&Local)) {
    if !require("user-namespaces") {
        return;
    }
    test(&Local::new(config, None));
    if Uid::effective().is_root() && require("setpriv") {
        test(&Local::new(config, Some(ORDINARY)));
    }
}

impl Local {
    pub(crate) fn new(config: &str, user: Option<u32>) -> Self {
        let home = Home::new();
        home.write_own_config(config);
        let project = home.home().join("project");
        fs::create_dir(&project).expect("the project");
        let local = Self {
            home,
            project,
            user,
        };
        if user.is_some() {
            let base = local.home.home();
            let base = base.parent().expect("the environment");
            fs::set_permissions(base, fs::Permissions::from_mode(0o755)).expect("its mode");
            for place in [
                local.home.home(),
                local.home.config(),
                local.home.state(),
                local.home.runtime(),
            ] {
                local.give(&place);
            }
        }
        local
    }

    /// Makes something, and what is in it, the person's.
    pub(crate) fn give(&self, path: &Path) {
        let Some(user) = self.user else { return };
        lchown(path, Some(user), Some(user)).expect("root gives it away");
        if path.is_dir() && !path.is_symlink() {
            for entry in fs::read_dir(path).expect("a directory") {
                self.give(&entry.expect("an entry").path());
            }
        }
    }

    /// Whether the person is root.
    pub(crate) fn is_root(&self) -> bool {
        self.uid() == 0
    }

    pub(crate) fn uid(&self) -> u32 {
        self.user.unwrap_or_else(|| Uid::effective().as_raw())
    }

    pub(crate) fn project(&self) -> &Path {
        &self.project
    }

    /// A program that the person runs in the project.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let program = program.as_ref();
        let mut command = match self.user {
            None => self.home.command(program),
            Some(user) => {
                let user = user.to_string();
                let mut command = self.home.command("setpriv");
                command
                    .args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"])
                    .arg(program);
                command
            }
        };
        command.current_dir(&self.project);
        command
    }

    /// `vibepit run --runtime local OPTIONS`, to be gone on with.
    pub(crate) fn vibepit(&self, options: &[&str]) -> Command {
        let mut command = self.command(super::binary());
        command.args(["run", "--runtime", "local"]).args(options);
        command
    }

    /// A command of vibepit's to its end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(super::binary()).args(arguments))
    }

    /// A script in a sandbox to its end.
    pub(crate) fn run(&self, options: &[&str], script: &str) -> Ran {
        Ran::of(self.vibepit(options).args(["--", "sh", "-c", script]))
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
        Shell::spawn(self.vibepit(options).arg("--").args(command))
    }

    /// The records of the sessions that run.
    #[track_caller]
    pub(crate) fn sessions(&self) -> Vec<Value> {
        let said: Value =
            serde_json::from_str(&self.cli(&["sessions", "--json"]).ok()).expect("JSON");
        said["sessions"].as_array().expect("a list").clone()
    }

    /// What happens in the one session that runs, from now on.
    #[track_caller]
    pub(crate) fn events(&self) -> Events {
        let sessions = self.sessions();
        assert_eq!(sessions.len(), 1, "{sessions:?}");
        let socket = sessions[0]["control"]["socket"].as_str();
        Events::begin(Path::new(socket.expect("a socket")), None)
    }

    /// Nothing of any session is there, but what is meant to stay.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.left(), [""; 0]);
    }

    /// Directories of sessions.
    pub(crate) fn left(&self) -> Vec<String> {
        super::sessions_in(&self.home.runtime().join("vibepit"))
    }
}

/// A process, however it ends: its number may be another's by then, and this is not.
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) line: String,
    descriptor: OwnedFd,
}

impl Process {
    /// That of this number, if there is one.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let descriptor = pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
        Some(Self {
            pid,
            line: line.replace('\0', " ").trim().to_owned(),
            descriptor,
        })
    }

    /// All that came of a process, itself left out.
    pub(crate) fn below(pid: i32) -> Vec<Self> {
        let mut found = Vec::new();
        let tasks = format!("/proc/{pid}/task");
        for task in fs::read_dir(tasks).into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            for child in children.split_whitespace() {
                let child: i32 = child.parse().expect("a number");
                if let Some(process) = Self::of(child) {
                    found.push(process);
                    found.extend(Self::below(child));
                }
            }
        }
        found
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may have ended meanwhile.
        let _ = kill(nix::unistd::Pid::from_raw(self.pid), signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn ends(&self) {
        let mut waiting = [PollFd::new(self.descriptor.as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(super::PATIENCE).expect("a time");
        let ended = poll(&mut waiting, patience).expect("a wait");
        assert_eq!(ended, 1, "{} goes on", self.line);
    }
}
