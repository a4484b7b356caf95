//! The one interleaved run: A B C … A B C …, every workload in every round.

use std::fs::File;
use std::io::Write;

use anyhow::{Context, Result, bail, ensure};

use crate::args::Options;
use crate::contender::{Kind, Place};
use crate::origin::Origin;
use crate::process::{Scratch, clean_up_on_signals};
use crate::report;
use crate::results::Results;
use crate::workload::{self, Bench, Workload};

pub(crate) fn run(options: &Options) -> Result<()> {
    let workloads: Vec<Box<dyn Workload>> = workload::all()
        .into_iter()
        .filter(|workload| options.wants(&workload.name()))
        .collect();
    ensure!(
        !workloads.is_empty(),
        "--only names no workload; --help lists them"
    );
    let scratch = Scratch::new()?;
    clean_up_on_signals(scratch.path())?;
    let mut raw = options
        .raw
        .as_ref()
        .map(File::create)
        .transpose()
        .context("making --raw")?;

    let bench = start(options, &scratch)?;
    let mut results: Vec<Results> = workloads
        .iter()
        .map(|workload| Results::new(workload.as_ref(), options))
        .collect();
    for round in 1..=options.rounds {
        for (workload, results) in workloads.iter().zip(&mut results) {
            let name = workload.name();
            let cells = workload.round(&bench);
            for cell in &cells {
                report::progress(round, options.rounds, &name, cell, workload.unit());
                if let Some(raw) = &mut raw {
                    let line = serde_json::json!({"round": round, "workload": name, "cell": cell});
                    writeln!(raw, "{line}").context("writing --raw")?;
                }
            }
            results.rounds.push(cells);
        }
    }
    report::print(&bench, &results);
    Ok(())
}

fn start<'a>(options: &'a Options, scratch: &Scratch) -> Result<Bench<'a>> {
    let (descriptors, _) =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    let vibepit = match options.vibepit.canonicalize() {
        Err(error) if options.subject == Kind::Vibepit => {
            bail!("no vibepit at {}: {error}", options.vibepit.display())
        }
        path => path.unwrap_or_default(),
    };
    let place = Place {
        directory: scratch.path().to_owned(),
        vibepit,
        descriptors,
    };
    let origin = Origin::start()?;
    let contenders = options
        .contenders()
        .into_iter()
        .map(|kind| kind.start(&place))
        .collect::<Result<_>>()?;
    Ok(Bench {
        options,
        place,
        origin,
        contenders,
    })
}
