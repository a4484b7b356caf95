//! `run`: a command in a sandbox, from the first step to the last; or in the session that its
//! project has already.

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::process::ExitCode;

use tokio::sync::mpsc;

use crate::api::Order;
use crate::client::{Client, Ends};
use crate::config::Unlisted;
use crate::launcher::{KeeperClient, Person, Purpose, run as launch, terminal};
use crate::session::Found;

use super::args::start::{Notify, RunArgs};
use super::attendants::Attendants;
use super::failure::Failure;
use super::output::{Output, printable};
use super::progress::{Plain, Progress};
use super::{agents, notices, start};

pub(super) async fn run(mut args: RunArgs, out: &Output) -> Result<ExitCode, Failure> {
    let given = args
        .start
        .given()
        .or_else(|| args.prompt.then_some("--prompt"));
    args.start.asking.ask |= args.prompt;
    if args.prompt && !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(
            Failure::usage("--prompt asks in the terminal, and there is none")
                .hint("in another terminal, vibepit pending --watch shows what waits"),
        );
    }
    let alone = nobody_can_be_asked();
    let otherwise = match alone {
        true => Unlisted::Reject,
        false => Unlisted::RequestApproval,
    };
    let agent = args.agent.as_deref().map(agents::find).transpose()?;
    let mut prepared = start::prepare(
        &args.start,
        args.path.as_deref(),
        Purpose::Command,
        args.command,
        agent.as_ref(),
        otherwise,
    )?;
    // An agent has a home of its own, and what it is given is for it alone.
    if !args.new
        && agent.is_none()
        && args.start.name.is_none()
        && let Some(found) = prepared.existing().await?
    {
        return match given {
            None => {
                let (command, env) = (prepared.request.command, &args.start.env);
                join(&found, command, env, args.notify, out).await
            }
            Some(option) => Err(Failure::usage(format!(
                "this project has a session already ({}), and {option} is for a new one",
                printable(&found.record.name)
            ))
            .hint("without it the command runs in that session; with --new it gets its own")),
        };
    }
    prepared.first_run(out)?;
    let runtime = prepared.runtime(&|line| out.note(line)).await?;
    if let Some(agent) = &agent {
        prepared.equip(agent, out)?;
    }
    prepared.read_policy(&|line| out.note(line))?;
    let (desk, words) = mpsc::channel(1);
    let mut attendants =
        Attendants::new(prepared.notify_command, args.prompt.then_some(desk), alone);
    let mut notices = None;
    if terminal().is_some() {
        // Whoever is asked in the terminal notices by that.
        let means = notices::means(args.notify).filter(|_| !args.prompt);
        let (board, shown) = means.map(notices::board).unzip();
        attendants = attendants.noticing(board);
        notices = shown;
    }
    let progress = Progress::new(out, attendants);
    let person = Person { words, notices };
    let outcome = launch(&runtime, &prepared.request, &progress, person).await;
    progress.end().await;
    start::outcome(outcome.map(|outcome| outcome.exit_code), out)
}

async fn join(
    found: &Found,
    command: Vec<String>,
    env: &[String],
    notify: Notify,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let keeper = KeeperClient::of(found);
    let how = match keeper.told().await?.stays {
        true => "which stays until vibepit down",
        false => "which ends with the command that began it",
    };
    out.note(format!(
        "vibepit: in session {}, {how}",
        printable(&found.record.name)
    ));
    let order = order(command, env, terminal())?;
    let means = notices::means(notify).filter(|_| order.terminal.is_some());
    let notices = means.map(|means| {
        let (board, notices) = notices::board(means);
        let client = Client::new(Ends {
            socket: found.control_socket(),
            tcp: None,
        });
        tokio::spawn(notices::follow(client, Some(board)));
        notices
    });
    start::outcome(keeper.exec(order, &Plain(out), notices).await, out)
}

/// A command for a session that is there. Of our environment it gets the kind of its terminal.
pub(super) fn order(
    command: Vec<String>,
    env: &[String],
    terminal: Option<(u16, u16)>,
) -> Result<Order, Failure> {
    let term = std::env::var("TERM").ok().filter(|_| terminal.is_some());
    let variables = start::variables(env)?;
    Ok(Order {
        command,
        env: term
            .map(|term| format!("TERM={term}"))
            .into_iter()
            .chain(variables.iter().map(ToString::to_string))
            .collect(),
        directory: None,
        terminal,
    })
}

/// A job of a CI service (they all set CI) without any terminal.
fn nobody_can_be_asked() -> bool {
    let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    is_ci && !(stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal())
}
