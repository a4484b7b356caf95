//! Load for many minutes while rules, approvals and the configuration change all the time: whether
//! memory and descriptors stay flat, whether anything is let through that must not be or refused
//! that must not be, and whether anybody is forgotten.

mod changes;
mod load;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::contender::{Place, vibepit};
use crate::control;
use crate::origin::Origin;
use crate::proc;
use crate::process::{Scratch, clean_up_on_signals};
use crate::report::say;
use changes::{Changed, Changes};

/// Between two looks at the process.
const LOOK: Duration = Duration::from_secs(10);
/// How long the last tunnels may take to be gone from the books.
const REST: Duration = Duration::from_secs(10);
/// How much of what it had in the third quarter of the time it may have more in the last.
const FLAT: f64 = 1.05;

/// What the process had at a moment.
struct Look {
    resident: u64,
    descriptors: usize,
}

/// Soaks for so many minutes, and fails if anything did.
pub(crate) fn run(program: &std::path::Path, minutes: f64) -> Result<()> {
    let scratch = Scratch::new()?;
    clean_up_on_signals(scratch.path())?;
    let place = Place {
        directory: scratch.path().to_owned(),
        vibepit: program.canonicalize()?,
        descriptors: 0,
    };
    let origin = Origin::start()?;
    let config = place.directory.join("soak.toml");
    std::fs::write(&config, changes::configuration(&origin, false))?;
    let doors = vibepit::start_all(&place, &config)?;
    let length = Duration::from_secs_f64(minutes * 60.0);
    let clients = load::clients(&origin, &doors)?;
    let changes = Changes::new(&origin, &doors, &config);
    let over = AtomicBool::new(false);
    let (outcomes, changed, looks) = thread::scope(|scope| {
        let changing = scope.spawn(|| changes.make(&over));
        let looking = scope.spawn(|| looks(doors.started.process.id(), length));
        let loads: Vec<_> = clients
            .into_iter()
            .map(|(name, load)| (name, scope.spawn(move || load(length))))
            .collect();
        let outcomes: Vec<_> = loads
            .into_iter()
            .map(|(name, load)| (name, load.join()))
            .collect();
        // Those who wait are answered to the last.
        over.store(true, Ordering::Relaxed);
        (outcomes, changing.join(), looking.join())
    });
    let (Ok(changed), Ok(looks)) = (changed, looks) else {
        bail!("a thread of the harness panicked");
    };
    let (changed, looks) = (changed?, looks?);
    let mut faults = Vec::new();
    say(&format!(
        "`contrib/bench/soak {minutes}`: {minutes} minutes.\n\n| clients | operations | failed |\n|---|--:|--:|"
    ));
    for (name, outcome) in outcomes {
        match outcome {
            Ok(Ok(outcome)) => {
                say(&format!(
                    "| {name} | {} | {} |",
                    outcome.operations, outcome.failed
                ));
                faults.extend(outcome.failure.map(|why| format!("{name}: {why}")));
            }
            Ok(Err(why)) => faults.push(format!("{name}: {why:#}")),
            Err(_) => faults.push(format!("{name}: panicked")),
        }
    }
    let Changed {
        rounds,
        approved,
        denied,
        wrong,
    } = changed;
    say(&format!(
        "\n{rounds} rounds of changes, each an allow, a deny, a revoke, a reload and probes of all \
         four; {approved} requests approved, {denied} denied."
    ));
    faults.extend(wrong);
    faults.extend(left(&doors.started.control)?);
    faults.extend(grown(&looks));
    if faults.is_empty() {
        say("\nNothing was admitted or refused wrongly, nobody was forgotten, nothing grew.");
        return Ok(());
    }
    bail!("{}", faults.join("\n"));
}

fn looks(process: u32, length: Duration) -> Result<Vec<Look>> {
    let start = Instant::now();
    let mut looks = Vec::new();
    while start.elapsed() + LOOK <= length {
        thread::sleep(LOOK);
        looks.push(Look {
            resident: proc::tree_resident(process)?,
            descriptors: proc::descriptors(process)?,
        });
    }
    Ok(looks)
}

/// What is still in the books once every client has left.
fn left(socket: &std::path::Path) -> Result<Option<String>> {
    let start = Instant::now();
    loop {
        let counts = control::get(socket, "/session")?["counts"].take();
        if counts["connections"] == 0 && counts["waiting"] == 0 {
            return Ok(None);
        }
        if start.elapsed() > REST {
            return Ok(Some(format!("somebody is left: {counts}")));
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Tells the looks, and whether the last quarter has more than the one before.
fn grown(looks: &[Look]) -> Vec<String> {
    say(
        "\n| part of the time | resident, mean (least to most) | descriptors, mean (least to most) |",
    );
    say("|---|--:|--:|");
    let quarter = looks.len() / 4;
    if quarter == 0 {
        return vec!["too short to see whether anything grows".to_owned()];
    }
    let mut means = Vec::new();
    for (number, part) in looks.chunks_exact(quarter).take(4).enumerate() {
        let megabytes = |look: &Look| look.resident as f64 / 1e6;
        let resident: Vec<f64> = part.iter().map(megabytes).collect();
        let descriptors: Vec<f64> = part.iter().map(|look| look.descriptors as f64).collect();
        let shown = |values: &[f64], digits: usize| {
            let (low, high) = crate::stats::range(values);
            format!(
                "{:.digits$} ({low:.digits$} to {high:.digits$})",
                mean(values)
            )
        };
        say(&format!(
            "| quarter {} | {} MB | {} |",
            number + 1,
            shown(&resident, 1),
            shown(&descriptors, 0)
        ));
        means.push((mean(&resident), mean(&descriptors)));
    }
    let (before, last) = (means[2], means[3]);
    let mut faults = Vec::new();
    if last.0 > before.0 * FLAT {
        faults.push(format!(
            "memory grew from {:.1} MB to {:.1}",
            before.0, last.0
        ));
    }
    if last.1 > before.1 * FLAT + 8.0 {
        faults.push(format!(
            "descriptors grew from {:.0} to {:.0}",
            before.1, last.1
        ));
    }
    faults
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
