//! One file of decisions: what stands in it, and how it is replaced as a whole.

use std::fmt;

use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use toml::Spanned;

use crate::policy::{Entry, Made, Verdict};

/// No person decides so much; it bounds what a broken file can cost.
pub(super) const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// What a file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) allow: Vec<Line>,
    pub(super) deny: Vec<Line>,
}

/// A decision. Who made it, and when, stands behind it as a comment: a person reads it there, and a
/// version that knows nothing of it passes it over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) entry: Entry,
    pub(super) made: Option<Made>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default)]
    allow: Vec<Spanned<String>>,
    #[serde(default)]
    deny: Vec<Spanned<String>>,
}

impl Content {
    /// Reads a file's text. An error begins with line and column.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let raw: Raw = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            format!("{}: {}", position(text, at), error.message())
        })?;
        let entries = |raw: Vec<Spanned<String>>| {
            raw.into_iter()
                .map(|item| {
                    // Whoever saved it had insisted where that was needed.
                    let entry = Entry::parse_forced(item.get_ref()).map_err(|error| {
                        format!("{}: {error}", position(text, item.span().start))
                    })?;
                    let made = text.get(item.span().end..).and_then(made);
                    Ok(Line { entry, made })
                })
                .collect::<Result<Vec<_>, String>>()
        };
        Ok(Self {
            allow: entries(raw.allow)?,
            deny: entries(raw.deny)?,
        })
    }

    /// Adds entries, in the place of what was said of them before. Says whether that changes
    /// anything: what was said of one already is as it was, and by whom.
    pub(super) fn put(&mut self, verdict: Verdict, entries: &[Entry], made: &Made) -> bool {
        let (same, opposite) = match verdict {
            Verdict::Allow => (&mut self.allow, &mut self.deny),
            Verdict::Deny => (&mut self.deny, &mut self.allow),
        };
        let before = opposite.len();
        opposite.retain(|line| !entries.contains(&line.entry));
        let mut changed = opposite.len() != before;
        for entry in entries {
            if !same.iter().any(|line| line.entry == *entry) {
                same.push(Line {
                    entry: entry.clone(),
                    made: Some(made.clone()),
                });
                changed = true;
            }
        }
        changed
    }

    /// Removes entries, and says whether some were there.
    pub(super) fn take(&mut self, entries: &[Entry]) -> bool {
        let before = self.allow.len() + self.deny.len();
        self.allow.retain(|line| !entries.contains(&line.entry));
        self.deny.retain(|line| !entries.contains(&line.entry));
        self.allow.len() + self.deny.len() != before
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "# Written by vibepit: what was approved and denied for good."
        )?;
        writeln!(f, "# vibepit rules shows it, vibepit revoke takes it back.")?;
        for (name, lines) in [("allow", &self.allow), ("deny", &self.deny)] {
            writeln!(f, "{name} = [")?;
            for Line { entry, made } in lines {
                // An entry has no character that TOML would want escaped.
                write!(f, "  \"{entry}\",")?;
                match made {
                    // A comment ends with its line, and takes no other control character.
                    Some(Made { by, at }) if !by.contains(char::is_control) => {
                        writeln!(f, " # {at} {by}")?;
                    }
                    _ => writeln!(f)?,
                }
            }
            writeln!(f, "]")?;
        }
        Ok(())
    }
}

/// Who made a decision, as the comment behind it says; `None` where it says something else.
fn made(behind: &str) -> Option<Made> {
    let line = behind.lines().next()?.trim_start();
    let comment = line.strip_prefix(',').unwrap_or(line).trim_start();
    let (at, by) = comment.strip_prefix("# ")?.split_once(' ')?;
    OffsetDateTime::parse(at, &Rfc3339).ok()?;
    Some(Made {
        by: by.trim_end().to_owned(),
        at: at.to_owned(),
    })
}

/// Line and column of a byte, both from 1.
fn position(text: &str, at: usize) -> String {
    let before = text.get(..at.min(text.len())).unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    format!(
        "{}:{}",
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1
    )
}
