//! `pending`, `approve`, and `deny` of a request: what waits for a person, and the answer.

use std::collections::HashMap;
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::IpAddr;
use std::process::ExitCode;

use time::OffsetDateTime;

use crate::api::{DecideBody, Decided, Event, MissedView, Outcome, Pending, PendingView, Settled};
use crate::client::{Client, ClientError};
use crate::policy::{Scope, Verdict, shortened, shown_target};

use super::allowed::Allowed;
use super::args::Reach;
use super::args::decide::{DecideArgs, PendingArgs};
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::reach::client;
use super::requests::Requests;

/// Requests of one owner that are listed one by one.
const OF_ONE_GROUP: usize = 8;
/// A name that is longer is shown in part,
const LONG: usize = 65;
/// with so much beside what somebody registered.
const BESIDE: usize = 25;

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
    let allowed = match answer.pending.is_empty() {
        true => Allowed::default(),
        false => Allowed::of(&client).await,
    };
    for group in groups(&answer.pending) {
        for request in group.iter().take(OF_ONE_GROUP) {
            told(request, &allowed, out)?;
        }
        if let Some(first) = group.get(OF_ONE_GROUP) {
            out.line(format!(
                "    and {} more of {}; to refuse them all: vibepit deny '{}'",
                group.len() - OF_ONE_GROUP,
                printable(&first.group),
                printable(&whole_group(first)),
            ))?;
        }
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

/// The requests of one owner together, those of whoever asked first in front.
fn groups(pending: &[PendingView]) -> Vec<Vec<&PendingView>> {
    let mut groups: Vec<Vec<&PendingView>> = Vec::new();
    let mut places = HashMap::new();
    for request in pending {
        let place = *places.entry(&request.group).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(request),
            None => groups.push(vec![request]),
        }
    }
    groups
}

/// The entry that covers all of a group.
fn whole_group(request: &PendingView) -> String {
    match request.group.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => format!("{ip}:*"),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:*"),
        Err(_) => format!("**.{}:*", request.group),
    }
}

/// What waits, and the presets that are offered with it.
fn told(request: &PendingView, allowed: &Allowed, out: &Output) -> Result<(), Failure> {
    out.line(waiting(request, allowed))?;
    offers(request).iter().try_for_each(|line| out.line(line))
}

/// A line for each preset that it belongs to, with all that it opens, or that can remember it.
fn offers(request: &PendingView) -> Vec<String> {
    let id = printable(&request.id);
    let offered = request.presets.iter().map(|preset| {
        let name = printable(&preset.name);
        let entries: Vec<_> = preset.entries.iter().map(|entry| printable(entry)).collect();
        let note = preset.note.as_ref();
        let note = note.map_or_else(String::new, |note| format!(" ({})", printable(note)));
        format!(
            "    preset {name} opens {}{note}  approve it all: vibepit approve --preset {name} {id}",
            entries.join(", ")
        )
    });
    let remembered = request.remember_under.iter().map(|name| {
        let name = printable(name);
        format!(
            "    of {name}? approve and remember it with {name}'s: vibepit approve --preset {name} {id}"
        )
    });
    offered.chain(remembered).collect()
}

/// A line for what waits: what, by which door, how many, how long, and what to type.
fn waiting(request: &PendingView, allowed: &Allowed) -> String {
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
        "{}  {}{service}  {}  {others}  {left} s left  approve: vibepit approve {}{}",
        printable(&request.id),
        shown(request),
        doors.join(","),
        printable(&request.id),
        allowed.warning(&request.domain),
    )
}

/// Until it is refused if nobody decides.
pub(super) fn seconds_left(request: &PendingView) -> i64 {
    request.seconds_left(OffsetDateTime::now_utc())
}

fn was_missed(request: &MissedView) -> String {
    format!(
        "{}  {}  missed ({}, {} times)  approve for the next try: vibepit approve {}",
        printable(&request.id),
        shown_target(&request.domain, request.port),
        request.reason,
        request.attempts,
        printable(&request.id),
    )
}

/// What is asked for, for a glance: the middle of a long name is left out, and never the part that
/// somebody registered.
pub(super) fn shown(request: &PendingView) -> String {
    let room = LONG.max(request.group.len() + BESIDE);
    let domain = shortened(&request.domain, &request.group, room);
    shown_target(&domain, request.port)
}

/// Shows what waits, and then each that comes, changes or goes.
async fn watch(client: &Client, out: &Output) -> Result<ExitCode, Failure> {
    let mut requests = Requests::new(client);
    let mut allowed = Allowed::default();
    while let Some(event) = requests.next().await? {
        if let Event::RequestAdded(_) = event
            && !out.json
        {
            allowed = Allowed::of(client).await;
        }
        if let Event::SessionEnding { ending } = &event {
            out.note(format!("the session has ended: {}", printable(ending)));
            return Ok(ExitCode::SUCCESS);
        }
        show(&event, &allowed, out)?;
    }
    out.note("the session has ended");
    Ok(ExitCode::SUCCESS)
}

fn show(event: &Event, allowed: &Allowed, out: &Output) -> Result<(), Failure> {
    match event {
        Event::RequestAdded(_) | Event::RequestUpdated(_) | Event::RequestRemoved(_)
            if out.json =>
        {
            out.json(&serde_json::json!({"event": event.name(), "request": event}))
        }
        Event::RequestAdded(request) | Event::RequestUpdated(request) => {
            told(request, allowed, out)
        }
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
        shown_target(&end.domain, end.port),
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
        if answer.save_error.is_some() || answer.remember_error.is_some() {
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
        **domain == lower || shown_target(domain, *port) == lower
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
        preset: args.preset.clone(),
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

pub(super) fn confirmed(what: &str) -> Result<bool, Failure> {
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
        || shown_target(&answer.domain, answer.port),
        |entry| printable(entry).into_owned(),
    );
    let long = match (answer.scope, answer.released) {
        (Scope::Once, 0) => "once: its next try passes".to_owned(),
        (Scope::Once, _) => "once".to_owned(),
        (Scope::Session, _) => "until the session ends".to_owned(),
        (Scope::Project, _) => "for this project".to_owned(),
        (Scope::Global, _) => "everywhere".to_owned(),
    };
    match answer.entries.is_empty() {
        true => out.line(format!("{word} {what} {long}"))?,
        false => {
            for entry in &answer.entries {
                out.line(format!("{word} {} {long}", printable(entry)))?;
            }
        }
    }
    if let Some(preset) = &answer.remembered_under {
        let preset = printable(preset);
        out.note(format!(
            "remembered under {preset}: sessions with that preset reach it, until vibepit revoke {what}"
        ));
    }
    if let Some(why) = &answer.remember_error {
        out.warn(format!("it is not remembered: {}", printable(why)));
    }
    match (answer.verdict, answer.released) {
        (_, 0) => {}
        (Verdict::Allow, 1) => out.note("1 connection goes on"),
        (Verdict::Allow, count) => out.note(format!("{count} connections go on")),
        (Verdict::Deny, 1) => out.note("1 connection is refused"),
        (Verdict::Deny, count) => out.note(format!("{count} connections are refused")),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn request(domain: &str, group: &str) -> PendingView {
        serde_json::from_value(serde_json::json!({
            "id": "0123456789ab", "domain": domain, "port": 443, "group": group,
            "doors": ["connect"], "waiting": 1, "attempts": 1,
            "requested_at": "2030-01-01T00:00:00Z", "expires_at": "2030-01-01T00:01:00Z",
            "suggested_pattern": null
        }))
        .unwrap()
    }

    /// DISP-007.
    #[test]
    fn a_long_name_keeps_the_part_that_somebody_registered_in_sight() {
        let domain = format!("{}login.example.com", "example.org.".repeat(18));
        let line = shown(&request(&domain, "example.com"));
        assert!(line.ends_with("login.example.com:443"), "{line}");
        assert!(line.starts_with("example.org.exam…"), "{line}");
        assert!(line.chars().count() < 75, "{line}");
        let registered = format!("{}.example", "a".repeat(63));
        let domain = format!("{}.{registered}", "b".repeat(63));
        let line = shown(&request(&domain, &registered));
        assert!(line.ends_with(&format!("{registered}:443")), "{line}");
        for short in ["a.example.com", "2001:db8::1"] {
            let whole = shown_target(short, 443);
            assert_eq!(shown(&request(short, short)), whole);
        }
    }

    #[test]
    fn requests_of_one_owner_are_listed_together_in_the_order_of_the_first() {
        let pending: Vec<_> = [
            ("a.one.test", "one.test"),
            ("two.test", "two.test"),
            ("b.one.test", "one.test"),
        ]
        .into_iter()
        .map(|(domain, group)| request(domain, group))
        .collect();
        let order: Vec<_> = groups(&pending)
            .into_iter()
            .flatten()
            .map(|request| request.domain.as_str())
            .collect();
        assert_eq!(order, ["a.one.test", "b.one.test", "two.test"]);
        assert_eq!(whole_group(&pending[0]), "**.one.test:*");
        assert_eq!(
            whole_group(&request("2001:db8::1", "2001:db8::1")),
            "[2001:db8::1]:*"
        );
    }
}
