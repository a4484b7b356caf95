//! One byte there and back, over and over, through tunnels that stay open.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Aim, Bench, Cell, Metric, Workload};
use crate::load::{Client, Opens, Way};

pub(crate) struct Ping {
    pub(crate) clients: usize,
}

impl Workload for Ping {
    fn name(&self) -> String {
        format!("ping-{}", self.clients)
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_most(Metric::P99, 1.0, Some("splice"))]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        bench.each(
            |_| true,
            |contender| {
                let way = Way::new(contender.proxy, &bench.origin.services.echo);
                bench.timed(contender.id(), self.clients, |client| Pings {
                    way: way.of_client(client),
                    stream: None,
                })
            },
        )
    }
}

struct Pings {
    way: Way,
    stream: Option<TcpStream>,
}

impl Client for Pings {
    async fn operation(&mut self) -> io::Result<()> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.way.open().await?,
        };
        stream.write_all(b"x").await?;
        stream.read_u8().await?;
        self.stream = Some(stream);
        Ok(())
    }
}
