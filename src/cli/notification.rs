//! `notify_command`: a program of the person's own that is run on the host for each new request.
//!
//! What the sandbox asked for reaches it as JSON on its standard input and in variables, never on a
//! command line and never through a shell.

use std::collections::VecDeque;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::api::{Event, PendingView};
use crate::client::Client;
use crate::session::Record;

use super::output::{Output, printable};
use super::requests::Requests;

/// How many run at a time. Requests that come meanwhile wait for their turn, and those that are
/// settled by then are not told any more.
const AT_ONCE: usize = 4;
/// How long one may run before it is killed with everything it started.
const TIME: Duration = Duration::from_secs(10);

/// What the command reads.
#[derive(Serialize)]
struct Notice<'a> {
    session: &'a str,
    session_name: &'a str,
    project_dir: Option<&'a Path>,
    #[serde(flatten)]
    request: &'a PendingView,
}

/// Runs the command once for each request that comes, until the session ends.
pub(super) async fn follow(command: Vec<String>, record: Record, client: Client, out: Output) {
    let (command, record) = (Arc::new(command), Arc::new(record));
    let mut requests = Requests::in_background(&client);
    let mut waiting = VecDeque::new();
    // Those that run end with this task.
    let mut running = JoinSet::new();
    let mut warned = false;
    loop {
        while running.len() < AT_ONCE
            && let Some(request) = waiting.pop_front()
        {
            let (command, record) = (Arc::clone(&command), Arc::clone(&record));
            running.spawn(async move { run(&command, &record, &request).await });
        }
        let event = tokio::select! {
            event = requests.next() => event,
            Some(ran) = running.join_next() => {
                if let (Ok(Err(why)), false) = (ran, warned) {
                    warned = true;
                    out.warn(format!(
                        "notify_command: {}; this is said once a session",
                        printable(&why)
                    ));
                }
                continue;
            }
        };
        match event {
            Ok(Some(Event::RequestAdded(request))) => waiting.push_back(*request),
            Ok(Some(Event::RequestRemoved(settled))) => {
                waiting.retain(|request| request.id != settled.id);
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return,
        }
    }
}

async fn run(command: &[String], record: &Record, request: &PendingView) -> Result<(), String> {
    let [program, arguments @ ..] = command else {
        return Ok(());
    };
    let notice = Notice {
        session: record.id.as_str(),
        session_name: &record.name,
        project_dir: record.project_dir.as_deref(),
        request,
    };
    let json = serde_json::to_vec(&notice).map_err(|error| error.to_string())?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables(&notice))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("{program:?} cannot be run: {error}"))?;
    let group = Group(child.id());
    let input = child.stdin.take();
    let told = timeout(TIME, async {
        if let Some(mut input) = input {
            // One that reads nothing has its variables.
            let _ = input.write_all(&json).await;
        }
        child.wait().await
    });
    match told.await {
        Ok(Ok(status)) => {
            group.ended();
            match status.success() {
                true => Ok(()),
                false => Err(format!("{program:?} ended with {status}")),
            }
        }
        Ok(Err(error)) => Err(format!("{program:?}: {error}")),
        Err(_) => Err(format!(
            "{program:?} took longer than {} s and was killed",
            TIME.as_secs()
        )),
    }
}

fn variables(notice: &Notice<'_>) -> Vec<(&'static str, String)> {
    let request = notice.request;
    let doors: Vec<_> = request.doors.iter().map(ToString::to_string).collect();
    let project = notice.project_dir.map(|dir| dir.display().to_string());
    vec![
        // Also what makes the commands of vibepit speak to this session.
        ("VIBEPIT_SESSION", notice.session.to_owned()),
        ("VIBEPIT_SESSION_NAME", notice.session_name.to_owned()),
        ("VIBEPIT_PROJECT_DIR", project.unwrap_or_default()),
        ("VIBEPIT_REQUEST", request.id.clone()),
        ("VIBEPIT_DOMAIN", request.domain.clone()),
        ("VIBEPIT_PORT", request.port.to_string()),
        (
            "VIBEPIT_SERVICE",
            request.service.clone().unwrap_or_default(),
        ),
        ("VIBEPIT_GROUP", request.group.clone()),
        ("VIBEPIT_DOORS", doors.join(",")),
        ("VIBEPIT_EXPIRES_AT", request.expires_at.clone()),
        (
            "VIBEPIT_SUGGESTED_PATTERN",
            request.suggested_pattern.clone().unwrap_or_default(),
        ),
    ]
}

/// A process and what it started; killed when this is dropped before it has ended by itself.
struct Group(Option<u32>);

impl Group {
    fn ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) {
            let _ = killpg(Pid::from_raw(leader), Signal::SIGKILL);
        }
    }
}
