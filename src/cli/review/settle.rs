//! The walk through what there is to review: a group, a letter, the next one.

use std::io::{self, BufRead, Write};
use std::path::Path;

use super::gather::Live;
use super::{Group, SHOWN, list};
use crate::api::AddBody;
use crate::cli::failure::Failure;
use crate::cli::output::{Output, printable};
use crate::cli::saved;
use crate::policy::{Scope, Verdict};

const HELP: &str = "\
p  allow for this project: every later session of it, and those that run
g  allow everywhere
a  allow in the session that runs, until it ends
d  deny for this project
w  allow every name below, then say for how far
s  leave it; an empty line does the same
q  stop here; the rest is shown again";

/// False: the person stopped before the end.
pub(super) async fn each(groups: &[Group], live: &[Live], out: &Output) -> Result<bool, Failure> {
    for (at, group) in (1..).zip(groups) {
        out.line(format!("\n{at} of {}", groups.len()))?;
        list(group, SHOWN, out)?;
        let session = live.iter().find(|session| session.project == group.project);
        if !one(group, session, out).await? {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn one(group: &Group, session: Option<&Live>, out: &Output) -> Result<bool, Failure> {
    let mut entries: Vec<String> = group.targets.iter().map(|one| one.entry.clone()).collect();
    let mut wide = false;
    loop {
        let question = question(group, session.is_some(), wide);
        let (verdict, scope) = match letter(&question)? {
            None | Some('q') => return Ok(false),
            Some('s' | '\n') => return Ok(true),
            Some('a') if session.is_some() => (Verdict::Allow, Scope::Session),
            Some('p') if group.project.is_some() => (Verdict::Allow, Scope::Project),
            Some('g') => (Verdict::Allow, Scope::Global),
            Some('d') if group.project.is_some() => (Verdict::Deny, Scope::Project),
            Some('d') => (Verdict::Deny, Scope::Global),
            Some('w') if !wide && !group.wildcard.is_empty() => {
                entries.clone_from(&group.wildcard);
                wide = true;
                continue;
            }
            _ => {
                out.note(HELP);
                continue;
            }
        };
        let to = decide(group, session, verdict, scope, &entries).await?;
        out.line(format!(
            "{} {}{to}",
            word(verdict),
            printable(&entries.join(", "))
        ))?;
        return Ok(true);
    }
}

/// Decides, and says where it stands.
async fn decide(
    group: &Group,
    session: Option<&Live>,
    verdict: Verdict,
    scope: Scope,
    entries: &[String],
) -> Result<String, Failure> {
    let Some(session) = session else {
        let project = group.project.as_deref().map(Path::new);
        let saved = saved::save(project, scope, verdict, entries).map_err(Failure::failed)?;
        return Ok(format!(", saved to {}", saved.display()));
    };
    let body = AddBody {
        entries: entries.to_vec(),
        scope: Some(scope),
        ..AddBody::default()
    };
    let added = match verdict {
        Verdict::Allow => session.client.allow(&body).await?,
        Verdict::Deny => session.client.deny(&body).await?,
    };
    Ok(match (added.saved_to, added.save_error) {
        (_, Some(why)) => format!(" for this session only: {}", printable(&why)),
        (Some(path), None) => format!(", saved to {}", path.display()),
        (None, None) => " until the session ends".to_owned(),
    })
}

fn question(group: &Group, runs: bool, wide: bool) -> String {
    let mut question = String::new();
    if wide {
        let wildcard = group.wildcard.join(", ");
        question.push_str(&format!("{}: ", printable(&wildcard)));
    }
    if runs {
        question.push_str("a(llow in the session) ");
    }
    if group.project.is_some() {
        question.push_str("p(roject) ");
    }
    question.push_str("g(lobal) d(eny) ");
    if !wide && !group.wildcard.is_empty() {
        question.push_str("w(ildcard) ");
    }
    question.push_str("s(kip) q(uit) ? ");
    question
}

/// The first letter of a line; a line without one is its end. `None`: there are no more lines.
fn letter(question: &str) -> io::Result<Option<char>> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes())?;
    stderr.flush()?;
    let mut line = String::new();
    if io::stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(
        line.trim_start_matches(' ').chars().next().unwrap_or('\n'),
    ))
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
    }
}
