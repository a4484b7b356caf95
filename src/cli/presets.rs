//! `presets`: what there is, and what each opens.

use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::tools;
use crate::launcher::Project;
use crate::policy::PresetName;

use super::args::settings::{PresetsArgs, PresetsCommand};
use super::failure::Failure;
use super::output::{Output, Tone, printable};
use super::{policy, saved, start};

/// A preset in the list, as JSON.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    description: &'static str,
    /// The project of the working directory looks as if it needed it.
    detected: bool,
}

/// A preset, as JSON.
#[derive(Serialize)]
struct Shown {
    name: &'static str,
    description: &'static str,
    note: Option<&'static str>,
    includes: &'static [&'static str],
    detected_by: &'static [&'static str],
    entries: Vec<ShownEntry>,
    /// What a tool of this machine could not say.
    faults: Vec<String>,
}

/// What a preset opens, and who says so.
#[derive(Serialize)]
struct ShownEntry {
    entry: String,
    /// The preset that has it, itself or one that belongs to it.
    preset: &'static str,
    source: String,
}

pub(super) fn run(args: &PresetsArgs, out: &Output) -> Result<ExitCode, Failure> {
    // Without a project nothing is detected, and there is none in most directories.
    let project = start::project(Path::new(".")).ok();
    match &args.command {
        None => list(project.as_ref(), out),
        Some(PresetsCommand::Show(args)) => {
            let name = args.name.parse().map_err(Failure::usage)?;
            show(name, project.as_ref(), out)
        }
    }
}

fn list(project: Option<&Project>, out: &Output) -> Result<ExitCode, Failure> {
    let detected = project.map(policy::detected).unwrap_or_default();
    let listed: Vec<_> = PresetName::all()
        .map(|name| Listed {
            name: name.preset().name,
            description: name.preset().description,
            detected: detected.contains(&name),
        })
        .collect();
    if out.json {
        out.json(&serde_json::json!({ "presets": listed }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |one: &Listed| {
        let detected = if one.detected { "yes" } else { "-" };
        let cells = [one.name, detected, one.description];
        cells.map(str::to_owned).to_vec()
    };
    let rows: Vec<_> = listed.iter().map(row).collect();
    out.table(&["PRESET", "DETECTED", "OPENS"], &rows)?;
    out.note("vibepit presets show NAME lists the hosts; vibepit run --preset NAME opens them");
    Ok(ExitCode::SUCCESS)
}

fn show(name: PresetName, project: Option<&Project>, out: &Output) -> Result<ExitCode, Failure> {
    let preset = name.preset();
    let (entries, faults) = entries(name, project)?;
    let shown = Shown {
        name: preset.name,
        description: preset.description,
        note: preset.note,
        includes: preset.includes,
        detected_by: preset.detected_by,
        entries,
        faults,
    };
    if out.json {
        out.json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    out.line(format!(
        "{}: {}",
        out.paint(Tone::Strong, preset.name),
        preset.description
    ))?;
    for entry in &shown.entries {
        let of = match entry.preset == preset.name {
            true => String::new(),
            false => format!(" (of {})", entry.preset),
        };
        out.line(format!(
            "  {}{of}  {}",
            printable(&entry.entry),
            out.paint(Tone::Dim, &printable(&entry.source))
        ))?;
    }
    if let Some(note) = preset.note {
        out.line(format!("note: {note}"))?;
    }
    if !preset.detected_by.is_empty() {
        let names = preset.detected_by.join(", ");
        out.line(format!("detected by: {names}"))?;
    }
    for fault in &shown.faults {
        out.warn(printable(fault));
    }
    if shown.entries.is_empty() {
        out.note(format!(
            "it opens nothing yet: when {name} asks for something, vibepit approve --preset {name} \
             lets it through and remembers it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// What it opens, with the presets that belong to it. A tool is asked anew.
fn entries(
    name: PresetName,
    project: Option<&Project>,
) -> Result<(Vec<ShownEntry>, Vec<String>), Failure> {
    let mut entries = Vec::new();
    for one in name.with_included() {
        let preset = one.preset();
        entries.extend(preset.entries.iter().map(|listed| ShownEntry {
            entry: listed.entry.to_owned(),
            preset: preset.name,
            source: listed.source.to_owned(),
        }));
    }
    let Some(tool) = name.preset().tool else {
        return Ok((entries, Vec::new()));
    };
    let told = tools::ask(tool, &policy::around(project));
    let of_tool = |entry: String, source: String| ShownEntry {
        entry,
        preset: name.preset().name,
        source,
    };
    for place in told.places {
        entries.push(of_tool(place.entry.to_string(), place.source));
    }
    for entry in saved::remembered(name)? {
        entries.push(of_tool(entry.to_string(), "remembered".to_owned()));
    }
    Ok((entries, told.faults))
}
