//! `completions` and `man`: made from the arguments' own definitions.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_mangen::Man;

use super::args::{Cli, CompletionsArgs, ManArgs};
use super::failure::Failure;
use super::output::Output;

pub(super) fn completions(args: &CompletionsArgs, out: &Output) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "vibepit", &mut script);
    out.raw(&script)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn man(args: &ManArgs, out: &Output) -> Result<ExitCode, Failure> {
    // A date would make every build's pages differ.
    let pages = pages(Cli::command())?;
    match &args.dir {
        Some(dir) => {
            for (name, page) in &pages {
                let path = dir.join(name);
                std::fs::write(&path, page).map_err(|error| {
                    Failure::failed(format!("cannot write {}: {error}", path.display()))
                })?;
            }
        }
        None => out.raw(&pages[0].1)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// File names and contents: `vibepit.1` first, then one page a command.
fn pages(mut command: clap::Command) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    // Fills in what subcommands inherit.
    command.build();
    let mut pages = vec![page(&command, "vibepit".to_owned())?];
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        pages.push(page(sub, format!("vibepit-{}", sub.get_name()))?);
    }
    Ok(pages)
}

fn page(command: &clap::Command, name: String) -> Result<(String, Vec<u8>), Failure> {
    let mut page = Vec::new();
    let file = format!("{name}.1");
    Man::new(command.clone().name(name)).render(&mut page)?;
    Ok((file, page))
}
