//! What of the person's home an agent is given to be signed in: asked once for each file, remembered
//! in the person's configuration.

use std::io::{self, BufRead, IsTerminal, Write};
use std::process::ExitCode;

use crate::config::agents::{Agent, Answer, Answers, LoginFile};
use crate::launcher::Login;

use super::super::args::agents::AgentsLoginArgs;
use super::super::failure::Failure;
use super::super::output::{Output, printable};
use super::{home, invalid};

/// What an agent's sandbox is given. Asks about those files that are there and were not asked about.
/// Where nobody can be asked, the sandbox does without them, and the person is told how to change
/// that.
pub(in crate::cli) fn given(agent: &Agent, out: &Output) -> Result<Vec<Login>, Failure> {
    let mut answers = Answers::read().map_err(invalid)?;
    ask(agent, &mut answers, out)?;
    let login = agent.login.iter().filter_map(|file| {
        let shared = match answers.about(&agent.name, file)? {
            Answer::Share => true,
            Answer::Copy => false,
            Answer::No => return None,
        };
        Some(Login {
            file: file.clone(),
            shared,
        })
    });
    Ok(login.collect())
}

fn ask(agent: &Agent, answers: &mut Answers, out: &Output) -> Result<(), Failure> {
    let mut open = Vec::new();
    let Some(home) = home() else { return Ok(()) };
    for file in &agent.login {
        match Login::is_there(&home, file) {
            Ok(true) if answers.about(&agent.name, file).is_none() => open.push(file),
            Ok(_) => {}
            Err(error) => out.warn(printable(&error.to_string())),
        }
    }
    if open.is_empty() {
        return Ok(());
    }
    if !can_ask(out) {
        for file in open {
            out.note(format!(
                "vibepit: {} is signed in by ~/{}, and its sandbox does without: vibepit agents \
                 login {} --share {} (or --copy) gives it that, --no ends this message",
                agent.name,
                printable(&file.to_string()),
                agent.name,
                typed(file)
            ));
        }
        return Ok(());
    }
    for file in open {
        let answer = question(agent, file)?;
        answers.put(&agent.name, file, answer);
    }
    answers.keep().map_err(invalid)?;
    Ok(())
}

/// Takes answers that were typed, or asks about every file.
pub(super) fn answer(
    agent: &Agent,
    args: &AgentsLoginArgs,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let mut answers = Answers::read().map_err(invalid)?;
    let mut typed = Vec::new();
    for (files, answer) in [
        (&args.share, Answer::Share),
        (&args.copy, Answer::Copy),
        (&args.no, Answer::No),
    ] {
        for text in files {
            typed.push((file_of(agent, text)?, answer));
        }
    }
    if typed.is_empty() {
        if !can_ask(out) {
            return Err(
                Failure::usage("there is no terminal to ask in").hint(format!(
                    "vibepit agents login {} --share FILE, --copy FILE or --no FILE answers",
                    agent.name
                )),
            );
        }
        for file in &agent.login {
            typed.push((file, question(agent, file)?));
        }
    }
    if typed.is_empty() {
        out.note(format!("{} needs no file to be signed in", agent.name));
        return Ok(ExitCode::SUCCESS);
    }
    for (file, answer) in &typed {
        answers.put(&agent.name, file, *answer);
    }
    let path = answers.keep().map_err(invalid)?;
    let path = path.display().to_string();
    out.note(format!("remembered in {}", printable(&path)));
    Ok(ExitCode::SUCCESS)
}

/// A file of the agent's, by its path in the home or with that in front.
fn file_of<'a>(agent: &'a Agent, text: &str) -> Result<&'a LoginFile, Failure> {
    let below = text.strip_prefix("~/").unwrap_or(text).to_owned();
    let below = match home() {
        Some(home) => match std::path::Path::new(text).strip_prefix(&home) {
            Ok(below) => below.to_string_lossy().into_owned(),
            Err(_) => below,
        },
        None => below,
    };
    let mut files = agent.login.iter();
    files.find(|file| file.to_string() == below).ok_or_else(|| {
        let files: Vec<String> = agent.login.iter().map(ToString::to_string).collect();
        Failure::usage(match files.is_empty() {
            true => format!("{} needs no file to be signed in", agent.name),
            false => format!(
                "{} is not signed in by {below:?}, but by {}",
                agent.name,
                files.join(", ")
            ),
        })
    })
}

fn can_ask(out: &Output) -> bool {
    !out.json && io::stdin().is_terminal() && io::stderr().is_terminal()
}

fn question(agent: &Agent, file: &LoginFile) -> Result<Answer, Failure> {
    let (name, path) = (&agent.name, file.to_string());
    let mut stderr = io::stderr().lock();
    write!(
        stderr,
        "\n{name} is signed in by ~/{}. Its sandboxes may\n\
         \x20 s  share it: the file itself, which they may change, too\n\
         \x20 c  have a copy in their own home, made where it is not there yet\n\
         \x20 n  do without: you sign in there, once in each project\n\
         This is remembered; vibepit agents login {name} changes it.\n",
        printable(&path)
    )?;
    loop {
        write!(stderr, "[s/c/n] > ")?;
        stderr.flush()?;
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        match line.trim() {
            // The end of input is no answer.
            _ if read == 0 => {
                return Err(Failure::failed(
                    "nothing was started, and nothing remembered",
                ));
            }
            "s" | "share" => return Ok(Answer::Share),
            "c" | "copy" => return Ok(Answer::Copy),
            "n" | "no" => return Ok(Answer::No),
            _ => {}
        }
    }
}

/// A path as a shell takes it.
fn typed(file: &LoginFile) -> String {
    let text = file.to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    match text.chars().all(plain) {
        true => text,
        false => format!("'{}'", printable(&text).replace('\'', r"'\''")),
    }
}
