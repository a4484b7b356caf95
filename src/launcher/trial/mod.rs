//! The self-attack as seen from the host: a throw-away session, whose sandbox tries to get out of
//! it, and the judgement of what came of that. What is tried, and how, is not known here.

mod conversation;
mod ground;
mod listeners;
mod stamp;
mod targets;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use self::conversation::converse;
use self::ground::Ground;
use self::listeners::Listeners;
use self::stamp::Stamp;
use super::docker;
use super::image;
use super::local;
use super::offlimits::OffLimits;
use super::project::Project;
use super::proxy::Proxy;
use super::report::{Pull, Report};
use super::request::{Purpose, Request, SelfTest};
use super::sandbox::Variable;
use super::session::{Launch, Runtime, Started};
use super::signals::Signals;
use super::undo::Undo;
use crate::api::{Finding, Held};
use crate::config::tools::GitIdentity;
use crate::session::{Record, RuntimeDir, SessionDir, SessionId};

/// How long the attack may take in all. It takes a fraction of a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Where the sandbox has this very executable.
const PROGRAM: &str = "/mnt/vibepit";

/// How thoroughly the sandbox is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Before a session starts: somebody waits.
    Quick,
    /// As far as there is anything to search.
    Full,
}

impl Depth {
    /// How long its file system is searched for sockets.
    fn search(self) -> Duration {
        match self {
            Self::Quick => Duration::from_millis(200),
            Self::Full => Duration::from_secs(5),
        }
    }
}

/// Starts a throw-away session, attacks from within, and takes everything away again.
///
/// # Errors
///
/// When the session does not start, or the attack does not come to its end: then nothing is known
/// of the sandbox. A sandbox that does not hold is no error, but what the findings say.
pub async fn attack(
    runtime: &Runtime,
    runtime_dir: RuntimeDir,
    home: Option<PathBuf>,
    depth: Depth,
) -> Result<Vec<Finding>> {
    let mut signals = Signals::listen()?;
    let mut trial = Trial::begin(runtime_dir, home)?;
    let outcome = trial.attack(runtime, depth, &mut signals).await;
    let left = trial.take_away().await;
    let findings = outcome?;
    match left.is_empty() {
        true => Ok(findings),
        false => bail!(
            "the self-attack's session could not be taken away: {}; vibepit prune will try again",
            left.join("; ")
        ),
    }
}

/// A sandbox that is a way out.
#[derive(Debug, thiserror::Error)]
#[error(
    "a sandbox of {0} does not hold, so no session is started; vibepit doctor shows every try, and \
     --no-self-test starts one all the same"
)]
pub struct NotHeld(String);

/// A session may start. What the trial has left is being taken away meanwhile.
pub(crate) struct Passed(Option<JoinHandle<Vec<String>>>);

impl Passed {
    /// Waits until nothing of the trial is left: what could not be taken away, as sentences.
    pub(crate) async fn over(self) -> Vec<String> {
        match self.0 {
            Some(taken_away) => taken_away.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

/// Lets a session start only where a sandbox holds: this once, or as it is known from before.
///
/// # Errors
///
/// [`NotHeld`] when it is a way out, each of which is told as a warning first; and as [`attack`],
/// as a sandbox of which nothing is known is none.
pub(crate) async fn gate(
    runtime: &Runtime,
    request: &Request,
    report: &dyn Report,
    signals: &mut Signals,
) -> Result<Passed> {
    let stamp = Stamp::of(runtime);
    match request.self_test {
        SelfTest::Never => return Ok(Passed(None)),
        SelfTest::Once if stamp.is_known() => return Ok(Passed(None)),
        SelfTest::Once | SelfTest::Now => {}
    }
    report.step("trying to get out of a sandbox");
    let runtime_dir = RuntimeDir::open_or_create_at(request.runtime_dir.path())?;
    let mut trial = Trial::begin(runtime_dir, request.home.clone())?;
    let outcome = trial
        .attack(runtime, Depth::Quick, signals)
        .await
        .context("whether a sandbox holds here could not be found out");
    let taken_away = Passed(Some(tokio::spawn(trial.take_away())));
    let open = outcome.as_deref().map(ways_out).unwrap_or_default();
    if outcome.is_ok() && open.is_empty() {
        if let Err(error) = stamp.remember() {
            report.warning(&format!("{error}; the next session is tested again"));
        }
        return Ok(taken_away);
    }
    for line in open {
        report.warning(&line);
    }
    for sentence in taken_away.over().await {
        report.warning(&sentence);
    }
    outcome.and_then(|_| Err(NotHeld(stamp.shown()).into()))
}

/// A line for each try that was not held.
fn ways_out(findings: &[Finding]) -> Vec<String> {
    findings
        .iter()
        .filter(|finding| finding.outcome == Held::NotHeld)
        .map(|finding| format!("NOT HELD  {}: {}", finding.what, finding.seen))
        .collect()
}

/// A throw-away session: what there is of it, and how it is taken away.
struct Trial {
    ground: Ground,
    /// The person's home.
    home: Option<PathBuf>,
    directory: SessionDir,
    runtime_dir: RuntimeDir,
    undo: Undo,
    proxy: Option<Proxy>,
}

impl Trial {
    fn begin(runtime_dir: RuntimeDir, home: Option<PathBuf>) -> Result<Self> {
        let ground = Ground::make(home.as_deref())
            .context("there is no place for the self-attack's project")?;
        let id = SessionId::random().context("no random bytes for the session's id")?;
        Ok(Self {
            ground,
            home,
            directory: SessionDir::create(&runtime_dir, &id)?,
            runtime_dir,
            undo: Undo::default(),
            proxy: None,
        })
    }

    /// Takes everything away; what resists is told in sentences, and found by the next prune.
    async fn take_away(self) -> Vec<String> {
        if let Some(proxy) = self.proxy {
            proxy.link.end().await;
        }
        let mut left = self.undo.run().await;
        // Last: a directory whose lock is held tells everybody that its containers are in use.
        let removed = self.directory.remove();
        left.extend(removed.err().map(|error| error.to_string()));
        left
    }

    async fn attack(
        &mut self,
        runtime: &Runtime,
        depth: Depth,
        signals: &mut Signals,
    ) -> Result<Vec<Finding>> {
        let home = self.home.clone();
        let request = request(runtime, &self.ground, &self.runtime_dir, home).await?;
        let launch = Launch {
            request: &request,
            report: &Silent,
            directory: &self.directory,
            name: "self-test".to_owned(),
        };
        let listeners = Listeners::open(&self.ground.outside())
            .context("the self-attack has no place to listen for what gets out")?;
        let Started {
            proxy,
            sandbox,
            main,
        } = match runtime {
            Runtime::Docker(engine) => {
                docker::start(&launch, engine, &mut self.undo, signals).await?
            }
            Runtime::Local => local::start(&launch, &mut self.undo, signals).await?,
        };
        let proxy = self.proxy.insert(proxy);
        signals.check()?;
        // The command waits for these before it tries anything.
        let targets = targets::of(&launch, runtime, &self.ground, proxy, &listeners, depth).await;
        let targets = serde_json::to_vec(&targets)?;
        let said = timeout(PATIENCE, converse(main, &targets));
        let said = signals.unless_called_off(said).await?;
        let said = said.context("the self-attack came to no end")??;
        drop(sandbox);
        let findings = read(&said)?;
        let arrived = tokio::task::spawn_blocking(move || listeners.arrived()).await?;
        Ok(judge(findings, arrived, &self.ground))
    }
}

/// A request for a session that nobody works in.
async fn request(
    runtime: &Runtime,
    ground: &Ground,
    runtime_dir: &RuntimeDir,
    home: Option<PathBuf>,
) -> Result<Request> {
    let off_limits = OffLimits::default();
    let mut request = Request {
        runtime_dir: RuntimeDir::open_or_create_at(runtime_dir.path())?,
        project: Project::find(&ground.project(), home.as_deref(), &off_limits)?,
        off_limits,
        home,
        name: None,
        image: None,
        remote_path: None,
        decisions: None,
        purpose: Purpose::Command,
        command: Vec::new(),
        agent: None,
        login: Vec::new(),
        git: GitIdentity::default(),
        env: Vec::new(),
        volumes: Vec::new(),
        policy: targets::policy(),
        allow_userns: false,
        self_test: SelfTest::Never,
        throw_away: Some(ground.state()),
    };
    let program = match runtime {
        // Nothing of this machine is there: but the image of the proxy is, which has all it needs.
        Runtime::Docker(engine) if engine.facts().remote => {
            let executable = image::of_this_process(&engine.docker).await?;
            request.image = Some(executable.image.0);
            if !executable.library_path.is_empty() {
                let libraries = format!("LD_LIBRARY_PATH={}", executable.library_path);
                request.env.push(Variable::parse(&libraries, |_| None)?);
            }
            executable.program
        }
        Runtime::Docker(_) | Runtime::Local => {
            let program = std::fs::read_link("/proc/self/exe")
                .context("the running vibepit does not find its own executable")?;
            let volume = format!("{}:{PROGRAM}:ro", program.display());
            request.volumes.push(volume.parse()?);
            PROGRAM.to_owned()
        }
    };
    request.command = [&*program, "attack", "--stdin"].map(str::to_owned).to_vec();
    Ok(request)
}

/// One finding a line, and nothing else.
fn read(said: &[u8]) -> Result<Vec<Finding>> {
    let lines = said
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let findings: Result<Vec<Finding>, _> = lines.map(serde_json::from_slice).collect();
    let findings = findings.with_context(|| {
        let said = String::from_utf8_lossy(said);
        format!("the self-attack said something else: {}", said.trim())
    })?;
    match findings.is_empty() {
        true => bail!("the self-attack found nothing out"),
        false => Ok(findings),
    }
}

/// What the inside says, held against what the outside saw.
fn judge(
    mut findings: Vec<Finding>,
    arrived: std::io::Result<Vec<String>>,
    ground: &Ground,
) -> Vec<Finding> {
    let (outcome, seen) = match arrived {
        Ok(arrived) if arrived.is_empty() => (
            Held::Held,
            "nothing, and they hear what does arrive".to_owned(),
        ),
        Ok(arrived) => (Held::NotHeld, arrived.join("; ")),
        Err(error) => (Held::NotHeld, format!("they do not hear: {error}")),
    };
    findings.push(Finding {
        name: "arrivals".to_owned(),
        what: "what arrived outside, at listeners on every address of this machine".to_owned(),
        outcome,
        seen,
    });
    if let Some(change) = ground.changed() {
        let said = "project-settings";
        for finding in findings.iter_mut().filter(|finding| finding.name == said) {
            finding.outcome = Held::NotHeld;
            finding.seen.clone_from(&change);
        }
    }
    findings
}

/// Nobody watches this start.
struct Silent;

impl Report for Silent {
    fn step(&self, _what: &str) {}
    fn warning(&self, _what: &str) {}
    fn ready(&self, _session: &Record) {}
    fn pulling(&self, _pull: &Pull) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(name: &str) -> Finding {
        Finding {
            name: name.to_owned(),
            what: String::new(),
            outcome: Held::Held,
            seen: String::new(),
        }
    }

    #[test]
    fn what_arrives_outside_outweighs_what_the_inside_says() {
        let ground = Ground::make(None).unwrap();
        let judged = |arrived| judge(vec![finding("direct")], arrived, &ground);
        let last = |findings: Vec<Finding>| findings.last().cloned().unwrap();
        assert_eq!(last(judged(Ok(Vec::new()))).outcome, Held::Held);
        let arrived = last(judged(Ok(vec!["a datagram".to_owned()])));
        assert_eq!(
            (arrived.outcome, &*arrived.seen),
            (Held::NotHeld, "a datagram")
        );
        let deaf = judged(Err(std::io::Error::other("deaf")));
        assert_eq!(last(deaf).outcome, Held::NotHeld);
    }

    #[test]
    fn settings_that_changed_on_the_host_are_not_held_whatever_the_inside_says() {
        let ground = Ground::make(None).unwrap();
        std::fs::write(ground.project().join(".vibepit/more"), "").unwrap();
        let judged = judge(vec![finding("project-settings")], Ok(Vec::new()), &ground);
        assert_eq!(judged[0].outcome, Held::NotHeld);
    }

    #[test]
    fn an_attack_that_says_nothing_or_something_else_is_no_proof() {
        assert!(read(b"").is_err());
        assert!(read(b"\n").is_err());
        let error = read(b"exec format error\n").unwrap_err().to_string();
        assert!(error.contains("exec format error"), "{error}");
        let line = serde_json::to_string(&finding("direct")).unwrap();
        assert_eq!(read(format!("{line}\n").as_bytes()).unwrap().len(), 1);
    }
}
