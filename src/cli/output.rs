//! The one place that prints: results on stdout, everything else on stderr, and nothing that the
//! sandbox named reaches a terminal unescaped.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use serde::Serialize;

use super::args::{Color, Global};
use super::failure::Failure;

pub(super) use crate::policy::printable;

/// How this call prints.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) json: bool,
    pub(super) verbose: bool,
    quiet: bool,
    stdout_color: bool,
    stderr_color: bool,
}

/// What a colour means. Never the only sign of it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tone {
    Good,
    Bad,
    Dim,
    Strong,
}

impl Output {
    pub(super) fn new(global: &Global) -> Self {
        let colored = |terminal: bool| match global.color {
            Color::Always => true,
            Color::Never => false,
            // no-color.org: present and not empty.
            Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        Self {
            json: global.json,
            verbose: global.verbose > 0,
            quiet: global.quiet,
            stdout_color: colored(io::stdout().is_terminal()),
            stderr_color: colored(io::stderr().is_terminal()),
        }
    }

    /// Whether what is shown on standard output has colours.
    pub(super) fn colored(&self) -> bool {
        self.stdout_color
    }

    /// A line of the result.
    pub(super) fn line(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        self.raw(format!("{}\n", text.as_ref()).as_bytes())
    }

    /// The result as it is: a script, a page.
    pub(super) fn raw(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            // `vibepit logs | head`: the reader has what it wanted.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::done()),
            other => other.map_err(Failure::from),
        }
    }

    /// A result as JSON, on one line.
    pub(super) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).map_err(Failure::failed)?;
        self.line(text)
    }

    /// Something beside the result.
    pub(super) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            say(text.as_ref());
        }
    }

    /// Something that is said even when nothing is to be said.
    pub(super) fn warn(&self, text: impl AsRef<str>) {
        let label = painted(self.stderr_color, Tone::Bad, "warning:");
        say(&format!("{label} {}", text.as_ref()));
    }

    /// Why it did not come to what was asked for.
    pub(super) fn error(&self, text: &str) {
        let label = painted(self.stderr_color, Tone::Bad, "error:");
        say(&format!("{label} {}", printable(text)));
    }

    /// The end of a command that failed.
    pub(super) fn failure(&self, failure: &Failure) -> ExitCode {
        if !failure.message.is_empty() {
            self.error(&failure.message);
            if let Some(hint) = &failure.hint {
                let label = painted(self.stderr_color, Tone::Strong, "hint:");
                say(&format!("{label} {}", printable(hint)));
            }
        }
        failure.exit_code()
    }

    /// Text of the result, in a colour if there is colour.
    pub(super) fn paint(&self, tone: Tone, text: &str) -> String {
        painted(self.stdout_color, tone, text)
    }

    /// Rows with their columns aligned. Cells are escaped here.
    pub(super) fn table(&self, head: &[&str], rows: &[Vec<String>]) -> Result<(), Failure> {
        let rows: Vec<Vec<Cow<'_, str>>> = rows
            .iter()
            .map(|row| row.iter().map(|cell| printable(cell)).collect())
            .collect();
        let width = |column: usize| {
            let cells = rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count());
            cells
                .chain(head.get(column).map(|title| title.len()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let aligned = |cells: &mut dyn Iterator<Item = &str>| {
            let padded: Vec<String> = cells
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            padded.join("  ").trim_end().to_owned()
        };
        self.line(self.paint(Tone::Dim, &aligned(&mut head.iter().copied())))?;
        for row in &rows {
            self.line(aligned(&mut row.iter().map(AsRef::as_ref)))?;
        }
        Ok(())
    }
}

/// A line on stderr. That nobody reads it (a terminal that was closed) is no reason to stop: the
/// print macros would panic, and with them the proxy.
fn say(line: &str) {
    let _ = io::stderr()
        .lock()
        .write_all(format!("{line}\n").as_bytes());
}

fn painted(color: bool, tone: Tone, text: &str) -> String {
    let code = match tone {
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Dim => 2,
        Tone::Strong => 1,
    };
    if color {
        format!("\x1b[{code}m{text}\x1b[0m")
    } else {
        text.to_owned()
    }
}
