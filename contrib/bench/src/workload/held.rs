//! What other requests cost while very many wait, and what a look at those costs.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::setup::ShortTunnel;
use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::{Kind, vibepit};
use crate::control;
use crate::load::Way;

const NONE: &str = "none held";
const MANY: &str = "10,000 held";
const HELD: usize = 10_000;
const HOSTS: usize = 500;
const CLIENTS: usize = 32;
/// Looks at the list.
const LOOKS: usize = 100;
/// How long it may take until all of them wait.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Held;

impl Workload for Held {
    fn name(&self) -> String {
        "held".to_owned()
    }

    fn subject(&self, _: &Options) -> String {
        MANY.to_owned()
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            Aim::at_most(Metric::Cpu, 1.10, Some(NONE)),
            Aim::at_least(Metric::Rate, 0.90, Some(NONE)),
            Aim::at_most(Metric::Resident, 16.0 * 1024.0, None),
        ]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        if bench.options.subject != Kind::Vibepit {
            return Vec::new();
        }
        [(NONE, 0), (MANY, HELD)]
            .into_iter()
            .map(|(row, held)| cell(row, || measure(bench, held)))
            .collect()
    }
}

fn measure(bench: &Bench, held: usize) -> Result<Cell> {
    let session = vibepit::start_asking(&bench.place)?;
    let before = session.process.resident()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let waiting = runtime.block_on(hold(session.http, held))?;
    let start = Instant::now();
    while counted(&session.control)? < held {
        ensure!(start.elapsed() < PATIENCE, "they do not all wait");
        std::thread::sleep(Duration::from_millis(20));
    }
    let resident = session.process.resident()?.saturating_sub(before);
    let mut looks: Vec<u32> = Vec::new();
    for _ in 0..LOOKS {
        let start = Instant::now();
        control::get(&session.control, "/pending-domains")?;
        looks.push(u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
    looks.sort_unstable();
    let way = Way::new(Some(session.http), &bench.origin.services.echo);
    let make = |client| ShortTunnel::new(&way, client);
    let mut cell = bench.timed(Some(session.process.id()), CLIENTS, make)?;
    if held > 0 {
        cell.set(Metric::Resident, resident as f64 / held as f64);
    }
    let look = |share| crate::stats::percentile(&looks, share).unwrap_or_default() / 1e3;
    let looks = format!(
        "the list: p50 {:.1} ms, p99 {:.1} ms",
        look(0.5),
        look(0.99)
    );
    cell.note = [looks, cell.note].join("; ");
    drop(waiting);
    Ok(cell)
}

async fn hold(proxy: SocketAddr, count: usize) -> io::Result<Vec<TcpStream>> {
    let mut waiting = Vec::with_capacity(count);
    for number in 0..count {
        let mut stream = TcpStream::connect(proxy).await?;
        let target = format!("h{0}.d{0}.example:443", number % HOSTS);
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        waiting.push(stream);
    }
    Ok(waiting)
}

/// How many connections wait.
fn counted(socket: &Path) -> Result<usize> {
    let session = control::get(socket, "/session")?;
    let waiting = session["counts"]["waiting"].as_u64().unwrap_or_default();
    Ok(usize::try_from(waiting)?)
}
