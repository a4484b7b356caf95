//! The other end of a keeper: a terminal that has a command run in a session that is there.

use std::io;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};

use super::super::attach::{self, Farewell, Joined, Notices, Parted, Person};
use super::super::job::{Control, Job, Kill, Output};
use super::super::report::Report;
use super::super::request::CannotRun;
use super::super::signals::{Signal, Signals};
use super::wire;
use crate::api::{FRAME, Frame, FromKeeper, Order, SignalName, ToKeeper, Told, Which};
use crate::session::Found;
use crate::transport::unix;

/// Frames that may wait for the keeper.
const FRAMES: usize = 16;

/// The keeper of one session.
#[derive(Debug, Clone)]
pub struct KeeperClient {
    socket: PathBuf,
    session: String,
}

/// How a joined command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With this exit code.
    Exit(i64),
    /// We left, and it goes on: this is its number.
    Left(u32),
}

impl KeeperClient {
    /// Of a session that was found.
    pub fn of(found: &Found) -> Self {
        Self {
            socket: found.keeper_socket(),
            session: found.record.name.clone(),
        }
    }

    /// Whether there is one: a proxy that was started by hand has no sandbox and no keeper.
    pub fn is_there(&self) -> bool {
        unix::answers(&self.socket)
    }

    async fn ask_for(&self, what: &ToKeeper) -> Result<(UnixStream, FromKeeper)> {
        let reached = async {
            let mut stream = unix::connect(&self.socket).await?;
            wire::say(&mut stream, what).await?;
            let answer = wire::hear(&mut stream).await?;
            Ok::<_, anyhow::Error>((stream, answer))
        };
        reached.await.with_context(|| {
            format!(
                "the launcher of session {:?} does not answer on {}",
                self.session,
                self.socket.display()
            )
        })
    }

    /// What the keeper has to tell.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn told(&self) -> Result<Told> {
        match self.ask_for(&ToKeeper::Ask).await?.1 {
            FromKeeper::Told(told) => Ok(told),
            other => Err(unexpected(other)),
        }
    }

    /// Tells the keeper to end the session. The connection is to be held until that is done.
    pub(super) async fn tell_to_end(&self) -> Result<UnixStream> {
        Ok(self.ask_for(&ToKeeper::End).await?.0)
    }

    /// Runs a command in the sandbox, with our streams, to its end.
    ///
    /// # Errors
    ///
    /// When the keeper does not answer, or goes away; [`CannotRun`] when there is no such command.
    pub async fn exec(
        &self,
        order: Order,
        report: &dyn Report,
        notices: Option<Notices>,
    ) -> Result<i64> {
        let mut signals = Signals::listen()?;
        let terminal = order.terminal.is_some();
        let (stream, answer) = self.ask_for(&ToKeeper::Exec(order)).await?;
        let FromKeeper::Started { .. } = answer else {
            return Err(unexpected(answer));
        };
        let joined = Joined {
            terminal,
            farewell: Farewell::End,
            report,
        };
        let person = Person {
            notices,
            ..Person::left_alone()
        };
        match self.join(stream, joined, &mut signals, person).await? {
            Parted::Ended(outcome) => Ok(outcome.exit_code),
            Parted::Left => bail!("the command was left although it was to end"),
        }
    }

    /// Joins a shell that goes on when our terminal goes away.
    ///
    /// # Errors
    ///
    /// When the keeper does not answer, or there is no such shell.
    pub async fn shell(&self, which: Which, order: Order, report: &dyn Report) -> Result<Ending> {
        let mut signals = Signals::listen()?;
        let (stream, answer) = self.ask_for(&ToKeeper::Shell { which, order }).await?;
        let FromKeeper::Started {
            shell: Some(number),
        } = answer
        else {
            return Err(unexpected(answer));
        };
        let joined = Joined {
            terminal: true,
            farewell: Farewell::Leave,
            report,
        };
        let person = Person::left_alone();
        match self.join(stream, joined, &mut signals, person).await? {
            Parted::Ended(outcome) => Ok(Ending::Exit(outcome.exit_code)),
            Parted::Left => Ok(Ending::Left(number)),
        }
    }

    async fn join(
        &self,
        stream: UnixStream,
        joined: Joined<'_>,
        signals: &mut Signals,
        person: Person,
    ) -> Result<Parted> {
        let (job, mut told) = job(stream, joined.terminal);
        let said = async {
            match told.recv().await {
                Some(sentence) => sentence,
                None => std::future::pending().await,
            }
        };
        let parted = joined.run(job, said, signals, person).await;
        // What was said last came with the command's end, and may have been overtaken by it.
        while let Ok(sentence) = told.try_recv() {
            joined.report.warning(&sentence);
        }
        parted
    }
}

/// Rows and columns of our terminal, if both ends of our streams are one.
pub fn terminal() -> Option<(u16, u16)> {
    attach::is_interactive().then(|| attach::size().unwrap_or((24, 80)))
}

fn unexpected(answer: FromKeeper) -> anyhow::Error {
    match answer {
        FromKeeper::Failed {
            why,
            exit_code: Some(exit_code),
        } => CannotRun::told(why, exit_code).into(),
        FromKeeper::Failed { why, .. } => anyhow!(why),
        other => anyhow!("the session's launcher gave an answer that was not asked for: {other:?}"),
    }
}

/// A command behind a connection, and the sentences that come with it.
fn job(stream: UnixStream, terminal: bool) -> (Job, mpsc::Receiver<String>) {
    let (reader, writer) = stream.into_split();
    let (frames, waiting) = mpsc::channel(FRAMES);
    let (tell, told) = mpsc::channel(FRAMES);
    let (out, output) = duplex(FRAME);
    let (err, error) = duplex(FRAME);
    let (input, typed) = duplex(FRAME);
    let (exit, ended) = watch::channel(None);
    let (taken, may_type) = mpsc::channel(1);
    tokio::spawn(hear(reader, out, err, exit, tell, taken));
    tokio::spawn(say(writer, waiting));
    tokio::spawn(hand_on(typed, frames.clone(), may_type));
    let job = Job {
        output: match terminal {
            true => Output::Terminal(Box::new(output)),
            false => Output::Apart(Box::new(output), Box::new(error)),
        },
        input: Box::new(input),
        control: Box::new(Remote { frames, ended }),
    };
    (job, told)
}

async fn hear(
    mut reader: OwnedReadHalf,
    mut out: DuplexStream,
    mut err: DuplexStream,
    exit: watch::Sender<Option<i64>>,
    tell: mpsc::Sender<String>,
    taken: mpsc::Sender<()>,
) {
    while let Ok(Some(frame)) = wire::receive(&mut reader).await {
        // Our own ends: where nobody reads them any more, there is nobody to tell.
        match frame {
            Frame::Bytes(bytes) => drop(out.write_all(&bytes).await),
            Frame::Error(bytes) => drop(err.write_all(&bytes).await),
            Frame::Taken => drop(taken.try_send(())),
            Frame::Tell(sentence) => drop(tell.try_send(sentence)),
            Frame::Exit(code) => {
                exit.send_replace(Some(code));
                return;
            }
            // What only a terminal sends.
            Frame::End | Frame::Size(..) | Frame::Signal(_) => {}
        }
    }
}

async fn say(mut writer: OwnedWriteHalf, mut waiting: mpsc::Receiver<Frame>) {
    while let Some(frame) = waiting.recv().await {
        if wire::send(&mut writer, &frame).await.is_err() {
            return;
        }
    }
}

/// Hands on what is typed, a piece at a time, the next when the command has taken the last.
async fn hand_on(
    mut typed: DuplexStream,
    frames: mpsc::Sender<Frame>,
    mut may_type: mpsc::Receiver<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; FRAME];
    loop {
        let frame = match typed.read(&mut buffer).await? {
            0 => Frame::End,
            count => Frame::Bytes(buffer[..count].to_vec()),
        };
        let end = frame == Frame::End;
        if frames.send(frame).await.is_err() || end || may_type.recv().await.is_none() {
            return Ok(());
        }
    }
}

struct Remote {
    frames: mpsc::Sender<Frame>,
    ended: watch::Receiver<Option<i64>>,
}

impl Control for Remote {
    fn resize(&self, rows: u16, columns: u16) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let _ = self.frames.send(Frame::Size(rows, columns)).await;
        })
    }

    fn signal(&self, signal: Kill) -> BoxFuture<'_, ()> {
        let name = match signal {
            Kill::As(Signal::Interrupt) => SignalName::Int,
            Kill::As(Signal::Quit) => SignalName::Quit,
            Kill::As(Signal::Terminate) => SignalName::Term,
            Kill::As(Signal::HangUp) => SignalName::Hup,
            Kill::As(Signal::Resized) => return Box::pin(std::future::ready(())),
            Kill::Pipe => SignalName::Pipe,
            Kill::Now => SignalName::Kill,
        };
        Box::pin(async move {
            let _ = self.frames.send(Frame::Signal(name)).await;
        })
    }

    fn wait(&self) -> BoxFuture<'_, Result<i64>> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let code = ended.wait_for(Option::is_some).await;
            code.ok().and_then(|code| *code).context(
                "the session ended, and with it what ran in it; `vibepit up` starts one that stays",
            )
        })
    }
}
