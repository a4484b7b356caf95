//! Every session of this machine on one screen of the terminal: what runs, what waits, what was
//! refused; one key decides.
//!
//! `screen` is what is known and looked at, `keys` and `act` are what a key means and does: pure,
//! without a clock. `draw` shows it, `desk` carries out what was decided, `terminal` is the only
//! part that touches the terminal. `plain` is the same for whoever has a screen read aloud: lines,
//! and no cursor that moves.

mod act;
mod desk;
mod draw;
mod journal;
mod keys;
mod list;
mod places;
mod plain;
mod screen;
mod terminal;
#[cfg(test)]
mod testing;

use std::io;
use std::time::{Duration, Instant};

use time::OffsetDateTime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{interval, sleep_until};

use crate::overview::Overview;

use self::plain::Plain;
use self::terminal::{Input, Terminal};

pub use self::act::Effect;
pub use self::draw::{Paint, draw};
pub use self::screen::{Moment, Screen};

/// No two frames are closer together.
const FRAME: Duration = Duration::from_micros(16_667);

/// Deeds whose outcome may wait to be shown.
const DEEDS: usize = 16;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The person left.
    Quit,
    /// This signal ended it.
    Signal(i32),
    /// Something panicked, and said what on standard error.
    Panicked,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        Self {
            instant: Instant::now(),
            time: OffsetDateTime::now_utc(),
        }
    }
}

/// Shows the sessions on this terminal until the person leaves.
///
/// # Errors
/// When the terminal cannot be had, read, or written to.
pub async fn run(mut overview: Overview, paint: Paint) -> io::Result<End> {
    let mut signals = Signals::new()?;
    let mut back = signal(SignalKind::from_raw(nix::sys::signal::SIGCONT as i32))?;
    let mut terminal = Terminal::take()?;
    let mut input = terminal::input();
    let (tell, mut told) = mpsc::channel(DEEDS);
    let mut second = interval(Duration::from_secs(1));
    let mut screen = Screen::default();
    let mut stale = true;
    let mut next_frame = tokio::time::Instant::now();
    loop {
        let mut effects = Vec::new();
        tokio::select! {
            input = input.recv() => match input {
                Some(Ok(Input::Keys(keys))) => effects = screen.keys(&keys, Moment::now()),
                Some(Ok(Input::Pasted(text))) => screen.pasted(&text, Moment::now()),
                Some(Ok(Input::Resized)) => {}
                Some(Err(error)) => return Err(error),
                None => return Ok(End::Quit),
            },
            (id, update) = overview.next() => screen.apply(id, update, Moment::now()),
            Some(done) = told.recv() => screen.done(done),
            _ = second.tick() => {
                if terminal.panicked() {
                    return Ok(End::Panicked);
                }
                if !screen.counts_down() {
                    continue;
                }
            }
            _ = back.recv() => terminal.enter()?,
            signal = signals.next() => return Ok(End::Signal(signal)),
            () = sleep_until(next_frame), if stale => {
                let now = Moment::now();
                terminal.screen.draw(|frame| draw(frame, &mut screen, paint, now))?;
                stale = false;
                next_frame = tokio::time::Instant::now() + FRAME;
                continue;
            }
        }
        stale = true;
        for effect in effects {
            match effect {
                Effect::Quit => return Ok(End::Quit),
                Effect::Redraw => terminal.anew()?,
                Effect::Suspend => terminal.suspend()?,
                Effect::Do(deed) => {
                    let (deed, tell) = (desk::begin(deed, &overview), tell.clone());
                    tokio::spawn(async move { tell.send(deed.await).await });
                }
            }
        }
    }
}

/// Tells what happens line by line, and takes commands as lines, until there is one that ends it.
/// The end of `commands` is none.
///
/// # Errors
/// What `say` makes of a line that cannot be said.
pub async fn plain<E: From<io::Error>>(
    mut overview: Overview,
    mut commands: mpsc::Receiver<String>,
    mut say: impl FnMut(&str) -> Result<(), E>,
) -> Result<End, E> {
    let mut signals = Signals::new()?;
    let (tell, mut told) = mpsc::channel(DEEDS);
    let mut plain = Plain::default();
    say(plain::HINT)?;
    loop {
        let mut effect = None;
        let lines = tokio::select! {
            (id, update) = overview.next() => plain.update(id, update, OffsetDateTime::now_utc()),
            Some(done) = told.recv() => vec![plain.done(done)],
            Some(line) = commands.recv() => {
                let (lines, wanted) = plain.command(&line, OffsetDateTime::now_utc());
                effect = wanted;
                lines
            }
            signal = signals.next() => return Ok(End::Signal(signal)),
        };
        for line in lines {
            say(&line)?;
        }
        match effect {
            Some(Effect::Quit) => return Ok(End::Quit),
            Some(Effect::Do(deed)) => {
                let (deed, tell) = (desk::begin(deed, &overview), tell.clone());
                tokio::spawn(async move { tell.send(deed.await).await });
            }
            Some(Effect::Redraw | Effect::Suspend) | None => {}
        }
    }
}

/// What ends it from outside.
struct Signals {
    hang_up: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.hang_up.recv() => SignalKind::hangup().as_raw_value(),
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
        }
    }
}
