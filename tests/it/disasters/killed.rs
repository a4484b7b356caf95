//! Each process of a session that stays, killed in its turn: whatever is left, `down` takes it away.

use nix::sys::signal::Signal;

use super::processes;
use crate::docker::NO_NAMES;
use crate::project::runtimes;
use crate::support::{Bench, require};

#[test]
fn whichever_process_of_a_session_is_killed_down_and_prune_take_the_rest_away() {
    if !require("root") {
        return;
    }
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let up = [&["up"], runtime.options].concat();
        let mut turn = 0;
        loop {
            bench.cli(&up).ok();
            let mut processes = processes(&bench);
            if turn == processes.len() {
                bench.cli(&["down"]).ok();
                break;
            }
            let (what, victim) = processes.swap_remove(turn);
            victim.signal(Signal::SIGKILL);
            victim.ends();
            let down = bench.cli(&["down"]);
            assert_eq!(down.code, Some(0), "{what}: {down:?}");
            for (_, other) in &processes {
                other.ends();
            }
            assert_eq!(bench.left(), [""; 0], "{what}: {down:?}");
            let pruned = bench.cli(&["prune"]);
            assert_eq!(pruned.code, Some(0), "{what}: {pruned:?}");
            turn += 1;
        }
        assert!(turn >= 4, "{turn} processes");
    }
}
