//! A terminal for a command to stand on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::Stdio;

use nix::pty::openpty;

/// The person's side of a terminal.
pub(crate) struct Terminal {
    screen: File,
    /// Held, so that what was printed can be read when the command has ended.
    line: OwnedFd,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let pty = openpty(None, None).expect("a terminal");
        Self {
            screen: pty.master.into(),
            line: pty.slave,
        }
    }

    /// The command's side.
    pub(crate) fn stdio(&self) -> Stdio {
        self.line.try_clone().expect("a descriptor").into()
    }

    /// Types a text.
    pub(crate) fn types(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).expect("it is typed");
    }

    /// Reads what is shown, up to a text.
    pub(crate) fn shows(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains(text) {
            let mut part = [0; 1024];
            let read = self.screen.read(&mut part).expect("the screen");
            assert!(read > 0, "it shows {}", shown.escape_ascii());
            shown.extend_from_slice(&part[..read]);
        }
        String::from_utf8_lossy(&shown).into_owned()
    }
}
