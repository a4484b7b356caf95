//! `doctor`: what works here, and whether a sandbox holds.

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::api::{Finding, Held};
use crate::launcher::{Check, Checkup, Depth, Runtime, State, Surroundings, attack, look};
use crate::session::RuntimeDir;

use super::args::DoctorArgs;
use super::args::start::RuntimeChoice;
use super::failure::Failure;
use super::output::{Output, Tone, printable};

/// What `doctor --json` prints.
#[derive(Serialize)]
struct Answer<'a> {
    checks: &'a [Check],
    /// Nothing when none was asked for, or there is nothing to make a sandbox with.
    attack: Option<&'a Attack>,
    /// A session can be started, and nothing did not hold.
    ok: bool,
}

/// What came of the self-attack.
#[derive(Serialize)]
struct Attack {
    runtime: &'static str,
    findings: Vec<Finding>,
    /// Why there are none.
    error: Option<String>,
}

pub(super) async fn run(args: &DoctorArgs, out: &Output) -> Result<ExitCode, Failure> {
    let checkup = look(&Surroundings::of_this_process()).await;
    let runtime = runtime(args, &checkup)?;
    if !out.json {
        show_checks(&checkup.checks, out)?;
    }
    let attack = match &runtime {
        Some(runtime) if !args.no_attack => Some(tried(runtime).await),
        _ => None,
    };
    let holds = attack.as_ref().is_none_or(Attack::holds);
    let ok = runtime.is_some() && holds;
    if out.json {
        out.json(&Answer {
            checks: &checkup.checks,
            attack: attack.as_ref(),
            ok,
        })?;
    } else {
        match &attack {
            Some(attack) => show_attack(attack, out)?,
            None if runtime.is_none() => out.line("no session can be started here")?,
            None => {}
        }
    }
    Ok(match ok {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// What a session would be made with.
fn runtime(args: &DoctorArgs, checkup: &Checkup) -> Result<Option<Runtime>, Failure> {
    let engine = checkup.engine.clone().map(Runtime::Docker);
    let local = checkup.local.then_some(Runtime::Local);
    let choice = match args.runtime {
        Some(runtime) => runtime,
        None => RuntimeChoice::of_environment()?,
    };
    Ok(match choice {
        RuntimeChoice::Docker => engine,
        RuntimeChoice::Local => local,
        RuntimeChoice::Auto if checkup.engine_is_missed => None,
        RuntimeChoice::Auto => engine.or(local),
    })
}

async fn tried(runtime: &Runtime) -> Attack {
    let home = std::env::var_os("HOME")
        .map(PathBuf::from)
        .filter(|home| home.is_absolute());
    let findings = match RuntimeDir::open_or_create() {
        Ok(directory) => attack(runtime, directory, home, Depth::Full).await,
        Err(error) => Err(error.into()),
    };
    let error = findings.as_ref().err().map(|error| format!("{error:#}"));
    Attack {
        runtime: runtime.name(),
        findings: findings.unwrap_or_default(),
        error,
    }
}

impl Attack {
    /// It came to its end, and nothing did not hold.
    fn holds(&self) -> bool {
        self.error.is_none()
            && self
                .findings
                .iter()
                .all(|finding| finding.outcome != Held::NotHeld)
    }
}

fn show_checks(checks: &[Check], out: &Output) -> Result<(), Failure> {
    let mut group = "";
    for check in checks {
        if check.group != group {
            group = check.group;
            out.line(out.paint(Tone::Strong, group))?;
        }
        let (tone, word) = match check.state {
            State::Ok => (Tone::Good, "ok"),
            State::Warning => (Tone::Strong, "warning"),
            State::Problem => (Tone::Bad, "problem"),
            State::NotApplicable => (Tone::Dim, "-"),
        };
        line(out, tone, word, &check.says)?;
        if let Some(todo) = &check.todo {
            out.line(format!("            {}", printable(todo)))?;
        }
    }
    Ok(())
}

fn show_attack(attack: &Attack, out: &Output) -> Result<(), Failure> {
    out.line(out.paint(Tone::Strong, &format!("self-attack, {}", attack.runtime)))?;
    if let Some(error) = &attack.error {
        return line(out, Tone::Bad, "problem", error);
    }
    for finding in &attack.findings {
        let (tone, word) = word(finding.outcome);
        line(
            out,
            tone,
            word,
            &format!("{}: {}", finding.what, finding.seen),
        )?;
    }
    Ok(())
}

/// How an outcome is said.
pub(super) fn word(outcome: Held) -> (Tone, &'static str) {
    match outcome {
        Held::Held => (Tone::Good, "held"),
        Held::NotHeld => (Tone::Bad, "NOT HELD"),
        Held::NotApplicable => (Tone::Dim, "-"),
    }
}

/// One line, whose first column is told apart by more than its colour.
fn line(out: &Output, tone: Tone, word: &str, says: &str) -> Result<(), Failure> {
    let word = out.paint(tone, &format!("{word:<8}"));
    out.line(format!("  {word}  {}", printable(says)))
}
