//! The proxy's doors, asked for what they must never connect to.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use super::tally::{Tally, name_of};
use crate::api::{Targets, Through};

/// How long the proxy may take to refuse. What waits longer waits for a person's word, and none of
/// this is a question.
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn tries(targets: &Targets) -> Vec<Tally> {
    let Some(proxy) = targets.proxy else {
        return Vec::new();
    };
    targets
        .through_proxy
        .iter()
        .map(|line| tried(proxy, line))
        .collect()
}

fn tried(proxy: SocketAddr, line: &Through) -> Tally {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> = line
            .authorities
            .iter()
            .flat_map(|authority| {
                [
                    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
                    format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n"),
                ]
            })
            .map(|request| (request.clone(), scope.spawn(move || ask(proxy, &request))))
            .collect();
        asked
            .into_iter()
            .map(|(request, answer)| (request, answer.join()))
            .collect()
    });
    let mut tally = Tally::new(&line.name, &line.what);
    for (request, answer) in outcomes {
        let asked = request.split(" HTTP").next().unwrap_or_default();
        match answer {
            Ok(Ok(403)) => tally.held("403"),
            // It is no request that means one thing only.
            Ok(Ok(400)) => tally.held("400"),
            Ok(Ok(status)) => tally.open(format!("{asked} was answered with {status}")),
            Ok(Err(error)) if is_timeout(&error) => {
                tally.open(format!("{asked} was not refused, but waits"));
            }
            Ok(Err(error)) => tally.held(name_of(&error)),
            // It came to no end, and is not taken for one that was held.
            Err(_) => tally.open(format!("{asked}: the try itself failed")),
        }
    }
    tally
}

/// The status of the proxy's answer.
fn ask(proxy: SocketAddr, request: &str) -> std::io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&proxy, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    // `HTTP/1.1 403 …`
    let mut head = [0; 12];
    stream.read_exact(&mut head)?;
    std::str::from_utf8(&head[9..])
        .ok()
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| std::io::Error::other("what answers there is no HTTP proxy"))
}

fn is_timeout(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{TimedOut, WouldBlock};
    matches!(error.kind(), TimedOut | WouldBlock)
}
