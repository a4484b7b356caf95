//! Forwarded GETs of 1 KiB on connections that are kept alive, as far as the proxy keeps them.

use std::io;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Aim, Bench, Cell, Metric, Workload};
use crate::contender::Kind;
use crate::load::{Client, connect, http};
use crate::origin::BODY;

pub(crate) struct Get {
    pub(crate) clients: usize,
}

impl Workload for Get {
    fn name(&self) -> String {
        format!("get-{}", self.clients)
    }

    fn aims(&self) -> Vec<Aim> {
        vec![Aim::at_most(Metric::Cpu, 0.3, Some("squid"))]
    }

    fn round(&self, bench: &Bench) -> Vec<Cell> {
        let origins = &bench.origin.services.http;
        bench.each(Kind::forwards, |contender| {
            bench.timed(contender.id(), self.clients, |client| {
                Requests::new(contender.proxy, origins[client % origins.len()], client)
            })
        })
    }
}

pub(crate) struct Requests {
    server: SocketAddr,
    request: String,
    client: usize,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Requests {
    pub(crate) fn new(proxy: Option<SocketAddr>, origin: SocketAddr, client: usize) -> Self {
        let target = if proxy.is_some() {
            format!("http://{origin}/")
        } else {
            "/".to_owned()
        };
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {origin}\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"
        );
        let server = proxy.unwrap_or(origin);
        Self {
            server,
            request,
            client,
            stream: None,
            buffer: Vec::with_capacity(4096),
        }
    }
}

impl Client for Requests {
    async fn operation(&mut self) -> io::Result<()> {
        // A kept connection may have been closed meanwhile without a word (tinyproxy does it after
        // every answer): then the request is repeated on a new one, as clients do (RFC 9112 9.3.1).
        if let Some(stream) = self.stream.take()
            && self.request_on(stream).await.is_ok()
        {
            return Ok(());
        }
        let stream = connect(self.client, self.server).await?;
        self.request_on(stream).await
    }
}

impl Requests {
    async fn request_on(&mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.write_all(self.request.as_bytes()).await?;
        let (answer, body) = http::read_answer(&mut stream, &mut self.buffer).await?;
        if (answer.status, body) != (200, BODY) {
            return Err(io::Error::other(format!(
                "answer {} with {body} bytes",
                answer.status
            )));
        }
        if !answer.close {
            self.stream = Some(stream);
        }
        Ok(())
    }
}
