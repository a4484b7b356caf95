//! This process's terminal: raw while a command in the sandbox owns it, and as it was afterwards.

use std::io::{IsTerminal, stdin, stdout};

use nix::sys::termios::{LocalFlags, SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

/// Whether a command gets a terminal: both ends of ours are one.
pub(crate) fn is_interactive() -> bool {
    stdin().is_terminal() && stdout().is_terminal()
}

/// Rows and columns of our terminal.
pub(crate) fn size() -> Option<(u16, u16)> {
    let (columns, rows) = terminal_size::terminal_size_of(stdout())?;
    Some((rows.0, columns.0))
}

/// Our terminal in another mode, for as long as the value lives: dropping it restores what was, on
/// a return, an error and a panic alike.
pub(crate) struct Mode {
    before: Termios,
}

impl Mode {
    /// Every key goes to the sandbox from now on, Ctrl-C included.
    pub(crate) fn raw() -> nix::Result<Self> {
        Self::enter(cfmakeraw)
    }

    /// Each key is read as it is typed, and not shown. Those that make signals still do.
    pub(crate) fn keys() -> nix::Result<Self> {
        Self::enter(|mode| {
            mode.local_flags
                .remove(LocalFlags::ICANON | LocalFlags::ECHO)
        })
    }

    fn enter(change: impl FnOnce(&mut Termios)) -> nix::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut mode = before.clone();
        change(&mut mode);
        tcsetattr(stdin(), SetArg::TCSADRAIN, &mode)?;
        Ok(Self { before })
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        // Nobody is left to tell when this fails: the terminal is gone then.
        let _ = tcsetattr(stdin(), SetArg::TCSADRAIN, &self.before);
    }
}
