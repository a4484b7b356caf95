//! `up`: a session that outlives the terminal. This process starts another one of itself, apart
//! from the terminal, and goes when that one says that the session is ready.

use std::io::{PipeReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, ExitCode, Stdio};
use std::sync::Mutex;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, dup2_stdout, setsid};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Unlisted;
use crate::launcher::{Pull, Purpose, Report, keep};
use crate::session::Record;

use super::args::start::UpArgs;
use super::attendants::Attendants;
use super::failure::{Failure, Kind};
use super::output::{Output, printable};
use super::progress::Progress;
use super::start::{self, Prepared};

/// A line from the launcher that stays, until the session is ready.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Note(String),
    Step(String),
    Warning(String),
    Pulling(Pull),
    Ready(Box<Record>),
    Failed {
        message: String,
        hint: Option<String>,
        kind: Kind,
    },
}

pub(super) async fn run(args: UpArgs, out: &Output) -> Result<ExitCode, Failure> {
    let prepared = start::prepare(
        &args.start,
        args.path.as_deref(),
        Purpose::Keep,
        Vec::new(),
        None,
        Unlisted::RequestApproval,
    )?;
    if args.keep {
        return stay(prepared, out).await;
    }
    if args.start.name.is_none()
        && let Some(found) = prepared.existing().await?
    {
        out.note(format!(
            "session {} is up already",
            printable(&found.record.name)
        ));
        return told(&found.record, out);
    }
    prepared.first_run(out)?;
    let (mut child, words) = begin()?;
    let mut interrupted = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
    .map(signal)
    .into_iter()
    .collect::<Result<Vec<_>, _>>()?;
    let mut lines = BufReader::new(tokio::net::unix::pipe::Receiver::from_owned_fd(
        words.into(),
    )?)
    .lines();
    let progress = Progress::new(out, Attendants::new(None, None, false));
    loop {
        let [int, term, hup] = &mut interrupted[..] else {
            return Err(Failure::failed("a signal cannot be listened for"));
        };
        let line = tokio::select! {
            line = lines.next_line() => line?,
            _ = int.recv() => { call_off(&child); continue; }
            _ = term.recv() => { call_off(&child); continue; }
            _ = hup.recv() => { call_off(&child); continue; }
        };
        let Some(line) = line else {
            let status = child.wait()?;
            return Err(Failure::failed(format!(
                "the session's launcher ended before the session was ready ({status})"
            )));
        };
        match serde_json::from_str(&line).map_err(Failure::failed)? {
            Word::Note(text) => out.note(text),
            Word::Step(what) => progress.step(&what),
            Word::Warning(what) => progress.warning(&what),
            Word::Pulling(pull) => progress.pulling(&pull),
            Word::Ready(record) => return told(&record, out),
            Word::Failed {
                message,
                hint,
                kind,
            } => {
                let _ = child.wait();
                return Err(Failure {
                    kind,
                    message,
                    hint,
                });
            }
        }
    }
}

/// The session as a result.
fn told(record: &Record, out: &Output) -> Result<ExitCode, Failure> {
    match out.json {
        true => out.json(record)?,
        false => out.line(format!("{} {}", record.id, printable(&record.name)))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Starts the launcher that stays: the same command line, and one option more.
fn begin() -> Result<(Child, PipeReader), Failure> {
    let (words, end) = std::io::pipe()?;
    let mut arguments: Vec<_> = std::env::args_os().collect();
    arguments.push("--keep".into());
    let child = std::process::Command::new(std::env::current_exe()?)
        .args(&arguments[1..])
        .stdin(Stdio::null())
        .stdout(end)
        .stderr(Stdio::null())
        .spawn()?;
    Ok((child, words))
}

/// It takes back what it has made, and says so.
fn call_off(child: &Child) {
    if let Ok(pid) = i32::try_from(child.id()) {
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
}

/// Keeps the session until it is over. What there is to say goes to whoever started us.
async fn stay(mut prepared: Prepared, out: &Output) -> Result<ExitCode, Failure> {
    // Away from the terminal, whose end is not ours.
    setsid().map_err(|error| Failure::failed(format!("setsid: {error}")))?;
    let attendants = Attendants::new(prepared.notify_command.clone(), None, false);
    let upwards = Upwards {
        attendants,
        out,
        gone: Mutex::new(false),
    };
    let kept = async {
        let runtime = prepared
            .runtime(&|line| upwards.say(&Word::Note(line)))
            .await?;
        prepared.read_policy(&|line| upwards.say(&Word::Note(line)))?;
        keep(&runtime, &prepared.request, &upwards).await?;
        Ok::<_, Failure>(())
    };
    match kept.await {
        Ok(()) => Ok(ExitCode::SUCCESS),
        Err(failure) => {
            let code = failure.exit_code();
            upwards.say(&Word::Failed {
                message: failure.message,
                hint: failure.hint,
                kind: failure.kind,
            });
            Ok(code)
        }
    }
}

/// Tells whoever started us, for as long as they wait.
struct Upwards<'a> {
    attendants: Attendants,
    out: &'a Output,
    gone: Mutex<bool>,
}

impl Upwards<'_> {
    fn say(&self, word: &Word) {
        let mut gone = self
            .gone
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *gone {
            return;
        }
        let line = serde_json::to_string(word).unwrap_or_default();
        let mut stdout = std::io::stdout().lock();
        *gone = writeln!(stdout, "{line}")
            .and_then(|()| stdout.flush())
            .is_err();
        if let Word::Ready(_) = word {
            // From here on nobody reads: the pipe's end is given back.
            *gone = true;
            if let Ok(nowhere) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
                let _ = dup2_stdout(nowhere.as_fd());
            }
        }
    }
}

impl Report for Upwards<'_> {
    fn step(&self, what: &str) {
        self.say(&Word::Step(what.to_owned()));
    }

    fn warning(&self, what: &str) {
        self.say(&Word::Warning(what.to_owned()));
    }

    fn ready(&self, session: &Record) {
        self.attendants.begin(session, self.out);
        self.say(&Word::Ready(Box::new(session.clone())));
    }

    fn pulling(&self, pull: &Pull) {
        self.say(&Word::Pulling(pull.clone()));
    }
}
