//! `down`: the end of a session, whatever state it is in.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::launcher::{
    Engine, Surroundings, end_session, leftovers, prune_directories, stop_launcher,
};
use crate::session::{ChooseError, Found, RuntimeDir, among, discover};

use super::args::Reach;
use super::args::start::DownArgs;
use super::failure::Failure;
use super::output::{Output, printable};

pub(super) async fn run(args: DownArgs, before: Reach, out: &Output) -> Result<ExitCode, Failure> {
    let Some(runtime) = RuntimeDir::open().map_err(Failure::failed)? else {
        return nothing(out);
    };
    let all = discover(&runtime);
    let asked = args.session.session.or(before.session);
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let chosen: Vec<Found> = match (args.all, &asked) {
        (true, _) => all,
        (false, asked) => match among(all, asked.as_deref(), &cwd) {
            Ok(found) => vec![found],
            Err(ChooseError::NoSession) => Vec::new(),
            Err(error) => return Err(error.into()),
        },
    };
    if chosen.is_empty() {
        return nothing(out);
    }
    let mut failed = false;
    let mut containers = false;
    for found in &chosen {
        let name = printable(&found.record.name).into_owned();
        match end(found).await {
            Ok(warnings) => {
                for sentence in warnings {
                    out.warn(printable(&sentence));
                }
                out.note(format!("session {name} is down"));
            }
            Err(error) => {
                failed = true;
                out.warn(format!("session {name} could not be ended: {error:#}"));
            }
        }
        containers |= found.record.runtime == "docker";
    }
    // What a launcher that was killed, or could not reach its engine, has left.
    let mut left = prune_directories(&runtime).await;
    if containers {
        let (engines, failed) = Engine::all(&Surroundings::of_this_process()).await;
        for engine in &engines {
            left.add(leftovers(engine, &runtime).await);
        }
        if let Some(error) = failed {
            out.warn(format!(
                "{error}; if containers are left, vibepit prune removes them once it answers"
            ));
        }
    }
    for sentence in &left.failed {
        failed = true;
        out.warn(printable(sentence));
    }
    Ok(match failed {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

fn nothing(out: &Output) -> Result<ExitCode, Failure> {
    out.note("there is no session to end");
    Ok(ExitCode::SUCCESS)
}

/// Asks the launcher to end it, and brings what is to be said of what it left; one that does not
/// answer is ended.
async fn end(found: &Found) -> anyhow::Result<Vec<String>> {
    if found.lock_is_free() {
        // Its launcher is gone: what it left is pruned.
        return Ok(Vec::new());
    }
    match end_session(found).await {
        Ok(warnings) => Ok(warnings),
        Err(_) => stop_launcher(found).await.map(|()| Vec::new()),
    }
}
