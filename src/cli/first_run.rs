//! The first start in a project: which presets it looks as if it needed, what each would open, and
//! the person's choice, which is remembered. Nothing is opened unless somebody says so.

use std::io::{self, BufRead, IsTerminal, Write};

use crate::config::{self, tools};
use crate::launcher::Project;
use crate::policy::{Entry, PresetName};

use super::failure::Failure;
use super::output::{Output, printable};
use super::policy::{self, Sources};

/// Columns of the narrowest terminal.
const COLUMNS: usize = 78;

/// A preset that can be chosen.
struct Choice {
    name: PresetName,
    /// What it opens.
    entries: Vec<Entry>,
    /// What its tool could not say.
    faults: Vec<String>,
    ticked: bool,
}

/// Asks which presets the project is to have, where that was not said yet.
///
/// # Errors
/// When the person wants nothing to be started, or the choice cannot be kept.
pub(super) fn ask(sources: &Sources, out: &Output) -> Result<(), Failure> {
    let flags = &sources.flags;
    let Some(project) = &sources.project else {
        return Ok(());
    };
    if flags.no_presets || !flags.presets.is_empty() || sources.config()?.presets.is_some() {
        return Ok(());
    }
    let detected = policy::detected(project);
    let said = config::chosen(project.path()).map_err(Failure::failed)?;
    if detected.is_empty() || said.is_some() {
        return Ok(());
    }
    if out.json || !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        out.note(unasked(&detected));
        return Ok(());
    }
    let chosen = choose(project, &detected, out)?;
    config::choose(project.path(), &chosen).map_err(|error| {
        Failure::failed(error).hint("vibepit run --no-presets starts without any")
    })?;
    Ok(())
}

/// What is said where nobody can be asked.
fn unasked(detected: &[PresetName]) -> String {
    let names: Vec<_> = detected.iter().map(ToString::to_string).collect();
    let options: Vec<_> = names
        .iter()
        .map(|name| format!("--preset {name}"))
        .collect();
    format!(
        "vibepit: this project looks as if it needed {}; nothing is opened for that: {} would, \
         vibepit presets show NAME says what, and --no-presets ends this message",
        names.join(", "),
        options.join(" ")
    )
}

fn choose(
    project: &Project,
    detected: &[PresetName],
    out: &Output,
) -> Result<Vec<PresetName>, Failure> {
    let around = policy::around(Some(project));
    let asked: Vec<_> = detected
        .iter()
        .filter(|name| name.preset().tool.is_some())
        .map(ToString::to_string)
        .collect();
    if !asked.is_empty() {
        out.note(format!(
            "vibepit: asking {} where packages come from",
            asked.join(", ")
        ));
    }
    let mut choices = look(detected, &around)?;
    let path = project.path().display().to_string();
    say(&format!(
        "\nFirst start in {}, which looks as if it needed these presets:",
        printable(&path)
    ))?;
    loop {
        show(&choices)?;
        say(
            "A number switches a preset on or off; a name (see vibepit presets) adds one.\n\
             Enter opens what is ticked, none opens nothing, quit starts nothing.\n\
             This is remembered for the project; whatever else is asked for waits for you.",
        )?;
        let mut stderr = io::stderr().lock();
        write!(stderr, "> ")?;
        stderr.flush()?;
        drop(stderr);
        let mut line = String::new();
        let read = io::stdin().lock().read_line(&mut line)?;
        let words: Vec<&str> = line.split([' ', ',', '\t', '\n', '\r']).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            // The end of input is no yes.
            _ if read == 0 => return Err(nothing_started()),
            [] => {
                let ticked = choices.iter().filter(|choice| choice.ticked);
                return Ok(ticked.map(|choice| choice.name).collect());
            }
            ["none" | "n"] => return Ok(Vec::new()),
            ["quit" | "q"] => return Err(nothing_started()),
            words => {
                for word in words {
                    if let Err(why) = switch(word, &mut choices, &around)? {
                        say(&printable(&why))?;
                    }
                }
            }
        }
    }
}

fn nothing_started() -> Failure {
    Failure::failed("nothing was started, and nothing remembered")
        .hint("vibepit run --no-presets starts without a question")
}

/// What presets open.
fn look(names: &[PresetName], around: &tools::Surroundings) -> Result<Vec<Choice>, Failure> {
    let told = policy::ask(names, around);
    let choice = |name: PresetName| {
        let (entries, faults) = match told.iter().find(|(other, _)| *other == name) {
            Some((_, told)) => (policy::with_remembered(name, told)?, told.faults.clone()),
            None => {
                let names = name.with_included().into_iter();
                (
                    names.flat_map(PresetName::entries).cloned().collect(),
                    Vec::new(),
                )
            }
        };
        Ok(Choice {
            name,
            entries,
            faults,
            ticked: true,
        })
    };
    names.iter().copied().map(choice).collect()
}

/// Switches what a word names. The inner error is a sentence for the person.
fn switch(
    word: &str,
    choices: &mut Vec<Choice>,
    around: &tools::Surroundings,
) -> Result<Result<(), String>, Failure> {
    if let Ok(number) = word.parse::<usize>() {
        let choice = number.checked_sub(1).and_then(|at| choices.get_mut(at));
        return Ok(match choice {
            Some(choice) => {
                choice.ticked = !choice.ticked;
                Ok(())
            }
            None => Err(format!("there is no number {number}")),
        });
    }
    let name: PresetName = match word.parse() {
        Ok(name) => name,
        Err(error) => return Ok(Err(format!("{error}"))),
    };
    match choices.iter_mut().find(|choice| choice.name == name) {
        Some(choice) => choice.ticked = !choice.ticked,
        None => choices.extend(look(&[name], around)?),
    }
    Ok(Ok(()))
}

fn show(choices: &[Choice]) -> Result<(), Failure> {
    for (number, choice) in (1..).zip(choices) {
        let tick = if choice.ticked { 'x' } else { ' ' };
        let preset = choice.name.preset();
        say(&format!(
            "[{tick}] {number:>2}  {:<12} {}",
            preset.name, preset.description
        ))?;
        let mut opens: Vec<String> = choice.entries.iter().map(ToString::to_string).collect();
        opens.extend(
            choice
                .faults
                .iter()
                .map(|fault| printable(fault).into_owned()),
        );
        paragraph("opens ", &opens.join(" "))?;
        if let Some(note) = preset.note {
            paragraph("note: ", note)?;
        }
    }
    Ok(())
}

/// Lines below a preset, no longer than a terminal is wide.
fn paragraph(label: &str, text: &str) -> Result<(), Failure> {
    let indent = 8;
    let mut line = format!("{:indent$}{label}", "");
    let start = line.len();
    for word in text.split(' ') {
        if line.len() > start && line.chars().count() + word.chars().count() > COLUMNS {
            say(line.trim_end())?;
            line = " ".repeat(start);
        }
        line.push_str(word);
        line.push(' ');
    }
    say(line.trim_end())
}

fn say(line: &str) -> Result<(), Failure> {
    writeln!(io::stderr().lock(), "{line}")?;
    Ok(())
}
