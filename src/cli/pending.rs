//! `pending`, `approve`, and `deny` of a request: what waits for a person, and the answer.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::api::{DecideBody, Decided, Event, MissedView, Outcome, Pending, PendingView, Settled};
use crate::client::{Client, ClientError};
use crate::policy::{Scope, Verdict};

use super::args::{DecideArgs, PendingArgs, Reach};
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::reach::client;
use super::requests::Requests;

pub(super) async fn list(
    args: PendingArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let client = client(&args.reach.or(before), out).await?;
    if args.watch {
        return watch(&client, out).await;
    }
    let answer = client.pending(args.missed).await?;
    if out.json {
        out.json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    for request in &answer.pending {
        out.line(waiting(request))?;
    }
    let missed = answer.missed.unwrap_or_default();
    for request in &missed {
        out.line(was_missed(request))?;
    }
    if answer.pending.is_empty() && missed.is_empty() {
        out.note(
            "nothing waits for you; vibepit pending --missed shows what nobody decided in time",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// A line for what waits: what, by which door, how many, how long, and what to type.
fn waiting(request: &PendingView) -> String {
    let doors: Vec<_> = request.doors.iter().map(ToString::to_string).collect();
    let others = match request.waiting {
        0 => "gave up; its retry passes once approved".to_owned(),
        count => format!("{count} waiting"),
    };
    let left = seconds_left(request);
    let service = request
        .service
        .as_ref()
        .map_or_else(String::new, |service| format!(" ({})", printable(service)));
    format!(
        "{}  {}{service}  {}  {others}  {left} s left  approve: vibepit approve {}",
        printable(&request.id),
        target(&request.domain, request.port),
        doors.join(","),
        printable(&request.id),
    )
}

/// Until it is refused if nobody decides.
pub(super) fn seconds_left(request: &PendingView) -> i64 {
    OffsetDateTime::parse(&request.expires_at, &Rfc3339).map_or(0, |end| {
        (end - OffsetDateTime::now_utc()).whole_seconds().max(0)
    })
}

fn was_missed(request: &MissedView) -> String {
    format!(
        "{}  {}  missed ({}, {} times)  approve for the next try: vibepit approve {}",
        printable(&request.id),
        target(&request.domain, request.port),
        request.reason,
        request.attempts,
        printable(&request.id),
    )
}

pub(super) fn target(domain: &str, port: u16) -> String {
    match domain.contains(':') {
        true => format!("[{}]:{port}", printable(domain)),
        false => format!("{}:{port}", printable(domain)),
    }
}

/// Shows what waits, and then each that comes, changes or goes.
async fn watch(client: &Client, out: &Output) -> Result<ExitCode, Failure> {
    let mut requests = Requests::new(client);
    while let Some(event) = requests.next().await? {
        if let Event::SessionEnding { ending } = &event {
            out.note(format!("the session has ended: {}", printable(ending)));
            return Ok(ExitCode::SUCCESS);
        }
        show(&event, out)?;
    }
    out.note("the session has ended");
    Ok(ExitCode::SUCCESS)
}

fn show(event: &Event, out: &Output) -> Result<(), Failure> {
    match event {
        Event::RequestAdded(_) | Event::RequestUpdated(_) | Event::RequestRemoved(_)
            if out.json =>
        {
            out.json(&serde_json::json!({"event": event.name(), "request": event}))
        }
        Event::RequestAdded(request) | Event::RequestUpdated(request) => out.line(waiting(request)),
        Event::RequestRemoved(end) => out.line(settled(end, out)),
        _ => Ok(()),
    }
}

fn settled(end: &Settled, out: &Output) -> String {
    let tone = match end.outcome {
        Outcome::Approved => Tone::Good,
        Outcome::Denied | Outcome::TimedOut | Outcome::SessionEnded => Tone::Bad,
    };
    let outcome = out.paint(tone, &end.outcome.to_string());
    format!(
        "{}  {}  {outcome} by {}",
        printable(&end.id),
        target(&end.domain, end.port),
        printable(&end.actor)
    )
}

/// `approve`, and `deny` where what was named is a request that waits.
pub(super) async fn decide(
    verdict: Verdict,
    args: DecideArgs,
    before: Reach,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let client = client(&args.reach.clone().or(before), out).await?;
    let pending = client.pending(true).await?;
    let mut ids = Vec::new();
    if args.all {
        ids.extend(pending.pending.iter().map(|request| request.id.clone()));
    }
    for what in &args.requests {
        let found = find(what, &pending)?;
        if found.is_empty() {
            return Err(
                Failure::failed(format!("no request for {what} waits")).hint(format!(
                    "vibepit pending lists those that do; vibepit allow {what} adds a rule"
                )),
            );
        }
        ids.extend(found);
    }
    if ids.is_empty() {
        out.note("nothing waits for you");
    }
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        let answer = one(&client, verdict, &id, &args, out).await?;
        if out.json {
            out.json(&answer)?;
        } else {
            tell(&answer, out)?;
        }
        if answer.save_error.is_some() {
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

/// Requests by id, the start of one, host, or host and port; those that wait before those that
/// were missed.
pub(super) fn find(what: &str, pending: &Pending) -> Result<Vec<String>, Failure> {
    let waiting = pending
        .pending
        .iter()
        .map(|one| (&one.id, &one.domain, one.port));
    let missed = pending.missed.iter().flatten();
    let missed = missed.map(|one| (&one.id, &one.domain, one.port));
    let lower = what.to_lowercase();
    let named: Vec<_> = waiting
        .clone()
        .chain(missed.clone())
        .filter(|(id, _, _)| id.starts_with(&lower))
        .collect();
    match named.as_slice() {
        [] => {}
        [(id, _, _)] => return Ok(vec![(*id).clone()]),
        several => {
            let several: Vec<_> = several.iter().map(|(id, _, _)| id.as_str()).collect();
            return Err(Failure::usage(format!(
                "{what} is the start of several requests: {}",
                several.join(", ")
            )));
        }
    }
    let is_meant = |(_, domain, port): &(&String, &String, u16)| {
        **domain == lower || target(domain, *port) == lower
    };
    let ids = |one: (&String, &String, u16)| one.0.clone();
    let found: Vec<_> = waiting.filter(is_meant).map(ids).collect();
    Ok(match found.is_empty() {
        true => missed.filter(is_meant).map(ids).collect(),
        false => found,
    })
}

/// Sends one decision; a wildcard that is to be saved is asked about first.
async fn one(
    client: &Client,
    verdict: Verdict,
    id: &str,
    args: &DecideArgs,
    out: &Output,
) -> Result<Decided, Failure> {
    let mut body = DecideBody {
        scope: args.scope,
        pattern: args.pattern.clone(),
        ttl: args.ttl.clone(),
        reason: args.reason.clone(),
        confirm_wildcard: args.yes,
        force: args.force,
    };
    match sent(client, verdict, id, &body).await {
        Err(ClientError::Fault(fault))
            if fault.title == "confirmation needed" && !args.yes && may_ask(out) =>
        {
            if !confirmed(&fault.detail)? {
                return Err(Failure::failed("nothing was decided"));
            }
            body.confirm_wildcard = true;
            Ok(sent(client, verdict, id, &body).await?)
        }
        Err(ClientError::Fault(fault)) if fault.title == "confirmation needed" => {
            Err(Failure::failed(printable(&fault.detail)).hint("--yes says so"))
        }
        outcome => Ok(outcome?),
    }
}

pub(super) async fn sent(
    client: &Client,
    verdict: Verdict,
    id: &str,
    body: &DecideBody,
) -> Result<Decided, ClientError> {
    match verdict {
        Verdict::Allow => client.approve_request(id, body).await,
        Verdict::Deny => client.deny_request(id, body).await,
    }
}

fn may_ask(out: &Output) -> bool {
    !out.json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn confirmed(what: &str) -> Result<bool, Failure> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{}. Go on? [y/N] ", printable(what))?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn tell(answer: &Decided, out: &Output) -> Result<(), Failure> {
    let word = match answer.verdict {
        Verdict::Allow => out.paint(Tone::Good, "approved"),
        Verdict::Deny => out.paint(Tone::Bad, "denied"),
    };
    let what = answer.entry.as_ref().map_or_else(
        || target(&answer.domain, answer.port),
        |entry| printable(entry).into_owned(),
    );
    let long = match (answer.scope, answer.released) {
        (Scope::Once, 0) => "once: its next try passes".to_owned(),
        (Scope::Once, _) => "once".to_owned(),
        (Scope::Session, _) => "until the session ends".to_owned(),
        (Scope::Project, _) => "for this project".to_owned(),
        (Scope::Global, _) => "everywhere".to_owned(),
    };
    out.line(format!("{word} {what} {long}"))?;
    match answer.released {
        0 => {}
        1 => out.note("1 connection goes on"),
        count => out.note(format!("{count} connections go on")),
    }
    if let Some(path) = &answer.saved_to {
        out.note(format!("saved to {}", path.display()));
    }
    if let Some(by) = &answer.shadowed_by {
        out.warn(format!(
            "it does not take effect: \"deny {0}\" outranks it; to lift that: vibepit revoke {0}",
            printable(by)
        ));
    }
    if let Some(why) = &answer.save_error {
        out.warn(format!(
            "{} for this session only: {}",
            past(answer.verdict),
            printable(why)
        ));
    }
    Ok(())
}

/// The word for what was decided.
pub(super) fn past(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Allow => "allowed",
        Verdict::Deny => "denied",
    }
}
