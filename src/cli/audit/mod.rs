//! `audit`: what sessions asked for and who decided, those that are over included. Reads the audit
//! files; no session is spoken to.

mod reader;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub(super) use self::reader::{Line, Reader, newest};
use super::args::AuditArgs;
use super::failure::Failure;
use super::output::{Output, printable};
use crate::config;
use crate::proxy::Watch;

/// How soon files are looked at again where nothing can be watched, as before the first session.
const LOOK: Duration = Duration::from_millis(250);

pub(super) async fn run(args: AuditArgs, out: &Output) -> Result<ExitCode, Failure> {
    let since = args.since.as_deref().map(since).transpose()?;
    let directory = directory()?;
    let mut reader = Reader::new(directory.clone(), args.session);
    let wanted = |line: &Line| {
        let event = text(line, "event");
        (args.event.is_empty() || args.event.iter().any(|one| one == event))
            && since.is_none_or(|since| moment(line) >= Some(since))
    };
    let mut watch = None;
    loop {
        if args.follow && watch.is_none() {
            watch = Watch::below(&directory).ok();
        }
        let news = reader.next(wanted).map_err(|error| {
            Failure::failed(format!("cannot read {}: {error}", directory.display()))
        })?;
        for note in &news.notes {
            out.warn(printable(note));
        }
        let mut lines = news.lines;
        // Stable: what happened in the same millisecond stays as it was written.
        lines.sort_by_key(moment);
        if lines.is_empty() && !args.follow {
            out.note("no such event is written down");
        }
        for line in &lines {
            if out.json {
                out.json(line)?;
            } else {
                out.line(shown(line))?;
            }
        }
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        match &mut watch {
            Some(watch) => drop(watch.changed().await),
            None => tokio::time::sleep(LOOK).await,
        }
    }
}

/// Where the audit files of all sessions are.
pub(super) fn directory() -> Result<PathBuf, Failure> {
    Ok(config::state_dir().map_err(Failure::failed)?.join("audit"))
}

pub(super) fn text<'a>(line: &'a Line, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// When it was. Not compared as text, which writes 10.1 s behind 10.095 s.
pub(super) fn moment(line: &Line) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text(line, "time"), &Rfc3339).ok()
}

/// Time, session, event, target, and the rest as it stands.
fn shown(line: &Line) -> String {
    let mut shown = format!(
        "{}  {:.8}  {}",
        printable(text(line, "time")),
        printable(text(line, "session")),
        printable(text(line, "event"))
    );
    if let Some(domain) = line.get("domain").and_then(Value::as_str) {
        let port = line
            .get("port")
            .map_or_else(String::new, |port| format!(":{port}"));
        shown.push_str(&format!("  {}{port}", printable(domain)));
    }
    for (key, value) in line {
        if ["time", "session", "event", "domain", "port", "project"].contains(&key.as_str()) {
            continue;
        }
        let value = match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        shown.push_str(&format!("  {}={}", printable(key), printable(&value)));
    }
    shown
}

/// The first time that is wanted: so long ago, or from then on.
pub(super) fn since(said: &str) -> Result<OffsetDateTime, Failure> {
    match crate::api::duration(said) {
        Ok(ago) => Ok(OffsetDateTime::now_utc() - ago),
        Err(_) => OffsetDateTime::parse(said, &Rfc3339).map_err(|_| {
            Failure::usage(format!(
                "{said:?} is no time: write 10m, 2h or 7d for so long ago, or \
                 2026-01-31T12:00:00Z"
            ))
        }),
    }
}
