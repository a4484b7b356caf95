//! The command line: arguments in, results on stdout, everything else on stderr, an exit code.
//! One file a command; the only room that prints.

mod agents;
mod allowed;
pub mod args;
mod attack;
mod attendants;
mod audit;
mod complete;
mod config;
mod connections;
mod doctor;
mod down;
mod effective;
mod examples;
mod exec;
mod explain;
mod failure;
mod first_run;
mod image;
mod inside;
mod logs;
mod manual;
mod monitor;
mod nc;
mod notices;
mod notification;
mod output;
mod pending;
mod policy;
mod presets;
mod progress;
mod prompt;
mod proxy;
mod prune;
mod pull;
mod reach;
mod requests;
mod review;
mod rules;
mod run;
mod saved;
mod sessions;
mod start;
mod status;
mod trust;
mod ui;
mod unused;
mod up;

use std::process::ExitCode;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};

use self::args::agents::ImageCommand;
use self::args::settings::ConfigCommand;
use self::args::start::RunArgs;
use self::args::{Cli, Command};
use self::failure::Failure;
use self::output::Output;
use crate::policy::Verdict;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    if let Some(code) = inside::run().or_else(attack::run) {
        return code;
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let out = Output::new(&cli.global);
    match dispatch(cli, &out) {
        Ok(code) => code,
        Err(failure) => out.failure(&failure),
    }
}

fn dispatch(cli: Cli, out: &Output) -> Result<ExitCode, Failure> {
    let command = match cli.command {
        None => Command::Run(agents::as_first_word(cli.run)?),
        Some(command) if cli.run == RunArgs::default() => command,
        Some(_) => {
            return Err(Failure::usage(
                "options of `run` go behind the word run: vibepit run …",
            ));
        }
    };
    if let Some(option) = cli.reach.typed()
        && let Some(why) = speaks_to_none(&command)
    {
        return Err(Failure::usage(format!("{option} {why}")));
    }
    let before = cli.reach.or_environment();
    match command {
        Command::Run(args) => threads()?.block_on(run::run(args, out)),
        Command::Proxy(args) => {
            let runtime = threads()?;
            let outcome = runtime.block_on(proxy::run(args, out));
            // Not dropped: that waits for the thread that reads standard input, which may stay
            // open for ever when the engine behind it was killed.
            runtime.shutdown_background();
            outcome
        }
        Command::Up(args) => threads()?.block_on(up::run(args, out)),
        Command::Down(args) => one_thread()?.block_on(down::run(args, before, out)),
        Command::Exec(args) => threads()?.block_on(exec::exec(args, before, out)),
        Command::Connect(args) => threads()?.block_on(exec::connect(args, before, out)),
        Command::Sessions(args) => one_thread()?.block_on(sessions::run(&args, out)),
        Command::Status(reach) => one_thread()?.block_on(status::run(&reach.or(before), out)),
        Command::Allow(args) => {
            one_thread()?.block_on(rules::add(Verdict::Allow, args, before, out))
        }
        Command::Deny(args) => one_thread()?.block_on(rules::deny(args, before, out)),
        Command::Pending(args) => one_thread()?.block_on(pending::list(args, before, out)),
        Command::Approve(args) => {
            one_thread()?.block_on(pending::decide(Verdict::Allow, args, before, out))
        }
        Command::Revoke(args) => one_thread()?.block_on(rules::revoke(args, before, out)),
        Command::Rules(args) => one_thread()?.block_on(rules::list(args, before, out)),
        Command::Review(args) => one_thread()?.block_on(review::run(args, out)),
        Command::Explain(args) => one_thread()?.block_on(explain::run(args, before, out)),
        Command::Logs(args) => one_thread()?.block_on(logs::run(args, before, out)),
        Command::Monitor(args) => threads()?.block_on(monitor::run(&args, out)),
        Command::Audit(args) => one_thread()?.block_on(audit::run(args, out)),
        Command::Connections(reach) => {
            one_thread()?.block_on(connections::run(&reach.or(before), out))
        }
        Command::Ui(args) => threads()?.block_on(ui::run(&args, out)),
        Command::Presets(args) => presets::run(&args, out),
        Command::Trust(args) => trust::run(&args, out),
        Command::Config { command } => match command {
            ConfigCommand::Init => config::init(out),
            ConfigCommand::Check(args) => config::check(&args, out),
            ConfigCommand::Show(args) => config::show(&args, out),
        },
        Command::Pull(args) => threads()?.block_on(pull::run(&args, out)),
        Command::Image {
            command: ImageCommand::Build(args),
        } => one_thread()?.block_on(image::build(&args, out)),
        Command::Agents(args) => agents::run(&args, out),
        Command::Nc(args) => nc::run(&args, out),
        Command::Prune(args) => one_thread()?.block_on(prune::run(&args, out)),
        Command::Doctor(args) => threads()?.block_on(doctor::run(&args, out)),
        Command::Completions(args) => complete::run(&args, out),
        Command::Man(args) => manual::run(&args, out),
    }
}

/// Why a command has no use for the options that say which session, if it has none.
fn speaks_to_none(command: &Command) -> Option<&'static str> {
    match command {
        Command::Run(_) | Command::Up(_) => Some(
            "is about a session that runs already, and this starts one: --name names it, and \
             vibepit exec runs a command in one that is there",
        ),
        Command::Proxy(_) => Some(
            "is about a session that runs already, and proxy starts a session of its own: what is \
             meant for it goes behind the word proxy",
        ),
        Command::Sessions(_)
        | Command::Review(_)
        | Command::Monitor(_)
        | Command::Audit(_)
        | Command::Presets(_)
        | Command::Trust(_)
        | Command::Ui(_)
        | Command::Config { .. }
        | Command::Pull(_)
        | Command::Agents(_)
        | Command::Image { .. }
        | Command::Nc(_)
        | Command::Prune(_)
        | Command::Doctor(_)
        | Command::Completions(_)
        | Command::Man(_) => Some(
            "is for commands that speak to one session, and this is none of them: leave it out",
        ),
        Command::Status(_)
        | Command::Allow(_)
        | Command::Deny(_)
        | Command::Pending(_)
        | Command::Approve(_)
        | Command::Revoke(_)
        | Command::Rules(_)
        | Command::Explain(_)
        | Command::Logs(_)
        | Command::Connections(_)
        | Command::Down(_)
        | Command::Exec(_)
        | Command::Connect(_) => None,
    }
}

/// For what serves others.
fn threads() -> Result<Runtime, Failure> {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
}

/// For what asks once and is done: a thread less to start.
fn one_thread() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::from)
}
