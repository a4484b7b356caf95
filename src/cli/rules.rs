//! `allow`, `deny`, `revoke`, `rules`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::api::{AddBody, RevokeBody, RuleView};
use crate::policy::{Entry, Scope, Verdict};

use super::args::decide::{AddArgs, DenyArgs, RevokeArgs};
use super::args::{Reach, RulesArgs};
use super::failure::{Failure, Kind};
use super::output::{Output, Tone, printable};
use super::reach::client;
use super::{pending, saved, start, unused};

/// Rules, or an answer to requests that wait.
pub(super) async fn deny(args: DenyArgs, before: Reach, out: &Output) -> Result<ExitCode, Failure> {
    let of_requests = args.all || args.reason.is_some() || args.scope == Some(Scope::Once);
    if of_requests || args.entries.iter().all(|text| is_id(text)) {
        return pending::decide(Verdict::Deny, args.into_decision(), before, out).await;
    }
    add(Verdict::Deny, args.into_rules(), before, out).await
}

pub(super) async fn add(
    verdict: Verdict,
    args: AddArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    // A slip is told before a session is looked for.
    for text in &args.entries {
        let entry = if args.force {
            Entry::parse_forced(text)
        } else {
            text.parse()
        };
        entry.map_err(Failure::usage)?;
    }
    let scope = args.scope.or_else(|| args.save.then_some(Scope::Project));
    if let (Some(size), Some(scope @ (Scope::Project | Scope::Global))) = (args.max_upload, scope) {
        return Err(Failure::usage(format!(
            "--max-upload {size} counts what a session sends, and scope {scope} is for others too: \
             leave one of them out"
        )));
    }
    let reach = args.reach.or(before);
    let client = match (client(&reach, out).await, scope) {
        (Err(failure), Some(scope @ (Scope::Project | Scope::Global)))
            if is_for_files(&failure, &reach) && args.ttl.is_none() =>
        {
            return save(verdict, scope, &args.entries, &reach, out);
        }
        (client, _) => client?,
    };
    let body = AddBody {
        entries: args.entries,
        scope,
        ttl: args.ttl,
        max_upload: args.max_upload.map(|size| size.to_string()),
        force: args.force,
    };
    let answer = match verdict {
        Verdict::Allow => client.allow(&body).await?,
        Verdict::Deny => client.deny(&body).await?,
    };
    if out.json {
        out.json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut until = match (body.ttl, answer.scope) {
        (Some(ttl), _) => format!("for {ttl}"),
        (None, Scope::Project) => "for this project".to_owned(),
        (None, Scope::Global) => "everywhere".to_owned(),
        (None, Scope::Once | Scope::Session) => "until the session ends".to_owned(),
    };
    if let Some(size) = body.max_upload {
        until.push_str(&format!(", {size} to send from now on"));
    }
    let word = match verdict {
        Verdict::Allow => out.paint(Tone::Good, "allowed"),
        Verdict::Deny => out.paint(Tone::Bad, "denied"),
    };
    for entry in &answer.added {
        out.line(format!("{word} {} {until}", printable(entry)))?;
    }
    for entry in &answer.existing {
        out.line(format!("{word} {} already", printable(entry)))?;
    }
    for shadowed in &answer.shadowed {
        let (entry, by) = (&shadowed.entry, &shadowed.by);
        out.warn(format!(
            "{} does not take effect: \"deny {}\" ({}) outranks it; to lift it: vibepit revoke {}",
            printable(entry),
            printable(&by.entry),
            by.origin,
            printable(&by.entry)
        ));
    }
    for warning in &answer.warnings {
        out.warn(printable(warning));
    }
    closed(answer.closed, out);
    if let Some(path) = &answer.saved_to {
        out.note(format!("saved to {}", path.display()));
    }
    if let Some(why) = &answer.save_error {
        let word = pending::past(verdict);
        return Err(Failure::failed(format!(
            "{word} for this session only: {}",
            printable(why)
        )));
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether what is saved is meant: no session runs, and none was named that should.
fn is_for_files(failure: &Failure, reach: &Reach) -> bool {
    let named = reach.session.as_deref();
    failure.kind == Kind::NoSession
        && !reach.tcp
        && reach.addr.is_none()
        && named.is_none_or(|named| Path::new(named).is_absolute())
}

/// The project that is meant where no session of it runs.
fn project(reach: &Reach) -> Option<PathBuf> {
    let start = reach.session.as_deref().unwrap_or(".");
    let project = start::project(Path::new(start)).ok()?;
    Some(project.path().to_owned())
}

/// For sessions to come: none runs that would save it.
fn save(
    verdict: Verdict,
    scope: Scope,
    entries: &[String],
    reach: &Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let project = project(reach);
    let saved =
        saved::save(project.as_deref(), scope, verdict, entries).map_err(Failure::failed)?;
    let of = match scope {
        Scope::Global => "everywhere",
        _ => "for this project",
    };
    if out.json {
        out.json(&serde_json::json!({
            "added": entries, "existing": [], "scope": scope, "saved_to": saved, "closed": 0,
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    for entry in entries {
        let word = pending::past(verdict);
        out.line(format!("{word} {} {of}", printable(entry)))?;
    }
    out.note(format!("no session runs; saved to {}", saved.display()));
    Ok(ExitCode::SUCCESS)
}

/// Whether this can be the start of a request's id, and no host: a label of hex digits alone.
fn is_id(text: &str) -> bool {
    (4..=12).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

pub(super) async fn revoke(
    args: RevokeArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    for text in &args.entries {
        Entry::parse_forced(text).map_err(Failure::usage)?;
    }
    let reach = args.reach.or(before);
    let client = match client(&reach, out).await {
        Err(failure) if is_for_files(&failure, &reach) => {
            return forget(&args.entries, &reach, failure, out);
        }
        client => client?,
    };
    let answer = client
        .revoke(&RevokeBody {
            entries: args.entries,
        })
        .await?;
    if out.json {
        out.json(&answer)?;
    } else {
        for entry in &answer.removed {
            out.line(format!("revoked {}", printable(entry)))?;
        }
        for rule in &answer.kept {
            out.warn(kept(rule));
        }
        closed(answer.closed, out);
    }
    if !answer.missing.is_empty() {
        let missing = answer.missing.join(", ");
        return Err(Failure::failed(format!("no rule has the entry {missing}"))
            .hint("vibepit rules lists those there are"));
    }
    // What was asked for did not happen: a script must not take it for done.
    Ok(if answer.kept.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Takes back what is saved: no session runs that would.
fn forget(
    entries: &[String],
    reach: &Reach,
    no_session: Failure,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let project = project(reach);
    let removed = saved::forget(project.as_deref(), entries).map_err(Failure::failed)?;
    if removed.is_empty() {
        return Err(no_session);
    }
    if out.json {
        out.json(&serde_json::json!({"removed": removed, "missing": [], "closed": 0}))?;
    } else {
        for entry in &removed {
            out.line(format!("revoked {}", printable(entry)))?;
        }
        out.note("no session runs; what was saved is taken back");
    }
    Ok(ExitCode::SUCCESS)
}

fn kept(rule: &RuleView) -> String {
    let entry = printable(&rule.entry);
    let meanwhile = match rule.verdict {
        Verdict::Allow => format!("; to keep the sandbox from it now: vibepit deny {entry}"),
        Verdict::Deny => String::new(),
    };
    format!(
        "\"{} {entry}\" stays, since a file holds it ({}): take it out there and start the session \
         again{meanwhile}",
        rule.verdict,
        rule.came_from()
    )
}

fn closed(count: usize, out: &Output) {
    match count {
        0 => {}
        1 => out.note("1 connection closed"),
        _ => out.note(format!("{count} connections closed")),
    }
}

pub(super) async fn list(
    args: RulesArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    if let Some(ago) = &args.unused {
        return unused::list(ago, out).await;
    }
    let answer = client(&args.reach.or(before), out).await?.rules().await?;
    if out.json {
        out.json(&answer)?;
    } else if answer.rules.is_empty() {
        out.note("there are no rules; vibepit allow HOST adds one");
    } else {
        let mut heads = vec![
            "VERDICT", "ENTRY", "ORIGIN", "SCOPE", "UNTIL", "HITS", "MADE", "BY",
        ];
        let mut rows: Vec<_> = answer.rules.iter().map(row).collect();
        if answer.rules.iter().any(|rule| rule.max_upload.is_some()) {
            heads.push("TO SEND");
            for (row, rule) in rows.iter_mut().zip(&answer.rules) {
                row.push(rule.upload_shown().unwrap_or_else(|| "-".to_owned()));
            }
        }
        out.table(&heads, &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(rule: &RuleView) -> Vec<String> {
    vec![
        rule.verdict.to_string(),
        rule.entry.clone(),
        rule.came_from(),
        rule.scope.to_string(),
        rule.expires_at.clone().unwrap_or_else(|| "-".to_owned()),
        rule.hits.to_string(),
        rule.made_at.clone().unwrap_or_else(|| "-".to_owned()),
        rule.made_by.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}
