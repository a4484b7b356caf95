//! A terminal that has joined a command: frames one way and the other. Nothing that steers waits
//! behind what is not read: each way has a task of its own.

use std::pin::pin;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};

use super::super::attach::{Channel, Demux};
use super::super::job::{Control, Job, Kill, Output};
use super::super::signals::Signal;
use super::shells::{Heard, Seat};
use super::{ENDING, wire};
use crate::api::{FRAME, Frame, SignalName};

/// How long a command may take to end whose terminal has gone.
const GRACE: Duration = Duration::from_secs(10);
/// Frames that may wait, each way.
const FRAMES: usize = 4;

/// A terminal's connection, taken apart.
struct Terminal {
    /// What it sends. A terminal that has gone sends nothing more.
    said: mpsc::Receiver<Frame>,
    /// What it is told. Nobody takes it when the terminal has gone.
    told: mpsc::Sender<Frame>,
    writing: JoinSet<()>,
    _reading: JoinSet<()>,
}

impl Terminal {
    fn new(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        let (saying, said) = mpsc::channel(FRAMES);
        let (told, telling) = mpsc::channel(FRAMES);
        let (mut reading, mut writing) = (JoinSet::new(), JoinSet::new());
        reading.spawn(read(reader, saying));
        writing.spawn(write(writer, telling));
        Self {
            said,
            told,
            writing,
            _reading: reading,
        }
    }

    /// Tells the last there is, and waits until it is written.
    async fn part(mut self, last: Vec<Frame>) {
        for frame in last {
            let _ = self.told.send(frame).await;
        }
        drop(self.told);
        let _ = self.writing.join_next().await;
    }
}

async fn read(mut reader: OwnedReadHalf, saying: mpsc::Sender<Frame>) {
    while let Ok(Some(frame)) = wire::receive(&mut reader).await {
        if saying.send(frame).await.is_err() {
            return;
        }
    }
}

async fn write(mut writer: OwnedWriteHalf, mut telling: mpsc::Receiver<Frame>) {
    while let Some(frame) = telling.recv().await {
        if wire::send(&mut writer, &frame).await.is_err() {
            return;
        }
    }
}

/// Joins a terminal to a command that belongs to it.
pub(super) async fn exec(
    stream: UnixStream,
    job: Job,
    mut over: watch::Receiver<bool>,
) -> Result<()> {
    let mut terminal = Terminal::new(stream);
    let (typed, pieces) = mpsc::channel(1);
    let mut feeding = JoinSet::new();
    feeding.spawn(feed(job.input, pieces, terminal.told.clone()));
    let mut pumping = pin!(pump(job.output, terminal.told.clone()));
    let control = &*job.control;
    let mut typed = Some(typed);
    let mut gone = false;
    let mut grace = pin!(None);
    loop {
        tokio::select! {
            () = &mut pumping => break,
            frame = terminal.said.recv(), if !gone => match frame {
                Some(Frame::Bytes(bytes)) => if let Some(typed) = &typed {
                    let _ = typed.try_send(bytes);
                },
                Some(Frame::End) => typed = None,
                Some(frame) => steer(control, frame).await,
                None => {
                    gone = true;
                    control.signal(Kill::As(Signal::HangUp)).await;
                    grace.set(Some(sleep(GRACE)));
                }
            },
            () = when(grace.as_mut().as_pin_mut()), if grace.is_some() => {
                grace.set(None);
                control.signal(Kill::Now).await;
            }
            () = leaving(&mut over) => {
                terminal.part(vec![Frame::Tell(ENDING.to_owned())]).await;
                return Ok(());
            }
        }
    }
    let last = match control.wait().await {
        Ok(code) => {
            let afterword = control.explain(code).await.map(Frame::Tell);
            afterword.into_iter().chain([Frame::Exit(code)]).collect()
        }
        Err(error) => lost(format!("{error:#}")),
    };
    drop(feeding);
    terminal.part(last).await;
    Ok(())
}

/// Joins a terminal to a shell that others may have joined too, until one of the two leaves.
pub(super) async fn shell(
    stream: UnixStream,
    mut seat: Seat,
    size: Option<(u16, u16)>,
    mut over: watch::Receiver<bool>,
) -> Result<()> {
    let mut terminal = Terminal::new(stream);
    seat.redraw(size).await;
    loop {
        tokio::select! {
            heard = seat.hear() => match heard {
                Heard::Output(bytes) => {
                    if terminal.told.send(Frame::Bytes(bytes.to_vec())).await.is_err() {
                        return Ok(());
                    }
                }
                Heard::Exit(code) => {
                    terminal.part(vec![Frame::Exit(code)]).await;
                    return Ok(());
                }
                Heard::Lost(why) => {
                    terminal.part(lost(why)).await;
                    return Ok(());
                }
            },
            frame = terminal.said.recv() => match frame {
                Some(Frame::Bytes(bytes)) => {
                    seat.typed(bytes).await;
                    let _ = terminal.told.send(Frame::Taken).await;
                }
                Some(Frame::End) => {}
                Some(frame) => steer(seat.control(), frame).await,
                None => return Ok(()),
            },
            () = leaving(&mut over) => {
                terminal.part(vec![Frame::Tell(ENDING.to_owned())]).await;
                return Ok(());
            }
        }
    }
}

/// The last that is told of a command whose end nobody knows: its code is that of a failure of
/// vibepit's own.
fn lost(why: String) -> Vec<Frame> {
    vec![Frame::Tell(why), Frame::Exit(1)]
}

/// Done when everybody is to leave.
async fn leaving(over: &mut watch::Receiver<bool>) {
    let _ = over.wait_for(|over| *over).await;
}

async fn steer(control: &dyn Control, frame: Frame) {
    match frame {
        Frame::Size(rows, columns) => control.resize(rows, columns).await,
        Frame::Signal(name) => control.signal(kill(name)).await,
        // What only a keeper sends.
        _ => {}
    }
}

fn kill(name: SignalName) -> Kill {
    match name {
        SignalName::Int => Kill::As(Signal::Interrupt),
        SignalName::Quit => Kill::As(Signal::Quit),
        SignalName::Term => Kill::As(Signal::Terminate),
        SignalName::Hup => Kill::As(Signal::HangUp),
        SignalName::Pipe => Kill::Pipe,
        SignalName::Kill => Kill::Now,
    }
}

/// Hands what is typed to a command, and tells when it has taken it.
async fn feed(
    mut input: impl AsyncWrite + Unpin,
    mut pieces: mpsc::Receiver<Vec<u8>>,
    told: mpsc::Sender<Frame>,
) {
    while let Some(bytes) = pieces.recv().await {
        // A command that reads no more takes nothing, and the terminal types on in vain.
        if input.write_all(&bytes).await.is_err() || input.flush().await.is_err() {
            return;
        }
        let _ = told.send(Frame::Taken).await;
    }
    let _ = input.shutdown().await;
}

/// Tells what a command writes, until it writes no more. A terminal that has gone is told nothing,
/// and the command is read all the same.
async fn pump(output: Output, told: mpsc::Sender<Frame>) {
    match output {
        Output::Terminal(output) => copy(output, &told, Frame::Bytes).await,
        Output::Apart(output, error) => {
            tokio::join!(
                copy(output, &told, Frame::Bytes),
                copy(error, &told, Frame::Error)
            );
        }
        Output::Framed(output) => {
            let mut demux = Demux::new(output);
            let mut buffer = vec![0; FRAME];
            while let Ok(Some((channel, piece))) = demux.read(&mut buffer).await {
                let frame = match channel {
                    Channel::Stdout => Frame::Bytes(piece.to_vec()),
                    Channel::Stderr => Frame::Error(piece.to_vec()),
                };
                let _ = told.send(frame).await;
            }
        }
    }
}

async fn copy(
    mut output: impl AsyncRead + Unpin,
    told: &mpsc::Sender<Frame>,
    frame: impl Fn(Vec<u8>) -> Frame,
) {
    let mut buffer = vec![0; FRAME];
    while let Ok(count @ 1..) = output.read(&mut buffer).await {
        let _ = told.send(frame(buffer[..count].to_vec())).await;
    }
}

async fn when(timer: Option<std::pin::Pin<&mut Sleep>>) {
    match timer {
        Some(timer) => timer.await,
        None => std::future::pending().await,
    }
}
