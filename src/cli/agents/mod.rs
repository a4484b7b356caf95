//! `agents`: which agents there are, what each needs, and what of the person's each is given.

mod login;
mod start;

use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::agents::{Agent, AgentsError, Answers, agents};
use crate::launcher::Login;

use super::args::agents::{AgentsArgs, AgentsCommand};
use super::failure::{Failure, Kind};
use super::output::{Output, Tone, printable};

pub(super) use self::login::given as login;
pub(super) use self::start::{Equipped, as_first_word};

/// An agent in the list, as JSON.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    description: &'a str,
    /// Its program is on this machine.
    installed: bool,
    /// The person's own file, if it is theirs.
    file: Option<&'a PathBuf>,
}

/// An agent, as JSON.
#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    description: &'a str,
    command: &'a [String],
    program: Option<PathBuf>,
    install: Option<&'a str>,
    note: Option<&'a str>,
    presets: Vec<String>,
    environment: Vec<Variable<'a>>,
    login: Vec<File>,
    file: Option<&'a PathBuf>,
}

#[derive(Serialize)]
struct Variable<'a> {
    name: &'a str,
    set: bool,
}

#[derive(Serialize)]
struct File {
    /// Below the home directory.
    path: String,
    there: bool,
    /// What the person said: share, copy, no; nothing if they were not asked.
    answer: Option<String>,
    /// Why it is not given to any sandbox.
    fault: Option<String>,
}

pub(super) fn run(args: &AgentsArgs, out: &Output) -> Result<ExitCode, Failure> {
    match &args.command {
        None => list(out),
        Some(AgentsCommand::Show(args)) => show(&find(&args.name)?, out),
        Some(AgentsCommand::Login(args)) => login::answer(&find(&args.name)?, args, out),
    }
}

/// The agent of this name.
pub(super) fn find(name: &str) -> Result<Agent, Failure> {
    let agents = agents().map_err(invalid)?;
    let names: Vec<&str> = agents.iter().map(|agent| agent.name.as_str()).collect();
    let unknown = Failure::usage(format!(
        "there is no agent {name:?}; there are {}",
        names.join(", ")
    ))
    .hint("vibepit agents lists them; a file agents/NAME.toml beside config.toml adds one");
    agents
        .into_iter()
        .find(|agent| agent.name == name)
        .ok_or(unknown)
}

/// What is wrong with a file of the person's is a matter of what was typed into it.
fn invalid(error: AgentsError) -> Failure {
    let kind = match error {
        AgentsError::Content { .. } => Kind::Usage,
        _ => Kind::Failed,
    };
    Failure::new(kind, error)
}

/// The person's home directory.
fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    home.filter(|home| home.is_absolute())
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

fn list(out: &Output) -> Result<ExitCode, Failure> {
    let agents = agents().map_err(invalid)?;
    let listed: Vec<_> = agents
        .iter()
        .map(|agent| Listed {
            name: &agent.name,
            description: &agent.description,
            installed: agent.command.is_empty() || start::program(agent).is_some(),
            file: agent.file.as_ref(),
        })
        .collect();
    if out.json {
        out.json(&serde_json::json!({ "agents": listed }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |one: &Listed<'_>| {
        let installed = if one.installed { "yes" } else { "-" };
        let cells = [one.name, installed, one.description];
        cells.map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = listed.iter().map(row).collect();
    out.table(&["AGENT", "INSTALLED", "WHAT"], &rows)?;
    out.note("vibepit NAME starts one in a sandbox; vibepit agents show NAME tells what it gets");
    Ok(ExitCode::SUCCESS)
}

fn show(agent: &Agent, out: &Output) -> Result<ExitCode, Failure> {
    let answers = Answers::read().map_err(invalid)?;
    let home = home();
    let file = |file: &crate::config::agents::LoginFile| {
        let found = home.as_ref().map(|home| Login::is_there(home, file));
        let (there, fault) = match found {
            Some(Ok(there)) => (there, None),
            Some(Err(error)) => (true, Some(error.why)),
            None => (false, None),
        };
        File {
            path: file.to_string(),
            there,
            answer: answers
                .about(&agent.name, file)
                .map(|answer| answer.to_string()),
            fault,
        }
    };
    let shown = Shown {
        name: &agent.name,
        description: &agent.description,
        command: &agent.command,
        program: start::program(agent),
        install: agent.install.as_deref(),
        note: agent.note.as_deref(),
        presets: agent.presets.iter().map(ToString::to_string).collect(),
        environment: agent
            .environment
            .iter()
            .map(|name| Variable {
                name,
                set: is_set(name),
            })
            .collect(),
        login: agent.login.iter().map(file).collect(),
        file: agent.file.as_ref(),
    };
    if out.json {
        out.json(&shown)?;
    } else {
        tell(&shown, out)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tell(shown: &Shown<'_>, out: &Output) -> Result<(), Failure> {
    let head = format!("{}: {}", shown.name, printable(shown.description));
    out.line(out.paint(Tone::Strong, &head))?;
    let line = |what: &str, text: &str| out.line(format!("  {what:<12} {}", printable(text)));
    match shown.command {
        [] => line("command", "the shell")?,
        command => line("command", &command.join(" "))?,
    }
    match (&shown.program, shown.command) {
        (_, []) => {}
        (Some(program), _) => line("program", &program.display().to_string())?,
        (None, _) => {
            let how = shown
                .install
                .map_or_else(String::new, |how| format!(": {how}"));
            line("program", &format!("not on this machine{how}"))?;
        }
    }
    for preset in &shown.presets {
        line("preset", preset)?;
    }
    for variable in &shown.environment {
        let set = if variable.set { ", which is set" } else { "" };
        line("variable", &format!("{}{set}", variable.name))?;
    }
    for file in &shown.login {
        let state = match (&file.fault, &file.answer, file.there) {
            (Some(why), ..) => format!("is given to no sandbox: {why}"),
            (None, Some(answer), _) => answer.clone(),
            (None, None, true) => "asked about at the first start".to_owned(),
            (None, None, false) => "not there".to_owned(),
        };
        line("login", &format!("~/{}: {state}", file.path))?;
    }
    if let Some(note) = shown.note {
        line("note", note)?;
    }
    if let Some(file) = shown.file {
        line("file", &file.display().to_string())?;
    }
    Ok(())
}
