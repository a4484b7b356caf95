//! What can be typed. The help texts here are the source of the man pages and completions; a
//! test compares those that are committed with what this says.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// Run a coding agent in a sandbox, and decide live what it may reach.
///
/// The sandbox's only way out is vibepit's own proxy, which lets through what a rule allows.
/// Rules come from the command line, from config.toml, and from `vibepit allow` while the
/// session runs.
#[derive(Debug, Parser)]
#[command(name = "vibepit", version, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 usage, 3 no such session, 4 several sessions \
and no choice, 5 refused by the control plane. `run` passes the command's own code through."
)]
pub struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(flatten)]
    pub(super) reach: Reach,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) run: RunArgs,
}

/// How to print.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Print data as JSON; what streams prints one object a line.
    #[arg(long, global = true, help_heading = "Output")]
    pub(super) json: bool,
    /// When to use colour. NO_COLOR is obeyed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Output")]
    pub(super) color: Color,
    /// Say more, such as which transport served.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output")]
    pub(super) verbose: u8,
    /// Say nothing but results and errors.
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output"
    )]
    pub(super) quiet: bool,
}

/// Which session, and by which transport. Not global in clap's sense, because `proxy` has a
/// `--tcp` of its own; every command that speaks to a session has these.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Reach {
    /// The session to speak to: id, start of an id, name, or project path.
    ///
    /// Without it: the session whose project is the nearest directory above the working
    /// directory; otherwise the only one that runs; otherwise a choice on a terminal.
    #[arg(
        long,
        value_name = "SESSION",
        env = "VIBEPIT_SESSION",
        help_heading = "Session"
    )]
    pub(super) session: Option<String>,
    /// Speak to the control port over mTLS, even if there is a socket.
    #[arg(long, help_heading = "Session")]
    pub(super) tcp: bool,
    /// Another end of the control port, such as that of an SSH tunnel; implies --tcp.
    #[arg(long, value_name = "HOST:PORT", help_heading = "Session")]
    pub(super) addr: Option<String>,
}

impl Reach {
    /// What was said before the command's name, where nothing was said behind it.
    pub(super) fn or(self, before: Self) -> Self {
        Self {
            session: self.session.or(before.session),
            tcp: self.tcp || before.tcp,
            addr: self.addr.or(before.addr),
        }
    }
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run a command in a sandbox (what `vibepit` does without a command's name).
    Run(RunArgs),
    /// List the sessions that run.
    Sessions(SessionsArgs),
    /// Show one session: what it is, its doors, its counts, its warnings.
    Status(Reach),
    /// Let the sandbox reach something.
    Allow(AddArgs),
    /// Keep the sandbox from something; outranks every allow.
    Deny(AddArgs),
    /// Take allow and deny rules back, and close what they let through.
    Revoke(RevokeArgs),
    /// List the rules that are in force.
    Rules(Reach),
    /// Say what happens to a request, and why.
    Explain(ExplainArgs),
    /// Show what the sandbox asked for, and what came of it.
    Logs(LogsArgs),
    /// List the connections that are open.
    Connections(Reach),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Remove what a crash left behind: containers, networks, directories.
    Prune(PruneArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write every page to a directory.
    Man(ManArgs),
    /// Run the proxy without a sandbox, in the foreground.
    Proxy(ProxyArgs),
}

#[derive(Debug, Default, PartialEq, Eq, Args)]
pub(super) struct RunArgs {
    /// The project: a directory; its git root is what the sandbox gets.
    #[arg(value_name = "PATH")]
    pub(super) path: Option<PathBuf>,
    /// The command and its arguments, behind `--`. Without one: the shell.
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<String>,
    /// Allow this entry for the session, such as api.example.com or *.example.com:443.
    #[arg(long, value_name = "ENTRY")]
    pub(super) allow: Vec<String>,
    /// Set a variable in the sandbox; a NAME alone passes its value on.
    #[arg(long, short, value_name = "NAME[=VALUE]")]
    pub(super) env: Vec<String>,
    /// Mount more of the host.
    #[arg(long, value_name = "SRC:DST[:ro]")]
    pub(super) volume: Vec<String>,
    /// Use this image in the place of the host's own userland.
    #[arg(long, value_name = "IMAGE")]
    pub(super) image: Option<String>,
    /// The session's name.
    #[arg(long, value_name = "NAME")]
    pub(super) name: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    /// Go on, and tell of each session that comes or goes.
    #[arg(long, short)]
    pub(super) watch: bool,
}

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// What: host, host:port, *.host, an address, a network.
    #[arg(required = true, value_name = "ENTRY")]
    pub(super) entries: Vec<String>,
    /// For how long: 90s, 10m, 2h, 1d. Without it: until the session ends.
    #[arg(long = "for", value_name = "TIME")]
    pub(super) ttl: Option<String>,
    /// Accept a wildcard over a public suffix, such as *.github.io.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// The entries, as `vibepit rules` shows them.
    #[arg(required = true, value_name = "ENTRY")]
    pub(super) entries: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// host:port; without a port, 443.
    #[arg(value_name = "TARGET")]
    pub(super) target: String,
}

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Go on, and show what comes.
    #[arg(long, short)]
    pub(super) follow: bool,
    /// At most so many entries to begin with.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 100)]
    pub(super) lines: usize,
    /// Only entries after this number.
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say whether a configuration can be used; errors name line and column.
    Check(ConfigCheckArgs),
}

#[derive(Debug, Args)]
pub(super) struct ConfigCheckArgs {
    /// The file; without one, the person's own.
    #[arg(value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Remove the home volumes of projects, too.
    #[arg(long)]
    pub(super) homes: bool,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// Write every page into this directory.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ProxyArgs {
    /// Where the HTTP proxy listens.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:3128",
        conflicts_with = "stdin"
    )]
    pub(super) http: SocketAddr,
    /// Where the name server listens, over UDP and TCP. Without it there is none.
    #[arg(long, value_name = "ADDR", conflicts_with = "stdin")]
    pub(super) dns: Option<SocketAddr>,
    /// A further control socket, beside the one in the session's directory.
    #[arg(long, value_name = "PATH", conflicts_with = "stdin")]
    pub(super) control: Option<PathBuf>,
    /// Where the mTLS control port listens.
    #[arg(
        long,
        value_name = "ADDR",
        default_value = "127.0.0.1:0",
        conflicts_with = "stdin"
    )]
    pub(super) tcp: SocketAddr,
    /// The configuration, in the place of the person's own.
    #[arg(long, value_name = "FILE", conflicts_with = "stdin")]
    pub(super) config: Option<PathBuf>,
    /// Allow this entry for as long as the proxy runs.
    #[arg(long, value_name = "ENTRY", conflicts_with = "stdin")]
    pub(super) allow: Vec<String>,
    /// The session's name.
    #[arg(long, value_name = "NAME", conflicts_with = "stdin")]
    pub(super) name: Option<String>,
    /// Read the document that starts the proxy from standard input: how a launcher starts it.
    #[arg(long)]
    pub(super) stdin: bool,
}
