//! Listeners on this machine, for what gets out of a sandbox: on every address, and as Unix sockets
//! with a path and with an abstract name. What counts is what arrives, whatever the sandbox saw.

use std::io::{self, Read};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{self, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use crate::session::SessionId;

/// How long what this process sends to itself may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// See the module's text.
#[derive(Debug)]
pub(super) struct Listeners {
    port: u16,
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
    path: PathBuf,
    by_path: UnixListener,
    name: String,
    by_name: UnixListener,
}

impl Listeners {
    /// Opens them, the one with a path in this directory.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        let port = tcp.local_addr()?.port();
        let udp = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?;
        let (mut all_tcp, mut all_udp) = (vec![tcp], vec![udp]);
        // A machine without IPv6 has no address to be reached at.
        if let (Ok(tcp), Ok(udp)) = (v6(port, Type::STREAM), v6(port, Type::DGRAM)) {
            tcp.listen(128)?;
            all_tcp.push(tcp.into());
            all_udp.push(udp.into());
        }
        let name = format!("vibepit-self-test-{}", SessionId::random()?);
        let path = directory.join("listener.sock");
        Ok(Self {
            port,
            tcp: all_tcp,
            udp: all_udp,
            by_path: UnixListener::bind(&path)?,
            path,
            by_name: UnixListener::bind_addr(&net::SocketAddr::from_abstract_name(&name)?)?,
            name,
        })
    }

    /// The port, on every address.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The Unix socket with a path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The abstract Unix socket.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What has arrived, a clause each. Each listener is told something by this process first, and
    /// is heard until that: so one that hears nothing is an error, and nothing that came before is
    /// missed.
    pub(super) fn arrived(&self) -> io::Result<Vec<String>> {
        let mut arrived = Vec::new();
        for listener in &self.tcp {
            let own = TcpStream::connect_timeout(&loopback(listener.local_addr()?), PATIENCE)?;
            let own = own.local_addr()?;
            loop {
                let (_, from) = listener.accept()?;
                if from == own {
                    break;
                }
                arrived.push(format!("a connection from {from}"));
            }
        }
        for listener in &self.udp {
            let own = UdpSocket::bind(SocketAddr::new(loopback(listener.local_addr()?).ip(), 0))?;
            own.send_to(b"here", loopback(listener.local_addr()?))?;
            listener.set_read_timeout(Some(PATIENCE))?;
            loop {
                let (_, from) = listener.recv_from(&mut [0; 64])?;
                if from == own.local_addr()? {
                    break;
                }
                arrived.push(format!("a datagram from {from}"));
            }
        }
        let name = net::SocketAddr::from_abstract_name(&self.name)?;
        for (what, listener, own) in [
            ("its path", &self.by_path, UnixStream::connect(&self.path)?),
            (
                "its abstract name",
                &self.by_name,
                UnixStream::connect_addr(&name)?,
            ),
        ] {
            // Who is answered is ours: a Unix socket that connects has no name.
            loop {
                let (mut stream, _) = listener.accept()?;
                io::Write::write_all(&mut stream, b"!").ok();
                own.set_nonblocking(true)?;
                if (&own).read(&mut [0; 1]).is_ok_and(|read| read == 1) {
                    break;
                }
                arrived.push(format!("a connection to a Unix socket by {what}"));
            }
        }
        Ok(arrived)
    }
}

fn v6(port: u16, kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::IPV6, kind, None)?;
    socket.set_only_v6(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    Ok(socket)
}

/// The loopback of the same family.
fn loopback(of: SocketAddr) -> SocketAddr {
    match of {
        SocketAddr::V4(of) => (Ipv4Addr::LOCALHOST, of.port()).into(),
        SocketAddr::V6(of) => (Ipv6Addr::LOCALHOST, of.port()).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_told_and_what_this_process_sends_to_itself_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let listeners = Listeners::open(directory.path()).unwrap();
        assert_eq!(listeners.arrived().unwrap(), [""; 0]);
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, listeners.port()));
        drop(TcpStream::connect(to).unwrap());
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.send_to(b"out", to).unwrap();
        drop(UnixStream::connect(listeners.path()).unwrap());
        let name = net::SocketAddr::from_abstract_name(listeners.name()).unwrap();
        drop(UnixStream::connect_addr(&name).unwrap());
        let arrived = listeners.arrived().unwrap();
        assert_eq!(arrived.len(), 4, "{arrived:?}");
        assert!(
            arrived[1].starts_with("a datagram from 127.0.0.1:"),
            "{arrived:?}"
        );
    }
}
