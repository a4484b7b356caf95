//! What a launcher starts in its containers: the proxy, and the holder of the sandbox's network
//! namespace. Both say what became of it in one line of standard output, and live as long as
//! their standard input is open.

use std::collections::VecDeque;
use std::future::pending;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines, Stdin, Stdout};
use tokio::net::UnixStream;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use super::signals::{Signal, Signals};
use crate::api::{Document, DoorAddresses, FromProxy, PolicyDocument, ToProxy};
use crate::cli::failure::Failure;
use crate::proxy::{Proxy, Reload, Sockets};
use crate::transport::unix;

/// The proxy: everything comes over standard input, and its end is the launcher's end.
pub(super) async fn serve() -> Result<ExitCode, Failure> {
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let answers = Arc::new(Mutex::new(tokio::io::stdout()));
    let document = match first_line(&mut input).await {
        Ok(document) => document,
        Err(why) => return refused(&answers, why).await,
    };
    let (policies, inbox) = mpsc::channel(1);
    let inbox = Arc::new(Mutex::new(inbox));
    let reload: Reload = {
        let answers = Arc::clone(&answers);
        Box::new(move || Box::pin(ask_again(Arc::clone(&answers), Arc::clone(&inbox))))
    };
    let mut signals = Signals::new()?;
    let mut lifeline = match &document.lifeline {
        Some(path) => match unix::connect(path).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                let why = format!(
                    "the launcher does not answer at {}: {error}",
                    path.display()
                );
                return refused(&answers, why).await;
            }
        },
        None => None,
    };
    let (heard, hearing) = mpsc::unbounded_channel();
    let audit = document
        .audit_over_output
        .then(|| hand_on(Arc::clone(&answers), hearing));
    let patience = document.patience.map(u64::from).map(Duration::from_secs);
    let mut last = Instant::now();
    let proxy = match Proxy::start(document, reload, audit).await {
        Ok(proxy) => proxy,
        Err(error) => return refused(&answers, error.to_string()).await,
    };
    say(&answers, &FromProxy::Ready(proxy.listening().clone())).await?;
    let why = loop {
        tokio::select! {
            line = input.next_line() => match line.ok().flatten() {
                None => break "the launcher is gone",
                Some(line) => {
                    last = Instant::now();
                    let policy = match serde_json::from_str(&line) {
                        Ok(ToProxy::Here { heard: number, again }) => {
                            // Nobody listens where nothing is handed on.
                            let _ = heard.send(Hearing::Heard(number, again));
                            continue;
                        }
                        Ok(ToProxy::Saved(saved)) => {
                            proxy.follow(saved).await;
                            continue;
                        }
                        Ok(ToProxy::End) => break "the session was ended",
                        Ok(ToProxy::Policy(policy)) => Ok(policy),
                        Ok(ToProxy::ReloadFailed(why)) => Err(why),
                        Ok(ToProxy::Start(_)) => Err("the launcher starts twice".to_owned()),
                        Err(error) => Err(format!("the launcher is not understood: {error}")),
                    };
                    // Full or closed: nobody asked, or nobody waits any more.
                    let _ = policies.try_send(policy);
                }
            },
            () = ended(&mut lifeline) => break "the launcher is gone",
            () = silent_for(last, patience) => break "the launcher has stayed away",
            signal = signals.next() => match signal {
                Signal::End(_) => break "the session was ended",
                Signal::Reload => { let _ = proxy.reload().await; }
            },
        }
    };
    proxy.end(why).await;
    let (done, over) = oneshot::channel();
    if heard.send(Hearing::Over(done)).is_ok() {
        let _ = over.await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Audit lines that may wait to be said: some thousand each.
const AUDIT_WAITING: usize = 64;
/// Those that are said again if the connection was lost; what is more than that is lost.
const AUDIT_UNHEARD: usize = 1024;

/// What whoever says the audit lines is told.
enum Hearing {
    /// The launcher has those up to this number, and wants the rest again if its connection was
    /// lost.
    Heard(u64, bool),
    /// Everything has been written: done when it has been said.
    Over(oneshot::Sender<()>),
}

/// Says the audit lines to the launcher, which writes them, and says them again where the connection
/// was lost.
fn hand_on(
    answers: Answers,
    mut hearing: mpsc::UnboundedReceiver<Hearing>,
) -> mpsc::Sender<String> {
    let (sender, mut lines) = mpsc::channel(AUDIT_WAITING);
    let mut teller = Teller {
        answers,
        unheard: VecDeque::new(),
        number: 0,
    };
    tokio::spawn(async move {
        loop {
            tokio::select! {
                said = lines.recv() => match said {
                    Some(lines) => teller.tell(lines).await,
                    None => return,
                },
                Some(heard) = hearing.recv() => match heard {
                    Hearing::Heard(number, again) => teller.heard(number, again).await,
                    Hearing::Over(done) => {
                        while let Ok(lines) = lines.try_recv() {
                            teller.tell(lines).await;
                        }
                        let _ = done.send(());
                    }
                },
            }
        }
    });
    sender
}

/// Lines on their way. One that cannot be said now is said again when somebody listens.
struct Teller {
    answers: Answers,
    unheard: VecDeque<(u64, String)>,
    number: u64,
}

impl Teller {
    async fn tell(&mut self, lines: String) {
        self.number += 1;
        let number = self.number;
        self.unheard.push_back((number, lines.clone()));
        if self.unheard.len() > AUDIT_UNHEARD {
            self.unheard.pop_front();
        }
        let _ = say(&self.answers, &FromProxy::Audit { number, lines }).await;
    }

    async fn heard(&mut self, heard: u64, again: bool) {
        self.unheard.retain(|(number, _)| *number > heard);
        let wanted = self.unheard.iter().filter(|_| again);
        for (number, lines) in wanted {
            let (number, lines) = (*number, lines.clone());
            let _ = say(&self.answers, &FromProxy::Audit { number, lines }).await;
        }
    }
}

/// Waits until nothing was said for so long.
async fn silent_for(last: Instant, patience: Option<Duration>) {
    match patience {
        Some(patience) => sleep_until(last + patience).await,
        None => pending().await,
    }
}

/// Waits until the other side is gone. It never says anything.
async fn ended(lifeline: &mut Option<UnixStream>) {
    match lifeline {
        Some(stream) => while matches!(stream.read(&mut [0]).await, Ok(1..)) {},
        None => pending().await,
    }
}

/// The holder of the sandbox's network namespace: opens the doors in it and hands them to the
/// proxy. It lives as long as its launcher: a sandbox can only join what is there.
pub(super) async fn hold(
    at: DoorAddresses,
    socket: &Path,
    patience: Option<u16>,
) -> Result<ExitCode, Failure> {
    let answers = Arc::new(Mutex::new(tokio::io::stdout()));
    let mut signals = Signals::new()?;
    let opened = async {
        let sockets = Sockets::open(&at).await?;
        let listening = sockets.listening()?;
        let listener = unix::listen(socket)?;
        anyhow::Ok((sockets, listening, listener))
    };
    let (sockets, listening, listener) = match opened.await {
        Ok(opened) => opened,
        Err(error) => return refused(&answers, error.to_string()).await,
    };
    say(&answers, &FromProxy::Ready(listening)).await?;
    let mut input = BufReader::new(tokio::io::stdin()).lines();
    let handing_over = async {
        match sockets.hand_over(listener, socket).await {
            Ok(()) => pending().await,
            Err(error) => error,
        }
    };
    let mut handing_over = std::pin::pin!(handing_over);
    let patience = patience.map(u64::from).map(Duration::from_secs);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            error = &mut handing_over => return refused(&answers, error.to_string()).await,
            line = input.next_line() => match line {
                Ok(Some(line)) => {
                    last = Instant::now();
                    if matches!(serde_json::from_str(&line), Ok(ToProxy::End)) {
                        return Ok(ExitCode::SUCCESS);
                    }
                }
                _ => return Ok(ExitCode::SUCCESS),
            },
            () = silent_for(last, patience) => return Ok(ExitCode::SUCCESS),
            signal = signals.next() => if let Signal::End(_) = signal {
                return Ok(ExitCode::SUCCESS);
            },
        }
    }
}

type Answers = Arc<Mutex<Stdout>>;
type Inbox = Arc<Mutex<mpsc::Receiver<Result<PolicyDocument, String>>>>;

async fn first_line(input: &mut Lines<BufReader<Stdin>>) -> Result<Document, String> {
    let line = input.next_line().await.map_err(|error| error.to_string())?;
    let line = line.ok_or("standard input ended before the document came")?;
    match serde_json::from_str(&line) {
        Ok(ToProxy::Start(document)) => Ok(*document),
        Ok(_) => Err("the first line is not a document".to_owned()),
        Err(error) => Err(format!("the document is not understood: {error}")),
    }
}

/// Asks the launcher what the files say now. One at a time: the answers carry no number.
async fn ask_again(answers: Answers, inbox: Inbox) -> Result<PolicyDocument, String> {
    let mut inbox = inbox.lock().await;
    while inbox.try_recv().is_ok() {}
    say(&answers, &FromProxy::Reload)
        .await
        .map_err(|failure| failure.message)?;
    inbox
        .recv()
        .await
        .unwrap_or_else(|| Err("the launcher is gone".to_owned()))
}

async fn refused(answers: &Answers, why: String) -> Result<ExitCode, Failure> {
    say(answers, &FromProxy::Failed(why.clone())).await?;
    Err(Failure::failed(why))
}

async fn say(answers: &Answers, line: &FromProxy) -> Result<(), Failure> {
    let mut bytes = serde_json::to_vec(line).map_err(Failure::failed)?;
    bytes.push(b'\n');
    let mut answers = answers.lock().await;
    answers.write_all(&bytes).await?;
    Ok(answers.flush().await?)
}
