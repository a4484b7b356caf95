//! What the person's own tools say about where their packages come from: npm, pip, cargo, apt. They
//! are asked on this machine, as the person has set them up, and what is in a project has no say: no
//! program and no file of it is used, since a sandbox writes there.

mod answers;
mod apt;
mod cargo;
mod git;
mod npm;
mod pip;
mod place;
mod program;

use std::path::PathBuf;
use std::thread;

use crate::policy::{Entry, Tool};

pub use self::git::GitIdentity;
pub use self::program::Surroundings;

/// Places of one tool that are used. Nobody has more mirrors.
const PLACES: usize = 64;

/// What a tool said.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// Where its packages come from.
    pub places: Vec<Place>,
    /// What could not be found out, a sentence each.
    pub faults: Vec<String>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Host and port.
    pub entry: Entry,
    /// Who said so: a setting, a file.
    pub source: String,
}

impl Told {
    /// The entries alone.
    pub fn entries(&self) -> Vec<Entry> {
        self.places
            .iter()
            .map(|place| place.entry.clone())
            .collect()
    }

    fn missing(tool: &str) -> Self {
        Self {
            faults: vec![format!(
                "{tool} is not installed on this machine, so it cannot say where its packages come \
                 from"
            )],
            ..Self::default()
        }
    }

    /// Adds what a URL names, if it is one that is fetched over the network.
    fn add(&mut self, url: &str, source: impl Into<String>) {
        if let Some(entry) = place::of_url(url) {
            self.put(entry, source.into());
        }
    }

    fn put(&mut self, entry: Entry, source: String) {
        let known = self.places.iter().any(|place| place.entry == entry);
        if !known && self.places.len() < PLACES {
            self.places.push(Place { entry, source });
        }
    }

    fn fault(&mut self, what: impl Into<String>) {
        self.faults.push(what.into());
    }

    /// A file of the tool's, if it is there.
    fn file(&mut self, path: &PathBuf) -> Option<String> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.fault(format!("cannot read {}: {error}", path.display()));
                None
            }
        }
    }
}

/// Asks a tool now. That takes seconds, for some.
pub fn ask(tool: Tool, around: &Surroundings) -> Told {
    let told = match tool {
        Tool::Npm => npm::ask(around),
        Tool::Pip => pip::ask(around),
        Tool::Cargo => return cargo::ask(around),
        Tool::Apt => return apt::ask(around),
    };
    answers::keep(tool, around, &told);
    told
}

/// Asks several at once, where what they said last is too old or about other settings.
pub fn ask_if_new(tools: &[Tool], around: &Surroundings) -> Vec<Told> {
    let one = |tool: Tool| answers::kept(tool, around).unwrap_or_else(|| ask(tool, around));
    thread::scope(|scope| {
        let asked: Vec<_> = tools
            .iter()
            .map(|tool| (*tool, scope.spawn(move || one(*tool))))
            .collect();
        let joined = asked.into_iter().map(|(tool, told)| {
            told.join().unwrap_or_else(|_| Told {
                faults: vec![format!("{tool:?} could not be asked")],
                ..Told::default()
            })
        });
        joined.collect()
    })
}

/// What a tool said last, without asking it.
pub fn known(tool: Tool, around: &Surroundings) -> Told {
    match tool {
        Tool::Cargo => cargo::ask(around),
        Tool::Npm | Tool::Pip | Tool::Apt => answers::kept(tool, around).unwrap_or_default(),
    }
}
