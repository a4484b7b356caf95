//! The sockets that the doors listen on. A proxy opens them itself; or a *holder* opens them in
//! the sandbox's network namespace, where nothing else is, and hands them to the proxy outside.
//! What is said over them is the doors' business.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use tokio::net::{TcpListener, TcpSocket, UdpSocket, UnixListener};

use crate::api::enclosure::DoorName;
use crate::api::{DoorAddresses, Doors, Listening};
use crate::transport::{handover, keepalive, peer, unix};

use super::serve::StartError;

/// Connections that may wait to be accepted; a short queue shows as stalls of a second.
const BACKLOG: u32 = 4096;

/// Ports of the kernel's choice that are tried before there is none.
const PORTS: usize = 16;

/// The doors' sockets, open.
#[derive(Debug, Default)]
pub struct Sockets {
    pub(super) http: Option<TcpListener>,
    pub(super) socks5: Option<TcpListener>,
    pub(super) plain: Option<TcpListener>,
    pub(super) tls: Option<TcpListener>,
    pub(super) host: Vec<TcpListener>,
    pub(super) dns: Option<(UdpSocket, TcpListener)>,
}

impl Sockets {
    /// Opens them, or takes them from their holder.
    pub(super) async fn of(doors: &Doors) -> Result<Self, StartError> {
        match doors {
            Doors::At(addresses) => Self::open(addresses).await,
            Doors::Held(holder) => Self::take(holder)
                .await
                .map_err(|error| StartError::Holder {
                    path: holder.clone(),
                    error,
                }),
        }
    }

    /// Opens them in this process's network namespace.
    ///
    /// # Errors
    /// When one of the addresses cannot be listened on.
    pub async fn open(at: &DoorAddresses) -> Result<Self, StartError> {
        Ok(Self {
            http: at.http.map(listen_tcp).transpose()?,
            socks5: at.socks5.map(listen_tcp).transpose()?,
            plain: at.plain.map(listen_tcp).transpose()?,
            tls: at.tls.map(listen_tcp).transpose()?,
            host: at
                .host
                .iter()
                .copied()
                .map(listen_tcp)
                .collect::<Result<_, _>>()?,
            dns: match at.dns {
                Some(address) => Some(listen_dns(address).await?),
                None => None,
            },
        })
    }

    async fn take(holder: &Path) -> io::Result<Self> {
        let stream = unix::connect(holder).await?;
        peer::check(&stream).map_err(io::Error::other)?;
        let mut sockets = Self::default();
        let (mut udp, mut tcp) = (None, None);
        for (name, socket) in handover::receive(&stream).await? {
            match DoorName::of(name) {
                Some(DoorName::Http) => sockets.http = Some(listener(socket)?),
                Some(DoorName::Socks5) => sockets.socks5 = Some(listener(socket)?),
                Some(DoorName::Plain) => sockets.plain = Some(listener(socket)?),
                Some(DoorName::Tls) => sockets.tls = Some(listener(socket)?),
                Some(DoorName::Host) => sockets.host.push(listener(socket)?),
                Some(DoorName::DnsTcp) => tcp = Some(listener(socket)?),
                Some(DoorName::DnsUdp) => {
                    let socket = std::net::UdpSocket::from(socket);
                    socket.set_nonblocking(true)?;
                    udp = Some(UdpSocket::from_std(socket)?);
                }
                None => {
                    let what = format!("an unknown door, {:?}", char::from(name));
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            }
        }
        sockets.dns = udp.zip(tcp);
        Ok(sockets)
    }

    /// Gives them to the first peer that may have them, and keeps none: when the proxy ends, the
    /// sandbox is refused, instead of waiting in a queue that nobody serves.
    ///
    /// # Errors
    /// When nobody can connect any more, or the peer does not take them.
    pub async fn hand_over(self, listener: UnixListener, socket: &Path) -> io::Result<()> {
        let stream = handover::first_peer(listener, socket).await?;
        let mut named = Vec::new();
        let listeners = [
            (DoorName::Http, &self.http),
            (DoorName::Socks5, &self.socks5),
            (DoorName::Plain, &self.plain),
            (DoorName::Tls, &self.tls),
        ];
        for (name, listener) in listeners {
            named.extend(listener.iter().map(|open| (name as u8, open.as_fd())));
        }
        for listener in &self.host {
            named.push((DoorName::Host as u8, listener.as_fd()));
        }
        if let Some((udp, tcp)) = &self.dns {
            named.push((DoorName::DnsUdp as u8, udp.as_fd()));
            named.push((DoorName::DnsTcp as u8, tcp.as_fd()));
        }
        handover::send(&stream, &named).await
    }

    /// Where they listen.
    pub fn listening(&self) -> Result<Listening, StartError> {
        Ok(Listening {
            http: self.http.as_ref().map(local).transpose()?,
            socks5: self.socks5.as_ref().map(local).transpose()?,
            plain: self.plain.as_ref().map(local).transpose()?,
            tls: self.tls.as_ref().map(local).transpose()?,
            host: self.host.iter().map(local).collect::<Result<_, _>>()?,
            dns: self.dns.as_ref().map(|(_, tcp)| local(tcp)).transpose()?,
            tcp: None,
        })
    }
}

fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Listens for connections.
pub(super) fn listen_tcp(address: SocketAddr) -> Result<TcpListener, StartError> {
    let listen = || {
        let socket = if address.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        socket.set_reuseaddr(true)?;
        // What is accepted has these too (on Linux a connection begins as a copy of its listener),
        // so that no connection costs a call for them.
        socket.set_nodelay(true)?;
        keepalive::set(&socket)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    listen().map_err(|error| StartError::Listen {
        at: address.to_string(),
        error,
    })
}

/// Both transports on one port, also if the kernel chooses it: of those that are free for TCP, one
/// may not be for UDP.
async fn listen_dns(address: SocketAddr) -> Result<(UdpSocket, TcpListener), StartError> {
    let mut tries = if address.port() == 0 { PORTS } else { 1 };
    loop {
        let tcp = listen_tcp(address)?;
        let bound = local(&tcp)?;
        tries -= 1;
        match UdpSocket::bind(bound).await {
            Ok(udp) => return Ok((udp, tcp)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries > 0 => {}
            Err(error) => {
                return Err(StartError::Listen {
                    at: format!("{bound} (UDP)"),
                    error,
                });
            }
        }
    }
}

/// The address a listener got.
pub(super) fn local(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|error| StartError::Listen {
        at: "the address just bound".to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::net::sockopt::{socket_keepalive, tcp_keepidle};
    use tokio::net::{TcpStream, UnixStream};

    use super::*;

    fn addresses() -> DoorAddresses {
        DoorAddresses {
            http: Some("127.0.0.1:0".parse().unwrap()),
            socks5: Some("127.0.0.1:0".parse().unwrap()),
            dns: Some("127.0.0.1:0".parse().unwrap()),
            plain: Some("127.0.0.1:0".parse().unwrap()),
            tls: Some("127.0.0.1:0".parse().unwrap()),
            host: vec!["127.0.0.1:0".parse().unwrap(); 64],
        }
    }

    #[tokio::test]
    async fn a_proxy_gets_every_door_of_its_holder_and_the_holder_keeps_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("doors.sock");
        let listener = unix::listen(&path).unwrap();
        let held = Sockets::open(&addresses()).await.unwrap();
        let expected = held.listening().unwrap();
        let doors = Doors::Held(path.clone());
        let (handed, taken) = tokio::join!(held.hand_over(listener, &path), Sockets::of(&doors));
        assert!(!path.exists(), "nobody else gets any");
        handed.unwrap();
        let taken = taken.unwrap();
        let listening = taken.listening().unwrap();
        assert_eq!(
            (listening.http, listening.dns),
            (expected.http, expected.dns)
        );
        assert_eq!(listening.socks5, expected.socks5);
        assert_eq!(
            (listening.plain, listening.tls),
            (expected.plain, expected.tls)
        );
        assert_eq!(listening.host, expected.host);
        drop(taken);
        let refused = std::net::TcpStream::connect(expected.http.unwrap()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn what_a_door_accepts_sends_without_delay_and_is_asked_for_signs_of_life() {
        let listener = listen_tcp("127.0.0.1:0".parse().unwrap()).unwrap();
        let _client = TcpStream::connect(local(&listener).unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert!(accepted.nodelay().unwrap());
        assert!(socket_keepalive(&accepted).unwrap());
        assert_eq!(tcp_keepidle(&accepted).unwrap(), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_holder_that_says_nothing_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("doors.sock");
        let listener = unix::listen(&path).unwrap();
        let doors = Doors::Held(path);
        let silent = async {
            let accepted: io::Result<(UnixStream, _)> = listener.accept().await;
            drop(accepted.unwrap());
        };
        let ((), taken) = tokio::join!(silent, Sockets::of(&doors));
        let error = taken.unwrap_err().to_string();
        assert!(error.contains("doors.sock"), "{error}");
    }
}
