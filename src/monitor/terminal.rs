//! The terminal: taken, given back, and what is typed on it. However the program ends, the terminal
//! is as it was before.

use std::io::{self, Stdout};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, raise};
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{
    self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyEvent,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute};
use ratatui::layout::{Position, Rect};
use tokio::sync::mpsc;

/// Pieces of input that may wait to be looked at.
const BACKLOG: usize = 64;

/// Keys of one piece that are kept: what is more is a paste, and does nothing.
const KEYS_MAX: usize = 1024;

/// Something panicked, and said so on the terminal, which it has given back.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// The terminal while it is taken.
pub(super) struct Terminal {
    pub(super) screen: ratatui::Terminal<CrosstermBackend<Stdout>>,
    taken: bool,
}

impl Terminal {
    /// Takes it.
    pub(super) fn take() -> io::Result<Self> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, Ordering::SeqCst);
            give_back();
            before(panic);
        }));
        let screen = ratatui::Terminal::new(CrosstermBackend::new(io::stdout()))?;
        let mut terminal = Self {
            screen,
            taken: false,
        };
        terminal.enter()?;
        Ok(terminal)
    }

    /// Whether something panicked, wherever that was.
    pub(super) fn panicked(&self) -> bool {
        PANICKED.load(Ordering::SeqCst)
    }

    /// Takes it, if that is not so already, and draws all of it with the next frame.
    pub(super) fn enter(&mut self) -> io::Result<()> {
        if !self.taken {
            enable_raw_mode()?;
            // The mouse is left alone: it selects text.
            execute!(io::stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
            self.taken = true;
        }
        self.anew()
    }

    /// Has all of it drawn with the next frame.
    pub(super) fn anew(&mut self) -> io::Result<()> {
        // Not by `clear`: that asks the terminal where its cursor is, and the answer would be read
        // by whoever reads the keys.
        let size = self.screen.size()?;
        self.screen.resize(Rect::from((Position::ORIGIN, size)))
    }

    /// Gives it back to the shell until the person returns.
    pub(super) fn suspend(&mut self) -> io::Result<()> {
        give_back();
        self.taken = false;
        raise(Signal::SIGTSTP)?;
        // Here again, or there is no job control that would have stopped it.
        self.enter()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        give_back();
    }
}

/// As it was. Whatever goes wrong with one part, the others are tried.
fn give_back() {
    let _ = execute!(io::stdout(), DisableBracketedPaste);
    let _ = execute!(io::stdout(), LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
}

/// What a person did.
pub(super) enum Input {
    /// Keys that came in one piece.
    Keys(Vec<KeyEvent>),
    /// Pasted, as the terminal says.
    Pasted(String),
    /// The size is another one.
    Resized,
}

/// What is typed from now on, for as long as somebody takes it. The thread that reads it stays in its
/// read: it ends with the process.
pub(super) fn input() -> mpsc::Receiver<io::Result<Input>> {
    let (tell, input) = mpsc::channel(BACKLOG);
    thread::spawn(move || {
        loop {
            match piece() {
                Ok(inputs) => {
                    for input in inputs {
                        if tell.blocking_send(Ok(input)).is_err() {
                            return;
                        }
                    }
                }
                Err(error) => {
                    let _ = tell.blocking_send(Err(error));
                    return;
                }
            }
        }
    });
    input
}

/// What there is to be read, with everything that came with it.
fn piece() -> io::Result<Vec<Input>> {
    let mut inputs = Vec::new();
    let mut keys = Vec::new();
    loop {
        let other = match event::read()? {
            Event::Key(key) => {
                if keys.len() < KEYS_MAX {
                    keys.push(key);
                }
                None
            }
            Event::Paste(text) => Some(Input::Pasted(text)),
            Event::Resize(..) => Some(Input::Resized),
            Event::FocusGained | Event::FocusLost | Event::Mouse(_) => None,
        };
        if let Some(other) = other {
            if !keys.is_empty() {
                inputs.push(Input::Keys(std::mem::take(&mut keys)));
            }
            inputs.push(other);
        }
        if !event::poll(Duration::ZERO)? {
            break;
        }
    }
    if !keys.is_empty() {
        inputs.push(Input::Keys(keys));
    }
    Ok(inputs)
}
