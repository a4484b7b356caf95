//! This process's terminal: raw while a command in the sandbox owns it, and as it was afterwards.

use std::io::{IsTerminal, stdin, stdout};

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Whether a command gets a terminal: both ends of ours are one.
pub(crate) fn is_interactive() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// Rows and columns of our terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let (columns, rows) = terminal_size::terminal_size_of(stdout())?;
    Some((rows.0, columns.0))
}

/// Our terminal in raw mode, for as long as the value lives: dropping it restores what was, on a
/// return, an error and a panic alike.
pub(crate) struct RawMode {
    before: Termios,
}

impl RawMode {
    /// Switches. Every key goes to the sandbox from now on, Ctrl-C included.
    pub(crate) fn enter() -> nix::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin(), SetArg::TCSADRAIN, &raw)?;
        Ok(Self { before })
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        // Nobody is left to tell when this fails: the terminal is gone then.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
