//! Presets: named sets of entries that a person opens with one word. Nothing here asks anybody and
//! nothing is opened by itself. Where the hosts of a tool's packages are is the person's own affair,
//! so the presets of such tools hold none: see [`Tool`].

mod agents;
mod code;
mod packages;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::entry::Entry;
use super::host::Target;

/// A named set of entries.
#[derive(Debug)]
pub struct Preset {
    /// What it is called.
    pub name: &'static str,
    /// What it opens, in a few words.
    pub description: &'static str,
    /// What it opens, but for what the presets it includes do.
    pub entries: &'static [Listed],
    /// Other presets that belong to it.
    pub includes: &'static [&'static str],
    /// Names in a project's directory by which it is proposed; `*` in front stands for any text.
    pub detected_by: &'static [&'static str],
    /// What a person should know before.
    pub note: Option<&'static str>,
    /// The tool of this machine that says what it opens.
    pub tool: Option<Tool>,
}

/// An entry, and who says that it is needed.
#[derive(Debug)]
pub struct Listed {
    /// What is opened.
    pub entry: &'static str,
    /// The page that says so.
    pub source: &'static str,
}

/// A tool that knows itself where its packages come from: a company's mirror is what is opened then,
/// and not what everybody else has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Rust's.
    Cargo,
    /// Python's.
    Pip,
    /// Node's.
    Npm,
    /// Debian's.
    Apt,
}

/// What most presets are: entries and no tool.
const PLAIN: Preset = Preset {
    name: "",
    description: "",
    entries: &[],
    includes: &[],
    detected_by: &[],
    note: None,
    tool: None,
};

const fn listed(entry: &'static str, source: &'static str) -> Listed {
    Listed { entry, source }
}

static TABLES: [&[Preset]; 3] = [agents::PRESETS, code::PRESETS, packages::PRESETS];

static ALL: LazyLock<Vec<&'static Preset>> =
    LazyLock::new(|| TABLES.iter().copied().flatten().collect());

/// The entries of each, read once. A test says that all of them can be.
static ENTRIES: LazyLock<Vec<Vec<Entry>>> = LazyLock::new(|| {
    let entries = |preset: &&Preset| {
        let texts = preset.entries.iter();
        texts.filter_map(|one| one.entry.parse().ok()).collect()
    };
    ALL.iter().map(entries).collect()
});

/// The name of a preset that there is: its place in the list, so that each of a million rules can
/// have one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PresetName(u8);

/// There is no preset of this name.
#[derive(Debug, thiserror::Error)]
#[error("there is no preset {0:?}; vibepit presets lists those there are{1}")]
pub struct NoPreset(String, String);

impl PresetName {
    /// Every preset there is.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).take(ALL.len()).map(Self)
    }

    /// The preset itself.
    pub fn preset(self) -> &'static Preset {
        ALL[usize::from(self.0)]
    }

    /// What it opens by itself.
    pub fn entries(self) -> &'static [Entry] {
        &ENTRIES[usize::from(self.0)]
    }

    /// It, and all that belong to it, each once.
    pub fn with_included(self) -> Vec<Self> {
        let mut names = vec![self];
        let mut at = 0;
        while let Some(name) = names.get(at).copied() {
            let included = name.preset().includes.iter();
            for one in included.filter_map(|name| name.parse().ok()) {
                if !names.contains(&one) {
                    names.push(one);
                }
            }
            at += 1;
        }
        names
    }

    /// Whether a target is among what it opens, with what belongs to it.
    pub fn covers(self, target: &Target) -> bool {
        let mut names = self.with_included().into_iter();
        names.any(|name| {
            let mut entries = name.entries().iter();
            entries.any(|entry| entry.covers(&target.host, target.port))
        })
    }

    /// Whether a project whose directory has these names looks as if it needed it.
    pub fn is_detected_in(self, names: &[impl AsRef<str>]) -> bool {
        let fits = |pattern: &str, name: &str| match pattern.strip_prefix('*') {
            Some(end) => name.ends_with(end) && name.len() > end.len(),
            None => name == pattern,
        };
        let mut patterns = self.preset().detected_by.iter();
        patterns.any(|pattern| names.iter().any(|name| fits(pattern, name.as_ref())))
    }
}

impl fmt::Display for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.preset().name)
    }
}

impl fmt::Debug for PresetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.preset().name)
    }
}

impl FromStr for PresetName {
    type Err = NoPreset;

    fn from_str(text: &str) -> Result<Self, NoPreset> {
        let found = Self::all().find(|name| name.preset().name == text);
        found.ok_or_else(|| {
            let near = Self::all()
                .map(|name| (strsim::osa_distance(name.preset().name, text), name))
                .min()
                .filter(|(distance, _)| *distance <= text.chars().count() / 3);
            let near = near
                .map(|(_, name)| format!("; {name}?"))
                .unwrap_or_default();
            NoPreset(text.to_owned(), near)
        })
    }
}

impl Serialize for PresetName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.preset().name)
    }
}

impl<'de> Deserialize<'de> for PresetName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests;
