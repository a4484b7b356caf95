//! `logs`.

use std::process::ExitCode;

use crate::api::{Event, LogEntry};
use crate::client::{AGAIN, Client, ClientError};
use crate::policy::Verdict;

use super::args::{LogsArgs, Reach};
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::reach::client;

/// How often in a row that may bring nothing new.
const ATTEMPTS: u32 = 20;

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

/// What ends a stretch of following.
enum Stop {
    /// The session is over; why, if it told.
    Ended(Option<String>),
    /// The connection broke. What was missed is in the log.
    Broken(ClientError),
    /// Nobody reads on.
    Unread(Failure),
}

impl From<ClientError> for Stop {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Unreachable { .. } => Self::Ended(None),
            error => Self::Broken(error),
        }
    }
}

async fn follow(
    client: &Client,
    after: Option<u64>,
    lines: usize,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let mut shown = after;
    let mut fruitless = 0;
    loop {
        let before = shown;
        let stop = match stretch(client, &mut shown, lines, out).await {
            Ok(why) => Stop::Ended(Some(why)),
            Err(stop) => stop,
        };
        match stop {
            Stop::Ended(why) => {
                let why = why.map_or_else(String::new, |why| format!(": {}", printable(&why)));
                out.note(format!("the session has ended{why}"));
                return Ok(ExitCode::SUCCESS);
            }
            Stop::Unread(failure) => return Err(failure),
            Stop::Broken(error) => {
                fruitless = if shown == before { fruitless + 1 } else { 0 };
                if fruitless > ATTEMPTS {
                    return Err(error.into());
                }
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

/// Follows for as long as one connection lasts, up to the session's last word. `shown` is the
/// last entry that was shown; before the first one, so many `lines` are.
async fn stretch(
    client: &Client,
    shown: &mut Option<u64>,
    lines: usize,
    out: &Output,
) -> Result<String, Stop> {
    // The stream first, then what was: nothing falls between them.
    let mut events = client.events(None, false).await?;
    if shown.is_none() {
        let answer = client.logs(None, Some(lines)).await?;
        for entry in &answer.entries {
            show(entry, out).map_err(Stop::Unread)?;
        }
        *shown = Some(answer.next);
    }
    let shown = shown.get_or_insert_default();
    catch_up(client, shown, out).await?;
    while let Some((_, event)) = events.next().await? {
        match event {
            Event::Log(entry) if entry.id > *shown => {
                show(&entry, out).map_err(Stop::Unread)?;
                *shown = entry.id;
            }
            Event::Reset { .. } => catch_up(client, shown, out).await?,
            Event::SessionEnding { ending } => return Ok(ending),
            _ => {}
        }
    }
    let broken = "the stream of events broke off".to_owned();
    Err(Stop::Broken(ClientError::Answer(broken)))
}

/// Shows what the log has behind an entry, however much that is: what did not come as an event,
/// or fell out of their ring, is still there.
async fn catch_up(client: &Client, shown: &mut u64, out: &Output) -> Result<(), Stop> {
    loop {
        let answer = client.logs(Some(*shown), None).await?;
        if answer.entries.is_empty() {
            return Ok(());
        }
        for entry in &answer.entries {
            show(entry, out).map_err(Stop::Unread)?;
            *shown = entry.id;
        }
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
    let line = line.trim_end();
    match &entry.remedy {
        Some(remedy) => out.line(format!("{line}  to let it through: {}", printable(remedy))),
        None => out.line(line),
    }
}
