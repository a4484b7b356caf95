//! The server that everything is fetched from: a process of its own, with every service on ports
//! that the kernel chose and that its first line of output names.

mod bulk;
mod echo;
mod http;
mod names;
mod tls;

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::net::{TcpListener, TcpStream};

use crate::process::{Process, exit_with_standard_input};
use crate::relay::listen;
use crate::report;

pub(crate) use bulk::{Order, discard, send};
pub(crate) use http::BODY;
pub(crate) use tls::NAME;

/// Every service listens this many times: a proxy that connects from one address then has so many
/// times its ephemeral ports before it meets a connection that is still in TIME_WAIT.
const PORTS: usize = 8;

/// Where TLS is served on its own port: for doors that know no other.
const HERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 86);

/// Where the services are, and whom a TLS client must trust.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Services {
    /// Sends back what it gets.
    pub(crate) echo: Vec<SocketAddr>,
    /// Sends or swallows as many bytes as an [`Order`] asks for.
    pub(crate) bulk: SocketAddr,
    /// Answers every request with [`BODY`] bytes.
    pub(crate) http: Vec<SocketAddr>,
    /// One byte after the handshake.
    pub(crate) tls: Vec<SocketAddr>,
    /// The same on port 443 of an address of its own, where that port may be listened on.
    pub(crate) tls_443: Option<SocketAddr>,
    /// A name server that has every name at the address of `tls_443`.
    pub(crate) names: SocketAddr,
    /// The certificate of both, as PEM.
    pub(crate) certificate: String,
}

/// The origin as the harness sees it.
pub(crate) struct Origin {
    pub(crate) process: Process,
    pub(crate) services: Services,
}

impl Origin {
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg("origin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start("origin", &mut command)?;
        let output = process
            .child()
            .stdout
            .take()
            .context("the origin has no output")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let services = serde_json::from_str(&line).context("the origin does not say its ports")?;
        Ok(Self { process, services })
    }
}

/// Serves until standard input ends.
pub(crate) fn serve() -> Result<()> {
    exit_with_standard_input();
    let runtime = tokio::runtime::Runtime::new()?;
    let (acceptor, certificate) = tls::acceptor()?;
    runtime.block_on(async {
        let on_443 = listen((HERE, 443).into()).ok();
        let tls_443 = on_443.as_ref().map(TcpListener::local_addr).transpose()?;
        let services = Services {
            tls_443,
            names: names::start(HERE).await?,
            echo: serve_each(echo::serve)?,
            bulk: bulk::start()?,
            http: serve_each(http::serve)?,
            tls: serve_each({
                let acceptor = acceptor.clone();
                move |stream| tls::serve(acceptor.clone(), stream)
            })?,
            certificate,
        };
        if let Some(listener) = on_443 {
            let service = move |stream| tls::serve(acceptor.clone(), stream);
            tokio::spawn(accept(listener, service));
        }
        report::say(&serde_json::to_string(&services)?);
        std::future::pending().await
    })
}

/// Starts one service on all its ports. What goes wrong on a connection ends that connection: the
/// load generator counts it.
fn serve_each<F>(
    service: impl Fn(TcpStream) -> F + Clone + Send + 'static,
) -> Result<Vec<SocketAddr>>
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    let mut addresses = Vec::new();
    for _ in 0..PORTS {
        let listener = listen((Ipv4Addr::LOCALHOST, 0).into())?;
        addresses.push(listener.local_addr()?);
        tokio::spawn(accept(listener, service.clone()));
    }
    Ok(addresses)
}

async fn accept<F>(listener: TcpListener, service: impl Fn(TcpStream) -> F)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    loop {
        if let Ok((stream, _)) = listener.accept().await
            && stream.set_nodelay(true).is_ok()
        {
            tokio::spawn(service(stream));
        }
    }
}
