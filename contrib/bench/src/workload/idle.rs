//! Resident memory of tunnels that carried something each way and then stay open.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Aim, Bench, Cell, Metric, Workload};
use crate::contender::Contender;
use crate::load::{Opens, Way};

/// Tunnels opened at a time, and once before everything so that first uses are not counted.
const BATCH: usize = 64;
/// How long a proxy that has no more descriptors may keep a client waiting.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long memory may take to come to rest.
const REST: Duration = Duration::from_millis(500);
/// What every tunnel carries each way before it rests: a whole TLS record (RFC 8446 5.1), so that
/// buffers have been written to. Untouched ones are not resident.
static BURST: [u8; 1 << 14] = [b'v'; 1 << 14];

pub(crate) struct Idle;

impl Workload for Idle {
    fn name(&self) -> String {
        "idle".to_owned()
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_most(Metric::Resident, 2.0 * 1024.0, None)]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        bench.each(
            |kind| kind != crate::contender::Kind::Direct,
            |contender| measure(bench, contender),
        )
    }
}

/// Measures a fresh process, so that what earlier workloads left behind is not reused.
fn measure(bench: &Bench, like: &Contender) -> Result<Cell> {
    let contender = like.kind.start(&bench.place)?;
    let process = contender
        .process
        .as_ref()
        .context("a direct connection has no memory")?;
    let way = Way::new(contender.proxy, &bench.origin.services.echo);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    drop(runtime.block_on(open(&way, BATCH)));
    std::thread::sleep(REST);
    let before = process.resident()?;
    let tunnels = runtime.block_on(open(&way, bench.options.tunnels));
    ensure!(
        tunnels.len() > BATCH,
        "only {} tunnels could be opened",
        tunnels.len()
    );
    std::thread::sleep(REST);
    let open = process.resident()?;
    let count = tunnels.len();
    drop(tunnels);
    std::thread::sleep(REST);
    let after = process.resident()?;

    let mut cell = Cell::default();
    cell.set(
        Metric::Resident,
        open.saturating_sub(before) as f64 / count as f64,
    );
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    cell.note = format!(
        "{:.1} MB before, {:.1} with {count} tunnels, {:.1} after them",
        megabytes(before),
        megabytes(open),
        megabytes(after)
    );
    Ok(cell)
}

/// Opens so many tunnels, or as many as there can be.
async fn open(way: &Way, wanted: usize) -> Vec<TcpStream> {
    let mut tunnels = Vec::with_capacity(wanted);
    while tunnels.len() < wanted {
        let mut batch = JoinSet::new();
        for client in tunnels.len()..wanted.min(tunnels.len() + BATCH) {
            batch.spawn(tokio::time::timeout(
                PATIENCE,
                used_tunnel(way.of_client(client)),
            ));
        }
        let tried = batch.len();
        let opened: Vec<TcpStream> = batch
            .join_all()
            .await
            .into_iter()
            .filter_map(|result| result.ok()?.ok())
            .collect();
        let all = opened.len() == tried;
        tunnels.extend(opened);
        if !all {
            break;
        }
    }
    tunnels
}

async fn used_tunnel(mut way: Way) -> io::Result<TcpStream> {
    let mut stream = way.open().await?;
    stream.write_all(&BURST).await?;
    stream.read_exact(&mut vec![0; BURST.len()]).await?;
    Ok(stream)
}
