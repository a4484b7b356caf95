//! One list of what holds wherever a session runs, and the places it is held against: an engine
//! with and without root, Podman, this machine's kernel, a remote engine. A place that is not on
//! this machine is named as skipped, or fails where it is required.

mod commands;
mod held;
mod kept;
mod places;
mod reach;

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Ran, Shell};

/// A person with a project, somewhere where sessions can run.
pub(crate) trait Place {
    /// The binary in the project, as this person calls it there.
    fn vibepit(&self) -> Command;

    /// The project's directory.
    fn project(&self) -> &Path;

    /// The person's home directory.
    fn home(&self) -> &Path;

    /// What sessions here say that they are made with.
    fn runtime(&self) -> &'static str;

    /// Sessions' directories, and whatever else there is of them.
    fn left(&self) -> Vec<String>;

    /// Whether a sandbox works on the project itself: what it changes is there at once.
    fn project_is_mounted(&self) -> bool {
        true
    }

    /// Brings what sandboxes changed in copies of the project, where they work on such.
    fn bring(&self) {}

    /// Whether a session's control plane has a socket on this machine.
    fn has_socket(&self) -> bool {
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

/// What holds in a place.
type Law = fn(&dyn Place);

/// Every law, by the sentence that says it.
const LAWS: &[(&str, Law)] = &[
    (
        "a command has its own exit code, its streams and its arguments",
        commands::exit_code_and_streams,
    ),
    (
        "a command that is not there is told, with the code a shell gives it",
        commands::no_such_command,
    ),
    (
        "the project is the person's, at its own path, what is changed in it comes to them, and its \
         settings are hidden",
        commands::project_and_home,
    ),
    (
        "a signal ends the command, and nothing is left",
        commands::signal,
    ),
    (
        "what no rule covers is refused, and an allow over the socket and over mTLS lets it through",
        reach::refused_and_allowed,
    ),
    (
        "a program that knows no proxy is refused and let through as one that does, and so is SOCKS5",
        reach::without_a_proxy,
    ),
    (
        "the owner is answered, over the socket where there is one, and the sandbox sees no socket",
        reach::control_plane,
    ),
    (
        "a session stays until it is ended, runs commands meanwhile, and ends twice without harm",
        kept::up_exec_down,
    ),
    (
        "a command in a session gets its input, its signals, and the end of its terminal",
        kept::exec_streams_and_signals,
    ),
    ("run joins the session of its project", kept::run_joins),
    (
        "a shell outlives its terminal, and is joined again",
        kept::shell_outlives_its_terminal,
    ),
    (
        "nothing that is tried gets out of a sandbox, and a session may depend on that",
        held::self_attack,
    ),
    (
        "a launcher that is killed leaves nothing that a prune does not take away",
        kept::killed_launcher,
    ),
];

/// Holds a place to every law.
pub(crate) fn hold(place: &dyn Place) {
    for (sentence, law) in LAWS {
        // Whoever reads a failure wants to know which of them it was.
        #[expect(clippy::print_stderr)]
        {
            eprintln!("{}: {sentence}", place.runtime());
        }
        law(place);
        place.is_clean();
    }
}
