//! `logs`.

use std::process::ExitCode;
use std::time::Duration;

use crate::api::{Event, LogEntry};
use crate::client::Client;
use crate::policy::Verdict;

use super::args::{LogsArgs, Reach};
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::reach::client;

/// How long to wait before a broken stream is taken up again.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) async fn run(args: LogsArgs, before: Reach, out: &Output) -> Result<ExitCode, Failure> {
    let client = client(&args.reach.or(before), out).await?;
    // The stream first, then what was: nothing falls between them.
    let mut events = if args.follow {
        Some(client.events(None).await?)
    } else {
        None
    };
    let answer = client.logs(args.after, Some(args.lines)).await?;
    let mut shown = answer.next;
    for entry in &answer.entries {
        show(entry, out)?;
    }
    let mut last_event = None;
    while let Some(stream) = &mut events {
        match stream.next().await {
            Ok(Some((id, event))) => {
                last_event = Some(id);
                match event {
                    Event::Log(entry) if entry.id > shown => {
                        shown = entry.id;
                        show(&entry, out)?;
                    }
                    Event::Reset { .. } => shown = catch_up(&client, shown, out).await?,
                    Event::SessionEnding { ending } => {
                        out.note(format!("the session has ended: {}", printable(&ending)));
                        break;
                    }
                    _ => {}
                }
            }
            Ok(None) | Err(_) => {
                tokio::time::sleep(AGAIN).await;
                // A session that is gone is the end of its log.
                let Ok(stream) = client.events(last_event).await else {
                    break;
                };
                events = Some(stream);
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What fell out of the ring of events is still in the log.
async fn catch_up(client: &Client, shown: u64, out: &Output) -> Result<u64, Failure> {
    let answer = client.logs(Some(shown), None).await?;
    for entry in &answer.entries {
        show(entry, out)?;
    }
    Ok(answer.next)
}

fn show(entry: &LogEntry, out: &Output) -> Result<(), Failure> {
    if out.json {
        return out.json(entry);
    }
    let (tone, word) = match entry.verdict {
        Verdict::Allow => (Tone::Good, "allow"),
        Verdict::Deny => (Tone::Bad, "deny "),
    };
    let target = match entry.port {
        Some(port) if entry.domain.contains(':') => format!("[{}]:{port}", entry.domain),
        Some(port) => format!("{}:{port}", entry.domain),
        None => entry.domain.clone(),
    };
    let why = match (&entry.rule, &entry.detail) {
        (Some(rule), None) => format!("rule {rule}"),
        (_, Some(detail)) => detail.clone(),
        (None, None) => String::new(),
    };
    let line = format!(
        "{}  {}  {}  {}  {}  {}",
        printable(&entry.time),
        out.paint(tone, word),
        printable(&target),
        entry.door,
        entry.reason,
        printable(&why)
    );
    out.line(line.trim_end())
}
