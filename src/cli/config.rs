//! `config check`.

use std::process::ExitCode;

use serde::Serialize;

use crate::config::{Config, config_file};

use super::args::ConfigCheckArgs;
use super::failure::Failure;
use super::output::{Output, printable};
use super::policy;

/// The answer of `config check --json`.
#[derive(Serialize)]
struct Checked {
    file: std::path::PathBuf,
    allow: usize,
    deny: usize,
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
        file,
    };
    if out.json {
        out.json(&checked)?;
    } else if checked.file.exists() {
        let file = checked.file.display().to_string();
        out.line(format!(
            "{} can be used: {} to allow, {} to deny",
            printable(&file),
            checked.allow,
            checked.deny
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
