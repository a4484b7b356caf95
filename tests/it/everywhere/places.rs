//! The places, as far as this machine has them.

use std::path::Path;
use std::process::Command;

use super::{Place, hold};
use crate::docker::NO_NAMES;
use crate::support::{Bench, require};

/// An engine with root, called by whoever runs the tests.
struct Rootful(Bench, std::path::PathBuf);

impl Place for Rootful {
    fn vibepit(&self) -> Command {
        self.0.vibepit()
    }

    fn project(&self) -> &Path {
        self.0.project()
    }

    fn home(&self) -> &Path {
        &self.1
    }

    fn runtime(&self) -> &'static str {
        "docker"
    }

    fn left(&self) -> Vec<String> {
        self.0.left()
    }
}

#[test]
fn every_law_holds_on_docker_with_root() {
    if !require("docker") || !require("curl") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let home = bench.home.home();
    hold(&Rootful(bench, home));
}
