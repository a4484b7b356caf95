//! Bytes through open tunnels, one way at a time.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::meter::Meter;
use super::{Aim, Bench, Cell, Metric, Unit, Workload};
use crate::contender::Contender;
use crate::load::{Opens, Way};
use crate::origin::{Order, discard, send};

/// Bytes of one order. A tunnel ends only between orders, so every byte that a proxy worked for
/// is counted; they are large enough that the turn between two does not show.
const CHUNK: u64 = 16 << 20;

pub(crate) struct Bulk {
    pub(crate) tunnels: usize,
    pub(crate) direction: Direction,
}

#[derive(Clone, Copy)]
pub(crate) enum Direction {
    /// From the origin to the client.
    Down,
    Up,
}

impl Workload for Bulk {
    fn name(&self) -> String {
        let direction = match self.direction {
            Direction::Down => "down",
            Direction::Up => "up",
        };
        format!("bulk-{direction}-{}", self.tunnels)
    }

    fn unit(&self) -> Unit {
        Unit::BYTES
    }

    fn aims(&self) -> Vec<Aim> {
        let mut aims = vec![
            Aim::at_most(Metric::Cpu, 1.0, Some("tokio64")),
            Aim::at_least(Metric::Rate, 1.0, Some("tokio64")),
            Aim::at_most(Metric::Cpu, 1.1, Some("splice")),
        ];
        if self.tunnels > 1 {
            aims.push(Aim::at_least(Metric::Rate, 0.95, Some("splice")));
        }
        aims
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        bench.each(|_| true, |contender| self.measure(bench, contender))
    }
}

impl Bulk {
    fn measure(&self, bench: &Bench, contender: &Contender) -> Result<Cell> {
        let mut streams = open(self.tunnels, bench, contender).context("opening the tunnels")?;
        let length = bench.length();
        let meter = Meter::start(&bench.origin, contender.id())?;
        let moved = std::thread::scope(|scope| {
            let threads: Vec<_> = streams
                .iter_mut()
                .map(|stream| scope.spawn(|| repeat(stream, self.direction, length)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join())
                .collect::<Vec<_>>()
        });
        let (mut bytes, mut rate) = (0.0, 0.0);
        for moved in moved {
            let Ok(moved) = moved else {
                bail!("a load generating thread panicked")
            };
            let (tunnel, took) = moved?;
            bytes += tunnel as f64;
            rate += tunnel as f64 / took.as_secs_f64();
        }
        let mut cell = meter.stop(bytes)?;
        cell.set(Metric::Rate, rate);
        Ok(cell)
    }
}

fn open(tunnels: usize, bench: &Bench, contender: &Contender) -> Result<Vec<TcpStream>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut way = Way::new(contender.proxy, &[bench.origin.services.bulk]);
    let mut streams = Vec::new();
    for _ in 0..tunnels {
        let stream = runtime.block_on(way.open())?.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        stream.set_write_timeout(Some(Duration::from_secs(30)))?;
        streams.push(stream);
    }
    Ok(streams)
}

/// One order after the other; the bytes moved and the time it took.
fn repeat(stream: &mut TcpStream, to: Direction, length: Duration) -> io::Result<(u64, Duration)> {
    let start = Instant::now();
    let mut bytes = 0;
    while start.elapsed() < length {
        match to {
            Direction::Down => {
                stream.write_all(&Order::Send(CHUNK).encode())?;
                discard(stream, CHUNK)?;
            }
            Direction::Up => {
                stream.write_all(&Order::Take(CHUNK).encode())?;
                send(stream, CHUNK)?;
                stream.read_exact(&mut [0])?;
            }
        }
        bytes += CHUNK;
    }
    Ok((bytes, start.elapsed()))
}
