//! The clients of a soak, and what each of them must get.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::contender::vibepit::Doors;
use crate::load::door::{Door, Entrance};
use crate::load::{Client, Load, Opens, Outcome, Way, connect, drive, http};
use crate::origin::{NAME, Order, Origin};
use crate::workload::{Handshake, Requests, ShortTunnel, connector};

/// Bytes of one order of bulk.
const CHUNK: u64 = 4 << 20;
/// A request that waits longer is one that somebody forgot.
const STUCK: Duration = Duration::from_secs(25);

type Run = Box<dyn FnOnce(Duration) -> Result<Outcome> + Send>;

/// All kinds, by name.
pub(super) fn clients(origin: &Origin, doors: &Doors) -> Result<Vec<(&'static str, Run)>> {
    let services = &origin.services;
    let proxy = doors.started.http;
    let echo = Way::new(Some(proxy), &services.echo);
    let bulk = Way::new(Some(proxy), &[services.bulk]);
    let http = services.http.clone();
    let connector = connector(&services.certificate)?;
    let name = ServerName::try_from(NAME)?;
    let shake = |door, address| {
        let (connector, name) = (connector.clone(), name.clone());
        run(2, move |client| Handshake {
            way: Entrance {
                door,
                address,
                name: NAME,
                client,
            },
            name: name.clone(),
            connector: connector.clone(),
        })
    };
    Ok(vec![
        (
            "short tunnels",
            run(4, move |client| ShortTunnel::new(&echo, client)),
        ),
        ("bulk", run(1, move |client| Bulk(bulk.of_client(client)))),
        (
            "GET",
            run(4, move |client| {
                Requests::new(Some(proxy), http[client % http.len()], client)
            }),
        ),
        ("TLS by CONNECT", shake(Door::Connect, proxy)),
        ("TLS by SOCKS5", shake(Door::Socks5, doors.socks5)),
        (
            "TLS that knows no proxy",
            shake(Door::Transparent, doors.tls),
        ),
        (
            "denied by a rule",
            run(1, move |client| Asks::never(proxy, client)),
        ),
        (
            "asked about",
            run(8, move |client| Asks::somebody(proxy, client)),
        ),
    ])
}

fn run<C: Client>(clients: usize, make: impl Fn(usize) -> C + Send + Sync + 'static) -> Run {
    Box::new(move |length| drive(Load { clients, length }, make))
}

struct Bulk(Way);

impl Client for Bulk {
    async fn operation(&mut self) -> io::Result<()> {
        let mut stream = self.0.open().await?;
        stream.write_all(&Order::Send(CHUNK).encode()).await?;
        let mut wanted = (&mut stream).take(CHUNK);
        let read = tokio::io::copy(&mut wanted, &mut tokio::io::sink()).await?;
        if read != CHUNK {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }
}

/// Asks for a tunnel to a host that nobody has asked for before.
struct Asks {
    proxy: SocketAddr,
    client: usize,
    turn: usize,
    /// Whether a rule denies it; else it waits for whoever changes things.
    never: bool,
}

impl Asks {
    fn never(proxy: SocketAddr, client: usize) -> Self {
        Self {
            proxy,
            client,
            turn: 0,
            never: true,
        }
    }

    fn somebody(proxy: SocketAddr, client: usize) -> Self {
        Self {
            never: false,
            ..Self::never(proxy, client)
        }
    }
}

impl Client for Asks {
    async fn operation(&mut self) -> io::Result<()> {
        self.turn += 1;
        let (client, turn) = (self.client, self.turn);
        let (host, due) = match (self.never, turn % 2) {
            (true, _) => (format!("h{turn}.never.test"), 403),
            (false, 0) => (format!("yes-{client}-{turn}.asked.test"), 200),
            (false, _) => (format!("no-{client}-{turn}.asked.test"), 403),
        };
        let request = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
        let asked = async {
            let mut stream = connect(client, self.proxy).await?;
            stream.write_all(request.as_bytes()).await?;
            http::read_head(&mut stream, &mut Vec::with_capacity(512)).await
        };
        match timeout(STUCK, asked).await {
            Ok(answer) => match answer?.status {
                status if status == due => Ok(()),
                status => Err(io::Error::other(format!(
                    "{host}: {status}, and {due} was due"
                ))),
            },
            Err(_) => Err(io::Error::other(format!("{host}: nobody answered"))),
        }
    }
}
