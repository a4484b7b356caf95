//! How long a session takes to start: from the start of `vibepit run` until its command has written
//! a line, beside the bare thing: the same command in bwrap, or in the second of two containers.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::{Kind, vibepit};

/// Starts of each in a round, in turns.
const STARTS: usize = 5;
/// What the command writes.
const LINE: &str = "here";
/// What of the host a bare sandbox gets, as ours does.
const TREES: [&str; 4] = ["/usr", "/bin", "/lib", "/lib64"];

/// A start on one runtime.
pub(crate) enum Start {
    Local,
    Docker,
}

impl Start {
    fn ours(&self) -> &'static str {
        match self {
            Self::Local => "vibepit run, local",
            Self::Docker => "vibepit run, docker",
        }
    }

    fn bare(&self) -> &'static str {
        match self {
            Self::Local => "bwrap",
            Self::Docker => "docker run, twice",
        }
    }

    /// Seconds that a session may take more than the bare thing.
    fn beyond(&self) -> f64 {
        match self {
            Self::Local => 0.150,
            Self::Docker => 1.2,
        }
    }
}

impl Workload for Start {
    fn name(&self) -> String {
        match self {
            Self::Local => "start-local".to_owned(),
            Self::Docker => "start-docker".to_owned(),
        }
    }

    fn subject(&self, _: &Options) -> String {
        self.ours().to_owned()
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::beyond(Metric::P50, self.beyond(), self.bare())]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        if bench.options.subject != Kind::Vibepit {
            return Vec::new();
        }
        match self.measure(bench) {
            Ok((ours, bare)) => vec![
                cell(self.ours(), || Ok(times(ours))),
                cell(self.bare(), || Ok(times(bare))),
            ],
            Err(error) => vec![cell(self.ours(), || Err(error))],
        }
    }
}

impl Start {
    /// Microseconds of every start of ours and of the bare thing.
    fn measure(&self, bench: &Bench) -> Result<(Vec<u32>, Vec<u32>)> {
        let home = bench.place.directory.join(self.name());
        let project = home.join("project");
        if !project.exists() {
            fs::create_dir_all(&project)?;
            vibepit::private(&home, &["runtime"])?;
        }
        let session = || {
            let mut command = vibepit::command(&bench.place.vibepit, &home);
            let runtime = match self {
                Self::Local => "local",
                Self::Docker => "docker",
            };
            command.args(["-q", "run", "--reject", "--runtime", runtime, "--"]);
            command.args(["/bin/echo", LINE]).current_dir(&project);
            command
        };
        // The engine's images are made once, and that is not what is measured.
        time(&mut session())?;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            ours.push(time(&mut session())?);
            bare.push(match self {
                Self::Local => time(&mut bwrap())?,
                Self::Docker => containers()?,
            });
        }
        Ok((ours, bare))
    }
}

/// The command with this machine's programs and namespaces of its own, and nothing else around it.
fn bwrap() -> Command {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-all", "--die-with-parent"]);
    for tree in TREES {
        command.args(["--ro-bind", tree, tree]);
    }
    command.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]);
    command.args(["/bin/echo", LINE]);
    command
}

/// Two containers, one after the other, of the image that sessions have.
fn containers() -> Result<u32> {
    let images = Command::new("docker")
        .args([
            "images",
            "--format",
            "{{.Repository}}:{{.Tag}}",
            "vibepit-base",
        ])
        .output()
        .context("docker does not start")?;
    let images = String::from_utf8_lossy(&images.stdout).into_owned();
    let image = images
        .lines()
        .next()
        .context("there is no vibepit-base image")?;
    let run = |network: &str| {
        let mut command = Command::new("docker");
        command.args(["run", "--rm", "--init", "--network", network]);
        for tree in ["/usr", "/lib", "/lib64"] {
            command.args(["--volume", &format!("{tree}:{tree}:ro")]);
        }
        command.args([image, "/usr/bin/echo", LINE]);
        command
    };
    Ok(time(&mut run("bridge"))? + time(&mut run("none"))?)
}

/// Until the command has written its line.
fn time(command: &mut Command) -> Result<u32> {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::null());
    let start = Instant::now();
    let mut child = command
        .spawn()
        .with_context(|| format!("{command:?} does not start"))?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("no output")?;
    BufReader::new(stdout).read_line(&mut line)?;
    let took = start.elapsed();
    let status = child.wait()?;
    ensure!(
        status.success() && line.trim() == LINE,
        "{command:?} failed: {status}, {line:?}"
    );
    Ok(u32::try_from(took.as_micros()).unwrap_or(u32::MAX))
}

fn times(mut micros: Vec<u32>) -> Cell {
    micros.sort_unstable();
    let mut cell = Cell::default();
    cell.set_times(&micros);
    cell
}
