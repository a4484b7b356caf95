//! A session in containers: the steps in order. What each makes is pushed onto the undo stack
//! before it is made, so that a failure, a signal or the end takes everything away again.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Mutex;

use super::engine::Engine;
use super::environment::Environment;
use super::host_ports::HostPorts;
use super::image::{self, Home};
use super::labels::Names;
use super::link::{Link, Reload};
use super::network::{self, Addresses};
use super::report::Report;
use super::request::{Outcome, Policy, Request};
use super::signals::Signals;
use super::undo::Undo;
use super::userland::Userland;
use super::volume::Volume;
use super::{attach, container, home, pki, proxy, prune, resolvers, running, sandbox};
use crate::api::{Document, HostAccess, Identity, Listening, PolicyDocument};
use crate::client::{Client, Ends};
use crate::config;
use crate::session::{self, Control, Doors, Record, SessionDir, SessionId, discover};

/// Starts a session, runs its command to the end, and takes everything away again.
///
/// # Errors
///
/// When a step fails, with nothing left of the steps before it. [`Interrupted`](super::Interrupted)
/// when a signal called the start off, [`CannotRun`](super::CannotRun) when there is no such
/// command.
pub async fn run(engine: &Engine, request: &Request, report: &dyn Report) -> Result<Outcome> {
    let mut signals = Signals::listen()?;
    // What a crash left behind goes first. It must not keep anybody from starting.
    for sentence in prune::leftovers(engine, &request.runtime_dir).await.failed {
        report.warning(&sentence);
    }
    let id = SessionId::random().context("no random bytes for the session's id")?;
    let directory = SessionDir::create(&request.runtime_dir, &id)?;
    let mut undo = Undo::default();
    let launch = Launch {
        engine,
        request,
        report,
        names: Names::new(id, request.project.path(), request.runtime_dir.path()),
        directory: &directory,
        name: name(request)?,
    };
    let outcome = launch.start_and_run(&mut undo, &mut signals).await;
    for sentence in undo.run().await {
        report.warning(&format!("{sentence}; `vibepit prune` will try again"));
    }
    // Last: a directory whose lock is held tells everybody that its containers are in use.
    if let Err(error) = directory.remove() {
        report.warning(&error.to_string());
    }
    outcome
}

/// One start.
struct Launch<'a> {
    engine: &'a Engine,
    request: &'a Request,
    report: &'a dyn Report,
    names: Names,
    directory: &'a SessionDir,
    name: String,
}

/// A proxy that admits.
struct RunningProxy {
    link: Link,
    addresses: Addresses,
    listening: Listening,
    control_tcp: SocketAddr,
}

impl Launch<'_> {
    async fn start_and_run(&self, undo: &mut Undo, signals: &mut Signals) -> Result<Outcome> {
        let sandbox_image = self.sandbox_image(signals).await?;
        signals.check()?;
        let proxy = self.start_proxy(undo, signals).await?;
        signals.check()?;
        let plan = self.prepare(&sandbox_image, &proxy)?;
        let body = plan.body(self.engine, &self.names);
        self.report.step("starting the sandbox");
        let sandbox = self.names.sandbox();
        {
            let (engine, sandbox) = (self.engine.clone(), sandbox.clone());
            undo.push("the sandbox", move || async move {
                container::remove(&engine, &sandbox).await
            });
        }
        container::create(self.engine, &sandbox, body)
            .await
            .context("the sandbox's container could not be made")?;
        signals.check()?;
        let (output, input) = attach::attach(self.engine, &sandbox).await?;
        let command = self.command();
        running::start(
            self.engine,
            &sandbox,
            command.first().map_or("", String::as_str),
        )
        .await?;
        self.directory.announce(&self.record(&proxy)?)?;
        let session = running::Running {
            engine: self.engine,
            sandbox: &sandbox,
            terminal: plan.terminal.is_some(),
            report: self.report,
        };
        let RunningProxy { mut link, .. } = proxy;
        let outcome = session.run(output, input, &mut link, signals).await;
        // The sandbox first: nothing of it may outlive its proxy. Both are taken away again by
        // the stack, which is content with what is gone.
        let removed = container::remove(self.engine, &sandbox).await;
        link.end().await;
        removed?;
        outcome
    }

    /// The image that the sandbox is made of, and what is mounted into it.
    async fn sandbox_image(&self, signals: &mut Signals) -> Result<SandboxImage> {
        let project = self.request.project.path();
        let home = home::path(self.request.home.as_deref());
        let volume = home::volume_name(project);
        let userland = match self.request.image {
            Some(_) => Userland::default(),
            None => Userland::of_host(),
        };
        let skeleton = Home {
            directories: home::between(&home, project),
            path: home.clone(),
            owner: self.engine.user(),
        };
        let docker = &self.engine.docker;
        let base = image::base(docker, &userland, &skeleton).await?;
        home::ensure(self.engine, &volume, project).await?;
        let (image, userland) = match &self.request.image {
            None => (base, Some(userland)),
            Some(name) => {
                home::hand_over(self.engine, &self.names, &base, &volume, &home).await?;
                let pull = image::fetch(docker, name, self.report);
                (signals.unless_called_off(pull).await??, None)
            }
        };
        Ok(SandboxImage {
            image,
            userland,
            home,
            volume,
        })
    }

    async fn start_proxy(&self, undo: &mut Undo, signals: &mut Signals) -> Result<RunningProxy> {
        let (engine, names) = (self.engine, &self.names);
        self.report.step("preparing the proxy");
        let executable = image::of_this_process(&engine.docker).await?;
        signals.check()?;
        let audit = self.audit_file(undo)?;
        {
            let (engine, network) = (engine.clone(), names.network());
            undo.push("the session's network", move || async move {
                network::remove(&engine, &network).await
            });
        }
        network::create(engine, names).await?;
        signals.check()?;

        self.report.step("starting the proxy");
        let container = names.proxy();
        {
            let (engine, container) = (engine.clone(), container.clone());
            undo.push("the proxy", move || async move {
                container::remove(&engine, &container).await
            });
        }
        let plan = proxy::Plan {
            executable: &executable,
            socket_dir: self.directory.socket_dir(),
            audit: &audit,
        };
        proxy::create(engine, names, &plan).await?;
        signals.check()?;
        let (output, input) = attach::attach(engine, &container).await?;
        engine
            .docker
            .start_container(&container, None)
            .await
            .context("the proxy's container could not be started")?;
        let inspected = container::inspect(engine, &container).await?;
        let addresses = Addresses::of(&inspected, names)?;
        let control_tcp = proxy::published(&inspected)?;
        let minted = pki::mint(OffsetDateTime::now_utc())?;
        let (policy, reload) = self.policy().await?;
        let document = Document {
            session: Identity {
                id: names.id().to_string(),
                name: self.name.clone(),
                project_dir: Some(self.request.project.path().to_owned()),
                runtime: "docker".to_owned(),
            },
            policy,
            doors: proxy::doors(addresses),
            control: proxy::control(addresses),
            tls: Some(minted.server),
            audit: Some(PathBuf::from(proxy::AUDIT_FILE)),
            host: HostAccess::Sockets(PathBuf::from(proxy::SOCKET_DIR)),
        };
        let mut link = Link::start(output, input, document, reload);
        let listening = signals.unless_called_off(link.ready()).await??;
        let socket = self.directory.control_socket();
        let client = Client::new(Ends {
            socket: Some(socket),
            tcp: None,
        });
        signals
            .unless_called_off(client.health())
            .await?
            .context("the proxy says that it is ready, but its control plane does not")?;
        self.directory.write_credentials(&minted.client)?;
        Ok(RunningProxy {
            link,
            addresses,
            listening,
            control_tcp,
        })
    }

    /// The policy for the start, and the way to read it again. The host's services that it names
    /// are served from the first reading on, and follow every other.
    async fn policy(&self) -> Result<(PolicyDocument, Reload)> {
        let ports = Arc::new(Mutex::new(HostPorts::new(self.directory.socket_dir())));
        let first = read_policy(self.request.policy.clone(), ports.clone()).await?;
        let source = self.request.policy.clone();
        let reload: Reload = Box::new(move || {
            let reading = read_policy(source.clone(), ports.clone());
            Box::pin(async move { reading.await.map_err(|error| format!("{error:#}")) })
        });
        Ok((first, reload))
    }

    fn prepare<'p>(
        &'p self,
        image: &'p SandboxImage,
        proxy: &RunningProxy,
    ) -> Result<sandbox::Plan<'p>> {
        let project = self.request.project.path();
        let interactive = attach::is_interactive();
        let env = Environment {
            proxy: proxy.listening.http.context("the proxy has no HTTP door")?,
            home: &image.home,
            host_path: image
                .userland
                .is_some()
                .then(|| std::env::var("PATH").unwrap_or_default()),
            term: std::env::var("TERM").ok().filter(|_| interactive),
            variables: &self.request.env,
        };
        let plan = sandbox::Plan {
            image: &image.image,
            userland: image.userland.as_ref(),
            project,
            meta: self.request.project.meta(),
            home: &image.home,
            home_volume: &image.volume,
            volumes: Vec::new(),
            resolv_conf: self.resolv_conf(proxy)?,
            proxy: proxy.addresses.inside,
            env: env.list(),
            command: self.command(),
            terminal: interactive.then(|| attach::size().unwrap_or((24, 80))),
        };
        let taken = plan.targets();
        let resolve = |spec: &super::VolumeSpec| spec.resolve(&self.request.off_limits, &taken);
        let volumes = self
            .request
            .volumes
            .iter()
            .map(resolve)
            .collect::<Result<Vec<Volume>, _>>()?;
        Ok(sandbox::Plan { volumes, ..plan })
    }

    /// The command, or a shell where the host's own programs are used.
    fn command(&self) -> Vec<String> {
        if !self.request.command.is_empty() || self.request.image.is_some() {
            return self.request.command.clone();
        }
        let own = std::env::var("SHELL").unwrap_or_default();
        let candidates = [own.as_str(), "/bin/bash", "/bin/sh"];
        let visible = |shell: &&&str| {
            let tree = ["/bin/", "/usr/", "/opt/", "/nix/store/"];
            tree.iter().any(|tree| shell.starts_with(tree)) && Path::new(shell).is_file()
        };
        let shell = candidates
            .iter()
            .find(visible)
            .copied()
            .unwrap_or("/bin/sh");
        vec![shell.to_owned()]
    }

    /// The file that makes the proxy the sandbox's only name server. The engine's own one, which
    /// stands in the file that it would write, forwards nothing on internal networks from Docker
    /// 25.0.5 on.
    fn resolv_conf(&self, proxy: &RunningProxy) -> Result<PathBuf> {
        let path = self.directory.resolv_conf();
        let content = format!("nameserver {}\n", proxy.addresses.inside);
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o644)
            .open(&path)
            .and_then(|mut file| file.write_all(content.as_bytes()))
            .with_context(|| format!("{} could not be written", path.display()))?;
        Ok(path)
    }

    /// The session's audit file, empty. It alone is mounted: other sessions' files are not the
    /// proxy's to touch.
    fn audit_file(&self, undo: &mut Undo) -> Result<PathBuf> {
        let path = config::audit_file(self.names.id().as_str())?;
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("the audit file {} cannot be made", path.display()))?;
        let made = path.clone();
        undo.push("the empty audit file", move || async move {
            // What was written to it stays: it is the record of what happened.
            if std::fs::metadata(&made).is_ok_and(|file| file.len() == 0) {
                std::fs::remove_file(&made)?;
            }
            Ok(())
        });
        Ok(path)
    }

    fn record(&self, proxy: &RunningProxy) -> Result<Record> {
        Ok(Record {
            version: Record::VERSION,
            id: self.names.id(),
            name: self.name.clone(),
            project_dir: Some(self.request.project.path().to_owned()),
            runtime: "docker".to_owned(),
            created: OffsetDateTime::now_utc().format(&Rfc3339)?,
            pid: std::process::id(),
            control: Control {
                socket: Some(self.directory.control_socket()),
                tcp: Some(proxy.control_tcp),
            },
            proxy: Doors {
                http: proxy.listening.http,
                socks5: None,
                dns: proxy.listening.dns,
            },
            sandbox: Some(self.names.sandbox()),
        })
    }
}

/// The image of a sandbox, and what goes into it.
struct SandboxImage {
    image: image::Image,
    userland: Option<Userland>,
    home: PathBuf,
    volume: String,
}

/// Reads the policy, adds what the person need not say, and serves the host's ports that it names.
async fn read_policy(source: Policy, ports: Arc<Mutex<HostPorts>>) -> Result<PolicyDocument> {
    let mut policy = tokio::task::spawn_blocking(move || source())
        .await
        .context("the configuration could not be read")??;
    if policy.upstream_dns.is_empty() {
        policy.upstream_dns = resolvers::reachable()?;
    }
    policy.screened.extend(resolvers::own_addresses());
    ports
        .lock()
        .await
        .serve(&policy.allow_host_ports)
        .context("the host's ports cannot be served to the session")?;
    Ok(policy)
}

/// The session's name: the person's choice, which nobody else may have, or its project's.
fn name(request: &Request) -> Result<String> {
    let found = discover(&request.runtime_dir);
    let mut taken = found.iter().map(|found| found.record.name.as_str());
    match &request.name {
        Some(name) if taken.any(|other| other == name) => {
            bail!("there is a session named {name:?} already; choose another name, or end that one")
        }
        Some(name) => Ok(name.clone()),
        None => {
            let project = request.project.path().file_name().unwrap_or_default();
            Ok(session::unique_name(&project.to_string_lossy(), taken))
        }
    }
}
