//! Set-up while vibepit holds few and very many rules; and what loading them takes.

use std::time::Duration;

use anyhow::Result;

use super::setup::ShortTunnel;
use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::{Kind, vibepit};
use crate::load::Way;

const FEW: &str = "10 rules";
const MANY: &str = "1,000,000 rules";
const COUNTS: [(&str, usize); 3] = [(FEW, 10), ("1,000 rules", 1_000), (MANY, 1_000_000)];
const CLIENTS: usize = 32;

pub(crate) struct Rules;

impl Workload for Rules {
    fn name(&self) -> String {
        "rules".to_owned()
    }

    fn subject(&self, _: &Options) -> String {
        MANY.to_owned()
    }

    fn aims(&self) -> Vec<Aim> {
        // "No measurable difference": less than what two equal cells differ by here.
        vec![
            Aim::at_most(Metric::Cpu, 1.05, Some(FEW)),
            Aim::at_least(Metric::Rate, 0.95, Some(FEW)),
            Aim::at_most(Metric::Ready, 0.6, None),
            Aim::at_most(Metric::Resident, 100e6, None),
        ]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        if bench.options.subject != Kind::Vibepit {
            return Vec::new();
        }
        COUNTS
            .iter()
            .map(|&(row, count)| cell(row, || measure(bench, count)))
            .collect()
    }
}

fn measure(bench: &Bench, rules: usize) -> Result<Cell> {
    let started = vibepit::start(&bench.place, rules)?;
    // Give an allocator that returns memory late the time to do so.
    std::thread::sleep(Duration::from_millis(200));
    let resident = started.process.resident()?;
    let way = Way::new(Some(started.http), &bench.origin.services.echo);
    let make = |client| ShortTunnel::new(&way, client);
    let mut cell = bench.timed(Some(started.process.id()), CLIENTS, make)?;
    cell.set(Metric::Resident, resident as f64);
    cell.set(Metric::Ready, started.ready_in.as_secs_f64());
    cell.set(Metric::ReadyCpu, started.ready_cpu);
    Ok(cell)
}
