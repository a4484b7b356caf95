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
    if args.follow {
        return follow(&client, args.after, args.lines, out).await;
    }
    for entry in &client.logs(args.after, Some(args.lines)).await?.entries {
        show(entry, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn follow(
    client: &Client,
    after: Option<u64>,
    lines: usize,
    out: &Output,
) -> Result<ExitCode, Failure> {
    // The stream first, then what was: nothing falls between them.
    let mut events = client.events(None).await?;
    let mut shown = match after {
        Some(after) => catch_up(client, after, out).await?,
        None => {
            let answer = client.logs(None, Some(lines)).await?;
            for entry in &answer.entries {
                show(entry, out)?;
            }
            answer.next
        }
    };
    loop {
        match events.next().await {
            Ok(Some((_, Event::Log(entry)))) if entry.id > shown => {
                shown = entry.id;
                show(&entry, out)?;
            }
            Ok(Some((_, Event::Reset { .. }))) => shown = catch_up(client, shown, out).await?,
            Ok(Some((_, Event::SessionEnding { ending }))) => {
                out.note(format!("the session has ended: {}", printable(&ending)));
                return Ok(ExitCode::SUCCESS);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => {
                tokio::time::sleep(AGAIN).await;
                // A session that is gone is the end of its log.
                let Ok(stream) = client.events(None).await else {
                    out.note("the session has ended");
                    return Ok(ExitCode::SUCCESS);
                };
                events = stream;
                shown = catch_up(client, shown, out).await?;
            }
        }
    }
}

/// Shows what the log has behind an entry, however much that is: what did not come as an event,
/// or fell out of their ring, is still there. The number of the last one.
async fn catch_up(client: &Client, mut shown: u64, out: &Output) -> Result<u64, Failure> {
    loop {
        let answer = client.logs(Some(shown), None).await?;
        if answer.entries.is_empty() {
            return Ok(shown);
        }
        for entry in &answer.entries {
            show(entry, out)?;
        }
        shown = answer.next;
    }
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
