//! What befalls a whole machine, or a part of a session in the midst of it: on every runtime that
//! is here, the person is told, nothing is widened, and nothing is left.

mod full;
mod killed;
mod suspended;

use serde_json::Value;

use crate::support::local::Process;
use crate::support::{Bench, engine};

/// Every process of the one session that runs, by what it is: the launcher first.
fn processes(bench: &Bench) -> Vec<(String, Process)> {
    let record: Value = bench.sessions().remove(0);
    let launcher = record["pid"].as_i64().expect("a pid");
    let launcher = i32::try_from(launcher).expect("a pid");
    let mut found = vec![("launcher".to_owned(), launcher)];
    for name in engine::containers(&bench.label()) {
        let pid = engine::inspect(&name)["State"]["Pid"].as_i64();
        let pid = i32::try_from(pid.expect("a pid")).expect("a pid");
        let role = name.rsplit('-').next().expect("a role");
        found.push((role.to_owned(), pid));
    }
    let mut processes = Vec::new();
    for (what, pid) in found {
        let first = Process::of(pid).expect("it runs");
        processes.push((what, first));
        let below = Process::below(pid).into_iter();
        processes.extend(below.map(|process| (process.line.clone(), process)));
    }
    processes
}
