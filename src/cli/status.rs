//! `status`.

use std::process::ExitCode;

use serde::Serialize;

use crate::api::{Session, ShellView, Told};
use crate::launcher::KeeperClient;

use super::args::Reach;
use super::failure::Failure;
use super::output::{Output, printable};
use super::reach::{client_of, session};

/// The answer of `status --json`: that of the control plane, and what the launcher tells.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    session: &'a Session,
    shells: &'a [ShellView],
    launcher_warnings: Vec<&'a String>,
}

pub(super) async fn run(reach: &Reach, out: &Output) -> Result<ExitCode, Failure> {
    let found = session(reach, out).await?;
    let answer = client_of(&found, reach, out).await?.session().await?;
    let keeper = KeeperClient::of(&found);
    // A proxy alone has none; what there is of a session is told even if its launcher is not well.
    let told = match keeper.is_there() {
        true => keeper.told().await,
        false => Ok(Told::default()),
    };
    let (told, unwell) = match told {
        Ok(told) => (told, None),
        Err(error) => (Told::default(), Some(format!("{error:#}"))),
    };
    if out.json {
        out.json(&Whole {
            session: &answer,
            shells: &told.shells,
            launcher_warnings: told.warnings.iter().chain(&unwell).collect(),
        })?;
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
        ("socks5", door(answer.doors.socks5)),
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
    for shell in &told.shells {
        out.line(format!(
            "{:<13} {}, {} joined, {} s: vibepit connect {}",
            format!("shell {}", shell.number),
            printable(&shell.command.join(" ")),
            shell.joined,
            shell.age_seconds,
            shell.number,
        ))?;
    }
    for warning in answer.warnings.iter().chain(&told.warnings).chain(&unwell) {
        out.warn(printable(warning));
    }
    Ok(ExitCode::SUCCESS)
}
