//! The places, as far as this machine has them.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::Uid;

use super::{Place, hold};
use crate::docker::NO_NAMES;
use crate::docker_images::Busybox;
use crate::support::local::{Local, ORDINARY};
use crate::support::{Bench, Person, Sshd, engine, require, with_engine};

/// An engine with root, called by whoever runs the tests.
struct Rootful(Bench, PathBuf);

impl Place for Rootful {
    fn command(&self, program: &Path) -> Command {
        let mut command = self.0.home.command(program);
        with_engine(&mut command);
        command.current_dir(self.0.project());
        command
    }

    fn uid(&self) -> u32 {
        Uid::effective().as_raw()
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

/// This machine's kernel, called by whoever runs the tests or by somebody else.
struct Kernel(Local, PathBuf);

impl Kernel {
    fn new(user: Option<u32>) -> Self {
        let local = Local::new(NO_NAMES, user);
        let home = local.home.home();
        Self(local, home)
    }
}

impl Place for Kernel {
    fn command(&self, program: &Path) -> Command {
        let mut command = self.0.command(program);
        command.env("VIBEPIT_RUNTIME", "local");
        command
    }

    fn uid(&self) -> u32 {
        self.0.uid()
    }

    fn project(&self) -> &Path {
        self.0.project()
    }

    fn home(&self) -> &Path {
        &self.1
    }

    fn runtime(&self) -> &'static str {
        "local"
    }

    fn left(&self) -> Vec<String> {
        self.0.left()
    }
}

#[test]
fn every_law_holds_without_an_engine_for_whoever_runs_the_tests() {
    if require("user-namespaces") && require("curl") {
        hold(&Kernel::new(None));
    }
}

#[test]
fn every_law_holds_without_an_engine_for_an_ordinary_user() {
    if require("root") && require("user-namespaces") && require("curl") && require("setpriv") {
        hold(&Kernel::new(Some(ORDINARY)));
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

/// An engine of a person's own.
struct Own {
    person: Person,
    project: PathBuf,
    home: PathBuf,
}

impl Own {
    fn of(person: Person) -> Self {
        Self {
            project: person.place("home/project"),
            home: person.place("home"),
            person,
        }
    }
}

impl Place for Own {
    fn command(&self, program: &Path) -> Command {
        self.person.command(program)
    }

    fn uid(&self) -> u32 {
        self.person.uid()
    }

    fn project(&self) -> &Path {
        &self.project
    }

    fn home(&self) -> &Path {
        &self.home
    }

    fn runtime(&self) -> &'static str {
        "docker"
    }

    fn left(&self) -> Vec<String> {
        self.person.left()
    }
}

#[test]
fn every_law_holds_on_docker_without_root() {
    if require("rootless") && require("curl") {
        hold(&Own::of(Person::with_docker(&own_config())));
    }
}

#[test]
fn every_law_holds_on_podman_with_root() {
    if require("podman") && require("curl") {
        hold(&Own::of(Person::root_with_podman(&own_config())));
    }
}

#[test]
fn every_law_holds_on_podman_without_root() {
    if require("rootless-podman") && require("curl") {
        hold(&Own::of(Person::with_podman(&own_config())));
    }
}

/// An engine behind ssh, as if it were on another machine.
struct Far {
    bench: Bench,
    sshd: Sshd,
    home: PathBuf,
    _image: Busybox,
}

impl Far {
    fn new(image: Busybox) -> Self {
        let bench = Bench::new(&format!("{}image = \"{}\"\n", own_config(), image.0));
        Self {
            home: bench.home.home(),
            bench,
            sshd: Sshd::start(),
            _image: image,
        }
    }

    fn copies(&self) -> Vec<String> {
        let mut volumes = engine::volumes(&self.bench.label());
        volumes.retain(|name| name.ends_with("-project"));
        volumes
    }
}

impl Place for Far {
    fn command(&self, program: &Path) -> Command {
        let mut command = self.bench.home.command(program);
        with_engine(&mut command);
        command.current_dir(self.bench.project());
        command.env("DOCKER_HOST", self.sshd.engine());
        self.sshd.known_to(&mut command);
        command
    }

    fn uid(&self) -> u32 {
        Uid::effective().as_raw()
    }

    fn project(&self) -> &Path {
        self.bench.project()
    }

    fn home(&self) -> &Path {
        &self.home
    }

    fn runtime(&self) -> &'static str {
        "docker"
    }

    fn left(&self) -> Vec<String> {
        let mut left = self.bench.left();
        left.extend(self.copies());
        left
    }

    fn project_is_mounted(&self) -> bool {
        false
    }

    fn bring(&self) {
        if !self.copies().is_empty() {
            self.cli(&["pull", "--yes"]).ok();
        }
    }

    fn is_on_this_machine(&self) -> bool {
        false
    }
}

#[test]
fn every_law_holds_on_docker_over_ssh() {
    if !require("docker") || !require("ssh") || !require("curl") {
        return;
    }
    if let Some(image) = Busybox::for_laws() {
        hold(&Far::new(image));
    }
}

/// Nobody is asked, as in the other places.
fn own_config() -> String {
    format!("{NO_NAMES}unlisted_domain_behavior = \"reject\"\n")
}
