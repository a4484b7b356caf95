//! `proxy`: a session without a sandbox, in the foreground; and, with `--stdin`, what a launcher
//! starts in its container.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use time::OffsetDateTime;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, Stdin, Stdout};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Mutex, mpsc};

use crate::api::{
    ControlPoints, Document, Doors, FromProxy, HostAccess, Identity, PolicyDocument, ToProxy,
};
use crate::config::{self, Config};
use crate::launcher::{pki, resolvers};
use crate::policy::Entry;
use crate::proxy::{Proxy, Reload};
use crate::session::{self, Control, Record, RuntimeDir, SessionDir, SessionId};

use super::args::ProxyArgs;
use super::failure::Failure;
use super::output::{Output, printable};
use super::policy;

pub(super) async fn run(args: ProxyArgs, out: &Output) -> Result<ExitCode, Failure> {
    if args.stdin {
        by_launcher().await
    } else {
        by_hand(args, out).await
    }
}

/// A session like any other, without a sandbox.
async fn by_hand(args: ProxyArgs, out: &Output) -> Result<ExitCode, Failure> {
    let source = Source {
        file: args.config.clone(),
        flags: policy::entries(&args.allow)?,
    };
    // What cannot be used is told before anything is made.
    let policy = source.read()?;
    let runtime = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    session::reap(&runtime).await.map_err(Failure::failed)?;
    let id = SessionId::random()?;
    let dir = SessionDir::create(&runtime, &id).map_err(Failure::failed)?;
    let outcome = serve_by_hand(&args, &dir, policy, source, out).await;
    dir.remove().map_err(Failure::failed)?;
    outcome
}

async fn serve_by_hand(
    args: &ProxyArgs,
    dir: &SessionDir,
    policy: PolicyDocument,
    source: Source,
    out: &Output,
) -> Result<ExitCode, Failure> {
    let now = OffsetDateTime::now_utc();
    let minted = pki::mint(now).map_err(Failure::failed)?;
    let name = args.name.clone().unwrap_or_else(|| "proxy".to_owned());
    let own_socket = dir.control_socket();
    let identity = Identity {
        id: dir.id().to_string(),
        name: name.clone(),
        project_dir: None,
        runtime: "none".to_owned(),
    };
    let document = Document {
        session: identity,
        policy,
        doors: Doors {
            http: Some(args.http),
            dns: args.dns,
        },
        control: ControlPoints {
            sockets: std::iter::once(own_socket.clone())
                .chain(args.control.clone())
                .collect(),
            tcp: Some(args.tcp),
        },
        tls: Some(minted.server),
        audit: Some(config::audit_file(dir.id().as_str()).map_err(Failure::failed)?),
        host: HostAccess::Loopback,
    };
    // Before a door opens, so that no signal finds the session half made and unguarded.
    let mut signals = Signals::new()?;
    let reload: Reload = Box::new(move || {
        let policy = source.read().map_err(|failure| failure.message);
        Box::pin(std::future::ready(policy))
    });
    let proxy = Proxy::start(document, reload)
        .await
        .map_err(Failure::failed)?;
    let listening = proxy.listening().clone();
    dir.write_credentials(&minted.client)
        .map_err(Failure::failed)?;
    let record = Record {
        version: Record::VERSION,
        id: dir.id(),
        name: name.clone(),
        project_dir: None,
        runtime: "none".to_owned(),
        created: now
            .format(&time::format_description::well_known::Rfc3339)
            .map_err(Failure::failed)?,
        pid: std::process::id(),
        control: Control {
            socket: Some(own_socket),
            tcp: listening.tcp,
        },
        proxy: session::Doors {
            http: listening.http,
            socks5: None,
            dns: listening.dns,
        },
        sandbox: None,
    };
    dir.announce(&record).map_err(Failure::failed)?;
    if let Some(http) = listening.http {
        out.note(format!(
            "vibepit proxy {} ({}): http://{http}",
            record.id,
            printable(&name)
        ));
    }
    if let Some(dns) = listening.dns {
        out.note(format!("name server: {dns}"));
    }
    out.note("to let something through: vibepit allow HOST");
    loop {
        match signals.next().await {
            Signal::Reload => match proxy.reload().await {
                Ok(()) => out.note("configuration read again"),
                Err(why) => out.warn(printable(&why)),
            },
            Signal::End(name) => {
                proxy.end(&format!("the proxy got {name}")).await;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// Where the rules of a proxy started by hand come from.
struct Source {
    file: Option<PathBuf>,
    flags: Vec<Entry>,
}

impl Source {
    fn read(&self) -> Result<PolicyDocument, Failure> {
        let config = match &self.file {
            Some(file) => Config::load_named(file).map_err(policy::invalid)?,
            None => policy::config()?,
        };
        let mut document = policy::document(config, &self.flags);
        if document.upstream_dns.is_empty() {
            document.upstream_dns = resolvers::of_this_host();
        }
        // Also those that are public: what listens there is meant for the network, not for us.
        document.screened = resolvers::own_addresses();
        Ok(document)
    }
}

/// What ends a proxy, and what makes it read its files again.
struct Signals {
    end: [(&'static str, tokio::signal::unix::Signal); 2],
    reload: tokio::signal::unix::Signal,
}

enum Signal {
    End(&'static str),
    Reload,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            end: [
                ("SIGTERM", signal(SignalKind::terminate())?),
                ("SIGINT", signal(SignalKind::interrupt())?),
            ],
            reload: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        let [(term, terminate), (int, interrupt)] = &mut self.end;
        tokio::select! {
            _ = terminate.recv() => Signal::End(term),
            _ = interrupt.recv() => Signal::End(int),
            _ = self.reload.recv() => Signal::Reload,
        }
    }
}

/// What runs in the container: everything comes over standard input, and its end is the
/// launcher's end.
async fn by_launcher() -> Result<ExitCode, Failure> {
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
    let proxy = match Proxy::start(document, reload).await {
        Ok(proxy) => proxy,
        Err(error) => return refused(&answers, error.to_string()).await,
    };
    say(&answers, &FromProxy::Ready(proxy.listening().clone())).await?;
    let why = loop {
        tokio::select! {
            line = input.next_line() => match line.ok().flatten() {
                None => break "the launcher is gone",
                Some(line) => {
                    let policy = match serde_json::from_str(&line) {
                        Ok(ToProxy::Policy(policy)) => Ok(policy),
                        Ok(ToProxy::ReloadFailed(why)) => Err(why),
                        Ok(ToProxy::Start(_)) => Err("the launcher starts twice".to_owned()),
                        Err(error) => Err(format!("the launcher is not understood: {error}")),
                    };
                    // Full or closed: nobody asked, or nobody waits any more.
                    let _ = policies.try_send(policy);
                }
            },
            signal = signals.next() => match signal {
                Signal::End(_) => break "the session was ended",
                Signal::Reload => { let _ = proxy.reload().await; }
            },
        }
    };
    proxy.end(why).await;
    Ok(ExitCode::SUCCESS)
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
