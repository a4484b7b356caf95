//! `pull`: what a session on another machine changed in its copy of the project.

use std::io::{IsTerminal, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use serde::Serialize;

use crate::launcher::{
    Change, ChangeKind, Changes, Copied, Engine, OffLimits, Project, Surroundings,
};
use crate::session::RuntimeDir;

use super::args::PullArgs;
use super::failure::Failure;
use super::output::{Output, printable};
use super::pending::confirmed;

/// The answer of `pull --json`.
#[derive(Serialize)]
struct Answer<'a> {
    session: String,
    changes: Vec<Line<'a>>,
    conflicts: &'a [String],
    brought: bool,
}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    change: &'static str,
}

pub(super) async fn run(args: &PullArgs, out: &Output) -> Result<ExitCode, Failure> {
    let runtime_dir = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    let around = Surroundings::of_this_process();
    let off_limits = OffLimits::of_host(&around.sockets(), &[]);
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let start = args.path.as_deref().unwrap_or_else(|| Path::new("."));
    let project = Project::find(start, home.as_deref(), &off_limits).map_err(Failure::usage)?;
    let engine = Engine::find(&around).await.map_err(Failure::failed)?;
    let copies = Copied::find(&engine, &project, &runtime_dir).await?;
    if copies.is_empty() {
        return Err(Failure::failed(format!(
            "{} has no copy of {}",
            engine.facts(),
            printable(&project.path().display().to_string())
        ))
        .hint(
            "a session on an engine of another machine makes one, unless --remote-path is given",
        ));
    }
    let mut code = ExitCode::SUCCESS;
    for copied in &copies {
        let changes = copied.compare(&engine, &project).await?;
        let over = copied.is_over(&runtime_dir);
        let brought = bring(args, &changes, out)?;
        if out.json {
            out.json(&Answer {
                session: copied.session.to_string(),
                changes: changes.changes.iter().map(line).collect(),
                conflicts: &changes.conflicts,
                brought,
            })?;
        }
        for path in &changes.conflicts {
            out.warn(format!(
                "{} was changed here and there, and is left as it is here",
                printable(path)
            ));
        }
        match brought && changes.conflicts.is_empty() {
            true if over => copied.remove(&engine).await?,
            true => copied.brought(&changes)?,
            false => {
                if brought {
                    copied.brought(&changes)?;
                }
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

fn line(change: &Change) -> Line<'_> {
    Line {
        path: &change.path,
        change: match change.kind {
            ChangeKind::Added => "added",
            ChangeKind::Modified => "modified",
            ChangeKind::Deleted => "deleted",
        },
    }
}

/// Shows the changes, asks, and makes them. False: they are not made.
fn bring(args: &PullArgs, changes: &Changes, out: &Output) -> Result<bool, Failure> {
    if changes.changes.is_empty() {
        out.note("nothing was changed there that is not here");
        return Ok(true);
    }
    if !out.json {
        for change in &changes.changes {
            out.line(format!(
                "{:8} {}",
                line(change).change,
                printable(&change.path)
            ))?;
        }
        for change in &changes.changes {
            show(changes, change, out)?;
        }
    }
    let count = changes.changes.len();
    let agreed = args.yes
        || match stdin().is_terminal() && stdout().is_terminal() {
            true => confirmed(&format!("{count} changes are made here"))?,
            false => {
                out.note("nothing was changed here; --yes makes the changes");
                false
            }
        };
    if agreed {
        changes.apply()?;
        out.note(format!("{count} changes were made here"));
    }
    Ok(agreed)
}

/// The lines that differ, where there is a program that finds them.
fn show(changes: &Changes, change: &Change, out: &Output) -> Result<(), Failure> {
    let Some(content) = change.content() else {
        return Ok(());
    };
    // Not by its path: that may lead out of the project by now.
    let before = changes.here(change).map_or_else(Stdio::null, Stdio::from);
    let ran = Command::new("diff")
        .args(["-u", "--label", "here", "--label", "there", "--", "-"])
        .arg(content)
        .stdin(before)
        .output();
    let Ok(ran) = ran else { return Ok(()) };
    out.line("")?;
    out.line(printable(&change.path))?;
    for text in String::from_utf8_lossy(&ran.stdout).lines() {
        out.line(printable(text))?;
    }
    Ok(())
}
