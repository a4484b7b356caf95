//! Connections, straight or through a proxy's CONNECT.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};

use super::{Opens, http};

/// The ways to one service: its ports in turn, straight or through a proxy.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    proxy: Option<SocketAddr>,
    targets: Arc<[Target]>,
    client: usize,
    turn: usize,
}

#[derive(Debug)]
struct Target {
    address: SocketAddr,
    request: String,
}

impl Way {
    pub(crate) fn new(proxy: Option<SocketAddr>, targets: &[SocketAddr]) -> Self {
        let targets = targets.iter().map(|&address| Target {
            address,
            request: format!(
                "CONNECT {address} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\n\r\n"
            ),
        });
        Self {
            proxy,
            targets: targets.collect(),
            client: 0,
            turn: 0,
        }
    }

    /// The same ways for one of many clients.
    pub(crate) fn of_client(&self, client: usize) -> Self {
        Self {
            client,
            turn: client,
            ..self.clone()
        }
    }
}

impl Opens for Way {
    /// Opens a connection to the next port of the service.
    async fn open(&mut self) -> io::Result<TcpStream> {
        self.turn += 1;
        let target = &self.targets[self.turn % self.targets.len()];
        let Some(proxy) = self.proxy else {
            return connect(self.client, target.address).await;
        };
        let mut stream = connect(self.client, proxy).await?;
        stream.write_all(target.request.as_bytes()).await?;
        let mut head = Vec::with_capacity(512);
        let answer = http::read_head(&mut stream, &mut head).await?;
        if answer.status != 200 {
            return Err(io::Error::other(format!(
                "CONNECT was answered with {}",
                answer.status
            )));
        }
        Ok(stream)
    }
}

/// Connects from one of eight loopback addresses, so that the client's side has eight times the
/// ephemeral ports before it meets a connection in TIME_WAIT. IP_BIND_ADDRESS_NO_PORT leaves the
/// choice of the port to connect(2), which knows the other end (ip(7)).
pub(crate) async fn connect(client: usize, address: SocketAddr) -> io::Result<TcpStream> {
    let last = 2 + u8::try_from(client % 8).unwrap_or(0);
    let socket = TcpSocket::new_v4()?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}
