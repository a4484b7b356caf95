//! Shells that outlive the terminals that look at them. Each has the last that it drew, for whoever
//! comes next, and any number of terminals, which all see and type the same.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::super::job::{Control, Job, Output};
use crate::api::{FRAME, ShellView, Which};

/// How much of what a shell drew is kept, in bytes: some screens.
const KEPT: usize = 64 * 1024;
/// Pieces that may wait for a terminal.
const PIECES: usize = 16;
/// A terminal that takes nothing for so long is left behind, so that it does not hold up the shell.
const STUCK: Duration = Duration::from_secs(10);
/// Shells at a time.
const MOST: usize = 64;

/// The shells of a session.
#[derive(Default)]
pub(super) struct Shells(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    numbers: u32,
    shells: Vec<Arc<Shell>>,
    /// Numbers of those that were left, the last at the end.
    left: Vec<u32>,
}

struct Shell {
    number: u32,
    command: Vec<String>,
    since: Instant,
    input: mpsc::Sender<Vec<u8>>,
    control: Box<dyn Control>,
    screen: Mutex<Screen>,
    exit: watch::Sender<Option<Exit>>,
}

/// A shell's exit code, or why it is not known.
type Exit = Result<i64, String>;

#[derive(Default)]
struct Screen {
    drawn: VecDeque<u8>,
    seats: Vec<(u64, mpsc::Sender<Bytes>)>,
    seated: u64,
}

/// A terminal's place at a shell, until it is dropped.
pub(super) struct Seat {
    shell: Arc<Shell>,
    book: Arc<Mutex<Book>>,
    number: u64,
    pieces: mpsc::Receiver<Bytes>,
    exit: watch::Receiver<Option<Exit>>,
    /// It joined one that had drawn something already.
    late: bool,
}

/// What comes of a shell.
pub(super) enum Heard {
    /// It wrote this.
    Output(Bytes),
    /// It ended.
    Exit(i64),
    /// Nobody hears of it any more, for this reason.
    Lost(String),
}

impl Shells {
    /// Every shell, the oldest first.
    pub(super) fn list(&self) -> Vec<ShellView> {
        let book = lock(&self.0);
        let view = |shell: &Arc<Shell>| ShellView {
            number: shell.number,
            command: shell.command.clone(),
            joined: lock(&shell.screen).seats.len(),
            age_seconds: shell.since.elapsed().as_secs(),
        };
        book.shells.iter().map(view).collect()
    }

    /// A place at the shell that is meant, which is started if there is none.
    ///
    /// # Errors
    /// When there is no such shell, or it cannot be started.
    pub(super) async fn join(
        &self,
        which: Which,
        start: impl AsyncFnOnce() -> Result<Job>,
        command: &[String],
    ) -> Result<(u32, Seat)> {
        let found = {
            let mut book = lock(&self.0);
            match which {
                Which::New => None,
                Which::Left => book.take_left(),
                Which::Number(number) => match book.find(number) {
                    Some(shell) => Some(shell),
                    None => bail!("there is no shell {number} here; vibepit status lists them"),
                },
            }
        };
        let shell = match found {
            Some(shell) => shell,
            None => self.begin(start().await?, command)?,
        };
        Ok((shell.number, Seat::at(shell, &self.0)))
    }

    fn begin(&self, job: Job, command: &[String]) -> Result<Arc<Shell>> {
        let Output::Terminal(output) = job.output else {
            bail!("a shell needs a terminal; for a command without one there is vibepit exec");
        };
        let (input, mut typed) = mpsc::channel::<Vec<u8>>(1);
        let shell = {
            let mut book = lock(&self.0);
            if book.shells.len() >= MOST {
                bail!("there are {MOST} shells already; leave some of them with exit");
            }
            book.numbers += 1;
            let shell = Arc::new(Shell {
                number: book.numbers,
                command: command.to_vec(),
                since: Instant::now(),
                input,
                control: job.control,
                screen: Mutex::default(),
                exit: watch::Sender::new(None),
            });
            book.shells.push(Arc::clone(&shell));
            shell
        };
        let mut writer = job.input;
        tokio::spawn(async move {
            while let Some(bytes) = typed.recv().await {
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
        });
        let (book, drawn) = (Arc::clone(&self.0), Arc::clone(&shell));
        tokio::spawn(async move {
            drawn.draw(output).await;
            let exit = drawn.control.wait().await;
            let exit = exit.map_err(|error| format!("{error:#}"));
            lock(&book).forget(drawn.number);
            drawn.exit.send_replace(Some(exit));
        });
        Ok(shell)
    }
}

impl Book {
    fn find(&self, number: u32) -> Option<Arc<Shell>> {
        let shell = self.shells.iter().find(|shell| shell.number == number);
        shell.cloned()
    }

    /// The one that was left last, and that nobody has joined since.
    fn take_left(&mut self) -> Option<Arc<Shell>> {
        while let Some(number) = self.left.pop() {
            if let Some(shell) = self.find(number)
                && lock(&shell.screen).seats.is_empty()
            {
                return Some(shell);
            }
        }
        None
    }

    fn forget(&mut self, number: u32) {
        self.shells.retain(|shell| shell.number != number);
        self.left.retain(|left| *left != number);
    }
}

impl Shell {
    /// Shows what it writes to every terminal, until it writes no more.
    async fn draw(&self, mut output: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; FRAME];
        // Linux reports a terminal whose last user has gone as an error.
        while let Ok(count @ 1..) = output.read(&mut buffer).await {
            let piece = Bytes::copy_from_slice(&buffer[..count]);
            let seats = {
                let mut screen = lock(&self.screen);
                screen.drawn.extend(&piece);
                let more = screen.drawn.len().saturating_sub(KEPT);
                screen.drawn.drain(..more);
                screen.seats.clone()
            };
            for (number, seat) in seats {
                if !matches!(timeout(STUCK, seat.send(piece.clone())).await, Ok(Ok(()))) {
                    lock(&self.screen)
                        .seats
                        .retain(|(other, _)| *other != number);
                }
            }
        }
        lock(&self.screen).seats.clear();
    }
}

impl Seat {
    fn at(shell: Arc<Shell>, book: &Arc<Mutex<Book>>) -> Self {
        let (sender, pieces) = mpsc::channel(PIECES);
        let (number, late) = {
            let mut screen = lock(&shell.screen);
            screen.seated += 1;
            let number = screen.seated;
            let drawn: Vec<u8> = screen.drawn.iter().copied().collect();
            let late = !drawn.is_empty();
            // It is empty: there is room.
            let _ = sender.try_send(drawn.into());
            screen.seats.push((number, sender));
            (number, late)
        };
        Self {
            exit: shell.exit.subscribe(),
            book: Arc::clone(book),
            shell,
            number,
            pieces,
            late,
        }
    }

    /// What comes next. May be dropped while it waits.
    pub(super) async fn hear(&mut self) -> Heard {
        if let Some(piece) = self.pieces.recv().await {
            return Heard::Output(piece);
        }
        // It writes no more, or this terminal was left behind.
        let exit = self.exit.wait_for(Option::is_some).await;
        match exit.ok().and_then(|exit| exit.clone()) {
            Some(Ok(code)) => Heard::Exit(code),
            Some(Err(why)) => Heard::Lost(why),
            None => Heard::Exit(1),
        }
    }

    /// Hands on what was typed.
    pub(super) async fn typed(&self, bytes: Vec<u8>) {
        // A shell that has ended reads nothing.
        let _ = self.shell.input.send(bytes).await;
    }

    /// Steers the shell.
    pub(super) fn control(&self) -> &dyn Control {
        &*self.shell.control
    }

    /// Has a program that fills the screen draw it again: only another size makes it.
    pub(super) async fn redraw(&self, size: Option<(u16, u16)>) {
        if let Some((rows, columns)) = size {
            if self.late {
                let narrower = columns.saturating_sub(1).max(1);
                self.control().resize(rows, narrower).await;
            }
            self.control().resize(rows, columns).await;
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut book = lock(&self.book);
        let mut screen = lock(&self.shell.screen);
        screen.seats.retain(|(number, _)| *number != self.number);
        if screen.seats.is_empty() && book.find(self.shell.number).is_some() {
            book.left.push(self.shell.number);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
