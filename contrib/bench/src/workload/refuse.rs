//! Refusals: a new connection, a CONNECT to a host that no rule allows, and its answer.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;

use super::{Aim, Bench, Cell, Metric, Workload};
use crate::contender::Kind;
use crate::load::{Client, connect, http};

const REQUEST: &[u8] =
    b"CONNECT refused.example:443 HTTP/1.1\r\nHost: refused.example:443\r\nUser-Agent: bench\r\n\r\n";

pub(crate) struct Refuse {
    pub(crate) clients: usize,
}

impl Workload for Refuse {
    fn name(&self) -> String {
        format!("refuse-{}", self.clients)
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_most(Metric::Cpu, 0.5, Some("tinyproxy"))]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        bench.each(Kind::filters, |contender| {
            let server = contender
                .proxy
                .unwrap_or_else(|| unreachable!("a filter is a proxy"));
            bench.timed(contender.id(), self.clients, |client| Refused {
                server,
                client,
            })
        })
    }
}

struct Refused {
    server: SocketAddr,
    client: usize,
}

impl Client for Refused {
    async fn operation(&mut self) -> io::Result<()> {
        let mut stream = connect(self.client, self.server).await?;
        stream.write_all(REQUEST).await?;
        let (answer, _) = http::read_answer(&mut stream, &mut Vec::with_capacity(4096)).await?;
        if answer.status == 403 {
            return Ok(());
        }
        Err(io::Error::other(format!(
            "answer {} where 403 was due",
            answer.status
        )))
    }
}
