//! Starting a proxy and draining it: opens every door and every control point, or none, and
//! closes them in the order that loses nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use crate::api::{Document, Listening, PolicyDocument, Saved};
use crate::policy::Door;
use crate::transport::{tls, unix};

use super::audit::{Audit, Bounds};
use super::control::{Control, State};
use super::decisions::{Decisions, DecisionsError};
use super::descriptors::{self, Descriptors};
use super::dial::Dialler;
use super::doors::dns::NameServer;
use super::doors::{Road, serve};
use super::gate::Gate;
use super::ledger::Ledger;
use super::reload::{Reload, Reloader};
use super::resolve::Resolver;
use super::sockets::{Sockets, listen_tcp, local};

/// How long connections, and then answers under way, get to end when the session does.
const DRAIN: Duration = Duration::from_secs(2);

/// Why a proxy does not start. The text names what it was about and what is wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {at}: {error}")]
    Listen {
        /// Address or path.
        at: String,
        /// What the system says.
        error: io::Error,
    },
    /// The sandbox's doors cannot be taken from whoever holds them.
    #[error("cannot take the doors that are held at {path}: {error}")]
    Holder {
        /// The holder's socket.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The audit log cannot be opened.
    #[error("cannot open the audit log in {path}: {error}")]
    Audit {
        /// Where it should be.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The control port has no key material, or unusable material.
    #[error("the control port cannot be opened: {0}")]
    Tls(String),
    /// Saved decisions cannot be read: a deny may be among them.
    #[error("{0}")]
    Decisions(String),
    /// The resolver cannot be set up.
    #[error("the resolver cannot be set up: {0}")]
    Resolver(String),
}

/// A proxy whose doors are open.
pub struct Proxy {
    state: Arc<State>,
    tasks: JoinSet<()>,
    control: Arc<Control>,
    end: watch::Sender<bool>,
    sockets: Vec<PathBuf>,
}

impl Proxy {
    /// Opens every door and control point that the document names. `audit` takes the lines of the
    /// audit log, where the document names no place for it.
    ///
    /// # Errors
    /// When one of them cannot be opened; then none is.
    pub async fn start(
        document: Document,
        reload: Reload,
        audit: Option<mpsc::Sender<String>>,
    ) -> Result<Self, StartError> {
        let descriptors = Descriptors::new(descriptors::limit());
        let told = audit.map(|to| {
            let session = &document.session;
            Audit::told(to, session.id.clone(), session.project_dir.clone())
        });
        let audit = document
            .audit
            .as_ref()
            .map(|place| {
                let session = &document.session;
                let project = session.project_dir.clone();
                Audit::open(place, Bounds::USUAL, session.id.clone(), project).map_err(|error| {
                    StartError::Audit {
                        path: place.shown.clone(),
                        error,
                    }
                })
            })
            .transpose()?
            .or(told);
        let resolver = resolver(&document.policy)?;
        let doors = Sockets::of(&document.doors).await?;
        let tcp = match (document.control.tcp, &document.tls) {
            (Some(address), Some(material)) => {
                let config = tls::server_config(&material.ca, &material.cert, &material.key)
                    .map_err(|error| StartError::Tls(error.to_string()))?;
                Some((listen_tcp(address)?, config))
            }
            (Some(_), None) => {
                return Err(StartError::Tls(
                    "it needs a certificate; there is no plaintext mode".into(),
                ));
            }
            (None, _) => None,
        };
        let sockets: Vec<UnixListener> = document
            .control
            .sockets
            .iter()
            .map(|path| listen_unix(path))
            .collect::<Result<_, _>>()?;
        let listening = Listening {
            tcp: tcp
                .as_ref()
                .map(|(listener, _)| local(listener))
                .transpose()?,
            ..doors.listening()?
        };

        let decisions = document.decisions.map(Decisions::new).map(Arc::new);
        let (ledger, bookkeeper) = Ledger::open(audit);
        let gate = Arc::new(Gate::new(
            document.policy,
            ledger.clone(),
            descriptors.places(),
        ));
        match &decisions {
            Some(decisions) => gate.follow(decisions.load().map_err(unusable)?),
            None => gate.follow(
                document
                    .saved
                    .into_iter()
                    .map(|saved| (saved, None))
                    .collect(),
            ),
        };
        tokio::spawn(bookkeeper.keep(Arc::clone(&gate)));
        ledger.starting();
        let resolver = Arc::new(ArcSwap::from_pointee(resolver));
        let reloader = Arc::new(Reloader::new(
            reload,
            Arc::clone(&gate),
            ledger.clone(),
            Arc::clone(&resolver),
            decisions.clone(),
        ));
        let road = Arc::new(Road {
            gate: Arc::clone(&gate),
            ledger: ledger.clone(),
            dialler: Dialler {
                resolver,
                host: document.host,
                descriptors: descriptors.clone(),
            },
        });
        let (end, ending) = watch::channel(false);
        let sandbox_side = listening.http.map(|address| address.ip());
        let state = Arc::new(State {
            gate: Arc::clone(&gate),
            ledger: ledger.clone(),
            identity: document.session,
            listening,
            since: Instant::now(),
            reloader,
            decisions: decisions.clone(),
            ending: Ending(ending),
        });
        let control = Arc::new(Control::new(Arc::clone(&state)));

        let mut tasks = JoinSet::new();
        tasks.spawn(expire(Arc::clone(&gate), ledger));
        tasks.spawn(Arc::clone(&gate.queue).keep());
        if let Some(decisions) = &decisions {
            tasks.spawn(Arc::clone(&state.reloader).follow(decisions.watch().map_err(unusable)?));
        }
        if let Some((udp, tcp)) = doors.dns {
            let own = sandbox_side.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
            let server = Arc::new(NameServer::new(Arc::clone(&road), own));
            tasks.spawn(Arc::clone(&server).serve_udp(udp));
            tasks.spawn(server.serve_tcp(tcp));
        }
        let listeners = [
            (Door::Http, doors.http),
            (Door::Socks5, doors.socks5),
            (Door::Plain, doors.plain),
            (Door::Tls, doors.tls),
        ];
        for (door, listener) in listeners {
            if let Some(listener) = listener {
                tasks.spawn(serve(door, listener, Arc::clone(&road)));
            }
        }
        for listener in doors.host {
            tasks.spawn(serve(Door::Host, listener, Arc::clone(&road)));
        }
        if let Some((listener, config)) = tcp {
            // On loopback both sides are the person's own machine.
            let closed_to = sandbox_side.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
            tasks.spawn(Arc::clone(&control).serve_tls(listener, config, closed_to));
        }
        for listener in sockets {
            tasks.spawn(Arc::clone(&control).serve_unix(listener));
        }
        Ok(Self {
            state,
            tasks,
            control,
            end,
            sockets: document.control.sockets,
        })
    }

    /// Where it listens.
    pub fn listening(&self) -> &Listening {
        &self.state.listening
    }

    /// What reads the configuration again, for a signal as for `POST /reload`.
    pub async fn reload(&self) -> Result<(), String> {
        self.state.reloader.reload("vibepit").await.map(drop)
    }

    /// Takes what is saved now where the launcher is, or why it cannot be read.
    pub async fn follow(&self, saved: Result<Vec<Saved>, String>) {
        self.state.reloader.told(saved).await;
    }

    /// Ends it: nothing new comes in, what is open is closed and accounted for, and those who
    /// watch get a last event. `why` is for them.
    pub async fn end(mut self, why: &str) {
        self.tasks.shutdown().await;
        // Clients that wait are answered before their connections are closed.
        self.state.gate.queue.close();
        let ledger = &self.state.ledger;
        ledger.close_all().await;
        let _ = timeout(DRAIN, ledger.all_closed()).await;
        ledger.ending(why);
        ledger.caught_up().await;
        let _ = self.end.send(true);
        let _ = timeout(DRAIN, self.control.all_gone()).await;
        for socket in &self.sockets {
            let _ = std::fs::remove_file(socket);
        }
    }
}

/// Becomes true when the session ends.
#[derive(Clone)]
pub(super) struct Ending(watch::Receiver<bool>);

impl Ending {
    /// Waits for the end.
    pub(super) async fn wait(mut self) {
        // An error means that the proxy is gone, which is an end as well.
        let _ = self.0.wait_for(|ended| *ended).await;
    }
}

/// Removes rules whose time is up, and closes what they let through.
async fn expire(gate: Arc<Gate>, ledger: Ledger) {
    loop {
        let changed = gate.expiry_changed.notified();
        let turn = ledger.turn().await;
        let (ended, next) = gate.expire();
        if ended > 0 {
            ledger.sweep(&gate).await;
        }
        drop(turn);
        match next {
            Some(at) => {
                tokio::select! {
                    () = sleep_until(at.into()) => {}
                    () = changed => {}
                }
            }
            None => changed.await,
        }
    }
}

pub(super) fn resolver(policy: &PolicyDocument) -> Result<Resolver, StartError> {
    Resolver::new(&policy.upstream_dns).map_err(|error| StartError::Resolver(error.to_string()))
}

fn unusable(error: DecisionsError) -> StartError {
    StartError::Decisions(error.to_string())
}

fn listen_unix(path: &Path) -> Result<UnixListener, StartError> {
    unix::listen(path).map_err(|error| StartError::Listen {
        at: path.display().to_string(),
        error,
    })
}
