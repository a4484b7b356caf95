//! From what was typed to a session that can be started: what `run` and `up` have in common.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::api::PolicyDocument;
use crate::config::agents::Agent;
use crate::config::tools::{self, GitIdentity};
use crate::config::{self, Unlisted};
use crate::launcher::{
    CannotRun, Engine, EngineError, Interrupted, KeeperClient, OffLimits, Policy, Project, Purpose,
    Request, Runtime, SelfTest, Surroundings, Variable, VolumeSpec, default_image,
};
use crate::session::{Found, RuntimeDir, live};

use super::agents::{self, Equipped};
use super::args::start::{RuntimeChoice, StartArgs};
use super::failure::{Failure, Kind};
use super::output::{Output, printable};
use super::policy::{self, Sources};
use super::{first_run, saved};

/// A session that can be started: everything that was typed is understood, and nothing is made.
pub(super) struct Prepared {
    pub(super) request: Request,
    pub(super) notify_command: Option<Vec<String>>,
    runtime: RuntimeChoice,
    around: Surroundings,
    sources: Arc<Sources>,
    /// What the session begins with, until it has begun.
    first: Arc<Mutex<Option<PolicyDocument>>>,
}

/// Understands what was typed.
pub(super) fn prepare(
    args: &StartArgs,
    path: Option<&Path>,
    purpose: Purpose,
    command: Vec<String>,
    agent: Option<&Agent>,
    otherwise: Unlisted,
) -> Result<Prepared, Failure> {
    let mut flags = policy::Flags::read(&args.allow, &args.presets, &args.asking, otherwise)?;
    let env = variables(&args.env)?;
    let volumes = each(&args.volume, |text| text.parse::<VolumeSpec>())?;
    let configured = policy::config()?;
    let image = args.image.clone().or(configured.image);
    if let Some(agent) = agent {
        flags.of_agent.clone_from(&agent.presets);
    }
    let runtime_dir = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    let around = Surroundings::of_this_process();
    let off_limits = OffLimits::of_host(&around.sockets(), &own_directories(&runtime_dir)?);
    let home = home();
    let start = path.unwrap_or_else(|| Path::new("."));
    let project = Project::find(start, home.as_deref(), &off_limits).map_err(Failure::usage)?;
    let sources = Arc::new(Sources {
        flags,
        project: Some(project.clone()),
        file: None,
    });
    let first = Arc::new(Mutex::new(None));
    let policy: Policy = {
        let (sources, first) = (Arc::clone(&sources), Arc::clone(&first));
        Arc::new(move || {
            let read = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            match read {
                Some(document) => Ok(document),
                None => read_policy(&sources, &|_| ()),
            }
        })
    };
    let tools = tools::Surroundings::of_this_process(Some(project.path()));
    Ok(Prepared {
        request: Request {
            decisions: Some(saved::of_project(project.path())),
            runtime_dir,
            project,
            off_limits,
            home,
            name: args.name.clone(),
            image,
            remote_path: args.remote_path.clone(),
            purpose,
            command,
            agent: agent.map(|agent| agent.name.clone()),
            login: Vec::new(),
            git: GitIdentity::of_person(&tools),
            env,
            volumes,
            allow_userns: args.allow_userns,
            policy,
            self_test: self_test(args),
            throw_away: None,
        },
        notify_command: configured.notify_command,
        runtime: match args.runtime {
            Some(runtime) => runtime,
            None => RuntimeChoice::of_environment()?,
        },
        around,
        sources,
        first,
    })
}

/// Reads everything that the policy is made of. What there is to say to the person goes to `tell`.
fn read_policy(sources: &Sources, tell: &dyn Fn(String)) -> anyhow::Result<PolicyDocument> {
    let gathered = sources
        .gather()
        .map_err(|failure| anyhow::anyhow!(failure.message))?;
    for notice in &gathered.notices {
        tell(format!("vibepit: {}", printable(notice)));
    }
    Ok(gathered.document(&sources.flags))
}

/// The project around a path, for commands that start nothing.
pub(super) fn project(path: &Path) -> Result<Project, Failure> {
    let runtime_dir = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    let sockets = Surroundings::of_this_process().sockets();
    let off_limits = OffLimits::of_host(&sockets, &own_directories(&runtime_dir)?);
    Project::find(path, home().as_deref(), &off_limits).map_err(Failure::usage)
}

fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.filter(|home| home.is_absolute())
}

impl Prepared {
    /// Gives the sandbox what its agent needs, once it is known what it is made of: asks about files
    /// that sign it in, if nobody has yet.
    pub(super) fn equip(&mut self, agent: &Agent, out: &Output) -> Result<(), Failure> {
        let request = &mut self.request;
        let arguments = std::mem::take(&mut request.command);
        let in_image = request.image.is_some();
        let equipped = Equipped::of(agent, arguments, &request.env, in_image)?;
        request.command = equipped.command;
        request.env.extend(equipped.env);
        request.volumes.extend(equipped.program);
        request.login = agents::login(agent, out)?;
        Ok(())
    }

    /// Asks which presets the project is to have, if nobody has said that yet.
    pub(super) fn first_run(&self, out: &Output) -> Result<(), Failure> {
        first_run::ask(&self.sources, out)
    }

    /// Reads the policy that the session begins with, before anything is made.
    pub(super) fn read_policy(&self, tell: &dyn Fn(String)) -> Result<(), Failure> {
        let document = read_policy(&self.sources, tell)?;
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        *first = Some(document);
        Ok(())
    }

    /// The session that its project has already, if it has one.
    ///
    /// # Errors
    /// When it has several.
    pub(super) async fn existing(&self) -> Result<Option<Found>, Failure> {
        let project = self.request.project.path();
        let mut found: Vec<Found> = live(&self.request.runtime_dir)
            .await
            .into_iter()
            .filter(|found| found.record.project_dir.as_deref() == Some(project))
            .filter(|found| KeeperClient::of(found).is_there())
            .collect();
        if found.len() > 1 {
            let names: Vec<_> = found
                .iter()
                .map(|found| printable(&found.record.name).into_owned())
                .collect();
            return Err(Failure::new(
                Kind::Choice,
                format!("this project has several sessions: {}", names.join(", ")),
            )
            .hint("vibepit exec --session NAME runs a command in one of them; run --new starts another"));
        }
        Ok(found.pop())
    }

    /// What the session is to be made with. The first line of output says which it is, and why.
    ///
    /// # Errors
    /// When the one that was asked for is not here. An engine that somebody named and that does not
    /// answer is missed, not passed over.
    pub(super) async fn runtime(
        &mut self,
        first_line: &dyn Fn(String),
    ) -> Result<Runtime, Failure> {
        let path = self.request.project.path().display().to_string();
        let project = printable(&path);
        let local = |why: &str| {
            if self.request.image.is_some() {
                return Err(Failure::usage(format!(
                    "an image needs a container engine, and {why}"
                )));
            }
            first_line(format!(
                "vibepit: local namespaces ({why}), project {project}"
            ));
            Ok(Runtime::Local)
        };
        if self.runtime == RuntimeChoice::Local {
            return local("as asked for");
        }
        match Engine::find(&self.around).await {
            Ok(_) if self.request.allow_userns => Err(Failure::usage(
                "--allow-userns is for --runtime local: an engine decides itself what its \
                 containers may do",
            )),
            Ok(engine) => {
                if engine.facts().remote && self.request.image.is_none() {
                    self.request.image = default_image(&engine).await?;
                }
                first_line(format!("vibepit: {}, project {project}", engine.facts()));
                Ok(Runtime::Docker(engine))
            }
            Err(EngineError::Nowhere(_)) if self.runtime == RuntimeChoice::Auto => {
                local("no container engine answers")
            }
            Err(error) => Err(Failure::failed(error).hint("--runtime local needs no engine")),
        }
    }
}

/// Whether the sandbox is attacked before the session starts. What is typed outranks the
/// environment.
fn self_test(args: &StartArgs) -> SelfTest {
    let off = std::env::var_os("VIBEPIT_NO_SELF_TEST").is_some_and(|value| !value.is_empty());
    match (args.self_test, args.no_self_test || off) {
        (true, _) => SelfTest::Now,
        (false, true) => SelfTest::Never,
        (false, false) => SelfTest::Once,
    }
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

/// Variables as they were typed.
pub(super) fn variables(texts: &[String]) -> Result<Vec<Variable>, Failure> {
    each(texts, |text| {
        Variable::parse(text, |name| std::env::var_os(name))
    })
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

/// What a start that did not come to its end is to a person, with the exit code that tells so.
pub(super) fn outcome(
    ended: anyhow::Result<i64>,
    out: &Output,
) -> Result<std::process::ExitCode, Failure> {
    match ended {
        Ok(exit_code) => Ok(code(exit_code)),
        Err(error) => {
            if let Some(cannot) = error.downcast_ref::<CannotRun>() {
                out.error(&cannot.to_string());
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

/// An exit code as a process can have one.
fn code(code: i64) -> std::process::ExitCode {
    std::process::ExitCode::from(u8::try_from(code).unwrap_or(1))
}
