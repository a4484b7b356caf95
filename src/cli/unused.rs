//! `rules --unused`: rules of files that no request has needed for so long, as far as the audit logs
//! can tell. What they cannot tell is said, and no rule is called unused for it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::args::Reach;
use super::audit::{self, Line, Reader, moment, text};
use super::failure::Failure;
use super::output::{Output, printable};
use super::{policy, reach, saved, start};
use crate::api::shell_word;
use crate::policy::{Origin, Reason, Scope, Verdict};
use crate::session::{RuntimeDir, live};

/// A rule of a file.
#[derive(Debug, Serialize)]
struct Candidate {
    entry: String,
    verdict: Verdict,
    origin: Origin,
    scope: Scope,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    made_at: Option<String>,
}

/// The answer, as JSON.
#[derive(Serialize)]
struct Answer {
    since: String,
    /// How far back the logs tell of every request; none where there are none.
    logs_from: Option<String>,
    /// Whether that is far enough. If not, nothing is called unused.
    tells: bool,
    unused: Vec<Candidate>,
    /// What takes back those that were decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
}

pub(super) async fn list(ago: &str, out: &Output) -> Result<ExitCode, Failure> {
    let since = audit::since(ago)?;
    let project = start::project(Path::new(".")).ok();
    let project = project.as_ref().map(|project| project.path());
    let candidates = candidates(project)?;
    let logs = RefCell::new(Logs::new(since, project));
    let directory = audit::directory()?;
    let read = Reader::new(directory.clone(), None).next(|line| {
        logs.borrow_mut().enter(line);
        false
    });
    let read = read.map_err(|error| {
        Failure::failed(format!("cannot read {}: {error}", directory.display()))
    })?;
    for note in &read.notes {
        out.warn(printable(note));
    }
    let mut logs = logs.into_inner();
    logs.used.extend(used_now(out).await?);
    let from = logs.from().filter(|_| read.notes.is_empty());
    let tells = from.is_some_and(|from| from <= since);
    let unused: Vec<_> = candidates
        .into_iter()
        .filter(|rule| tells && logs.is_unused(rule))
        .collect();
    let decided: Vec<_> = unused
        .iter()
        .filter(|rule| rule.origin == Origin::Decision)
        .map(|rule| shell_word(&rule.entry))
        .collect();
    let command = (!decided.is_empty()).then(|| format!("vibepit revoke {}", decided.join(" ")));
    let written = |at: OffsetDateTime| at.format(&Rfc3339).map_err(Failure::failed);
    let answer = Answer {
        since: written(since)?,
        logs_from: from.map(written).transpose()?,
        tells,
        unused,
        command,
    };
    if out.json {
        out.json(&answer)?;
    } else {
        show(&answer, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn show(answer: &Answer, out: &Output) -> Result<(), Failure> {
    let Some(from) = &answer.logs_from else {
        out.note("no audit log tells what was used: nothing is called unused");
        return Ok(());
    };
    out.note(format!("the audit logs are whole from {from} on"));
    if !answer.tells {
        out.note(format!(
            "they cannot tell what was not used since {}: nothing is called unused; ask for less time",
            answer.since
        ));
        return Ok(());
    }
    if answer.unused.is_empty() {
        out.note(format!(
            "every rule of a file was used since {}",
            answer.since
        ));
        return Ok(());
    }
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |rule: &Candidate| {
        vec![
            rule.verdict.to_string(),
            rule.entry.clone(),
            rule.origin.to_string(),
            rule.scope.to_string(),
            or_none(&rule.made_at),
            or_none(&rule.made_by),
        ]
    };
    let rows: Vec<_> = answer.unused.iter().map(row).collect();
    out.table(
        &["VERDICT", "ENTRY", "ORIGIN", "SCOPE", "MADE", "BY"],
        &rows,
    )?;
    if let Some(command) = &answer.command {
        out.line(format!("to take back what was decided: {command}"))?;
    }
    if rows.len()
        > answer
            .unused
            .iter()
            .filter(|rule| rule.origin == Origin::Decision)
            .count()
    {
        out.note("what another file holds is taken out there");
    }
    Ok(())
}

/// The rules of files, for this project and for all.
fn candidates(project: Option<&Path>) -> Result<Vec<Candidate>, Failure> {
    let mut candidates = Vec::new();
    for group in policy::standing(project)?.rules {
        candidates.extend(group.entries.iter().map(|entry| Candidate {
            entry: entry.to_string(),
            verdict: group.verdict,
            origin: group.origin,
            scope: Scope::Global,
            made_by: None,
            made_at: None,
        }));
    }
    let saved = saved::all(project).map_err(Failure::failed)?;
    candidates.extend(saved.into_iter().map(|(saved, made)| {
        let (made_by, made_at) = made.map(|made| (made.by, made.at)).unzip();
        Candidate {
            entry: saved.entry.to_string(),
            verdict: saved.verdict,
            origin: Origin::Decision,
            scope: saved.scope,
            made_by,
            made_at,
        }
    }));
    Ok(candidates)
}

/// What sessions that run have used: of a connection that is open there is no line yet.
async fn used_now(out: &Output) -> Result<Vec<(Verdict, String)>, Failure> {
    let Some(runtime) = RuntimeDir::open().map_err(Failure::failed)? else {
        return Ok(Vec::new());
    };
    let mut used = Vec::new();
    for found in live(&runtime).await {
        let client = reach::client_of(&found, &Reach::default(), out).await?;
        let rules = client.rules().await?.rules.into_iter();
        let hit = rules.filter(|rule| rule.hits > 0);
        used.extend(hit.map(|rule| (rule.verdict, rule.entry)));
    }
    Ok(used)
}

/// What the audit logs tell.
struct Logs<'p> {
    since: OffsetDateTime,
    project: Option<&'p Path>,
    used: HashSet<(Verdict, String)>,
    /// Rules that came since, and have had no time to be used.
    young: HashSet<(Verdict, String)>,
    /// Each session's first line that is still there.
    sessions: HashMap<String, OffsetDateTime>,
    /// Before this, some lines are gone.
    gap: Option<OffsetDateTime>,
}

impl<'p> Logs<'p> {
    fn new(since: OffsetDateTime, project: Option<&'p Path>) -> Self {
        // The logs tell the time to the millisecond, rounded down.
        let rest = i64::from(since.nanosecond() % 1_000_000);
        Self {
            since: since - time::Duration::nanoseconds(rest),
            project,
            used: HashSet::new(),
            young: HashSet::new(),
            sessions: HashMap::new(),
            gap: None,
        }
    }

    fn enter(&mut self, line: &Line) {
        let Some(at) = moment(line) else { return };
        let (event, session) = (text(line, "event"), text(line, "session"));
        if !self.sessions.contains_key(session) {
            self.sessions.insert(session.to_owned(), at);
            // The files before it were more than are kept.
            if event != "session_start" {
                self.gap = self.gap.max(Some(at));
            }
        }
        if line.contains_key("lost") {
            self.gap = self.gap.max(Some(at));
        }
        if at < self.since {
            return;
        }
        let verdict = |deny| if deny { Verdict::Deny } else { Verdict::Allow };
        match event {
            "connect" => {
                let Some(rule) = line.get("rule").and_then(Value::as_str) else {
                    return;
                };
                let denied = text(line, "reason") == Reason::DeniedByRule.as_str();
                self.used.insert((verdict(denied), rule.to_owned()));
            }
            "rule_add" if self.is_ours(line) => {
                let denied = text(line, "verdict") == "deny";
                let pattern = text(line, "pattern").to_owned();
                self.young.insert((verdict(denied), pattern));
            }
            _ => {}
        }
    }

    fn is_ours(&self, line: &Line) -> bool {
        let of = line.get("project").and_then(Value::as_str).map(Path::new);
        text(line, "scope") == Scope::Global.to_string() || of == self.project
    }

    /// From when on they tell of every request.
    fn from(&self) -> Option<OffsetDateTime> {
        let oldest = self.sessions.values().min().copied()?;
        Some(self.gap.map_or(oldest, |gap| gap.max(oldest)))
    }

    fn is_unused(&self, rule: &Candidate) -> bool {
        let key = (rule.verdict, rule.entry.clone());
        let made = rule.made_at.as_deref();
        let made = made.and_then(|at| OffsetDateTime::parse(at, &Rfc3339).ok());
        let is_young = match made {
            Some(made) => made > self.since,
            None => rule.origin == Origin::Decision && self.young.contains(&key),
        };
        !is_young && !self.used.contains(&key)
    }
}
