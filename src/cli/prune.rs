//! `prune`.

use std::process::ExitCode;

use serde::Serialize;

use crate::launcher::{Engine, Pruned, Surroundings, prune, prune_directories};
use crate::session::RuntimeDir;

use super::failure::Failure;
use super::output::{Output, printable};

/// The answer of `prune --json`.
#[derive(Serialize)]
struct Answer<'a> {
    removed: &'a [String],
    failed: &'a [String],
    home_volumes: &'a [String],
}

pub(super) async fn run(out: &Output) -> Result<ExitCode, Failure> {
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
    let mut pruned = prune_directories(&runtime_dir).await;
    for engine in &engines {
        pruned.add(prune(engine, &runtime_dir).await);
    }
    show(&pruned, out)
}

fn show(pruned: &Pruned, out: &Output) -> Result<ExitCode, Failure> {
    if out.json {
        let Pruned {
            removed,
            failed,
            home_volumes,
        } = pruned;
        out.json(&Answer {
            removed,
            failed,
            home_volumes,
        })?;
    } else {
        for removed in &pruned.removed {
            out.line(format!("removed {}", printable(removed)))?;
        }
        if pruned.removed.is_empty() {
            out.note("nothing was left behind");
        }
        if !pruned.home_volumes.is_empty() {
            out.note(format!(
                "home volumes stay, since they hold what tools keep; to remove them: docker volume rm {}",
                printable(&pruned.home_volumes.join(" "))
            ));
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
