//! `exec` and `connect`: commands and shells in a session that is there.

use std::process::ExitCode;

use crate::api::Which;
use crate::launcher::{Ending, KeeperClient, terminal};

use super::args::Reach;
use super::args::start::{ConnectArgs, ExecArgs};
use super::failure::Failure;
use super::output::{Output, printable};
use super::progress::Plain;
use super::reach::session;
use super::run::order;
use super::start;

pub(super) async fn exec(args: ExecArgs, before: Reach, out: &Output) -> Result<ExitCode, Failure> {
    let keeper = keeper(args.session.session, before, out).await?;
    let terminal = terminal().filter(|_| !args.no_tty);
    let order = order(args.command, &args.env, terminal)?;
    start::outcome(keeper.exec(order, &Plain(out), None).await, out)
}

pub(super) async fn connect(
    args: ConnectArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let Some(size) = terminal() else {
        return Err(
            Failure::usage("connect gives a shell in this terminal, and there is none")
                .hint("vibepit exec -- COMMAND needs no terminal"),
        );
    };
    let keeper = keeper(args.session.session, before, out).await?;
    let which = match (args.shell, args.new) {
        (Some(number), _) => Which::Number(number),
        (None, true) => Which::New,
        (None, false) => Which::Left,
    };
    let order = order(Vec::new(), &[], Some(size))?;
    match keeper.shell(which, order, &Plain(out)).await {
        Ok(Ending::Exit(code)) => start::outcome(Ok(code), out),
        Ok(Ending::Left(number)) => {
            out.note(format!(
                "left shell {number}, which goes on: vibepit connect {number}"
            ));
            Ok(ExitCode::SUCCESS)
        }
        Err(error) => start::outcome(Err(error), out),
    }
}

async fn keeper(
    asked: Option<String>,
    before: Reach,
    out: &Output,
) -> Result<KeeperClient, Failure> {
    let reach = Reach {
        session: asked,
        ..Reach::default()
    };
    let found = session(&reach.or(before), out).await?;
    let keeper = KeeperClient::of(&found);
    if !keeper.is_there() {
        return Err(Failure::failed(format!(
            "session {} has no sandbox to run a command in: it is a proxy alone",
            printable(&found.record.name)
        ))
        .hint("vibepit up starts a session with one"));
    }
    Ok(keeper)
}
