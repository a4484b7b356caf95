//! `trust`: a project's own settings, as they differ from what was trusted last, and the person's word
//! on them.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

use crate::config::{self, Config};
use crate::launcher;
use crate::policy::PresetName;

use super::args::settings::TrustArgs;
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::{pending, policy, start};

/// The answer of `trust --json`.
#[derive(Serialize)]
struct Answer<'a> {
    file: &'a Path,
    /// The file is honoured as it is now.
    trusted: bool,
    /// Its lines, each with `+`, `-` or a blank in front, beside those that were trusted last.
    diff: Vec<String>,
}

pub(super) fn run(args: &TrustArgs, out: &Output) -> Result<ExitCode, Failure> {
    let project = start::project(args.path.as_deref().unwrap_or_else(|| Path::new(".")))?;
    let path = launcher::settings_path(&project);
    let name = path.display().to_string();
    let name = printable(&name);
    if args.revoke {
        let was = config::untrust(project.path()).map_err(Failure::failed)?;
        out.note(match was {
            true => format!("{name} is trusted no more; sessions that run keep what it said"),
            false => format!("{name} was not trusted"),
        });
        return Ok(ExitCode::SUCCESS);
    }
    let text = launcher::settings(&project).map_err(Failure::failed)?;
    let text = text.ok_or_else(|| {
        Failure::failed(format!(
            "{} is not there: there is nothing to trust",
            path.display()
        ))
    })?;
    let before = config::trusted(project.path()).map_err(Failure::failed)?;
    // What cannot be used cannot be trusted; it is shown all the same.
    let said = Config::of_repository(&text, &path);
    let is_trusted = before.as_deref() == Some(&text);
    let diff = diff(before.as_deref().unwrap_or_default(), &text);
    let decided = |trusted| Answer {
        file: &path,
        trusted,
        diff: diff
            .iter()
            .map(|(tag, line)| format!("{tag}{line}"))
            .collect(),
    };
    if !out.json {
        show(&name, &diff, before.is_some(), out)?;
        for preset in said
            .iter()
            .flat_map(|config| config.presets.iter().flatten())
        {
            opens(*preset, out)?;
        }
    }
    let config = said.map_err(policy::invalid);
    if args.show || is_trusted {
        config?;
        match (out.json, is_trusted) {
            (true, _) => out.json(&decided(is_trusted))?,
            (false, true) => out.note(format!("{name} is trusted as it is")),
            (false, false) => out.note(format!("{name} is not trusted as it is: vibepit trust")),
        }
        return Ok(ExitCode::SUCCESS);
    }
    config?;
    if !args.yes {
        if out.json || !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(
                Failure::failed("nobody can be asked, so nothing was trusted")
                    .hint("--yes trusts it as it is shown; --show only shows it"),
            );
        }
        let question = format!("sessions of this project will honour {name} as shown");
        if !pending::confirmed(&question)? {
            return Err(Failure::failed("nothing was trusted"));
        }
    }
    config::trust(project.path(), &text).map_err(Failure::failed)?;
    match out.json {
        true => out.json(&decided(true))?,
        false => out.note(format!(
            "{name} is trusted as shown, from the next start on; when it changes, it is not"
        )),
    }
    Ok(ExitCode::SUCCESS)
}

/// Lines with what became of each.
fn diff(before: &str, now: &str) -> Vec<(char, String)> {
    TextDiff::from_lines(before, now)
        .iter_all_changes()
        .map(|change| {
            let tag = match change.tag() {
                ChangeTag::Insert => '+',
                ChangeTag::Delete => '-',
                ChangeTag::Equal => ' ',
            };
            (tag, change.value().trim_end_matches('\n').to_owned())
        })
        .collect()
}

fn show(name: &str, diff: &[(char, String)], before: bool, out: &Output) -> Result<(), Failure> {
    out.line(match before {
        true => format!("{name}, beside what was trusted last:"),
        false => format!("{name}, which was never trusted:"),
    })?;
    for (tag, line) in diff {
        let line = format!("{tag} {}", printable(line));
        out.line(match tag {
            '+' => out.paint(Tone::Good, &line),
            '-' => out.paint(Tone::Bad, &line),
            _ => line,
        })?;
    }
    Ok(())
}

/// What a preset that the file names would open.
fn opens(preset: PresetName, out: &Output) -> Result<(), Failure> {
    let names = preset.with_included().into_iter();
    let entries = names.flat_map(PresetName::entries);
    let entries: Vec<_> = entries.map(ToString::to_string).collect();
    out.line(match preset.preset().tool {
        Some(_) => format!("preset {preset} opens what your {preset} says"),
        None => format!("preset {preset} opens {}", entries.join(", ")),
    })
}
