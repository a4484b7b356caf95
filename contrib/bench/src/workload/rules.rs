//! Set-up while vibepit holds few and very many rules; and what loading them takes.

use std::time::Duration;

use anyhow::Result;

use super::setup::ShortTunnel;
use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::Kind;
use crate::contender::vibepit::{self, Started};
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
        // All at the same time, and there and back: what comes later in a round finds more
        // connections in the kernel's tables, and less of the machine's luck.
        let mut rows: Vec<Row> = COUNTS
            .iter()
            .map(|&(name, count)| Row::start(bench, name, count))
            .collect();
        let there: Vec<_> = rows.iter_mut().map(|row| row.measure(bench)).collect();
        let mut back: Vec<_> = rows
            .iter_mut()
            .rev()
            .map(|row| row.measure(bench))
            .collect();
        back.reverse();
        let both = there.into_iter().zip(back);
        rows.into_iter()
            .zip(both)
            .map(|(row, (there, back))| cell(row.name, || row.cell(there?, back?)))
            .collect()
    }
}

/// A proxy with so many rules.
struct Row {
    name: &'static str,
    started: Result<(Started, u64)>,
}

impl Row {
    fn start(bench: &Bench, name: &'static str, rules: usize) -> Self {
        let started = vibepit::start(&bench.place, rules).and_then(|started| {
            // Give an allocator that returns memory late the time to do so.
            std::thread::sleep(Duration::from_millis(200));
            let resident = started.process.resident()?;
            Ok((started, resident))
        });
        Self { name, started }
    }

    fn measure(&mut self, bench: &Bench) -> Result<Cell> {
        let Ok((started, _)) = &self.started else {
            return Ok(Cell::default());
        };
        let way = Way::new(Some(started.http), &bench.origin.services.echo);
        let make = |client| ShortTunnel::new(&way, client);
        bench.timed(Some(started.process.id()), CLIENTS, make)
    }

    /// The mean of both times.
    fn cell(self, there: Cell, mut back: Cell) -> Result<Cell> {
        let (started, resident) = self.started?;
        for (metric, value) in &mut back.values {
            if let Some(first) = there.values.get(metric) {
                *value = (*value + first) / 2.0;
            }
        }
        back.note = [there.note, back.note].concat();
        back.set(Metric::Resident, resident as f64);
        back.set(Metric::Ready, started.ready_in.as_secs_f64());
        back.set(Metric::ReadyCpu, started.ready_cpu);
        Ok(back)
    }
}
