//! Each of the two ways to the control plane is taken away while a client talks over it: the client
//! goes on over the other one, and misses nothing.

use std::fs;
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::support::{Proxy, Running, Wire};

/// An end that can be cut, and its connections with it.
trait End: Send + Sync + 'static {
    type Stream: Send + io::Read + io::Write;
    fn accept(&self) -> io::Result<Self::Stream>;
    fn twin(stream: &Self::Stream) -> Self::Stream;
    fn cut(stream: &Self::Stream);
}

impl End for UnixListener {
    type Stream = UnixStream;

    fn accept(&self) -> io::Result<UnixStream> {
        Self::accept(self).map(|(stream, _)| stream)
    }

    fn twin(stream: &UnixStream) -> UnixStream {
        stream.try_clone().expect("a second handle")
    }

    fn cut(stream: &UnixStream) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

impl End for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<TcpStream> {
        Self::accept(self).map(|(stream, _)| stream)
    }

    fn twin(stream: &TcpStream) -> TcpStream {
        stream.try_clone().expect("a second handle")
    }

    fn cut(stream: &TcpStream) {
        let _ = stream.shutdown(Shutdown::Both);
    }
}

/// A relay between a client and the control plane.
struct Relay<E: End> {
    streams: Arc<Mutex<Vec<E::Stream>>>,
}

impl<E: End> Relay<E> {
    fn between(listener: E, onward: impl Fn() -> E::Stream + Send + 'static) -> Self {
        let streams = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&streams);
        thread::spawn(move || {
            while let Ok(near) = listener.accept() {
                let far = onward();
                kept.lock()
                    .expect("the streams")
                    .extend([E::twin(&near), E::twin(&far)]);
                for (mut from, mut to) in [(E::twin(&near), E::twin(&far)), (far, near)] {
                    thread::spawn(move || {
                        let _ = io::copy(&mut from, &mut to);
                        E::cut(&to);
                    });
                }
            }
        });
        Self { streams }
    }

    /// Whether somebody has come through.
    fn is_used(&self) -> bool {
        !self.streams.lock().expect("the streams").is_empty()
    }

    /// Ends every connection.
    fn cut(&self) {
        for stream in self.streams.lock().expect("the streams").iter() {
            E::cut(stream);
        }
    }
}

/// A relay in the place of the control socket.
fn before_the_socket(proxy: &Proxy, own: &Path) -> Relay<UnixListener> {
    let socket = proxy.socket();
    fs::rename(&socket, own).expect("the socket is put aside");
    let listener = UnixListener::bind(&socket).expect("a socket in its place");
    fs::set_permissions(&socket, fs::Permissions::from_mode(0o600)).expect("its mode");
    let own = own.to_owned();
    Relay::between(listener, move || {
        UnixStream::connect(&own).expect("the control plane")
    })
}

/// A relay in the place of the control port.
fn before_the_port(proxy: &Proxy) -> Relay<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let file = proxy.session_dir().join("session.json");
    let mut record: Value =
        serde_json::from_slice(&fs::read(&file).expect("session.json")).expect("JSON");
    record["control"]["tcp"] = json!(listener.local_addr().expect("its address"));
    fs::write(&file, record.to_string()).expect("session.json");
    let port = proxy.tcp();
    Relay::between(listener, move || {
        TcpStream::connect(port).expect("the control plane")
    })
}

/// `vibepit logs --follow`, and a refusal that it shows: the sandbox's side asks for a host.
fn follow(proxy: &Proxy) -> Running {
    Running::spawn(proxy.home.vibepit().args(["logs", "--follow", "--json"]))
}

#[track_caller]
fn shows(proxy: &Proxy, following: &mut Running, host: &str) {
    let request = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    let mut wire = Wire::to(proxy.http());
    wire.send(&request);
    assert_eq!(wire.answer().status(), 403);
    let entry: Value = serde_json::from_str(&following.line()).expect("JSON");
    assert_eq!(entry["domain"], host);
}

#[test]
fn a_client_whose_socket_is_taken_away_goes_on_over_the_port() {
    let proxy = Proxy::start("");
    let relay = before_the_socket(&proxy, &proxy.session_dir().join("socket/aside.sock"));
    let mut following = follow(&proxy);
    shows(&proxy, &mut following, "one.test");
    assert!(relay.is_used());

    fs::remove_file(proxy.socket()).expect("the socket goes");
    relay.cut();
    shows(&proxy, &mut following, "two.test");
    shows(&proxy, &mut following, "three.test");
    let allowed = proxy.home.cli(&["allow", "-v", "a.test"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    assert!(allowed.stderr.contains("Tls"), "{allowed:?}");
}

#[test]
fn a_client_whose_port_is_taken_away_goes_on_over_the_socket_once_it_is_there() {
    let proxy = Proxy::start("");
    let relay = before_the_port(&proxy);
    let aside = proxy.session_dir().join("socket/aside.sock");
    fs::rename(proxy.socket(), &aside).expect("the socket is put aside");
    let mut following = follow(&proxy);
    shows(&proxy, &mut following, "one.test");
    assert!(relay.is_used());

    fs::rename(&aside, proxy.socket()).expect("the socket is put back");
    relay.cut();
    shows(&proxy, &mut following, "two.test");
    let allowed = proxy.home.cli(&["allow", "-v", "a.test"]);
    assert_eq!(allowed.code, Some(0), "{allowed:?}");
    assert!(allowed.stderr.contains("Unix"), "{allowed:?}");
}

#[test]
fn a_refusal_over_the_socket_is_an_answer_and_the_port_is_not_tried() {
    let proxy = Proxy::start("");
    let relay = before_the_port(&proxy);
    let refused = proxy.home.cli(&["revoke", "-v", "not a rule"]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(!relay.is_used());
}
