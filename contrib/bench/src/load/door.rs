//! Connections through the doors of a proxy, for a target that is named and not numbered.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{Opens, connect, http};

/// How a program gets in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Door {
    /// It asks an HTTP proxy for a tunnel.
    Connect,
    /// It asks a SOCKS5 proxy, as one that has to name no user (RFC 1928).
    Socks5,
    /// It takes the proxy for the target itself.
    Transparent,
}

/// A door for one client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entrance {
    pub(crate) door: Door,
    pub(crate) address: SocketAddr,
    /// The target, on port 443.
    pub(crate) name: &'static str,
    pub(crate) client: usize,
}

impl Opens for Entrance {
    async fn open(&mut self) -> io::Result<TcpStream> {
        let mut stream = connect(self.client, self.address).await?;
        match self.door {
            Door::Connect => self.ask_http(&mut stream).await?,
            Door::Socks5 => self.ask_socks5(&mut stream).await?,
            Door::Transparent => {}
        }
        Ok(stream)
    }
}

impl Entrance {
    async fn ask_http(&self, stream: &mut TcpStream) -> io::Result<()> {
        let name = self.name;
        let request =
            format!("CONNECT {name}:443 HTTP/1.1\r\nHost: {name}:443\r\nUser-Agent: bench\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let answer = http::read_head(stream, &mut Vec::with_capacity(512)).await?;
        match answer.status {
            200 => Ok(()),
            status => Err(io::Error::other(format!(
                "CONNECT was answered with {status}"
            ))),
        }
    }

    /// The client waits for the answer to its greeting, as curl does.
    async fn ask_socks5(&self, stream: &mut TcpStream) -> io::Result<()> {
        stream.write_all(&[5, 1, 0]).await?;
        let mut method = [0; 2];
        stream.read_exact(&mut method).await?;
        if method != [5, 0] {
            return Err(io::Error::other("the greeting was not taken"));
        }
        let length = u8::try_from(self.name.len()).map_err(io::Error::other)?;
        let mut request = vec![5, 1, 0, 3, length];
        request.extend(self.name.as_bytes());
        request.extend(443_u16.to_be_bytes());
        stream.write_all(&request).await?;
        // With an IPv4 address, whatever it is.
        let mut answer = [0; 10];
        stream.read_exact(&mut answer).await?;
        match answer[..4] {
            [5, 0, 0, 1] => Ok(()),
            _ => Err(io::Error::other(format!(
                "SOCKS5 was answered with {answer:?}"
            ))),
        }
    }
}
