//! What a session is started from, and what comes of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc;

use super::attach;
use super::login::Login;
use super::offlimits::OffLimits;
use super::project::Project;
use super::sandbox::{Variable, VolumeSpec};
use crate::api::{PolicyDocument, Saved};
use crate::config::tools::GitIdentity;
use crate::session::RuntimeDir;

/// Reads the configuration as it is now: at the start, and whenever a session is told to reload.
/// An error's text is shown to the person.
pub type Policy = Arc<dyn Fn() -> anyhow::Result<PolicyDocument> + Send + Sync>;

/// Decisions that are saved on this machine, for a proxy on another one, which cannot read them.
pub trait SavedHere: Send + Sync {
    /// As they are now. Blocks on the disk.
    ///
    /// # Errors
    /// When they cannot be read: a deny may be among them.
    fn read(&self) -> anyhow::Result<Vec<Saved>>;

    /// As they are whenever they change, until nobody listens.
    ///
    /// # Errors
    /// When they cannot be watched.
    fn follow(&self) -> anyhow::Result<Follow>;
}

/// Saved decisions after each change, or one sentence that says why they cannot be read.
pub type Follow = mpsc::Receiver<Result<Vec<Saved>, String>>;

/// A session to be started.
pub struct Request {
    /// Where sessions announce themselves.
    pub runtime_dir: RuntimeDir,
    /// The directory that the sandbox works on.
    pub project: Project,
    /// What must not be mounted.
    pub off_limits: OffLimits,
    /// The person's home directory: the sandbox has one of its own at the same path.
    pub home: Option<PathBuf>,
    /// The session's name; without one it is called after its project.
    pub name: Option<String>,
    /// The image to use instead of the host's own programs.
    pub image: Option<String>,
    /// The project's directory on the engine's machine, if that is another one and has it.
    pub remote_path: Option<PathBuf>,
    /// What the session is for.
    pub purpose: Purpose,
    /// The command and its arguments; empty for a shell, or for what the image says.
    pub command: Vec<String>,
    /// The agent whose corner the sandbox's home is.
    pub agent: Option<String>,
    /// Files of the person's home by which it is signed in.
    pub login: Vec<Login>,
    /// Who the person is to git.
    pub git: GitIdentity,
    /// Variables the person passes on.
    pub env: Vec<Variable>,
    /// Further directories for the sandbox.
    pub volumes: Vec<VolumeSpec>,
    /// The sandbox may make namespaces of its own (on the local runtime).
    pub allow_userns: bool,
    /// What the proxy admits.
    pub policy: Policy,
    /// What is saved for this project and for all.
    pub decisions: Option<Arc<dyn SavedHere>>,
    /// Whether a throw-away sandbox has to hold before the session starts.
    pub self_test: SelfTest,
    /// Where a session that is thrown away keeps its decisions and its audit log, in the place of
    /// the person's own directories. Nobody is joined to its command.
    pub throw_away: Option<PathBuf>,
}

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// One command, with whose end it ends.
    Command,
    /// Commands that come later, until somebody ends it.
    Keep,
}

/// Whether a throw-away sandbox is attacked before a session starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SelfTest {
    /// Unless one has held on this runtime already.
    Once,
    /// In any case.
    Now,
    /// In no case.
    Never,
}

impl Request {
    /// Whether the session's own command gets a terminal: both ends of ours are one.
    pub(crate) fn terminal(&self) -> bool {
        self.purpose == Purpose::Command && self.throw_away.is_none() && attach::is_interactive()
    }

    /// The shell of its sandbox: the person's, if the sandbox has it too.
    pub(crate) fn shell(&self) -> String {
        let own = std::env::var("SHELL").unwrap_or_default();
        let trees = ["/bin/", "/usr/", "/opt/", "/nix/store/"];
        let visible = |shell: &&str| {
            trees.iter().any(|tree| shell.starts_with(tree)) && Path::new(shell).is_file()
        };
        [own.as_str(), "/bin/bash"]
            .into_iter()
            .filter(|_| self.image.is_none())
            .find(visible)
            .unwrap_or("/bin/sh")
            .to_owned()
    }
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// The exit code of its command.
    pub exit_code: i64,
}

/// A command that an engine could not start.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct CannotRun {
    /// What a shell would exit with: 126 for what is not executable, 127 for what is not there.
    pub exit_code: i64,
    sentence: String,
}

impl CannotRun {
    /// Reads an engine's refusal to start a container; `None` when it is not about the command.
    pub(crate) fn read(command: &str, message: &str) -> Option<Self> {
        // As runc and crun say it, the latter in capitals of its own.
        let message = message.to_lowercase();
        let about_it = ["exec:", "executable file", "open executable"]
            .iter()
            .any(|words| message.contains(words));
        let exit_code = match message {
            _ if !about_it => return None,
            _ if message.contains("permission denied") => 126,
            _ if message.contains("not found") || message.contains("no such file") => 127,
            _ => return None,
        };
        Some(Self::with(command, exit_code))
    }

    /// With the code that a shell would exit with.
    pub(crate) fn with(command: &str, exit_code: i64) -> Self {
        let why = match exit_code {
            126 => "it is not executable",
            _ => "there is no such program",
        };
        Self::because(command, exit_code, why)
    }

    /// Reads what an engine's init says of a command. Only what it ends with is looked at: the rest
    /// is the command's name.
    pub(crate) fn of_init(command: &str, said: &str) -> Self {
        let (exit_code, why) = match said.trim_end() {
            said if said.ends_with("No such file or directory") => {
                (127, "there is no such program")
            }
            said if said.ends_with("Permission denied") => (126, "it is not executable"),
            _ => (126, "it is no program for this machine"),
        };
        Self::because(command, exit_code, why)
    }

    fn because(command: &str, exit_code: i64, why: &str) -> Self {
        Self {
            exit_code,
            sentence: format!("{command:?} cannot be run in the sandbox: {why}"),
        }
    }

    /// As another process of ours told it.
    pub(crate) fn told(sentence: String, exit_code: i64) -> Self {
        Self {
            exit_code,
            sentence,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_refusal_becomes_the_exit_code_a_shell_would_give() {
        let read = |message: &str| CannotRun::read("x", message).map(|error| error.exit_code);
        assert_eq!(
            read(
                "OCI runtime create failed: exec: \"x\": executable file not found in $PATH: unknown"
            ),
            Some(127)
        );
        assert_eq!(
            read("runc: exec: \"/etc/passwd\": permission denied: unknown"),
            Some(126)
        );
        assert_eq!(
            read("crun: executable file `x` not found in $PATH: No such file or directory"),
            Some(127)
        );
        assert_eq!(
            read("crun: open executable: Permission denied: OCI permission denied"),
            Some(126)
        );
        let of_init = |why: &str| {
            let said = format!("[FATAL tini (7)] exec x failed: {why}\r\n");
            CannotRun::of_init("x", &said).exit_code
        };
        assert_eq!(of_init("No such file or directory"), 127);
        assert_eq!(of_init("Permission denied"), 126);
        assert_eq!(of_init("Exec format error"), 126);
        assert_eq!(read("error mounting \"/x\": permission denied"), None);
        assert_eq!(read("no space left on device"), None);
    }
}
