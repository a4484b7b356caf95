//! `sessions`.

use std::process::ExitCode;

use serde::Serialize;

use crate::session::{self, Change, Found, Record, RuntimeDir, SessionWatcher};

use super::args::SessionsArgs;
use super::failure::Failure;
use super::output::{Output, printable};

/// A line of `sessions --watch --json`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "change")]
enum Line<'a> {
    Appeared { session: &'a Record },
    Gone { id: String },
}

/// The answer of `sessions --json`.
#[derive(Serialize)]
struct Sessions<'a> {
    sessions: Vec<&'a Record>,
}

pub(super) async fn run(args: &SessionsArgs, out: &Output) -> Result<ExitCode, Failure> {
    if args.watch {
        return watch(out).await;
    }
    let mut live = match RuntimeDir::open().map_err(Failure::failed)? {
        Some(runtime) => session::live(&runtime).await,
        None => Vec::new(),
    };
    live.sort_by(|a, b| a.record.created.cmp(&b.record.created));
    if out.json {
        out.json(&Sessions {
            sessions: live.iter().map(|found| &found.record).collect(),
        })?;
    } else if live.is_empty() {
        out.note("no session is running; vibepit run starts one");
    } else {
        let rows: Vec<_> = live.iter().map(|found| row(found).to_vec()).collect();
        out.table(&["ID", "NAME", "RUNTIME", "PROJECT", "STARTED"], &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(found: &Found) -> [String; 5] {
    let record = &found.record;
    let project = record
        .project_dir
        .as_ref()
        .map_or_else(|| "-".to_owned(), |p| p.display().to_string());
    [
        record.id.to_string(),
        record.name.clone(),
        record.runtime.clone(),
        project,
        to_the_second(&record.created),
    ]
}

async fn watch(out: &Output) -> Result<ExitCode, Failure> {
    let mut watcher = SessionWatcher::new().map_err(Failure::failed)?;
    loop {
        let change = watcher.next().await;
        if out.json {
            match &change {
                Change::Appeared(found) => out.json(&Line::Appeared {
                    session: &found.record,
                })?,
                Change::Gone(id) => out.json(&Line::Gone { id: id.to_string() })?,
            }
            continue;
        }
        match &change {
            Change::Appeared(found) => {
                out.line(format!("+ {}", printable(&row(found).join("  "))))?;
            }
            Change::Gone(id) => out.line(format!("- {id}"))?,
        }
    }
}

/// A time of RFC 3339 in UTC, without its fraction.
fn to_the_second(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}
