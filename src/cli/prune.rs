//! `prune`.

use std::process::ExitCode;

use serde::Serialize;

use crate::launcher::{Engine, Homes, Pruned, Surroundings, prune, prune_directories, prune_homes};
use crate::session::RuntimeDir;

use super::args::PruneArgs;
use super::failure::Failure;
use super::output::{Output, printable};

/// The answer of `prune --json`.
#[derive(Serialize)]
struct Answer<'a> {
    removed: &'a [String],
    failed: &'a [String],
    home_volumes: &'a [String],
    homes: &'a [String],
}

pub(super) async fn run(args: &PruneArgs, out: &Output) -> Result<ExitCode, Failure> {
    let runtime_dir = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    let (engines, failed) = Engine::all(&Surroundings::of_this_process()).await;
    if let Some(error) = failed {
        let why = error.to_string();
        let rest = match engines.is_empty() {
            true => "only directories are looked at",
            false => "the other engines are looked at",
        };
        out.warn(format!("{}; {rest}", printable(&why)));
    }
    let homes = match args.homes {
        true => Homes::Remove,
        false => Homes::Keep,
    };
    let mut pruned = prune_directories(&runtime_dir).await;
    for engine in &engines {
        pruned.add(prune(engine, &runtime_dir, homes).await);
    }
    pruned.add(prune_homes(&runtime_dir, homes));
    show(&pruned, args, out)
}

fn show(pruned: &Pruned, args: &PruneArgs, out: &Output) -> Result<ExitCode, Failure> {
    if out.json {
        let Pruned {
            removed,
            failed,
            home_volumes,
            homes,
        } = pruned;
        out.json(&Answer {
            removed,
            failed,
            home_volumes,
            homes,
        })?;
    } else {
        for removed in &pruned.removed {
            out.line(format!("removed {}", printable(removed)))?;
        }
        if pruned.removed.is_empty() {
            out.note("nothing was left behind");
        }
        let homes = pruned.home_volumes.iter().chain(&pruned.homes);
        let homes: Vec<&str> = homes.map(String::as_str).collect();
        if !homes.is_empty() {
            let homes = homes.join(" ");
            out.note(match args.homes {
                true => format!("sessions that run have these homes: {}", printable(&homes)),
                false => format!(
                    "homes stay, since they hold what tools keep; vibepit prune --homes removes \
                     them: {}",
                    printable(&homes)
                ),
            });
        }
        for failed in &pruned.failed {
            out.warn(printable(failed));
        }
    }
    Ok(if pruned.failed.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
