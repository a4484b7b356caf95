//! `config`: a file to begin with, whether it can be used, and what comes of it.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::config::{Config, config_file};

use super::args::settings::{ConfigCheckArgs, ConfigShowArgs};
use super::effective;
use super::failure::Failure;
use super::output::{Output, printable};
use super::policy::{self, Flags, Sources};
use super::start;

/// What `config init` writes: every line is a comment.
const TEMPLATE: &str = include_str!("config.toml");

/// The answer of `config check --json`.
#[derive(Serialize)]
struct Checked {
    file: std::path::PathBuf,
    allow: usize,
    deny: usize,
    presets: usize,
}

pub(super) fn check(args: &ConfigCheckArgs, out: &Output) -> Result<ExitCode, Failure> {
    let (file, config) = match &args.file {
        Some(file) => (file.clone(), Config::load_named(file)),
        None => {
            let file = config_file().map_err(Failure::failed)?;
            let config = Config::load(&file);
            (file, config)
        }
    };
    let config = config.map_err(policy::invalid)?;
    let checked = Checked {
        allow: config.allow.len(),
        deny: config.deny.len(),
        presets: config.presets.map_or(0, |presets| presets.len()),
        file,
    };
    if out.json {
        out.json(&checked)?;
    } else if checked.file.exists() {
        let file = checked.file.display().to_string();
        out.line(format!(
            "{} can be used: {} to allow, {} to deny, {} presets",
            printable(&file),
            checked.allow,
            checked.deny,
            checked.presets
        ))?;
    } else {
        let file = checked.file.display().to_string();
        out.line(format!(
            "{} is not there, which is fine: no rules come from it",
            printable(&file)
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes a file of comments, and never over one that is there.
pub(super) fn init(out: &Output) -> Result<ExitCode, Failure> {
    let file = config_file().map_err(Failure::failed)?;
    let shown = file.display();
    let cannot = |error: io::Error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Failure::failed(format!("{shown} is there already, and stays as it is"))
                .hint("vibepit config show says what comes of it")
        }
        _ => Failure::failed(format!("cannot write {shown}: {error}")),
    };
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory).map_err(cannot)?;
    }
    let mut created = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&file)
        .map_err(cannot)?;
    created.write_all(TEMPLATE.as_bytes()).map_err(cannot)?;
    created.sync_all().map_err(cannot)?;
    let file = file.display().to_string();
    match out.json {
        true => out.json(&serde_json::json!({ "file": file }))?,
        false => out.line(printable(&file))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// What comes of all files, for this project.
pub(super) fn show(args: &ConfigShowArgs, out: &Output) -> Result<ExitCode, Failure> {
    let path = args.path.as_deref();
    let project = match path {
        Some(path) => Some(start::project(path)?),
        // What is no project has no settings of one.
        None => start::project(Path::new(".")).ok(),
    };
    let sources = Sources {
        flags: Flags::none(),
        project,
        file: None,
    };
    let gathered = sources.gather()?;
    for notice in &gathered.notices {
        out.note(printable(notice));
    }
    let project = sources.project.as_ref().map(|project| project.path());
    let lines = match args.effective {
        true => effective::all(&gathered, project)?,
        false => effective::of_files(&gathered),
    };
    if out.json {
        let project = project.map(|path| path.display().to_string());
        out.json(&serde_json::json!({ "project": project, "lines": lines }))?;
    } else if lines.is_empty() {
        out.note("no file says anything; vibepit config init writes one to begin with");
    } else {
        let rows: Vec<_> = lines.iter().map(effective::Line::row).collect();
        out.table(&["KEY", "VALUE", "ORIGIN"], &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_init_writes_is_all_comments_and_can_be_used_without_the_marks() {
        assert!(
            TEMPLATE
                .lines()
                .all(|line| line.is_empty() || line.starts_with('#'))
        );
        let settings = TEMPLATE.lines().filter_map(|line| line.strip_prefix("#: "));
        let text: String = settings.map(|line| format!("{line}\n")).collect();
        assert!(text.lines().count() > 8, "{text}");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.toml");
        fs::write(&file, text).unwrap();
        let config = Config::load_named(&file).unwrap();
        assert!(config.image.is_some() && config.presets.is_some());
    }
}
