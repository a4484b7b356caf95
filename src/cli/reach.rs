//! From what was typed to the session that is meant, and to a client of it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use crate::client::{Client, Ends, TlsEnd};
use crate::session::{ChooseError, Found, RuntimeDir, choose};
use crate::transport::tls;

use super::args::Reach;
use super::failure::{Failure, Kind};
use super::output::{Output, printable};
use super::saved;

/// The session that is meant.
pub(super) async fn session(reach: &Reach, out: &Output) -> Result<Found, Failure> {
    let runtime = RuntimeDir::open().map_err(Failure::failed)?;
    let Some(runtime) = runtime else {
        return Err(match &reach.session {
            Some(asked) => ChooseError::NoSuchSession {
                asked: asked.clone(),
            }
            .into(),
            None => ChooseError::NoSession.into(),
        });
    };
    // A working directory that was removed is within no project.
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    match choose(&runtime, reach.session.as_deref(), &cwd).await {
        Ok(found) => Ok(found),
        Err(ChooseError::Several { sessions }) if may_ask(out) => ask(sessions),
        Err(error) => Err(error.into()),
    }
}

/// A client of the session that is meant.
pub(super) async fn client(reach: &Reach, out: &Output) -> Result<Client, Failure> {
    client_of(&session(reach, out).await?, reach, out).await
}

/// A client of this session.
pub(super) async fn client_of(
    found: &Found,
    reach: &Reach,
    out: &Output,
) -> Result<Client, Failure> {
    let forced = reach.tcp || reach.addr.is_some();
    let addr = match &reach.addr {
        Some(addr) => Some(resolved(addr)?),
        None => found.control_tcp(),
    };
    let socket = found.control_socket().filter(|_| !forced);
    let tcp = match addr {
        Some(addr) => tls_end(found, addr, forced)?,
        None if forced => {
            return Err(Failure::failed(
                "this session has no control port; leave out --tcp",
            ));
        }
        None => None,
    };
    let client = saving(found, Ends { socket, tcp });
    if out.verbose {
        let transport = client.transport().await?;
        out.note(format!("session {} over {transport:?}", found.record.id));
    }
    Ok(client)
}

/// A client of a session that was found, by every way that leads to it. Nothing is asked yet.
pub(super) fn connect(found: &Found) -> Client {
    let port = found.control_tcp();
    // Without credentials there is only the socket, and no error.
    let tcp = port.and_then(|addr| tls_end(found, addr, false).ok().flatten());
    let socket = found.control_socket();
    saving(found, Ends { socket, tcp })
}

fn saving(found: &Found, ends: Ends) -> Client {
    let client = Client::new(ends);
    match saved::of(&found.record) {
        Some(saves) => client.saving(saves),
        None => client,
    }
}

/// Without credentials there is only the socket, unless the port was asked for.
fn tls_end(found: &Found, addr: SocketAddr, forced: bool) -> Result<Option<TlsEnd>, Failure> {
    match own_end(found, addr) {
        Ok(end) => Ok(Some(end)),
        Err(failure) if forced => Err(failure),
        Err(_) => Ok(None),
    }
}

fn own_end(found: &Found, addr: SocketAddr) -> Result<TlsEnd, Failure> {
    let own = found.read_credentials().map_err(Failure::failed)?;
    let config = tls::client_config(&own.ca, &own.cert, &own.key).map_err(Failure::failed)?;
    Ok(TlsEnd { addr, config })
}

#[expect(
    clippy::disallowed_methods,
    reason = "a person named it, on the host; it is not a target"
)]
fn resolved(addr: &str) -> Result<SocketAddr, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--addr {addr:?} is not HOST:PORT, such as 127.0.0.1:3129"
        ))
    };
    addr.to_socket_addrs()
        .map_err(|_| wrong())?
        .next()
        .ok_or_else(wrong)
}

fn may_ask(out: &Output) -> bool {
    !out.json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// A choice by number.
fn ask(sessions: Vec<Found>) -> Result<Found, Failure> {
    let mut stderr = io::stderr().lock();
    for (at, found) in (1..).zip(&sessions) {
        let record = &found.record;
        let project = record
            .project_dir
            .as_ref()
            .map_or_else(String::new, |p| p.display().to_string());
        writeln!(
            stderr,
            "{at:>3}  {}  {}  {}",
            record.id,
            printable(&record.name),
            printable(&project)
        )?;
    }
    write!(stderr, "Which session? [1-{}] ", sessions.len())?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let chosen = line
        .trim()
        .parse::<usize>()
        .ok()
        .and_then(|number| number.checked_sub(1));
    chosen
        .and_then(|at| sessions.into_iter().nth(at))
        .ok_or_else(|| {
            Failure::new(
                Kind::Choice,
                "no session was chosen; name one with --session",
            )
        })
}
