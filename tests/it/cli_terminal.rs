//! A terminal for a command to stand on.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;

use nix::poll::{PollFd, PollFlags, poll};
use nix::pty::openpty;

/// How long nothing may be shown, in milliseconds, before a test has failed.
const PATIENCE: u16 = 50_000;

/// The person's side of a terminal.
pub(crate) struct Terminal {
    screen: File,
    /// Held, so that what was printed can be read when the command has ended.
    line: OwnedFd,
    /// Shown, and not looked at yet.
    unseen: Vec<u8>,
}

impl Terminal {
    pub(crate) fn new() -> Self {
        let pty = openpty(None, None).expect("a terminal");
        Self {
            screen: pty.master.into(),
            line: pty.slave,
            unseen: Vec::new(),
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

    /// Takes back that something was read.
    pub(crate) fn unsee(&mut self, shown: &str) {
        self.unseen.splice(..0, shown.bytes());
    }

    /// Reads what is shown, up to a text.
    #[track_caller]
    pub(crate) fn shows(&mut self, text: &str) -> String {
        loop {
            let found = self
                .unseen
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            if let Some(at) = found {
                let shown: Vec<u8> = self.unseen.drain(..at + text.len()).collect();
                return String::from_utf8_lossy(&shown).into_owned();
            }
            let mut screen = [PollFd::new(self.screen.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut screen, PATIENCE).expect("poll");
            assert!(ready > 0, "it shows {}", self.unseen.escape_ascii());
            let mut part = [0; 1024];
            let read = self.screen.read(&mut part).expect("the screen");
            assert!(read > 0, "it shows {}", self.unseen.escape_ascii());
            self.unseen.extend_from_slice(&part[..read]);
        }
    }
}
