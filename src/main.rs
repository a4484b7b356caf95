//! The `vibepit` command: nothing but the call into the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    vibepit::cli::main()
}
