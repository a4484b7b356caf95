//! What a session is started with, and what is said to one that is there.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::AskArgs;
use crate::cli::failure::Failure;

#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(in crate::cli) struct RunArgs {
    /// The project: a directory; its git root is what the sandbox gets.
    #[arg(value_name = "PATH")]
    pub(in crate::cli) path: Option<PathBuf>,
    /// The command and its arguments, behind `--`. Without one: the shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub(in crate::cli) command: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) start: StartArgs,
    /// Start this agent: its command, its presets, its login, in its own corner of a home.
    ///
    /// What stands behind `--` are its further arguments. `vibepit NAME` is short for it; `vibepit
    /// agents` lists them.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) agent: Option<String>,
    /// Ask in this terminal about what no rule covers: one key answers.
    ///
    /// While a question is on the screen the command's output waits. A key counts as an answer once
    /// nothing has been typed for half a second; before that it goes to the command.
    #[arg(long, conflicts_with = "reject")]
    pub(in crate::cli) prompt: bool,
    /// How you notice that a request waits while the command has the terminal.
    ///
    /// Nothing is drawn on the command's screen: its title says it and becomes the command's again,
    /// the bell rings, and with `osc` the desktop shows it where the terminal is known to pass that
    /// on (OSC 9 and 777: iTerm2, kitty, WezTerm, Ghostty, foot, urxvt). Each has those before it.
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        default_value_t,
        conflicts_with = "prompt"
    )]
    pub(in crate::cli) notify: Notify,
    /// Start a session of its own, even where the project has one.
    #[arg(long)]
    pub(in crate::cli) new: bool,
}

/// What a session is made of, and what it may reach.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(in crate::cli) struct StartArgs {
    /// Allow this entry for the session, such as api.example.com or *.example.com:443.
    #[arg(long, value_name = "ENTRY")]
    pub(in crate::cli) allow: Vec<String>,
    #[command(flatten)]
    pub(in crate::cli) presets: PresetArgs,
    #[command(flatten)]
    pub(in crate::cli) asking: AskArgs,
    /// Set a variable in the sandbox; a NAME alone passes its value on.
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) env: Vec<String>,
    /// Mount more of the host: a directory or file, and where it is in the sandbox.
    ///
    /// A container engine's socket, and whatever holds one, is refused, and so are vibepit's own
    /// directories.
    #[arg(long, value_name = "SRC:DST[:ro]")]
    pub(in crate::cli) volume: Vec<String>,
    /// Use this image in the place of the host's own userland; pulled if it is not there.
    #[arg(long, value_name = "IMAGE")]
    pub(in crate::cli) image: Option<String>,
    /// The project's directory on the engine's machine, where that is another one.
    ///
    /// Without it the project is copied there, and `vibepit pull` brings back what was changed.
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) remote_path: Option<PathBuf>,
    /// The session's name; without one, that of the project's directory.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) name: Option<String>,
    /// Try to get out of a throw-away sandbox before this one starts, and start it only if that held.
    ///
    /// Without this it is done once for each runtime, engine version, kernel and version of vibepit.
    #[arg(long)]
    pub(in crate::cli) self_test: bool,
    /// Start without that, even the first time.
    #[arg(long, conflicts_with = "self_test")]
    pub(in crate::cli) no_self_test: bool,
    /// What the sandbox is made with.
    ///
    /// Without this, what VIBEPIT_RUNTIME says; otherwise auto.
    #[arg(long, value_enum, value_name = "RUNTIME")]
    pub(in crate::cli) runtime: Option<RuntimeChoice>,
    /// Let the sandbox make namespaces and mounts of its own (on the local runtime).
    ///
    /// For browsers and build tools that have a sandbox of their own. More of the kernel is open to
    /// what runs inside then.
    #[arg(long)]
    pub(in crate::cli) allow_userns: bool,
}

/// Named sets of hosts.
#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(in crate::cli) struct PresetArgs {
    /// Open this preset for the session; `vibepit presets` lists them.
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) preset: Vec<String>,
    /// Open no preset, whatever config.toml and the first start in the project said, and ask about
    /// none.
    #[arg(long, conflicts_with = "preset")]
    pub(in crate::cli) no_presets: bool,
}

impl StartArgs {
    /// The first of these options that was given, but for variables: those are a command's.
    pub(in crate::cli) fn given(&self) -> Option<&'static str> {
        let asking = &self.asking;
        let given = [
            (!self.allow.is_empty(), "--allow"),
            (!self.presets.preset.is_empty(), "--preset"),
            (self.presets.no_presets, "--no-presets"),
            (asking.ask, "--ask"),
            (asking.reject, "--reject"),
            (asking.approval_timeout.is_some(), "--approval-timeout"),
            (!self.volume.is_empty(), "--volume"),
            (self.image.is_some(), "--image"),
            (self.remote_path.is_some(), "--remote-path"),
            (self.self_test, "--self-test"),
            (self.no_self_test, "--no-self-test"),
            (self.runtime.is_some(), "--runtime"),
            (self.allow_userns, "--allow-userns"),
        ];
        given
            .into_iter()
            .find_map(|(given, option)| given.then_some(option))
    }
}

/// How a held request is noticed in the terminal of the command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Notify {
    /// Not at all.
    Off,
    /// The title of the terminal says it.
    Title,
    /// The bell rings, too.
    #[default]
    Bell,
    /// And the desktop shows it.
    Osc,
}

/// What a sandbox is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum RuntimeChoice {
    /// A container engine where one answers, else this machine's own kernel.
    Auto,
    /// Containers of an engine.
    Docker,
    /// Namespaces of this machine's kernel; no engine is asked.
    Local,
}

impl RuntimeChoice {
    /// What the environment says. An empty variable says nothing.
    pub(in crate::cli) fn of_environment() -> Result<Self, Failure> {
        let said = std::env::var_os("VIBEPIT_RUNTIME").unwrap_or_default();
        match said.to_str() {
            Some("") => Ok(Self::Auto),
            said => said
                .and_then(|said| Self::from_str(said, false).ok())
                .ok_or_else(|| Failure::usage("VIBEPIT_RUNTIME is none of auto, docker and local")),
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct UpArgs {
    /// The project: a directory; its git root is what the sandbox gets.
    #[arg(value_name = "PATH")]
    pub(in crate::cli) path: Option<PathBuf>,
    #[command(flatten)]
    pub(in crate::cli) start: StartArgs,
    /// Be the launcher that stays: how `up` starts it.
    #[arg(long, hide = true)]
    pub(in crate::cli) keep: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DownArgs {
    #[command(flatten)]
    pub(in crate::cli) session: SessionArg,
    /// End every session of yours.
    #[arg(long, conflicts_with = "session")]
    pub(in crate::cli) all: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExecArgs {
    #[command(flatten)]
    pub(in crate::cli) session: SessionArg,
    /// Set a variable for the command; a NAME alone passes its value on.
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(in crate::cli) env: Vec<String>,
    /// Give the command no terminal, even where there is one.
    #[arg(long, short = 'T')]
    pub(in crate::cli) no_tty: bool,
    /// The command and its arguments, behind `--`.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub(in crate::cli) command: Vec<String>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ConnectArgs {
    #[command(flatten)]
    pub(in crate::cli) session: SessionArg,
    /// A new shell, even where one was left.
    #[arg(long, conflicts_with = "shell")]
    pub(in crate::cli) new: bool,
    /// Join this shell, whoever has joined it already; `vibepit status` lists them.
    #[arg(value_name = "SHELL")]
    pub(in crate::cli) shell: Option<u32>,
}

/// Which session, for commands that speak to its launcher and not to its control plane.
#[derive(Debug, Clone, Default, Args)]
pub(in crate::cli) struct SessionArg {
    /// The session: id, start of an id, name, or project path.
    #[arg(long, value_name = "SESSION", help_heading = "Session options")]
    pub(in crate::cli) session: Option<String>,
}
