//! Origins: servers on loopback that do what a test says, and remember who came.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use super::{Message, PATIENCE, Wire};

/// A server. It listens for as long as the test's process lives.
pub(crate) struct Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Message>>>,
    events: Mutex<Receiver<Message>>,
}

impl Origin {
    /// Serves each connection with a function, in a thread of its own.
    pub(crate) fn serving(serve: impl Fn(Wire) + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", move |wire, _| serve(wire)).expect("a port")
    }

    /// Answers every request of every connection with what a function says, for as long as the
    /// client goes on. The requests are remembered.
    pub(crate) fn answering(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::answering_at("127.0.0.1:0", answer).expect("a port")
    }

    /// As [`Self::answering`], at an address.
    pub(crate) fn answering_at(
        address: &str,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> io::Result<Self> {
        Self::at(address, move |mut wire, seen| {
            while let Some(request) = wire.try_request() {
                let bytes = answer(&request);
                seen(request);
                if wire.try_send(bytes).is_err() {
                    break;
                }
            }
        })
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
        address: &str,
        serve: impl Fn(Wire, &dyn Fn(Message)) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (send, events) = channel();
        let origin = Self {
            address,
            connections: Arc::clone(&connections),
            requests: Arc::clone(&requests),
            events: Mutex::new(events),
        };
        let serve = Arc::new(serve);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                connections.fetch_add(1, Ordering::SeqCst);
                let (serve, requests, send) =
                    (Arc::clone(&serve), Arc::clone(&requests), send.clone());
                thread::spawn(move || {
                    let seen = move |request: Message| {
                        let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                        requests.push(request.clone());
                        drop(requests);
                        // A test that ended does not listen any more.
                        let _ = send.send(request);
                    };
                    serve(Wire::over(stream), &seen);
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

    /// How many connections it has taken.
    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
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
