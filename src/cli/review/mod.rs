//! `review`: what was refused or ran out while nobody decided, since the last review, settled in one
//! pass. Reads the audit log of every session and what live ones have missed; what was decided since
//! is not shown.

mod gather;
mod settle;
mod stamp;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use serde::Serialize;
use time::{Duration, OffsetDateTime};

use self::gather::{Gathered, Target};
use super::args::ReviewArgs;
use super::audit;
use super::failure::Failure;
use super::output::{Output, printable};
use crate::api::shell_word;
use crate::policy::Entry;

/// How far the first review looks back.
const FIRST: Duration = Duration::days(30);
/// Destinations of a group that are shown to a person.
const SHOWN: usize = 15;

/// Destinations that somebody registered together, for one project.
#[derive(Debug, Serialize)]
struct Group {
    /// The registrable domain, or the address.
    group: String,
    /// The project's directory; none for a proxy without one.
    project: Option<String>,
    targets: Vec<Target>,
    /// What covers every name below it, where it belongs to one owner.
    wildcard: Vec<String>,
    allow: String,
    deny: String,
}

impl Group {
    fn new(project: Option<String>, group: String, targets: Vec<Target>) -> Self {
        let entries: Vec<String> = targets.iter().map(|one| one.entry.clone()).collect();
        let mut group = Self {
            wildcard: wildcard(&group, &targets),
            group,
            project,
            targets,
            allow: String::new(),
            deny: String::new(),
        };
        (group.allow, group.deny) = (
            group.command("allow", &entries),
            group.command("deny", &entries),
        );
        group
    }

    /// What settles it, in a shell, for every later session of the project.
    fn command(&self, verb: &str, entries: &[String]) -> String {
        let of = match &self.project {
            Some(project) => format!("--session {} --save", shell_word(project)),
            None => "--scope global".to_owned(),
        };
        let entries: Vec<_> = entries.iter().map(|entry| shell_word(entry)).collect();
        format!("vibepit {verb} {of} -- {}", entries.join(" "))
    }
}

/// Every name below a registrable domain, on the ports that were asked for; and what it does not
/// cover, as it is. Empty where that would not be one owner's, or no more than what was asked for.
fn wildcard(group: &str, targets: &[Target]) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for target in targets.iter().filter(|target| target.domain != group) {
        let pattern = match target.port {
            None | Some(80 | 443) => format!("**.{group}"),
            Some(port) => format!("**.{group}:{port}"),
        };
        if pattern.parse::<Entry>().is_err() {
            return Vec::new();
        }
        if !entries.contains(&pattern) {
            entries.push(pattern);
        }
    }
    if !entries.is_empty() {
        let apex = targets.iter().filter(|target| target.domain == group);
        entries.extend(apex.map(|target| target.entry.clone()));
    }
    entries
}

pub(super) async fn run(args: ReviewArgs, out: &Output) -> Result<ExitCode, Failure> {
    let begun = OffsetDateTime::now_utc();
    let since = args.since.as_deref().map(audit::since).transpose()?;
    let stamps = stamp::read();
    let from = |project: Option<&str>| {
        let last = since.or_else(|| stamps.of(project));
        last.unwrap_or(begun - FIRST)
    };
    let here = std::env::current_dir().unwrap_or_default();
    let is_meant = |project: Option<&str>| {
        args.all || project.is_some_and(|project| here.starts_with(project))
    };
    let Gathered {
        groups,
        more,
        notes,
        live,
    } = gather::gather(from, is_meant, out).await?;
    for note in notes {
        out.warn(printable(&note));
    }
    if more > 0 {
        out.warn(format!(
            "{more} further refusals are not listed, there are so many: vibepit audit --event connect"
        ));
    }
    if out.json {
        out.json(&serde_json::json!({ "groups": groups }))?;
        return Ok(ExitCode::SUCCESS);
    }
    if groups.is_empty() {
        out.note(match args.all {
            true => "nothing was refused that nobody decided",
            false => {
                "nothing of this project was refused that nobody decided; --all looks at every one"
            }
        });
        return Ok(ExitCode::SUCCESS);
    }
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        for group in &groups {
            list(group, usize::MAX, out)?;
            out.line(format!("  allow: {}", printable(&group.allow)))?;
            out.line(format!("  deny:  {}", printable(&group.deny)))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !settle::each(&groups, &live, out).await? {
        out.note("the rest is shown again the next time");
        return Ok(ExitCode::SUCCESS);
    }
    let mut projects: Vec<_> = groups
        .iter()
        .map(|group| group.project.as_deref())
        .collect();
    projects.dedup();
    stamp::reviewed(&projects, begun).map_err(Failure::failed)?;
    Ok(ExitCode::SUCCESS)
}

fn list(group: &Group, most: usize, out: &Output) -> Result<(), Failure> {
    let project = group.project.as_deref().unwrap_or("no project");
    out.line(format!(
        "{}  ({})",
        out.paint(super::output::Tone::Strong, &printable(&group.group)),
        printable(project)
    ))?;
    for target in group.targets.iter().take(most) {
        out.line(format!(
            "  {}  {}  {} times, last {}",
            printable(&target.entry),
            target.reason,
            target.count,
            printable(&target.last)
        ))?;
    }
    if let Some(others @ 1..) = group.targets.len().checked_sub(most) {
        out.line(format!("  and {others} more"))?;
    }
    Ok(())
}
