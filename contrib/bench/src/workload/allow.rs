//! `vibepit allow` from its start to its end, beside the curl call that does the same.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::{Kind, vibepit};

/// Calls of each in a round, in turns.
const CALLS: usize = 50;
const OURS: &str = "vibepit allow";
const CURL: &str = "curl";

pub(crate) struct Allow;

impl Workload for Allow {
    fn name(&self) -> String {
        "allow".to_owned()
    }

    fn subject(&self, _: &Options) -> String {
        OURS.to_owned()
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_most(Metric::P50, 2.0, Some(CURL))]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        if bench.options.subject != Kind::Vibepit {
            return Vec::new();
        }
        match measure(bench) {
            Ok((ours, curl)) => vec![
                cell(OURS, || Ok(times(ours))),
                cell(CURL, || Ok(times(curl))),
            ],
            Err(error) => vec![cell(OURS, || Err(error))],
        }
    }
}

/// Microseconds of every call of ours and of curl's.
fn measure(bench: &Bench) -> Result<(Vec<u32>, Vec<u32>)> {
    let session = vibepit::start(&bench.place, 0)?;
    let (mut ours, mut curls) = (Vec::new(), Vec::new());
    for call in 0..CALLS {
        let mut allow = vibepit::command(&bench.place.vibepit, &session.home);
        allow
            .arg("allow")
            .arg(format!("ours{call}.bench.example:443"));
        ours.push(time(&mut allow)?);

        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--unix-socket"])
            .arg(&session.control);
        curl.args(["--header", "Content-Type: application/json", "--data"]);
        curl.arg(format!(
            "{{\"entries\":[\"curl{call}.bench.example:443\"]}}"
        ));
        curl.arg("http://vibepit/allow");
        curls.push(time(&mut curl)?);
    }
    Ok((ours, curls))
}

fn time(command: &mut Command) -> Result<u32> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("{command:?} does not start"))?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(u32::try_from(took.as_micros()).unwrap_or(u32::MAX))
}

fn times(mut micros: Vec<u32>) -> Cell {
    micros.sort_unstable();
    let mut cell = Cell::default();
    cell.set_times(&micros);
    cell
}
