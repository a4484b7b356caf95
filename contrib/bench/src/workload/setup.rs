//! The whole life of a short tunnel: connect, CONNECT, one byte there and back, close.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Aim, Bench, Cell, Metric, Workload};
use crate::load::{Client, Opens, Way};

pub(crate) struct SetUp {
    pub(crate) clients: usize,
}

impl Workload for SetUp {
    fn name(&self) -> String {
        format!("setup-{}", self.clients)
    }

    fn aims(&self) -> Vec<Aim> {
        let mut aims = vec![
            Aim::at_most(Metric::Cpu, 1.4, Some("tokio")),
            Aim::at_most(Metric::Cpu, 1.25, Some("splice")),
        ];
        if self.clients > 1 {
            aims.push(Aim::at_least(Metric::Rate, 1.5, Some("squid")));
        }
        aims
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        bench.each(
            |_| true,
            |contender| {
                let way = Way::new(contender.proxy, &bench.origin.services.echo);
                bench.timed(contender.id(), self.clients, |client| {
                    ShortTunnel::new(&way, client)
                })
            },
        )
    }
}

pub(crate) struct ShortTunnel(Way);

impl ShortTunnel {
    pub(crate) fn new(way: &Way, client: usize) -> Self {
        Self(way.of_client(client))
    }
}

impl Client for ShortTunnel {
    async fn operation(&mut self) -> io::Result<()> {
        let mut stream = self.0.open().await?;
        stream.write_all(b"x").await?;
        stream.read_u8().await.map(drop)
    }
}
