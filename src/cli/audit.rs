//! `audit`: what sessions asked for and who decided, those that are over included. Reads the audit
//! files; no session is spoken to.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::AuditArgs;
use super::failure::Failure;
use super::output::{Output, printable};
use crate::config;

/// How often files are looked at while following: they grow by a line at a time, and who reads
/// along is a person.
const LOOK: Duration = Duration::from_millis(250);

type Line = Map<String, Value>;

pub(super) async fn run(args: AuditArgs, out: &Output) -> Result<ExitCode, Failure> {
    let since = args.since.as_deref().map(since).transpose()?;
    let directory = config::state_dir().map_err(Failure::failed)?.join("audit");
    let mut reader = Reader {
        directory,
        session: args.session,
        read: BTreeMap::new(),
    };
    let wanted = |line: &Line| {
        let event = text(line, "event");
        (args.event.is_empty() || args.event.iter().any(|one| one == event))
            && since.is_none_or(|since| moment(line) >= Some(since))
    };
    loop {
        let mut lines = reader.next()?;
        lines.retain(&wanted);
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
        tokio::time::sleep(LOOK).await;
    }
}

fn text<'a>(line: &'a Line, key: &str) -> &'a str {
    line.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// When it was. Not compared as text, which writes 10.1 s behind 10.095 s.
fn moment(line: &Line) -> Option<OffsetDateTime> {
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
fn since(said: &str) -> Result<OffsetDateTime, Failure> {
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

/// Reads what was written since it read last.
struct Reader {
    directory: PathBuf,
    /// The start of a session's id.
    session: Option<String>,
    /// How far each file has been read.
    read: BTreeMap<PathBuf, u64>,
}

impl Reader {
    fn next(&mut self) -> Result<Vec<Line>, Failure> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let what = format!("cannot read {}: {error}", self.directory.display());
                return Err(Failure::failed(what));
            }
        };
        let mut lines = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if self.is_meant(&path) {
                let at = self.read.entry(path.clone()).or_default();
                lines.extend(appended(&path, at)?);
            }
        }
        Ok(lines)
    }

    fn is_meant(&self, path: &Path) -> bool {
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        path.extension()
            .is_some_and(|extension| extension == "jsonl")
            && stem.is_some_and(|stem| self.session.as_ref().is_none_or(|s| stem.starts_with(s)))
    }
}

/// The whole lines behind `at`, which is moved behind them. What is no JSON object is left out:
/// a disk that was full may have cut a line.
fn appended(path: &Path, at: &mut u64) -> Result<Vec<Line>, Failure> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(*at))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    *at += whole as u64;
    let lines = bytes[..whole].split(|byte| *byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}
