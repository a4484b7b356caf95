//! What the person answered about the files by which agents are signed in. Kept beside the
//! configuration, in a file that only vibepit writes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use serde::Deserialize;

use super::{AgentsError, LoginFile, directory, position};
use crate::config::BYTES_MAX;
use crate::kept;

/// What becomes of a file in an agent's sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    /// It is mounted there, to be read and written: signing in anew changes it outside, too.
    Share,
    /// It is copied into the sandbox's home, where it is not there yet.
    Copy,
    /// It stays outside.
    No,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Share => "share",
            Self::Copy => "copy",
            Self::No => "no",
        })
    }
}

/// Answers, by agent and file.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<String, BTreeMap<String, Answer>>);

impl Answers {
    /// What was answered until now.
    ///
    /// # Errors
    /// When the file cannot be read, or somebody else has written into it.
    pub fn read() -> Result<Self, AgentsError> {
        let path = file()?;
        let read = kept::read(&path, BYTES_MAX).map_err(|error| AgentsError::File {
            path: path.clone(),
            error,
        })?;
        let Some(text) = read else {
            return Ok(Self::default());
        };
        toml::from_str(&text).map(Self).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            AgentsError::Content {
                path,
                what: format!(
                    "{}: {}; remove the file to be asked again",
                    position(&text, at),
                    error.message()
                ),
            }
        })
    }

    /// What was answered about a file of an agent's.
    pub fn about(&self, agent: &str, file: &LoginFile) -> Option<Answer> {
        self.0.get(agent)?.get(&file.0).copied()
    }

    /// Takes an answer in the place of an earlier one.
    pub fn put(&mut self, agent: &str, file: &LoginFile, answer: Answer) {
        let of_agent = self.0.entry(agent.to_owned()).or_default();
        of_agent.insert(file.0.clone(), answer);
    }

    /// Keeps them, and says where.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep(&self) -> Result<PathBuf, AgentsError> {
        let path = file()?;
        let written = DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory()?)
            .and_then(|()| kept::replace(&path, self.text().as_bytes()));
        match written {
            Ok(()) => Ok(path),
            Err(error) => Err(AgentsError::File { path, error }),
        }
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "# Written by vibepit agents: files by which agents are signed in, and whether their\n\
             # sandboxes share them, get a copy, or do without (no).\n",
        );
        for (agent, files) in &self.0 {
            text.push_str(&format!("\n[{agent}]\n"));
            for (file, answer) in files {
                let file = file.replace('\\', "\\\\").replace('"', "\\\"");
                text.push_str(&format!("\"{file}\" = \"{answer}\"\n"));
            }
        }
        text
    }
}

/// `$XDG_CONFIG_HOME/vibepit/agents.toml`.
fn file() -> Result<PathBuf, AgentsError> {
    Ok(directory()?.join("agents.toml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_back_as_they_were_written() {
        let mut answers = Answers::default();
        let quoted: LoginFile = ".odd/\"name\"\\x".parse().unwrap();
        let plain: LoginFile = ".claude.json".parse().unwrap();
        answers.put("claude", &plain, Answer::No);
        answers.put("claude", &plain, Answer::Share);
        answers.put("my-own", &quoted, Answer::Copy);
        let read = toml::from_str(&answers.text()).map(Answers).unwrap();
        assert_eq!(read, answers);
        assert_eq!(read.about("claude", &plain), Some(Answer::Share));
        assert_eq!(read.about("claude", &quoted), None);
    }
}
