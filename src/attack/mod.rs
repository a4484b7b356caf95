//! The self-attack: tries to get out of the sandbox it runs in, and says what came of it. Nothing
//! it does changes anything that is not its own.
//!
//! Runs next to the agent, in a process of its own, and knows nothing of the host but the targets
//! it is told. Whether a sandbox is any good is judged elsewhere, with what arrived outside.

mod alone;
mod devices;
mod doors;
mod files;
mod kernel;
mod network;
mod processes;
mod raw;
mod sockets;
mod tally;

use std::io::{self, Read, Write};
use std::thread;

pub use self::alone::alone;
use self::tally::Tally;
use crate::api::{Finding, Targets};

/// Reads the targets, tries everything, and writes a finding a line.
///
/// # Errors
///
/// When the input is no such document, or nobody reads the output.
pub fn run(mut input: impl Read, mut output: impl Write) -> io::Result<()> {
    let mut text = String::new();
    input.read_to_string(&mut text)?;
    let targets: Targets = serde_json::from_str(&text)?;
    for finding in everything(&targets) {
        serde_json::to_writer(&mut output, &finding)?;
        output.write_all(b"\n")?;
    }
    output.flush()
}

/// Everything there is to try, in the order in which it is told.
fn everything(targets: &Targets) -> Vec<Finding> {
    let tallies: Vec<Tally> = thread::scope(|scope| {
        // Somebody waits for the session that this is to let start, and the search takes its time.
        let searching = scope.spawn(|| sockets::tries(targets));
        let mut tallies = network::tries(targets);
        tallies.extend(doors::tries(targets));
        let others = [
            processes::tries(targets),
            kernel::tries(targets),
            devices::tries(),
            files::tries(targets),
        ];
        tallies.extend(searching.join().unwrap_or_else(|_| vec![sockets::failed()]));
        tallies.extend(others.into_iter().flatten());
        tallies
    });
    tallies.into_iter().map(Tally::finding).collect()
}
