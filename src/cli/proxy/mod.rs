//! `proxy`: a session without a sandbox, in the foreground. What a launcher starts in its
//! containers is in [`launched`].

mod launched;
mod relay;
mod signals;

use std::process::ExitCode;
use std::sync::Arc;

use time::OffsetDateTime;

use crate::api::{
    AuditPlace, ControlPoints, DecisionsPlace, Document, DoorAddresses, Doors, HostAccess,
    Identity, PolicyDocument, audit_file_name,
};
use crate::config::{self, Unlisted};
use crate::launcher::{pki, resolvers};
use crate::proxy::{Proxy, Reload};
use crate::session::{self, Control, Record, RuntimeDir, SessionDir, SessionId};

use self::signals::{Signal, Signals};
use super::args::proxy::ProxyArgs;
use super::attendants::Attendants;
use super::failure::Failure;
use super::output::{Output, printable};
use super::policy::{self, Sources};

pub(super) async fn run(args: ProxyArgs, out: &Output) -> Result<ExitCode, Failure> {
    if let Some(control) = args.relay {
        return relay::run(control).await;
    }
    match &args.hand_over {
        _ if args.stdin => launched::serve().await,
        Some(socket) => launched::hold(door_addresses(&args), socket, args.patience).await,
        None => by_hand(args, out).await,
    }
}

fn door_addresses(args: &ProxyArgs) -> DoorAddresses {
    DoorAddresses {
        http: Some(args.http),
        socks5: args.socks5,
        dns: args.dns,
        plain: args.plain,
        tls: args.tls,
        host: args.host.clone(),
    }
}

/// A session like any other, without a sandbox.
async fn by_hand(args: ProxyArgs, out: &Output) -> Result<ExitCode, Failure> {
    let otherwise = Unlisted::RequestApproval;
    let source = Source(Sources {
        flags: policy::Flags::read(&args.allow, &args.presets, &args.asking, otherwise)?,
        project: None,
        file: args.config.clone(),
    });
    // What cannot be used is told before anything is made.
    let (policy, notify_command) = source.read(&|notice| out.note(printable(notice)))?;
    let runtime = RuntimeDir::open_or_create().map_err(Failure::failed)?;
    session::reap(&runtime).await.map_err(Failure::failed)?;
    let id = SessionId::random()?;
    let dir = SessionDir::create(&runtime, &id).map_err(Failure::failed)?;
    let attendants = Attendants::new(notify_command, None, false);
    let outcome = serve_by_hand(&args, &dir, policy, source, &attendants, out).await;
    // Before what they speak to.
    drop(attendants);
    dir.remove().map_err(Failure::failed)?;
    outcome
}

async fn serve_by_hand(
    args: &ProxyArgs,
    dir: &SessionDir,
    policy: PolicyDocument,
    source: Source,
    attendants: &Attendants,
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
    let decisions = config::decisions_dir().map_err(Failure::failed)?;
    let audit_file = audit_file_name(0);
    let audit = config::audit_dir(dir.id().as_str(), &audit_file).map_err(Failure::failed)?;
    let document = Document {
        session: identity,
        policy,
        doors: Doors::At(door_addresses(args)),
        control: ControlPoints {
            sockets: std::iter::once(own_socket.clone())
                .chain(args.control.clone())
                .collect(),
            tcp: Some(args.tcp),
        },
        tls: Some(minted.server),
        decisions: Some(DecisionsPlace {
            directory: decisions.clone(),
            shown: decisions,
            project: None,
        }),
        saved: Vec::new(),
        audit: Some(AuditPlace {
            directory: audit.clone(),
            shown: audit.clone(),
        }),
        audit_over_output: false,
        patience: None,
        host: HostAccess::Loopback,
        lifeline: None,
    };
    // Before a door opens, so that no signal finds the session half made and unguarded.
    let mut signals = Signals::new()?;
    let source = Arc::new(source);
    let reload: Reload = Box::new(move || {
        let source = Arc::clone(&source);
        // Tools may have to be asked, which takes its time. Whoever asked for a reload hears of its
        // failure alone.
        let read = move || source.read(&|_| ()).map_err(|failure| failure.message);
        Box::pin(async move {
            let read = tokio::task::spawn_blocking(read).await;
            let (policy, _) = read.map_err(|error| error.to_string())??;
            Ok(policy)
        })
    });
    let proxy = match Proxy::start(document, reload, None).await {
        Ok(proxy) => proxy,
        Err(error) => {
            // What keeps the proxy from starting is what there is to say.
            let _ = config::discard_audit_dir(&audit, &audit_file);
            return Err(Failure::failed(error));
        }
    };
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
            socks5: listening.socks5,
            dns: listening.dns,
        },
        sandbox: None,
    };
    dir.announce(&record).map_err(Failure::failed)?;
    attendants.begin(&record, out);
    if let Some(http) = listening.http {
        out.note(format!(
            "vibepit proxy {} ({}): http://{http}",
            record.id,
            printable(&name)
        ));
    }
    let others = [
        ("SOCKS5", listening.socks5),
        ("name server", listening.dns),
        ("HTTP without a proxy", listening.plain),
        ("TLS without a proxy", listening.tls),
    ];
    for (what, address) in others {
        if let Some(address) = address {
            out.note(format!("{what}: {address}"));
        }
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
struct Source(Sources);

impl Source {
    /// What the session admits, and the person's notify_command.
    fn read(&self, tell: &dyn Fn(&str)) -> Result<(PolicyDocument, Option<Vec<String>>), Failure> {
        let mut gathered = self.0.gather()?;
        let notify_command = gathered.config.notify_command.take();
        for notice in gathered.notices.drain(..) {
            tell(&notice);
        }
        let mut document = gathered.document(&self.0.flags);
        if document.upstream_dns.is_empty() {
            document.upstream_dns = resolvers::of_this_host();
        }
        // Also those that are public: what listens there is meant for the network, not for us.
        document.screened = resolvers::own_addresses();
        Ok((document, notify_command))
    }
}
