//! The CPU time of a cell: whose it was, and how many units it served.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{Cell, Metric};
use crate::origin::Origin;
use crate::proc;

/// How long a proxy may still be tidying up after the last operation: that is work, too.
const SETTLE: Duration = Duration::from_millis(50);

pub(crate) struct Meter {
    origin: u32,
    proxy: Option<u32>,
    since: Instant,
    before: Reading,
}

struct Reading {
    proxy: Option<f64>,
    load: f64,
    machine: f64,
}

impl Meter {
    pub(crate) fn start(origin: &Origin, proxy: Option<u32>) -> Result<Self> {
        let origin = origin.process.id();
        let before = Reading::take(origin, proxy)?;
        Ok(Self {
            origin,
            proxy,
            since: Instant::now(),
            before,
        })
    }

    /// A cell with the CPU time of so many units.
    pub(crate) fn stop(self, units: f64) -> Result<Cell> {
        std::thread::sleep(SETTLE);
        let after = Reading::take(self.origin, self.proxy)?;
        let cpus = std::thread::available_parallelism()?.get() as f64;
        let capacity = self.since.elapsed().as_secs_f64() * cpus;
        let load = after.load - self.before.load;
        let proxy = after
            .proxy
            .zip(self.before.proxy)
            .map(|(after, before)| after - before);
        let ours = load + proxy.unwrap_or(0.0);
        let foreign = (after.machine - self.before.machine - ours) / capacity;
        let mut cell = Cell::default();
        if let Some(proxy) = proxy {
            cell.set(Metric::Cpu, proxy / units);
        }
        cell.set(Metric::LoadCpu, load / units);
        cell.set(Metric::Foreign, foreign.max(0.0));
        Ok(cell)
    }
}

impl Reading {
    fn take(origin: u32, proxy: Option<u32>) -> Result<Self> {
        Ok(Self {
            proxy: proxy.map(proc::tree_cpu).transpose()?,
            load: proc::own_cpu()? + proc::tree_cpu(origin)?,
            machine: proc::machine_busy()?,
        })
    }
}
