//! When each project was reviewed last: a file in the person's state directory. What cannot be read
//! counts as never, and then more is shown and nothing less.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::config;
use crate::kept;

const FILE: &str = "reviewed.json";
/// Projects that are remembered; those of the longest time ago go first.
const MOST: usize = 1000;

/// By the project's directory; empty for what has none.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Stamps {
    version: u32,
    projects: BTreeMap<String, String>,
}

impl Stamps {
    pub(super) fn of(&self, project: Option<&str>) -> Option<OffsetDateTime> {
        let at = self.projects.get(project.unwrap_or_default())?;
        OffsetDateTime::parse(at, &Rfc3339).ok()
    }
}

pub(super) fn read() -> Stamps {
    let path = config::state_dir().map(|state| state.join(FILE));
    let text = path.ok().and_then(|path| fs::read(path).ok());
    text.and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default()
}

/// Remembers that these were reviewed.
pub(super) fn reviewed(projects: &[Option<&str>], at: OffsetDateTime) -> anyhow::Result<()> {
    let directory = config::own_state_dir()?;
    let at = at.format(&Rfc3339)?;
    let mut stamps = read();
    stamps.version = 1;
    for project in projects {
        let project = project.unwrap_or_default().to_owned();
        stamps.projects.insert(project, at.clone());
    }
    while stamps.projects.len() > MOST {
        let oldest = stamps.projects.iter().min_by_key(|(_, at)| (*at).clone());
        let Some(oldest) = oldest.map(|(project, _)| project.clone()) else {
            break;
        };
        stamps.projects.remove(&oldest);
    }
    let path = directory.join(FILE);
    kept::replace(&path, &serde_json::to_vec(&stamps)?)
        .with_context(|| format!("{} cannot be written", path.display()))
}
