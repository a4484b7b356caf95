//! What can be typed. The help texts here are the source of the man pages and completions; a
//! test compares those that are committed with what this says.

pub(super) mod agents;
pub(super) mod decide;
pub(super) mod proxy;
pub(super) mod settings;
pub(super) mod start;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use self::agents::{AgentsArgs, ImageCommand};
use self::decide::{AddArgs, DecideArgs, DenyArgs, PendingArgs, RevokeArgs};
use self::proxy::ProxyArgs;
use self::settings::{ConfigCommand, PresetsArgs, TrustArgs};
use self::start::{ConnectArgs, DownArgs, ExecArgs, RunArgs, RuntimeChoice, UpArgs};
use super::examples;

/// Run a coding agent in a sandbox, and decide live what it may reach.
///
/// The sandbox's only way out is vibepit's own proxy, which lets through what a rule allows.
/// Rules come from the command line, from config.toml, and from `vibepit allow` while the
/// session runs.
#[derive(Debug, Parser)]
#[command(name = "vibepit", version, max_term_width = 100)]
#[command(
    override_usage = "vibepit [OPTIONS] [PATH] [-- COMMAND...]\n       vibepit [OPTIONS] AGENT [-- ARGUMENTS...]\n       vibepit [OPTIONS] SUBCOMMAND ..."
)]
#[command(after_long_help = examples::VIBEPIT)]
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
    #[arg(long, global = true, help_heading = "Output options")]
    pub(super) json: bool,
    /// When to use colour. NO_COLOR is obeyed.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Output options")]
    pub(super) color: Color,
    /// Say more, such as which transport served.
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Output options")]
    pub(super) verbose: u8,
    /// Say nothing but results and errors.
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "verbose",
        help_heading = "Output options"
    )]
    pub(super) quiet: bool,
}

/// Which session, and by which transport. Not global in clap's sense, because `proxy` has a
/// `--tcp` of its own; every command that speaks to a session has these.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Reach {
    /// The session to speak to: id, start of an id, name, or project path.
    ///
    /// Without it: what VIBEPIT_SESSION says; otherwise the session whose project is the nearest
    /// directory above the working directory; otherwise the only one that runs; otherwise a choice
    /// on a terminal.
    #[arg(long, value_name = "SESSION", help_heading = "Session options")]
    pub(super) session: Option<String>,
    /// Speak to the control port over mTLS, even if there is a socket.
    #[arg(long, help_heading = "Session options")]
    pub(super) tcp: bool,
    /// Another end of the control port, such as that of an SSH tunnel; implies --tcp.
    #[arg(long, value_name = "HOST:PORT", help_heading = "Session options")]
    pub(super) addr: Option<String>,
}

impl Reach {
    /// One of these options that was typed, if one was.
    pub(super) fn typed(&self) -> Option<&'static str> {
        match self {
            Self {
                session: Some(_), ..
            } => Some("--session"),
            Self { addr: Some(_), .. } => Some("--addr"),
            Self { tcp: true, .. } => Some("--tcp"),
            _ => None,
        }
    }

    /// What the environment says, where nothing was typed. An empty variable says nothing.
    pub(super) fn or_environment(self) -> Self {
        let session = std::env::var_os("VIBEPIT_SESSION").filter(|session| !session.is_empty());
        self.or(Self {
            // What is not UTF-8 is no session's name, and is said to be none.
            session: session.map(|session| session.to_string_lossy().into_owned()),
            ..Self::default()
        })
    }

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
    ///
    /// The sandbox has the project, read and write, at its own path; a home of its own, which is
    /// kept for the next session of the project; and this machine's programs, read-only, or an
    /// image. It has no network but the proxy. The session ends with the command, whose exit code
    /// is that of `vibepit run`. Where the project has a session already, the command runs in that
    /// one.
    ///
    /// The project is the git root around PATH, or PATH itself where there is none; without a
    /// PATH, that of the working directory. `/`, the home directory, whatever holds it, and
    /// directories of the system are refused.
    #[command(after_long_help = examples::RUN)]
    Run(RunArgs),
    /// Start a session that stays, and return when it is ready.
    ///
    /// It outlives the terminal: `vibepit exec` runs commands in it, `vibepit connect` gives a
    /// shell, `vibepit down` ends it. Where the project has a session already, that one is told.
    #[command(after_long_help = examples::UP)]
    Up(UpArgs),
    /// End a session and take everything of it away.
    ///
    /// That of the working directory's project, unless another one is named. Where there is none,
    /// there is nothing to do.
    #[command(after_long_help = examples::DOWN)]
    Down(DownArgs),
    /// Run a command in a session that is there.
    ///
    /// Its streams, its terminal and its exit code are those of `vibepit exec`.
    #[command(after_long_help = examples::EXEC)]
    Exec(ExecArgs),
    /// Get a shell in a session; it goes on when the terminal goes away.
    ///
    /// Joins the shell that was left last, or starts one where none was. The shell ends with
    /// `exit`.
    #[command(after_long_help = examples::CONNECT)]
    Connect(ConnectArgs),
    /// List the sessions that run.
    #[command(after_long_help = examples::SESSIONS)]
    Sessions(SessionsArgs),
    /// Show one session: what it is, its doors, its counts, its warnings.
    #[command(after_long_help = examples::STATUS)]
    Status(Reach),
    /// Let the sandbox reach something.
    ///
    /// Holds from the next request on, until the session ends or, with `--for`, for so long. A
    /// deny rule outranks it; if one does, a warning says which. Where ENTRY is in force already,
    /// nothing but its time limit changes. What is saved needs no session that runs.
    #[command(after_long_help = examples::ALLOW)]
    Allow(AddArgs),
    /// Keep the sandbox from something; outranks every allow.
    ///
    /// Closes the connections that are open and no longer allowed. The id of a request that
    /// waits, or the start of one, refuses that request, once unless --scope says otherwise; so do
    /// its host with --scope once or --reason, and --all.
    #[command(after_long_help = examples::DENY)]
    Deny(DenyArgs),
    /// List the requests that wait for you.
    ///
    /// What no rule covers waits until somebody decides, or until its time runs out. What nobody
    /// decided in time can still be approved, for the next try: --missed lists it.
    #[command(after_long_help = examples::PENDING)]
    Pending(PendingArgs),

    /// Let a request go on that waits.
    ///
    /// Names it by its id, the start of one, its host, or host:port. Without --scope it holds
    /// until the session ends.
    #[command(after_long_help = examples::APPROVE)]
    Approve(DecideArgs),

    /// Show every session on one screen, and decide with one key.
    ///
    /// What runs, what waits with its countdown, what was decided, which rules hold. Sessions
    /// appear and go by themselves. `?` lists the keys, each with the command that does the same.
    #[command(after_long_help = examples::MONITOR)]
    Monitor(MonitorArgs),

    /// Take allow and deny rules back, and close what they let through.
    ///
    /// Rules that stand in config.toml stay: take them out there, or deny them. Where no session
    /// runs, what is saved is taken back.
    #[command(after_long_help = examples::REVOKE)]
    Revoke(RevokeArgs),
    /// List the rules that are in force.
    #[command(after_long_help = examples::RULES)]
    Rules(RulesArgs),
    /// Go through what was refused or ran out since the last time, and settle it.
    ///
    /// Of this project, grouped by the domain that somebody registered; what was decided since is
    /// not shown. On a terminal each group is settled with a letter, in the session that runs or
    /// for those to come; elsewhere the groups are listed with the commands that settle them.
    #[command(after_long_help = examples::REVIEW)]
    Review(ReviewArgs),
    /// Say what happens to a request, and why.
    ///
    /// Asks the rules only: no name is resolved and nothing is connected to.
    #[command(after_long_help = examples::EXPLAIN)]
    Explain(ExplainArgs),
    /// Show what the sandbox asked for, and what came of it.
    #[command(after_long_help = examples::LOGS)]
    Logs(LogsArgs),
    /// Read the audit log: what was asked for and who decided, of sessions that are over, too.
    #[command(after_long_help = examples::AUDIT)]
    Audit(AuditArgs),

    /// List the connections that are open.
    #[command(after_long_help = examples::CONNECTIONS)]
    Connections(Reach),
    /// List the presets: named sets of hosts that one word opens.
    ///
    /// Those of cargo, pip, npm and apt have no host of their own: the tools of this machine are
    /// asked where their packages come from, so that a company's mirror is what is opened.
    #[command(after_long_help = examples::PRESETS)]
    Presets(PresetsArgs),
    /// Have sessions of a project honour its .vibepit/config.toml, as it is now.
    ///
    /// Shows how it differs from what was trusted last, and asks. When it changes, it is not
    /// honoured until it is trusted anew. What opens this machine is never taken from it:
    /// allow_cidr, allow_host_ports, upstream_dns, image, notify_command.
    #[command(after_long_help = examples::TRUST)]
    Trust(TrustArgs),
    /// Show every session on a page in your browser, and decide there.
    ///
    /// Serves the page on 127.0.0.1 for as long as it runs, to the one browser that opens the
    /// address: it works once, for two minutes, and Enter prints another one. While the page is
    /// open, requests wait for you.
    #[command(after_long_help = examples::UI)]
    Ui(UiArgs),
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Bring here what a session on another machine changed in its copy of the project.
    ///
    /// Shows the changes and asks before it makes them here. What was changed on both sides is
    /// named and left as it is here. When the session is over and everything is here, the copy is
    /// removed.
    #[command(after_long_help = examples::PULL)]
    Pull(PullArgs),
    /// Remove what a crash left behind: containers and directories.
    ///
    /// Sessions that run are not touched. Homes of projects are kept, and named, unless --homes says
    /// otherwise.
    #[command(after_long_help = examples::PRUNE)]
    Prune(PruneArgs),
    /// Say what works on this machine, what does not, and what to do; and try to get out of a
    /// sandbox.
    ///
    /// Looks at the engine, the kernel, the directories and the sessions, one line each. Then it
    /// starts a throw-away sandbox and tries to get out of it by every way that it knows, one line
    /// each: held or NOT HELD. Nothing is sent to anybody: what would get out is caught on this
    /// machine.
    #[command(after_long_help = examples::DOCTOR)]
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    #[command(after_long_help = examples::COMPLETIONS)]
    Completions(CompletionsArgs),
    /// Print a manual page, or write every page to a directory.
    #[command(after_long_help = examples::MAN)]
    Man(ManArgs),
    /// Run the proxy without a sandbox, in the foreground.
    ///
    /// It is a session like any other: every command that speaks to a session speaks to it. What
    /// keeps programs from going round it is up to whoever starts it, such as a container network
    /// without a way out.
    #[command(after_long_help = examples::PROXY)]
    Proxy(ProxyArgs),
    /// The image of sandboxes that cannot have this machine's programs.
    Image {
        #[command(subcommand)]
        command: ImageCommand,
    },
    /// List the agents that `vibepit NAME` starts.
    ///
    /// An agent is a command with what it needs: presets, variables that are passed on if they are
    /// set, and files of your home by which it is signed in, which are asked about once. A file
    /// agents/NAME.toml beside config.toml adds one, or takes the place of one; no project does.
    #[command(after_long_help = examples::AGENTS)]
    Agents(AgentsArgs),
    /// Connect standard input and output to a host, through the sandbox's SOCKS5 door.
    ///
    /// For programs in a sandbox that take a command in the place of a connection, such as ssh's
    /// ProxyCommand; git and ssh are set up with it there. It asks no name server, and waits for as
    /// long as somebody may still decide.
    #[command(after_long_help = examples::NC)]
    Nc(NcArgs),
}

/// What becomes of requests that no rule covers.
#[derive(Debug, Default, Clone, PartialEq, Eq, Args)]
pub(super) struct AskArgs {
    /// Have what no rule covers wait for you, whatever config.toml says.
    #[arg(long, conflicts_with = "reject")]
    pub(super) ask: bool,

    /// Refuse at once what no rule covers, whatever config.toml says.
    #[arg(long)]
    pub(super) reject: bool,

    /// How long a request waits for you, such as 45s or 5m.
    #[arg(long, value_name = "TIME", conflicts_with = "reject")]
    pub(super) approval_timeout: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct SessionsArgs {
    /// Go on, and tell of each session that comes or goes.
    #[arg(long, short)]
    pub(super) watch: bool,
}

#[derive(Debug, Args)]
pub(super) struct MonitorArgs {
    /// Tell line by line and take commands as lines, for screen readers and dumb terminals.
    #[arg(long)]
    pub(super) plain: bool,
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
    /// Only entries after this number, the oldest first; with --follow all of them.
    #[arg(long, value_name = "ID")]
    pub(super) after: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct RulesArgs {
    #[command(flatten)]
    pub(super) reach: Reach,
    /// Only rules of files that no request has needed since then: 30d, or a time.
    ///
    /// The audit logs tell, so no session need run. What they do not reach back to is said, and
    /// nothing is called unused for it.
    #[arg(long, value_name = "TIME")]
    pub(super) unused: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ReviewArgs {
    /// Of every project.
    #[arg(long)]
    pub(super) all: bool,
    /// From then on, whenever the last review was: 10m, 2h or 7d ago, or a time.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Only this session: its id, or the start of it.
    #[arg(value_name = "SESSION")]
    pub(super) session: Option<String>,
    /// Go on, and show what comes.
    #[arg(long, short)]
    pub(super) follow: bool,
    /// Only from then on: 10m, 2h or 7d ago, or a time such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Only events of this name, such as connect or domain_approve.
    #[arg(long, value_name = "NAME")]
    pub(super) event: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct PruneArgs {
    /// Remove the homes of projects as well, and all that tools keep in them.
    #[arg(long)]
    pub(super) homes: bool,
}

#[derive(Debug, Args)]
pub(super) struct UiArgs {
    /// The port of 127.0.0.1; 0 is any that is free.
    #[arg(long, value_name = "PORT", default_value_t = 7373)]
    pub(super) port: u16,
    /// Open no browser: print the address.
    #[arg(long)]
    pub(super) no_open: bool,
}

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// What the throw-away sandbox is made with; without this, what a session would be.
    #[arg(long, value_enum, value_name = "RUNTIME")]
    pub(super) runtime: Option<RuntimeChoice>,
    /// Only look: start no sandbox.
    #[arg(long)]
    pub(super) no_attack: bool,
}

#[derive(Debug, Args)]
pub(super) struct CompletionsArgs {
    /// Which shell.
    #[arg(value_enum)]
    pub(super) shell: Shell,
}

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The page to print, such as `security` or `config.5`; without it that of `vibepit`.
    #[arg(value_name = "PAGE", conflicts_with_all = ["dir", "manpath"])]
    pub(super) page: Option<String>,
    /// Write every page into this directory, which is made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Write every page where man(1) looks for it below this directory: in man1, man5 and man7.
    #[arg(long, value_name = "DIR", conflicts_with = "dir")]
    pub(super) manpath: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct NcArgs {
    /// The host: a name or an address.
    #[arg(value_name = "HOST")]
    pub(super) host: String,
    /// Its port.
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) port: u16,
    /// Where the SOCKS5 door is; without this, what VIBEPIT_SOCKS5 says.
    #[arg(long, value_name = "ADDR")]
    pub(super) socks5: Option<SocketAddr>,
}

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    /// The project: a directory; its git root is what is meant.
    #[arg(value_name = "PATH")]
    pub(super) path: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
}
