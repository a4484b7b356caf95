//! The sessions that run: does each one's control plane answer?

use std::time::Duration;

use tokio::time::timeout;

use super::{Check, Group};
use crate::client::{Client, Ends};
use crate::session::{Found, RuntimeDir, discover};

const SESSIONS: Group = Group("sessions");

/// How long a control plane may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) async fn look() -> Vec<Check> {
    let Ok(Some(directory)) = RuntimeDir::open() else {
        return vec![none()];
    };
    let found = discover(&directory);
    let mut checks = Vec::new();
    for session in &found {
        checks.push(one(session).await);
    }
    if checks.is_empty() {
        checks.push(none());
    }
    checks
}

fn none() -> Check {
    SESSIONS.none("sessions", "no session runs")
}

async fn one(found: &Found) -> Check {
    let called = format!("session {} ({})", found.record.name, found.record.id);
    if !found.is_live().await {
        return SESSIONS.warning(
            "session",
            format!("{called} does not answer: its launcher or its proxy is gone"),
            "vibepit prune removes what is left of it",
        );
    }
    let client = Client::new(Ends {
        socket: found.control_socket(),
        tcp: None,
    });
    match timeout(PATIENCE, client.health()).await {
        Ok(Ok(_)) => SESSIONS.ok("session", format!("{called} answers on its control socket")),
        Ok(Err(error)) => SESSIONS.warning(
            "session",
            format!("{called} answers on its control port alone: {error}"),
            "commands use the port over mTLS; vibepit status -v says which served",
        ),
        Err(_) => SESSIONS.problem(
            "session",
            format!("{called} took a connection and did not answer"),
            "end it with vibepit down, or stop its launcher",
        ),
    }
}
