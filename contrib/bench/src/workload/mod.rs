//! What is measured. A workload yields one cell for each of its rows in every round; the rows are
//! the contenders, or what else it compares.

mod allow;
mod ask;
mod bulk;
mod doors;
mod get;
mod held;
mod idle;
mod meter;
mod ping;
mod refuse;
mod rules;
mod setup;
mod start;
mod tls;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::args::Options;
use crate::contender::{Contender, Kind, Place};
use crate::load::{Client, Load, drive};
use crate::origin::Origin;
use crate::stats;
use meter::Meter;

pub(crate) use get::Requests;
pub(crate) use setup::ShortTunnel;
pub(crate) use tls::{Handshake, connector};

/// All workloads, in the order of the report.
pub(crate) fn all() -> Vec<Box<dyn Workload>> {
    use bulk::{Bulk, Direction::*};
    vec![
        Box::new(Bulk {
            tunnels: 1,
            direction: Down,
        }),
        Box::new(Bulk {
            tunnels: 1,
            direction: Up,
        }),
        Box::new(Bulk {
            tunnels: 8,
            direction: Down,
        }),
        Box::new(Bulk {
            tunnels: 8,
            direction: Up,
        }),
        Box::new(setup::SetUp { clients: 1 }),
        Box::new(setup::SetUp { clients: 32 }),
        Box::new(setup::SetUp { clients: 256 }),
        Box::new(get::Get { clients: 1 }),
        Box::new(get::Get { clients: 64 }),
        Box::new(refuse::Refuse { clients: 32 }),
        Box::new(ping::Ping { clients: 64 }),
        Box::new(tls::Tls { clients: 16 }),
        Box::new(doors::Doors { clients: 16 }),
        Box::new(idle::Idle),
        Box::new(rules::Rules),
        Box::new(allow::Allow),
        Box::new(ask::Ask),
        Box::new(held::Held),
        Box::new(start::Start::Local),
        Box::new(start::Start::Docker),
    ]
}

pub(crate) trait Workload {
    fn name(&self) -> String;
    /// What is counted.
    fn unit(&self) -> Unit {
        Unit::OPERATIONS
    }
    /// The row that the others are compared with.
    fn subject(&self, options: &Options) -> String {
        options.subject.name().to_owned()
    }
    /// What vibepit wants to reach here.
    fn aims(&self) -> Vec<Aim>;
    /// Measures every row once, one after the other.
    fn round(&self, bench: &Bench) -> Vec<Cell>;
}

/// Everything a workload measures with.
pub(crate) struct Bench<'a> {
    pub(crate) options: &'a Options,
    pub(crate) place: Place,
    pub(crate) origin: Origin,
    pub(crate) contenders: Vec<Contender>,
}

impl Bench<'_> {
    fn length(&self) -> Duration {
        Duration::from_secs_f64(self.options.seconds)
    }

    /// Measures each contender of the right kind. One that fails leaves a broken cell.
    fn each(
        &self,
        suits: impl Fn(Kind) -> bool,
        measure: impl Fn(&Contender) -> Result<Cell>,
    ) -> Vec<Cell> {
        let suitable = self
            .contenders
            .iter()
            .filter(|contender| suits(contender.kind));
        suitable
            .map(|contender| cell(contender.kind.name(), || measure(contender)))
            .collect()
    }

    /// Lets clients repeat an operation for the length of a cell, after a tenth of it to warm up.
    fn timed<C: Client>(
        &self,
        proxy: Option<u32>,
        clients: usize,
        make: impl Fn(usize) -> C + Sync,
    ) -> Result<Cell> {
        let length = self.length();
        drive(
            Load {
                clients,
                length: length / 10,
            },
            &make,
        )?;
        let meter = Meter::start(&self.origin, proxy)?;
        let outcome = drive(Load { clients, length }, &make)?;
        let mut cell = meter.stop(outcome.operations as f64)?;
        cell.set(Metric::Rate, outcome.in_time as f64 / length.as_secs_f64());
        cell.set_times(&outcome.latencies);
        if let Some(failure) = outcome.failure {
            cell.note = format!(
                "{} of {} failed: {failure}",
                outcome.failed, outcome.operations
            );
        }
        Ok(cell)
    }
}

impl Contender {
    fn id(&self) -> Option<u32> {
        self.process.as_ref().map(crate::process::Process::id)
    }
}

/// What is counted, and how its numbers are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unit {
    pub(crate) rate: &'static str,
    /// How many of the counted things one unit of the rate is.
    pub(crate) per_rate: f64,
    pub(crate) cpu: &'static str,
    /// What seconds per counted thing are multiplied by.
    pub(crate) cpu_scale: f64,
}

impl Unit {
    /// Operations: so many a second, microseconds each.
    const OPERATIONS: Self = Self {
        rate: "/s",
        per_rate: 1.0,
        cpu: " µs",
        cpu_scale: 1e6,
    };
    /// Bytes: GB (10⁹) a second, seconds a GB.
    const BYTES: Self = Self {
        rate: " GB/s",
        per_rate: 1e9,
        cpu: " s/GB",
        cpu_scale: 1e9,
    };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metric {
    /// Units a second.
    Rate,
    /// CPU seconds of the contender's process tree for one unit.
    Cpu,
    /// CPU seconds of load generator and origin for one unit.
    LoadCpu,
    /// Seconds that half of the operations took at most, and 99 in a hundred.
    P50,
    P99,
    /// Resident bytes: of one tunnel, or of the process.
    Resident,
    /// Seconds from the start to the first answer.
    Ready,
    /// CPU seconds of that.
    ReadyCpu,
    /// Share of the machine's CPU time that somebody else used, its host included.
    Foreign,
}

/// What one row measured in one round.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Cell {
    pub(crate) row: String,
    pub(crate) values: BTreeMap<Metric, f64>,
    pub(crate) note: String,
}

impl Cell {
    fn set(&mut self, metric: Metric, value: f64) {
        self.values.insert(metric, value);
    }

    /// Sets the percentiles of sorted microseconds.
    fn set_times(&mut self, sorted: &[u32]) {
        for (metric, share) in [(Metric::P50, 0.5), (Metric::P99, 0.99)] {
            if let Some(micros) = stats::percentile(sorted, share) {
                self.set(metric, micros / 1e6);
            }
        }
    }
}

/// A named cell, or a broken one that says why.
fn cell(row: &str, measure: impl FnOnce() -> Result<Cell>) -> Cell {
    let cell = measure().unwrap_or_else(|error| Cell {
        note: format!("not measured: {error:#}"),
        ..Cell::default()
    });
    Cell {
        row: row.to_owned(),
        ..cell
    }
}

/// A bound on the subject's number, alone or divided by another row's of the same round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim {
    pub(crate) metric: Metric,
    pub(crate) against: Option<&'static str>,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
    /// At most so much more than the other row's.
    Beyond(f64),
}

impl Aim {
    const fn at_most(metric: Metric, bound: f64, against: Option<&'static str>) -> Self {
        Self {
            metric,
            against,
            bound: Bound::AtMost(bound),
        }
    }

    const fn beyond(metric: Metric, bound: f64, against: &'static str) -> Self {
        Self {
            metric,
            against: Some(against),
            bound: Bound::Beyond(bound),
        }
    }

    const fn at_least(metric: Metric, bound: f64, against: Option<&'static str>) -> Self {
        Self {
            metric,
            against,
            bound: Bound::AtLeast(bound),
        }
    }
}
