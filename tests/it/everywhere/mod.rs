//! One list of what holds wherever a session runs, and the places it is held against: an engine
//! with and without root, Podman, this machine's kernel, a remote engine. A place that is not on
//! this machine is named as skipped, or fails where it is required.

mod commands;
mod directories;
mod held;
mod kept;
mod laws;
mod neighbours;
mod peers;
mod places;
mod reach;
mod walls;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use serde_json::Value;

use crate::support::{Ran, Shell, binary};

pub(crate) use self::laws::rows;

/// A person with a project, somewhere where sessions can run.
pub(crate) trait Place {
    /// A program in the project, as this person calls it there.
    fn command(&self, program: &Path) -> Command;

    /// The person's number.
    fn uid(&self) -> u32;

    /// The project's directory.
    fn project(&self) -> &Path;

    /// The person's home directory.
    fn home(&self) -> &Path;

    /// What sessions here say that they are made with.
    fn runtime(&self) -> &'static str;

    /// Sessions' directories, and whatever else there is of them.
    fn left(&self) -> Vec<String>;

    /// The binary in the project.
    fn vibepit(&self) -> Command {
        self.command(binary())
    }

    /// A script of the person's own, outside of any sandbox.
    fn person(&self, script: &str) {
        Ran::of(self.command("sh".as_ref()).args(["-ec", script])).ok();
    }

    /// A directory that a variable of the person's names.
    fn directory(&self, variable: &str) -> PathBuf {
        let command = self.vibepit();
        let mut variables = command.get_envs();
        let found = variables.find_map(|(name, value)| (name == variable).then_some(value));
        found.flatten().expect("the variable is set").into()
    }

    /// Whether a sandbox works on the project itself: what it changes is there at once.
    fn project_is_mounted(&self) -> bool {
        true
    }

    /// Brings what sandboxes changed in copies of the project, where they work on such.
    fn bring(&self) {}

    /// Whether a session's control plane has a socket on this machine.
    fn has_socket(&self) -> bool {
        self.is_on_this_machine()
    }

    /// Whether sandboxes and their proxies are processes of this machine.
    fn is_on_this_machine(&self) -> bool {
        true
    }

    /// `vibepit ARGUMENTS` to its end.
    fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.vibepit().args(arguments))
    }

    /// `vibepit run OPTIONS -- sh -c SCRIPT` to its end.
    fn run(&self, options: &[&str], script: &str) -> Ran {
        let mut command = self.vibepit();
        command.arg("run").args(options);
        Ran::of(command.args(["--", "sh", "-c", script]))
    }

    /// A shell in a sandbox. When this returns, the session is announced.
    fn shell(&self, options: &[&str]) -> Shell {
        let mut command = self.vibepit();
        command.arg("run").args(options).args(["--", "sh"]);
        let mut shell = Shell::spawn(&mut command);
        assert_eq!(shell.ask("echo here"), "here\n");
        shell
    }

    /// The one session that runs.
    fn session(&self) -> Value {
        let said: Value =
            serde_json::from_str(&self.cli(&["sessions", "--json"]).ok()).expect("JSON");
        let sessions = said["sessions"].as_array().expect("a list");
        assert_eq!(sessions.len(), 1, "{said}");
        sessions[0].clone()
    }

    /// Nothing of any session is there, once its work has been brought.
    fn is_clean(&self) {
        self.bring();
        assert_eq!(self.left(), [""; 0]);
    }
}

/// The process of a session's proxy, as the kernel tells whoever connects to it: also where the
/// proxy is in a container of this kernel's.
fn proxy_of(session: &Value) -> i32 {
    let socket = session["control"]["socket"].as_str().expect("a socket");
    let stream = UnixStream::connect(socket).expect("it listens");
    let credentials = getsockopt(&stream, PeerCredentials).expect("its credentials");
    credentials.pid()
}

/// Holds a place to every law.
pub(crate) fn hold(place: &dyn Place) {
    let walls = match place.is_on_this_machine() {
        true => laws::WALLS,
        false => &[],
    };
    for (sentence, law, _) in laws::LAWS.iter().chain(walls) {
        // Whoever reads a failure wants to know which of them it was.
        #[expect(clippy::print_stderr)]
        {
            eprintln!("{}: {sentence}", place.runtime());
        }
        law(place);
        place.is_clean();
    }
}
