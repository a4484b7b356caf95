//! Bare relays, to compare with: the first line of a CONNECT names an address, and from then on
//! bytes are moved. No policy, no headers, no limits.

mod splice;

use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional, copy_bidirectional_with_sizes};
use tokio::net::{TcpListener, TcpStream};

use crate::process::exit_with_standard_input;

/// How the bytes are moved.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RelayKind {
    /// tokio's `copy_bidirectional` with the buffers it has by default: 8 KiB each way.
    Tokio,
    /// The same with 64 KiB each way.
    Tokio64,
    /// splice(2) through a pipe each way.
    Splice,
}

impl RelayKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tokio => "tokio",
            Self::Tokio64 => "tokio64",
            Self::Splice => "splice",
        }
    }
}

impl FromStr for RelayKind {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let all = [Self::Tokio, Self::Tokio64, Self::Splice];
        let Some(kind) = all.into_iter().find(|kind| kind.name() == text) else {
            bail!("no such relay: {text:?}");
        };
        Ok(kind)
    }
}

/// Serves until standard input ends.
pub(crate) fn serve(kind: RelayKind, address: SocketAddr) -> Result<()> {
    exit_with_standard_input();
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let listener = listen(address).with_context(|| format!("listening on {address}"))?;
        loop {
            let Ok((client, _)) = listener.accept().await else {
                // Out of descriptors: wait for a tunnel to end.
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
                continue;
            };
            // A tunnel that breaks is its client's business.
            tokio::spawn(async move { tunnel(kind, client).await.ok() });
        }
    })
}

/// A listener with a backlog that no burst of the load generator fills.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(4096)
}

async fn tunnel(kind: RelayKind, mut client: TcpStream) -> io::Result<()> {
    client.set_nodelay(true)?;
    let target = read_connect(&mut client).await?;
    let mut server = TcpStream::connect(target).await?;
    server.set_nodelay(true)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    match kind {
        RelayKind::Tokio => copy_bidirectional(&mut client, &mut server).await.map(drop),
        RelayKind::Tokio64 => {
            copy_bidirectional_with_sizes(&mut client, &mut server, 1 << 16, 1 << 16)
                .await
                .map(drop)
        }
        RelayKind::Splice => splice::relay(&client, &server).await,
    }
}

/// Reads a request to the end of its head. The load generator sends nothing after it before the
/// answer, so nothing is lost.
async fn read_connect(client: &mut TcpStream) -> io::Result<SocketAddr> {
    let mut head = Vec::with_capacity(512);
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 8192 || client.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    connect_target(&head).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn connect_target(head: &[u8]) -> Option<SocketAddr> {
    let line = head.split(|&byte| byte == b'\r').next()?;
    let target = line
        .strip_prefix(b"CONNECT ")?
        .split(|&byte| byte == b' ')
        .next()?;
    std::str::from_utf8(target).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connect_names_its_target_in_the_first_line() {
        let head = b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: other.test:1\r\n\r\n";
        assert_eq!(connect_target(head), "127.0.0.1:80".parse().ok());
        assert_eq!(connect_target(b"GET / HTTP/1.1\r\n\r\n"), None);
    }
}
