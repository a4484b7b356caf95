//! From an agent to what its sandbox is started with.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::config::agents::{Agent, agents};
use crate::launcher::{Variable, VolumeSpec, sees_program};

use super::super::args::start::RunArgs;
use super::super::failure::Failure;
use super::{invalid, is_set};

/// Where a program is that the sandbox does not see in its own place.
const ELSEWHERE: &str = "/mnt/vibepit-agent";

/// What an agent brings to a sandbox.
pub(in crate::cli) struct Equipped {
    pub(in crate::cli) command: Vec<String>,
    pub(in crate::cli) env: Vec<Variable>,
    /// Its program, where the sandbox would not see it.
    pub(in crate::cli) program: Option<VolumeSpec>,
}

/// Takes the first word for an agent's name, if it is one's. A path by that name goes behind `run`.
pub(in crate::cli) fn as_first_word(mut args: RunArgs) -> Result<RunArgs, Failure> {
    let word = args.path.as_deref().and_then(Path::to_str);
    let Some(word) = word.filter(|word| !word.contains(['/', '.'])) else {
        return Ok(args);
    };
    let mut agents = agents().map_err(invalid)?.into_iter();
    if args.agent.is_none() && agents.any(|agent| agent.name == word) {
        args.agent = Some(word.to_owned());
        args.path = None;
    }
    Ok(args)
}

impl Equipped {
    /// Puts together what the agent is started with: `arguments` are the person's, and so are the
    /// `variables` that the agent's do not outrank.
    pub(in crate::cli) fn of(
        agent: &Agent,
        arguments: Vec<String>,
        variables: &[Variable],
        in_image: bool,
    ) -> Result<Self, Failure> {
        let mut command = agent.command.clone();
        let mut program = None;
        if let Some(first) = command.first_mut().filter(|_| !in_image)
            && let Some((place, volume)) = seen(agent)?
        {
            *first = place;
            program = Some(volume);
        }
        command.extend(arguments);
        let given = |name: &&String| {
            let mut variables = variables.iter();
            variables.any(|variable| variable.name() == name.as_str())
        };
        let env = agent
            .environment
            .iter()
            .filter(|name| is_set(name) && !given(name))
            .map(|name| {
                Variable::parse(name, |name| std::env::var_os(name)).map_err(Failure::usage)
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            command,
            env,
            program,
        })
    }
}

/// The agent's program on this machine: one that a sandbox sees, before one that it does not.
pub(super) fn program(agent: &Agent) -> Option<PathBuf> {
    let name = Path::new(agent.command.first()?);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let runs = |path: &PathBuf| {
        let executable = nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok();
        path.is_absolute() && executable && path.is_file()
    };
    // An absolute name stays itself.
    let places = std::env::split_paths(&path).map(|directory| directory.join(name));
    let found: Vec<PathBuf> = places.filter(runs).collect();
    let seen = found.iter().find(|path| sees_program(path));
    seen.or_else(|| found.first()).cloned()
}

/// Where the program is mounted, if the sandbox does not have it in its own place.
fn seen(agent: &Agent) -> Result<Option<(String, VolumeSpec)>, Failure> {
    let name = &agent.name;
    let Some(found) = program(agent) else {
        let failure = Failure::failed(format!("{name} is not installed on this machine"));
        return Err(match &agent.install {
            Some(how) => failure.hint(format!("{how}; or --image IMAGE, with one that has it")),
            None => failure.hint("--image IMAGE takes an image that has it"),
        });
    };
    if sees_program(&found) {
        return Ok(None);
    }
    let cannot = |error| Failure::failed(format!("{} cannot be read: {error}", found.display()));
    let real = found.canonicalize().map_err(cannot)?;
    let mut head = [0; 4];
    let read = File::open(&real).and_then(|mut file| file.read(&mut head));
    if read.map_err(cannot)? < head.len() || head != *b"\x7fELF" {
        return Err(Failure::failed(format!(
            "{name} is {}, where a sandbox does not see it, and more than one file belongs to it",
            found.display()
        ))
        .hint(
            "install it for the whole machine (in /usr/local or /opt), or use --image with an image \
             that has it: vibepit image build makes one",
        ));
    }
    let place = format!("{ELSEWHERE}/{name}");
    let volume = format!("{}:{place}:ro", real.display());
    Ok(Some((place, volume.parse().map_err(Failure::usage)?)))
}
