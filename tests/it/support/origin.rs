//! Origins: servers on loopback that do what a test says, and remember who came.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

use rustls::ServerConfig;

use super::tls::Secured;
use super::{Message, PATIENCE, Wire};

/// A server. It listens for as long as the test's process lives.
pub(crate) struct Origin {
    address: SocketAddr,
    visitors: Arc<Visitors>,
    requests: Arc<Mutex<Vec<Message>>>,
    events: Mutex<Receiver<Message>>,
}

/// Who came.
#[derive(Default)]
struct Visitors {
    book: Mutex<Book>,
    changed: Condvar,
}

#[derive(Default)]
struct Book {
    connections: usize,
    /// Connections that this end makes to see that all earlier ones were counted.
    probes: Vec<SocketAddr>,
}

impl Visitors {
    /// Counts one. Whether it is to be served: probes are not.
    fn enter(&self, peer: SocketAddr) -> bool {
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let probe = book.probes.iter().position(|probe| *probe == peer);
        match probe {
            Some(at) => drop(book.probes.remove(at)),
            None => book.connections += 1,
        }
        self.changed.notify_all();
        probe.is_none()
    }

    /// How many there were before this moment: connections are taken in the order they came, so
    /// that behind a probe of ours there is nobody who was here already.
    fn count(&self, address: SocketAddr) -> usize {
        use socket2::{Domain, Socket, Type};
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None);
        let socket = socket.expect("a socket");
        let any: SocketAddr = if address.is_ipv4() {
            ([127, 0, 0, 1], 0).into()
        } else {
            "[::1]:0".parse().expect("an address")
        };
        socket.bind(&any.into()).expect("a port");
        let own = socket
            .local_addr()
            .expect("its address")
            .as_socket()
            .expect("of TCP");
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        book.probes.push(own);
        drop(book);
        socket
            .connect(&address.into())
            .expect("the origin takes a probe");
        let book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |book: &mut Book| book.probes.contains(&own);
        let counted = self.changed.wait_timeout_while(book, PATIENCE, waiting);
        counted
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .connections
    }
}

impl Origin {
    /// Serves each connection with a function, in a thread of its own.
    pub(crate) fn serving(serve: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        Self::serving_at(here(), serve)
    }

    /// The same, at an address.
    pub(crate) fn serving_at(
        address: SocketAddr,
        serve: impl Fn(Wire) + Send + Sync + 'static,
    ) -> Self {
        Self::at(address, None, move |wire, _| serve(wire)).expect("a port")
    }

    /// Answers every request of every connection with what a function says, for as long as the
    /// client goes on. The requests are remembered.
    pub(crate) fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::answering_at(here(), answer).expect("a port")
    }

    /// As [`Self::answering`], over TLS.
    pub(crate) fn answering_over_tls(
        config: Arc<ServerConfig>,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        Self::answering_over_tls_at(here(), config, answer).expect("a port")
    }

    /// The same, at an address.
    pub(crate) fn answering_over_tls_at(
        address: SocketAddr,
        config: Arc<ServerConfig>,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::at(address, Some(config), conversing(answer))
    }

    /// As [`Self::answering`], at an address.
    pub(crate) fn answering_at(
        address: SocketAddr,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::at(address, None, conversing(answer))
    }

    /// Answers every request with 200 and a text that names its request line.
    pub(crate) fn plain() -> Self {
        Self::answering(|request| ok(&request.start))
    }

    /// Sends back what it gets, to the end.
    pub(crate) fn echo() -> Self {
        Self::serving(|mut wire| {
            let mut part = [0; 16 * 1024];
            while let Ok(read @ 1..) = wire.read(&mut part) {
                if wire.try_send(&part[..read]).is_err() {
                    return;
                }
            }
            wire.end_writing();
        })
    }

    /// Takes connections and says nothing, until the client ends.
    pub(crate) fn silent() -> Self {
        Self::serving(|mut wire| {
            wire.to_end();
        })
    }

    fn at(
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        serve: impl Fn(Wire, &dyn Fn(Message)) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let visitors = Arc::new(Visitors::default());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (send, events) = channel();
        let origin = Self {
            address,
            visitors: Arc::clone(&visitors),
            requests: Arc::clone(&requests),
            events: Mutex::new(events),
        };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if !stream.peer_addr().is_ok_and(|peer| visitors.enter(peer)) {
                    continue;
                }
                let (serve, requests, send) =
                    (Arc::clone(&serve), Arc::clone(&requests), send.clone());
                let tls = tls.clone();
                thread::spawn(move || {
                    let seen = move |request: Message| {
                        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                        requests.push(request.clone());
                        drop(requests);
                        // A test that ended does not listen any more.
                        let _ = send.send(request);
                    };
                    let wire = match &tls {
                        None => Wire::over(stream),
                        Some(config) => Wire::new(Secured::new(stream, config)),
                    };
                    serve(wire, &seen);
                });
            }
        });
        Ok(origin)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections were made to it before this call.
    #[track_caller]
    pub(crate) fn connections(&self) -> usize {
        self.visitors.count(self.address)
    }

    /// The requests it got, oldest first.
    pub(crate) fn requests(&self) -> Vec<Message> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone()
    }

    /// Waits for the next request that was not waited for yet.
    #[track_caller]
    pub(crate) fn request(&self) -> Message {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.recv_timeout(PATIENCE).expect("a request")
    }
}

/// Answers one request after the other, and notes each.
fn conversing(answer: impl Fn(&Message) -> Vec<u8>) -> impl Fn(Wire, &dyn Fn(Message)) {
    move |mut wire, seen| {
        while let Some(request) = wire.try_request() {
            let bytes = answer(&request);
            seen(request);
            if wire.try_send(bytes).is_err() {
                break;
            }
        }
    }
}

fn here() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// 200 with a text.
pub(crate) fn ok(text: &str) -> Vec<u8> {
    let length = text.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}")
        .into_bytes()
}

/// A port of loopback at which nobody listens. (It was free a moment ago, and the kernel hands
/// out others first.)
pub(crate) fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("its address").port();
    // A connection that was closed here keeps the port from being handed out for a while.
    let client = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    drop(listener.accept());
    drop(client);
    port
}

/// An address of loopback that no other test uses, in this process or beside it.
pub(crate) fn own_loopback() -> Ipv4Addr {
    static NEXT: AtomicUsize = AtomicUsize::new(1);
    let [_, _, high, low] = process::id().to_be_bytes();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let number = u8::try_from(number).expect("fewer than 256 of them");
    Ipv4Addr::new(127, 128 | high, low, number)
}

/// An address that takes no connection and refuses none: its queue is full, and nobody empties it.
pub(crate) struct BlackHole {
    address: SocketAddr,
    _listener: socket2::Socket,
    _waiting: Vec<socket2::Socket>,
}

impl BlackHole {
    pub(crate) fn at(address: Ipv4Addr) -> Self {
        use socket2::{Domain, Socket, Type};
        let socket = || Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        let listener = socket();
        listener
            .bind(&SocketAddr::from((address, 0)).into())
            .expect("a port");
        listener.listen(0).expect("a listener");
        let local = listener.local_addr().expect("its address");
        let address = local.as_socket().expect("of TCP");
        let knock = |_| {
            let client = socket();
            client.set_nonblocking(true).expect("nonblocking");
            // Begun, and for those behind the first one not ended.
            let _ = client.connect(&local);
            client
        };
        let waiting = (0..4).map(knock).collect();
        Self {
            address,
            _listener: listener,
            _waiting: waiting,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    pub(crate) fn address(&self) -> std::net::IpAddr {
        self.address.ip()
    }
}
