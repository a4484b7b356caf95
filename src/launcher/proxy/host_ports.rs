//! The host's loopback services that a session may use, each as a Unix socket that the proxy's
//! container can reach.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections to one port at a time; more wait in the listener's queue.
const CONNECTIONS: usize = 64;

/// The sockets that are being served. Dropping it ends them and their connections.
pub(super) struct HostPorts {
    directory: PathBuf,
    served: BTreeMap<u16, JoinSet<()>>,
}

impl HostPorts {
    /// Serves nothing yet. The sockets will be in `directory`.
    pub(super) fn new(directory: PathBuf) -> Self {
        Self {
            directory,
            served: BTreeMap::new(),
        }
    }

    /// Serves these ports and no others. A port that stays keeps its connections.
    ///
    /// # Errors
    ///
    /// When a socket cannot be made; the ports before it are served.
    pub(super) fn serve(&mut self, ports: &[u16]) -> io::Result<()> {
        let gone: Vec<u16> = self
            .served
            .keys()
            .filter(|p| !ports.contains(p))
            .copied()
            .collect();
        for port in gone {
            self.served.remove(&port);
            let _ = fs::remove_file(self.directory.join(socket_name(port)));
        }
        for port in ports {
            if !self.served.contains_key(port) {
                let listener = listen(&self.directory, &socket_name(*port))?;
                let mut tasks = JoinSet::new();
                tasks.spawn(accept(listener, *port));
                self.served.insert(*port, tasks);
            }
        }
        Ok(())
    }
}

fn socket_name(port: u16) -> String {
    format!("host-{port}.sock")
}

/// Listens in a directory that only we can enter, so that the moment between bind(2) and chmod(2)
/// is nobody's. The path goes through a descriptor, because sun_path is short (unix(7)).
pub(super) fn listen(directory: &Path, name: &str) -> io::Result<UnixListener> {
    let directory = File::open(directory)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn accept(listener: UnixListener, port: u16) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        // The semaphore is never closed.
        let Ok(slot) = slots.clone().acquire_owned().await else {
            return;
        };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors: the next connection that ends gives one back.
            drop(slot);
            if connections.join_next().await.is_none() {
                return;
            }
            continue;
        };
        while connections.try_join_next().is_some() {}
        connections.spawn(async move {
            // A service that is not there shows as a connection that ends at once.
            let _ = relay(stream, port).await;
            drop(slot);
        });
    }
}

async fn relay(mut stream: UnixStream, port: u16) -> io::Result<()> {
    // Development servers often listen on `localhost`, which may be either.
    let loopback: [SocketAddr; 2] = [
        (Ipv4Addr::LOCALHOST, port).into(),
        (Ipv6Addr::LOCALHOST, port).into(),
    ];
    let mut service = TcpStream::connect(&loopback[..]).await?;
    service.set_nodelay(true)?;
    copy_bidirectional(&mut stream, &mut service).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_connection_reaches_the_service_and_keeps_its_half_close() {
        let directory = tempfile::tempdir().unwrap();
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = service.local_addr().unwrap().port();
        let mut ports = HostPorts::new(directory.path().to_owned());
        ports.serve(&[port]).unwrap();
        let path = directory.path().join(format!("host-{port}.sock"));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );

        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(b"question").await.unwrap();
        client.shutdown().await.unwrap();
        let (mut peer, _) = service.accept().await.unwrap();
        let mut question = Vec::new();
        peer.read_to_end(&mut question).await.unwrap();
        assert_eq!(question, b"question");
        peer.write_all(b"answer").await.unwrap();
        drop(peer);
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, b"answer");
    }

    #[tokio::test]
    async fn a_port_that_is_no_longer_listed_is_closed_and_its_socket_removed() {
        let directory = tempfile::tempdir().unwrap();
        let mut ports = HostPorts::new(directory.path().to_owned());
        ports.serve(&[1]).unwrap();
        ports.serve(&[2]).unwrap();
        assert!(!directory.path().join("host-1.sock").exists());
        assert!(directory.path().join("host-2.sock").exists());
    }

    #[tokio::test]
    async fn a_directory_with_a_long_path_will_do() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("d".repeat(120));
        fs::create_dir(&directory).unwrap();
        HostPorts::new(directory.clone()).serve(&[9]).unwrap();
        assert!(directory.join("host-9.sock").exists());
    }
}
