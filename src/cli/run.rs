//! `run`: a command in a sandbox, from the first step to the last.

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use tokio::sync::mpsc;

use crate::config::{self, Unlisted};
use crate::launcher::{
    CannotRun, Engine, Interrupted, OffLimits, Policy, Project, Request, Variable, VolumeSpec,
    run as launch, socket_path,
};
use crate::session::RuntimeDir;

use super::args::RunArgs;
use super::attendants::Attendants;
use super::failure::{Failure, Kind};
use super::output::{Output, printable};
use super::policy;
use super::progress::Progress;

pub(super) async fn run(args: RunArgs, out: &Output) -> Result<ExitCode, Failure> {
    // Everything that was typed is understood before anything is made.
    let mut asking = args.asking;
    asking.ask |= args.prompt;
    let alone = nobody_can_be_asked();
    let otherwise = match alone {
        true => Unlisted::Reject,
        false => Unlisted::RequestApproval,
    };
    let flags = policy::Flags::read(&args.allow, &asking, otherwise)?;
    if args.prompt && !(stdin().is_terminal() && stderr().is_terminal()) {
        return Err(
            Failure::usage("--prompt asks in the terminal, and there is none")
                .hint("in another terminal, vibepit pending --watch shows what waits"),
        );
    }
    let env = each(&args.env, |text| {
        Variable::parse(text, |name| std::env::var_os(name))
    })?;
    let volumes = each(&args.volume, |text| text.parse::<VolumeSpec>())?;
    let configured = policy::config()?;
    let runtime_dir = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    let socket = engine_socket()?;
    let off_limits = OffLimits::of_host(&socket, &own_directories(&runtime_dir)?);
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let start = args.path.unwrap_or_else(|| Path::new(".").to_owned());
    let project = Project::find(&start, home.as_deref(), &off_limits).map_err(Failure::usage)?;
    let engine = Engine::connect(socket).await.map_err(Failure::failed)?;

    let facts = engine.facts();
    let kind = if facts.rootless { "rootless " } else { "" };
    out.note(format!(
        "vibepit: {kind}Docker {}, project {}",
        facts.version,
        printable(&project.path().display().to_string())
    ));
    let policy: Policy = Arc::new(move || {
        let config = policy::config().map_err(|failure| anyhow::anyhow!(failure.message))?;
        Ok(policy::document(config, &flags))
    });
    let request = Request {
        runtime_dir,
        project,
        off_limits,
        home,
        name: args.name,
        image: args.image.or(configured.image),
        command: args.command,
        env,
        volumes,
        policy,
    };
    let (desk, words) = mpsc::channel(1);
    let attendants = Attendants::new(
        configured.notify_command,
        args.prompt.then_some(desk),
        alone,
    );
    let progress = Progress::new(out, attendants);
    let outcome = launch(&engine, &request, &progress, words).await;
    progress.end().await;
    match outcome {
        Ok(outcome) => Ok(code(outcome.exit_code)),
        Err(error) => {
            if let Some(cannot) = error.downcast_ref::<CannotRun>() {
                out.warn(cannot.to_string());
                return Ok(code(cannot.exit_code));
            }
            if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
                out.note(interrupted.to_string());
                return Ok(code(interrupted.exit_code()));
            }
            Err(error.into())
        }
    }
}

/// A job of a CI service (they all set CI) without any terminal.
fn nobody_can_be_asked() -> bool {
    let is_ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    is_ci && !(stdin().is_terminal() || stdout().is_terminal() || stderr().is_terminal())
}

/// The engine's socket; an engine that cannot be reached this way is told as such.
pub(super) fn engine_socket() -> Result<PathBuf, Failure> {
    let docker_host = std::env::var("DOCKER_HOST").ok();
    socket_path(docker_host.as_deref()).map_err(Failure::failed)
}

/// Where it is decided what the sandbox may reach: never within its own reach.
fn own_directories(runtime_dir: &RuntimeDir) -> Result<Vec<PathBuf>, Failure> {
    let config = config::config_file().map_err(Failure::failed)?;
    let state = config::state_dir().map_err(Failure::failed)?;
    let config = config.parent().map(Path::to_owned);
    Ok([Some(runtime_dir.path().to_owned()), config, Some(state)]
        .into_iter()
        .flatten()
        .collect())
}

fn each<T, E: std::fmt::Display>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, Failure> {
    texts
        .iter()
        .map(|text| parse(text).map_err(|error| Failure::new(Kind::Usage, error)))
        .collect()
}

/// An exit code as a process can have one.
fn code(code: i64) -> ExitCode {
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
