//! Requests that wait for a person: how soon one is seen, and how soon it goes on once somebody has
//! said yes. One after the other, each with a decision of its own.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::{Kind, vibepit};

/// Requests of a round.
const REQUESTS: usize = 1000;
const SHOWN: &str = "sent → on /events";
const RELEASED: &str = "approval answered → first byte";
const DECIDED: &str = "approval sent → first byte";

pub(crate) struct Ask;

impl Workload for Ask {
    fn name(&self) -> String {
        "ask".to_owned()
    }

    fn subject(&self, options: &Options) -> String {
        match options.subject {
            Kind::Vibepit => RELEASED.to_owned(),
            other => other.name().to_owned(),
        }
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_most(Metric::P99, 0.002, None)]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        if bench.options.subject != Kind::Vibepit {
            return Vec::new();
        }
        match measure(bench) {
            Ok(times) => vec![
                cell(SHOWN, || Ok(percentiles(times.shown))),
                cell(RELEASED, || Ok(percentiles(times.released))),
                cell(DECIDED, || Ok(percentiles(times.decided))),
            ],
            Err(error) => vec![cell(RELEASED, || Err(error))],
        }
    }
}

/// Microseconds.
#[derive(Default)]
struct Times {
    shown: Vec<u32>,
    released: Vec<u32>,
    decided: Vec<u32>,
}

fn percentiles(mut micros: Vec<u32>) -> Cell {
    micros.sort_unstable();
    let mut cell = Cell::default();
    cell.set_times(&micros);
    cell
}

fn micros(from: Instant, to: Instant) -> u32 {
    // What came before the answer did not wait for it.
    let took = to.saturating_duration_since(from);
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

fn measure(bench: &Bench) -> Result<Times> {
    let session = vibepit::start_asking(&bench.place)?;
    let (origin, first_bytes) = origin()?;
    let events = events(&session.control)?;
    let mut times = Times::default();
    for _ in 0..REQUESTS {
        let mut client = TcpStream::connect(session.http)?;
        client.set_nodelay(true)?;
        let request =
            format!("GET http://{origin}/ HTTP/1.1\r\nHost: {origin}\r\nConnection: close\r\n\r\n");
        let sent = Instant::now();
        client.write_all(request.as_bytes())?;
        let (seen, id) = events.recv().context("the events have ended")?;
        times.shown.push(micros(sent, seen));

        let mut control = UnixStream::connect(&session.control)?;
        let body = "{\"scope\":\"once\"}";
        let approval = format!(
            "POST /approve-domain/{id} HTTP/1.1\r\nHost: vibepit\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let asked = Instant::now();
        control.write_all(approval.as_bytes())?;
        let mut status = [0; 12];
        control.read_exact(&mut status)?;
        let answered = Instant::now();
        ensure!(
            &status == b"HTTP/1.1 200",
            "the approval was answered otherwise"
        );
        let arrived = first_bytes.recv().context("the origin has ended")?;
        times.released.push(micros(answered, arrived));
        times.decided.push(micros(asked, arrived));
        client.read_to_end(&mut Vec::new())?;
    }
    Ok(times)
}

/// An origin that tells when the first byte of each request came.
fn origin() -> Result<(SocketAddr, mpsc::Receiver<Instant>)> {
    // No address that the one rule covers.
    let listener = TcpListener::bind("127.0.0.2:0")?;
    let address = listener.local_addr()?;
    let (arrived, arrivals) = mpsc::channel();
    std::thread::spawn(move || -> io::Result<()> {
        loop {
            let (mut stream, _) = listener.accept()?;
            if stream.read(&mut [0; 4096])? == 0 || arrived.send(Instant::now()).is_err() {
                return Ok(());
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        }
    });
    Ok((address, arrivals))
}

/// When each new request was seen on the stream of events, and its id.
fn events(control: &Path) -> Result<mpsc::Receiver<(Instant, String)>> {
    let mut stream = UnixStream::connect(control)?;
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: vibepit\r\n\r\n")?;
    let mut lines = BufReader::new(stream).lines();
    // The comment with which a stream begins: from here on nothing is missed.
    for line in lines.by_ref() {
        if line?.starts_with(": ") {
            break;
        }
    }
    let (seen, sights) = mpsc::channel();
    std::thread::spawn(move || {
        let mut added = false;
        for line in lines.map_while(Result::ok) {
            if let Some(name) = line.strip_prefix("event: ") {
                added = name == "domain-request-added";
            } else if let Some(data) = line.strip_prefix("data: ").filter(|_| added) {
                let now = Instant::now();
                let id = data.split("\"id\":\"").nth(1);
                let Some((id, _)) = id.and_then(|rest| rest.split_once('"')) else {
                    return;
                };
                if seen.send((now, id.to_owned())).is_err() {
                    return;
                }
            }
        }
    });
    Ok(sights)
}
