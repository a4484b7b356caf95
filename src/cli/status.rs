//! `status`.

use std::process::ExitCode;

use super::args::Reach;
use super::failure::Failure;
use super::output::{Output, printable};
use super::reach::{client_of, session};

pub(super) async fn run(reach: &Reach, out: &Output) -> Result<ExitCode, Failure> {
    let found = session(reach, out).await?;
    let answer = client_of(&found, reach, out).await?.session().await?;
    if out.json {
        out.json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let identity = &answer.identity;
    let project = identity
        .project
        .as_ref()
        .map_or_else(|| "-".to_owned(), |p| p.display().to_string());
    let door = |address: Option<std::net::SocketAddr>| {
        address.map_or_else(|| "-".to_owned(), |address| address.to_string())
    };
    // As it is reached from here: a proxy in a container knows another address of it.
    let control_port = found.control_tcp();
    let counts = &answer.counts;
    for (what, value) in [
        ("session", format!("{} ({})", identity.id, identity.name)),
        ("project", project),
        ("runtime", identity.runtime.clone()),
        ("version", answer.version.clone()),
        ("up", format!("{} s", answer.uptime_seconds)),
        ("http", door(answer.doors.http)),
        ("dns", door(answer.doors.dns)),
        ("control port", door(control_port)),
        ("unlisted", answer.mode.clone()),
        ("rules", counts.rules.to_string()),
        ("open", counts.connections.to_string()),
        ("allowed", counts.allowed.to_string()),
        ("refused", counts.refused.to_string()),
    ] {
        out.line(format!("{what:<13} {}", printable(&value)))?;
    }
    for warning in &answer.warnings {
        out.warn(printable(warning));
    }
    Ok(ExitCode::SUCCESS)
}
