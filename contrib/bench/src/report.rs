//! The table, and the lines around it.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::Command;

use crate::args::Options;
use crate::contender::Kind;
use crate::proc;
use crate::results::Results;
use crate::stats::{median, range};
use crate::workload::{Aim, Bench, Bound, Cell, Metric, Unit};

/// Prints a line that somebody asked for.
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Tells who waits how far the run is.
pub(crate) fn progress(round: usize, rounds: usize, workload: &str, cell: &Cell, unit: Unit) {
    let shown = |metric| {
        cell.values
            .get(&metric)
            .map_or(String::new(), |&value| show(metric, value, unit))
    };
    eprintln!(
        "{round}/{rounds} {workload:<12} {:<16} {:>12} {:>12} {:>10} {:>10} {}",
        cell.row,
        shown(Metric::Rate),
        shown(Metric::Cpu),
        shown(Metric::P50),
        shown(Metric::Resident),
        cell.note
    );
}

/// Prints the report in Markdown.
pub(crate) fn print(bench: &Bench, results: &[Results]) {
    println!("{}\n", machine(bench));
    let subject = bench.options.subject;
    println!(
        "| workload | contender | rate | CPU per unit | p50 | p99 | resident | {subject}'s CPU ÷ this | \
         {subject}'s rate ÷ this | load and origin CPU | note |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|---|");
    for result in results {
        for row in result.rows() {
            println!("{}", line(result, row));
        }
    }
    println!("\n{}\n", reading(bench.options, results));
    if subject != Kind::Vibepit {
        return;
    }
    for result in results {
        for aim in &result.aims {
            if let Some(line) = judge(result, aim) {
                println!("{line}");
            }
        }
    }
}

fn line(result: &Results, row: &str) -> String {
    let shown = |metric| {
        let value = result.median(row, metric);
        value.map_or_else(|| "–".to_owned(), |value| show(metric, value, result.unit))
    };
    let ratio = |metric| {
        let ratio = median(&result.ratios(row, metric)).filter(|_| row != result.subject);
        ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"))
    };
    let mut resident = shown(Metric::Resident);
    if result.median(row, Metric::Ready).is_some() {
        let (ready, cpu) = (shown(Metric::Ready), shown(Metric::ReadyCpu));
        resident += &format!(", ready in {ready} (CPU {cpu})");
    }
    [
        "",
        &result.name,
        row,
        &shown(Metric::Rate),
        &shown(Metric::Cpu),
        &shown(Metric::P50),
        &shown(Metric::P99),
        &resident,
        &ratio(Metric::Cpu),
        &ratio(Metric::Rate),
        &shown(Metric::LoadCpu),
        result.note(row),
        "",
    ]
    .join(" | ")
    .trim()
    .to_owned()
}

fn show(metric: Metric, value: f64, unit: Unit) -> String {
    match metric {
        Metric::Rate => format!("{}{}", significant(value / unit.per_rate), unit.rate),
        Metric::Cpu | Metric::LoadCpu => {
            format!("{}{}", significant(value * unit.cpu_scale), unit.cpu)
        }
        // Less than a tick of the clock that counts it.
        Metric::ReadyCpu if value == 0.0 => "under 10 ms".to_owned(),
        Metric::P50 | Metric::P99 | Metric::Ready | Metric::ReadyCpu => match value {
            ..0.001 => format!("{} µs", significant(value * 1e6)),
            ..1.0 => format!("{} ms", significant(value * 1e3)),
            _ => format!("{} s", significant(value)),
        },
        Metric::Resident if value < 1e6 => format!("{} KiB", significant(value / 1024.0)),
        Metric::Resident => format!("{} MB", significant(value / 1e6)),
        Metric::Foreign => format!("{:.0} %", value * 100.0),
    }
}

/// Three digits, or all those before the point, in groups.
fn significant(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => grouped(value.round() as u64),
    }
}

fn grouped(number: u64) -> String {
    match number {
        ..1000 => number.to_string(),
        _ => format!("{},{:03}", grouped(number / 1000), number % 1000),
    }
}

fn judge(result: &Results, aim: &Aim) -> Option<String> {
    let (values, of) = match (aim.against, aim.bound) {
        (Some(row), Bound::Beyond(_)) => (
            result.differences(row, aim.metric),
            format!(" beyond that of {row}"),
        ),
        (Some(row), _) => (result.ratios(row, aim.metric), format!(" ÷ that of {row}")),
        (None, _) => {
            let values = result.values(&result.subject, aim.metric);
            (values.into_iter().flatten().collect(), String::new())
        }
    };
    let middle = median(&values)?;
    let shown = |value| match (aim.against, aim.bound) {
        (Some(_), Bound::AtMost(_) | Bound::AtLeast(_)) => format!("{value:.2}"),
        _ => show(aim.metric, value, result.unit),
    };
    let (met, bound) = match aim.bound {
        Bound::AtMost(bound) | Bound::Beyond(bound) => {
            (middle <= bound, format!("at most {}", shown(bound)))
        }
        Bound::AtLeast(bound) => (middle >= bound, format!("at least {}", shown(bound))),
    };
    let (low, high) = range(&values);
    let metric = match aim.metric {
        Metric::Rate => "rate",
        Metric::Cpu => "CPU per unit",
        Metric::LoadCpu => "load CPU",
        Metric::P50 => "median time",
        Metric::P99 => "p99",
        Metric::Resident => "resident memory",
        Metric::Ready => "time until ready",
        Metric::ReadyCpu => "CPU until ready",
        Metric::Foreign => "foreign CPU",
    };
    Some(format!(
        "- {}: {} {metric}{of}: {} ({} to {}); aim: {bound}. {}",
        result.name,
        result.subject,
        shown(middle),
        shown(low),
        shown(high),
        if met { "Met." } else { "**Not met.**" }
    ))
}

/// What a reader must know before believing the numbers.
fn reading(options: &Options, results: &[Results]) -> String {
    let foreign: Vec<f64> = results
        .iter()
        .flat_map(|result| result.rounds.iter().flatten())
        .filter_map(|cell| cell.values.get(&Metric::Foreign).copied())
        .collect();
    let (_, most) = range(&foreign);
    let mut text = format!(
        "Rounds: {}. Numbers are medians over them, ratios medians of the ratios within a round.",
        options.rounds
    );
    if let Some(foreign) = median(&foreign) {
        text += &format!(
            " Others used {:.0} % of the machine's CPU time in the median cell, {:.0} % in the worst.",
            foreign * 100.0,
            most * 100.0
        );
    }
    if let Some((times, workload, row)) = results
        .iter()
        .filter_map(headroom)
        .min_by(|a, b| a.0.total_cmp(&b.0))
    {
        text += &format!(
            " The load generator and the origin alone (direct) reach at least {times:.1} times the \
             rate of every contender: least in {workload}, beside {row}."
        );
    }
    text
}

/// How many times the rate of the fastest contender the load generator reaches without one.
fn headroom(result: &Results) -> Option<(f64, &str, &str)> {
    let direct = result.median(Kind::Direct.name(), Metric::Rate)?;
    let others = result.rows().filter(|row| *row != Kind::Direct.name());
    others
        .filter_map(|row| {
            Some((
                direct / result.median(row, Metric::Rate)?,
                result.name.as_str(),
                row,
            ))
        })
        .min_by(|a, b| a.0.total_cmp(&b.0))
}

/// When, where, what and how.
fn machine(bench: &Bench) -> String {
    let output = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let unknown = || "unknown".to_owned();
    let cpus =
        std::thread::available_parallelism().map_or_else(|_| unknown(), |cpus| cpus.to_string());
    let memory = proc::machine_memory().map_or_else(unknown, |kibibytes| {
        format!("{:.1} GB", kibibytes as f64 * 1024.0 / 1e9)
    });
    let versions: Vec<String> = bench
        .contenders
        .iter()
        .filter_map(|contender| contender.kind.version(&bench.place))
        .collect();
    let commit = output(
        "git",
        &[
            "-C",
            env!("CARGO_MANIFEST_DIR"),
            "describe",
            "--always",
            "--dirty",
        ],
    )
    .map_or_else(String::new, |commit| format!(" at {commit}"));
    format!(
        "`contrib/bench/run{}`{commit}, {}. {cpus} CPUs ({}), {memory} of memory, Linux {}, at most {} \
         open files. {}.",
        bench
            .options
            .command
            .iter()
            .fold(String::new(), |text, word| text + " " + word),
        output("date", &["-u", "+%Y-%m-%d %H:%M UTC"]).unwrap_or_else(unknown),
        proc::cpu_model().unwrap_or_else(unknown),
        output("uname", &["-r"]).unwrap_or_else(unknown),
        bench.place.descriptors,
        versions.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_three_digits_and_large_ones_are_grouped() {
        let shown = [0.333, 9.999, 42.06, 123.4, 1_234_567.8].map(significant);
        assert_eq!(shown, ["0.33", "10.0", "42.1", "123", "1,234,568"]);
    }
}
