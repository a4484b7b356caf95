//! TLS handshakes that name their host, through each door of vibepit, whose SNI check looks at them;
//! and through the splice relay, which looks at nothing.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use rustls::pki_types::ServerName;

use super::tls::{Handshake, connector};
use super::{Aim, Bench, Cell, Metric, Workload, cell};
use crate::args::Options;
use crate::contender::{Kind, vibepit};
use crate::load::door::{Door, Entrance};
use crate::load::{Opens, Way};
use crate::origin::NAME;

const CONNECT: &str = "CONNECT";
const SOCKS5: &str = "SOCKS5";
const TRANSPARENT: &str = "transparent";

pub(crate) struct Doors {
    pub(crate) clients: usize,
}

impl Workload for Doors {
    fn name(&self) -> String {
        format!("doors-{}", self.clients)
    }

    fn subject(&self, _: &Options) -> String {
        CONNECT.to_owned()
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            // The other doors within a tenth of this one.
            Aim::at_most(Metric::Rate, 1.1, Some(SOCKS5)),
            Aim::at_least(Metric::Cpu, 0.9, Some(SOCKS5)),
            Aim::at_most(Metric::Rate, 1.1, Some(TRANSPARENT)),
            Aim::at_least(Metric::Cpu, 0.9, Some(TRANSPARENT)),
            Aim::at_least(Metric::Rate, 0.95, Some("splice")),
        ]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        if bench.options.subject != Kind::Vibepit {
            return Vec::new();
        }
        match self.measure(bench) {
            Ok(cells) => cells,
            Err(error) => vec![cell(CONNECT, || Err(error))],
        }
    }
}

impl Doors {
    fn measure(&self, bench: &Bench) -> Result<Vec<Cell>> {
        let services = &bench.origin.services;
        let target = services
            .tls_443
            .context("port 443 of 127.0.0.86 may not be listened on")?;
        let doors = vibepit::start_doors(&bench.place, NAME, services.names)?;
        let id = doors.started.process.id();
        let through = |door, address| {
            move |client| Entrance {
                door,
                address,
                name: NAME,
                client,
            }
        };
        let mut cells = Vec::new();
        if let Some(relay) = bench.contenders.iter().find(|one| one.kind == Kind::Splice) {
            let way = Way::new(relay.proxy, &[target]);
            let measured = self.shake(bench, relay.id(), |client| way.of_client(client));
            cells.push(cell("splice", || measured));
        }
        for (row, door, address) in [
            (CONNECT, Door::Connect, doors.started.http),
            (SOCKS5, Door::Socks5, doors.socks5),
            (TRANSPARENT, Door::Transparent, doors.tls),
        ] as [(&str, Door, SocketAddr); 3]
        {
            cells.push(cell(row, || {
                self.shake(bench, Some(id), through(door, address))
            }));
        }
        Ok(cells)
    }

    fn shake<W: Opens>(
        &self,
        bench: &Bench,
        proxy: Option<u32>,
        way: impl Fn(usize) -> W + Sync,
    ) -> Result<Cell> {
        let connector = connector(&bench.origin.services.certificate)?;
        let name = ServerName::try_from(NAME)?;
        bench.timed(proxy, self.clients, |client| Handshake {
            way: way(client),
            name: name.clone(),
            connector: connector.clone(),
        })
    }
}
