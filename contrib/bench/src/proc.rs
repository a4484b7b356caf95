//! What /proc says of processes and of the machine: CPU time and resident memory.
//! Formats: proc(5), sections /proc/pid/stat, /proc/pid/status and /proc/stat.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result};
use nix::unistd::{SysconfVar, sysconf};

/// CPU seconds that a process and all its descendants have used, those it has already waited for
/// included. Threads that ended count: the kernel adds them to their process.
pub(crate) fn tree_cpu(root: u32) -> Result<f64> {
    let ticks: u64 = tree(root)?
        .iter()
        .map(|stat| stat.own_ticks + stat.waited_ticks)
        .sum();
    Ok(ticks as f64 / ticks_per_second()?)
}

/// CPU seconds of this process alone, without its children.
pub(crate) fn own_cpu() -> Result<f64> {
    let stat = Stat::read("self").context("/proc/self/stat cannot be read")?;
    Ok(stat.own_ticks as f64 / ticks_per_second()?)
}

/// Resident bytes of a process and all its descendants. Pages they share count for each of them.
pub(crate) fn tree_resident(root: u32) -> Result<u64> {
    let mut kibibytes = 0;
    for stat in tree(root)? {
        let status = fs::read_to_string(format!("/proc/{}/status", stat.pid)).unwrap_or_default();
        kibibytes += field(&status, "VmRSS:").unwrap_or(0);
    }
    Ok(kibibytes * 1024)
}

/// How many descriptors a process has open.
pub(crate) fn descriptors(process: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count())
}

/// CPU seconds that the whole machine has been busy, and that its host took away (steal).
pub(crate) fn machine_busy() -> Result<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let numbers: Vec<u64> = text
        .lines()
        .next()
        .unwrap_or_default()
        .split_ascii_whitespace()
        .skip(1)
        .filter_map(|word| word.parse().ok())
        .collect();
    // user nice system idle iowait irq softirq steal; guest times are part of user.
    let busy: u64 = [0, 1, 2, 5, 6, 7]
        .iter()
        .filter_map(|&column| numbers.get::<usize>(column))
        .sum();
    Ok(busy as f64 / ticks_per_second()?)
}

/// Kibibytes of memory the machine has.
pub(crate) fn machine_memory() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")
}

/// What the first CPU calls itself.
pub(crate) fn cpu_model() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

fn ticks_per_second() -> Result<f64> {
    let ticks = sysconf(SysconfVar::CLK_TCK)?.context("the system has no clock tick")?;
    Ok(ticks as f64)
}

/// The processes of the tree below `root`, `root` first.
fn tree(root: u32) -> Result<Vec<Stat>> {
    let mut children: HashMap<u32, Vec<Stat>> = HashMap::new();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(stat) = name.to_str().filter(|name| name.parse::<u32>().is_ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        let Some(stat) = Stat::read(stat) else {
            continue;
        };
        if stat.pid == root {
            found.push(stat);
        } else {
            children.entry(stat.parent).or_default().push(stat);
        }
    }
    anyhow::ensure!(!found.is_empty(), "process {root} is gone");
    let mut next = 0;
    while let Some(stat) = found.get(next) {
        found.extend(children.remove(&stat.pid).unwrap_or_default());
        next += 1;
    }
    Ok(found)
}

struct Stat {
    pid: u32,
    parent: u32,
    own_ticks: u64,
    waited_ticks: u64,
}

impl Stat {
    fn read(process: &str) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold spaces and parentheses: the last one closes it.
        let (pid, rest) = text.split_once(' ')?;
        let (_, rest) = rest.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // proc(5) counts from 1 and the state, here 0, is its third.
        let number = |one_based: usize| -> Option<u64> { fields.get(one_based - 3)?.parse().ok() };
        Some(Self {
            pid: pid.parse().ok()?,
            parent: u32::try_from(number(4)?).ok()?,
            own_ticks: number(14)? + number(15)?,
            waited_ticks: number(16)? + number(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat =
            Stat::parse("7 (a) b ) S 3 7 7 0 -1 0 0 0 0 0 11 22 33 44 20 0 1 0 5").expect("parsed");
        assert_eq!((stat.pid, stat.parent), (7, 3));
        assert_eq!((stat.own_ticks, stat.waited_ticks), (33, 77));
    }

    #[test]
    fn this_process_is_in_its_own_tree() {
        let own = std::process::id();
        assert_eq!(
            tree(own).expect("listed").first().map(|stat| stat.pid),
            Some(own)
        );
        assert!(tree_resident(own).expect("read") > 0);
    }
}
