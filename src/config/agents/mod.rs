//! Agents by name: what each is called with, what it needs to reach, and what of the person's it has
//! to be given. Data, not code: a file for each, vibepit's own and the person's; never a project's.

mod answers;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use toml::Spanned;

use super::BYTES_MAX;
use super::paths::{PathError, config_file};
use crate::kept;
use crate::policy::PresetName;

pub use self::answers::{Answer, Answers};

/// Those that come with vibepit.
const BUILT_IN: [(&str, &str); 6] = [
    ("aider", include_str!("aider.toml")),
    ("claude", include_str!("claude.toml")),
    ("codex", include_str!("codex.toml")),
    ("gemini", include_str!("gemini.toml")),
    ("opencode", include_str!("opencode.toml")),
    ("shell", include_str!("shell.toml")),
];

/// The longest name of an agent: it becomes part of a directory's.
const NAME_MAX: usize = 32;

/// Variables that are the sandbox's own, whatever the person's are.
const SANDBOXS_OWN: [&str; 4] = ["HOME", "PATH", "GIT_CONFIG_SYSTEM", "VIBEPIT_SOCKS5"];

/// An agent, as its file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// What it is called by.
    pub name: String,
    /// What it is, in a few words.
    pub description: String,
    /// Its program and first arguments; empty for the sandbox's shell.
    pub command: Vec<String>,
    /// Presets that are opened for it.
    pub presets: Vec<PresetName>,
    /// Variables that are passed on if they are set.
    pub environment: Vec<String>,
    /// Files of the person's home by which it is signed in.
    pub login: Vec<LoginFile>,
    /// How the person can have it.
    pub install: Option<String>,
    /// What a person should know before.
    pub note: Option<String>,
    /// The person's own file, if it is theirs.
    pub file: Option<PathBuf>,
}

/// A file of the person's home, by its path in there: it leads nowhere else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LoginFile(String);

impl LoginFile {
    /// The path, below a home.
    pub fn path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl fmt::Display for LoginFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for LoginFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = Path::new(text);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        let is_plain = path.components().all(plain) && !text.ends_with('/');
        if text.is_empty() || !is_plain || text.chars().any(char::is_control) {
            return Err(format!(
                "{text:?} is no path below a home directory; it looks like .config/tool/auth.json"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// Why agents, or what was answered about them, cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum AgentsError {
    /// There is no place for them.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A file cannot be used.
    #[error("cannot use {path}: {error}")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A file says what it must not. The text begins with line and column.
    #[error("{path}:{what}", path = .path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// Where, and what is wrong.
        what: String,
    },
}

/// A file, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    description: Spanned<String>,
    command: Spanned<Vec<String>>,
    #[serde(default)]
    presets: Vec<Spanned<String>>,
    #[serde(default)]
    environment: Vec<Spanned<String>>,
    #[serde(default)]
    login: Vec<Spanned<String>>,
    install: Option<String>,
    note: Option<String>,
}

/// Every agent there is, by name: the person's own in the place of vibepit's.
///
/// # Errors
/// When a file of the person's cannot be read, or says what it must not.
pub fn agents() -> Result<Vec<Agent>, AgentsError> {
    let mut agents = BTreeMap::new();
    for (name, text) in BUILT_IN {
        let path = PathBuf::from(format!("{name}.toml"));
        agents.insert(name.to_owned(), Agent::parse(name, text, &path)?);
    }
    let directory = directory()?.join("agents");
    let file_error = |path: &Path| {
        let path = path.to_owned();
        move |error| AgentsError::File { path, error }
    };
    let entries = match std::fs::read_dir(&directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        entries => Some(entries.map_err(file_error(&directory))?),
    };
    for entry in entries.into_iter().flatten() {
        let path = entry.map_err(file_error(&directory))?.path();
        if path.extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if !is_name(&name) {
            let why = "an agent's name has lower-case letters, digits and hyphens, 32 at most";
            return Err(file_error(&path)(io::Error::other(why)));
        }
        let text = kept::read(&path, BYTES_MAX).map_err(file_error(&path))?;
        let text = text.unwrap_or_default();
        let mut agent = Agent::parse(&name, &text, &path)?;
        agent.file = Some(path.clone());
        agents.insert(agent.name.clone(), agent);
    }
    Ok(agents.into_values().collect())
}

/// The directory of the person's configuration.
fn directory() -> Result<PathBuf, PathError> {
    let file = config_file()?;
    Ok(file.parent().map(Path::to_owned).unwrap_or_default())
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.starts_with('-') && (1..=NAME_MAX).contains(&name.len()) && name.bytes().all(fits)
}

impl Agent {
    fn parse(name: &str, text: &str, path: &Path) -> Result<Self, AgentsError> {
        let wrong = |at: usize, what: &dyn fmt::Display| AgentsError::Content {
            path: path.to_owned(),
            what: format!("{}: {what}", position(text, at)),
        };
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            wrong(at, &error.message())
        })?;
        let command = raw.command.get_ref();
        let has_control = |text: &String| text.chars().any(char::is_control);
        if command.iter().any(has_control) || command.first().is_some_and(String::is_empty) {
            let what = "a command is a program and its arguments, without control characters";
            return Err(wrong(raw.command.span().start, &what));
        }
        if has_control(raw.description.get_ref()) {
            let what = "a description is one line";
            return Err(wrong(raw.description.span().start, &what));
        }
        let each = |items: &[Spanned<String>], check: &dyn Fn(&str) -> Result<(), String>| {
            items.iter().try_for_each(|item| {
                check(item.get_ref()).map_err(|why| wrong(item.span().start, &why))
            })
        };
        each(&raw.environment, &variable)?;
        each(&raw.login, &|text| text.parse::<LoginFile>().map(drop))?;
        let preset = |text: &str| text.parse::<PresetName>();
        each(&raw.presets, &|text| {
            preset(text).map(drop).map_err(|error| error.to_string())
        })?;
        let texts = |items: &[Spanned<String>]| -> Vec<String> {
            items.iter().map(|item| item.get_ref().clone()).collect()
        };
        Ok(Self {
            name: name.to_owned(),
            description: raw.description.get_ref().clone(),
            command: command.clone(),
            presets: texts(&raw.presets)
                .iter()
                .flat_map(|text| preset(text))
                .collect(),
            environment: texts(&raw.environment),
            login: texts(&raw.login)
                .iter()
                .flat_map(|text| text.parse())
                .collect(),
            install: raw.install,
            note: raw.note,
            file: None,
        })
    }
}

/// Whether a variable may be named.
fn variable(name: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if name.is_empty() || !name.bytes().all(fits) || name.as_bytes()[0].is_ascii_digit() {
        return Err(format!(
            "{name:?} is no variable's name; its value is taken from your environment if it is set"
        ));
    }
    if SANDBOXS_OWN.contains(&name) || name.to_ascii_lowercase().ends_with("_proxy") {
        return Err(format!("{name} is the sandbox's own and is not passed on"));
    }
    Ok(())
}

/// Line and column of a byte.
fn position(text: &str, at: usize) -> String {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    format!("{line}:{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Agent, String> {
        let parsed = Agent::parse("tool", text, Path::new("tool.toml"));
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn the_agents_that_come_along_are_read_and_name_presets_there_are() {
        for (name, text) in BUILT_IN {
            assert!(is_name(name));
            let agent = Agent::parse(name, text, Path::new(name)).unwrap();
            assert_eq!(agent.command.is_empty(), name == "shell", "{name}");
            assert_eq!(agent.install.is_some(), name != "shell", "{name}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let head = "description = \"x\"\ncommand = [\"x\"]\n";
        for (line, place, what) in [
            ("comand = []", "3:1", "unknown field"),
            (
                "presets = [\"anthropic\", \"antropic\"]",
                "3:25",
                "antropic",
            ),
            ("environment = [\"A B\"]", "3:16", "variable"),
            ("environment = [\"HTTPS_PROXY\"]", "3:16", "sandbox's own"),
            ("environment = [\"HOME\"]", "3:16", "sandbox's own"),
            ("login = [\"../x\"]", "3:10", "home directory"),
            ("login = [\"/etc/x\"]", "3:10", "home directory"),
            ("login = [\"\"]", "3:10", "home directory"),
            ("login = \"x\"", "3:9", "sequence"),
        ] {
            let error = parse(&format!("{head}{line}\n")).unwrap_err();
            let start = format!("tool.toml:{place}: ");
            assert!(error.starts_with(&start), "{line}: {error}");
            assert!(error.contains(what), "{line}: {error}");
        }
        assert!(parse("command = []").unwrap_err().contains("description"));
        let error = parse("description = \"x\"\ncommand = [\"\"]").unwrap_err();
        assert!(error.starts_with("tool.toml:2:11: "), "{error}");
    }

    #[test]
    fn a_name_is_part_of_a_directory_and_no_path() {
        for good in ["a", "my-agent-2"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "A", "a.b", "a/b", "..", "ä", &"a".repeat(33)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
