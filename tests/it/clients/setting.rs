//! What a client stands in: a proxy that asks, a store behind it, a home, and the program itself
//! while it runs.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{Authority, Events, Home, Message, Origin, PATIENCE, Proxy, Ran, Resolver};

use super::{Client, HOST, Stock};

/// How the client reaches the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A request for an `http:` URL.
    Forwarded,
    /// CONNECT, and TLS with the origin inside.
    Tunnelled,
}

/// What the store is asked.
pub(super) struct Asked<'a> {
    pub(super) request: &'a Message,
    /// Of the request's target, with the query.
    pub(super) path: &'a str,
    /// The store's URL, without a slash at the end.
    pub(super) base: &'a str,
    /// The client's home.
    pub(super) home: &'a Path,
}

/// What a client's command is made from.
pub(super) struct Site {
    /// Whose environment it is outside of any sandbox.
    pub(super) home: Home,
    /// The client's own home.
    pub(super) directory: PathBuf,
    /// Of the store: the scheme of its URLs, its name, and its port where that is not the scheme's.
    pub(super) scheme: &'static str,
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// The file with the certificate that the store's is signed by.
    pub(super) authority: PathBuf,
    /// The HTTP door; none in a sandbox, where vibepit says it.
    pub(super) proxy: Option<SocketAddr>,
}

/// A proxy that asks, a store behind it, and a home for the client.
pub(super) struct Setting {
    pub(super) way: Way,
    pub(super) proxy: Proxy,
    pub(super) store: Origin,
    pub(super) site: Site,
    _resolver: Resolver,
}

/// A client that runs.
pub(super) struct Trying {
    pid: Pid,
    ran: Receiver<Ran>,
}

impl Setting {
    pub(super) fn new(client: &Client, way: Way, further: &str) -> Self {
        let resolver = Resolver::at_loopback(&[HOST]);
        let config = format!(
            "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n\
             {further}",
            resolver.config()
        );
        let (home, signs) = (Home::new(), Authority::new());
        let authority = home.home().join("authority.pem");
        fs::write(&authority, signs.pem()).expect("a file");
        let answer = stocked(client.stock, way.scheme(), {
            let directory = home.home();
            move |_| directory.clone()
        });
        let store = match way {
            Way::Forwarded => Origin::answering(answer),
            Way::Tunnelled => Origin::answering_over_tls(signs.server(HOST), answer),
        };
        let proxy = Proxy::start(config);
        let site = Site {
            directory: home.home(),
            home,
            scheme: way.scheme(),
            host: HOST.to_owned(),
            port: Some(store.port()),
            authority,
            proxy: Some(proxy.http()),
        };
        Self {
            way,
            proxy,
            store,
            site,
            _resolver: resolver,
        }
    }

    /// Starts a client.
    pub(super) fn tries(&self, client: &Client) -> Trying {
        Trying::begin(&mut (client.command)(&self.site))
    }

    /// Waits until a client's request is held.
    #[track_caller]
    pub(super) fn held(&self, events: &mut Events) -> Value {
        let request = events.until("domain-request-added");
        let door = match self.way {
            Way::Forwarded => "http",
            Way::Tunnelled => "connect",
        };
        assert_eq!(request["domain"], HOST);
        assert_eq!(request["port"], self.store.port());
        assert_eq!(request["doors"], json!([door]));
        request
    }

    /// A try failed, and said all of this.
    #[track_caller]
    pub(super) fn shows(&self, ran: &Ran, shown: &[&str]) {
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        for part in shown {
            let part = part.replace("{target}", &self.site.target());
            assert!(said.contains(&part), "{part} is not in: {said}");
        }
    }
}

impl Site {
    /// `host:port` of the store, without the port where a URL has none.
    pub(super) fn target(&self) -> String {
        let port = self.port.map(|port| format!(":{port}"));
        format!("{}{}", self.host, port.unwrap_or_default())
    }

    /// A URL of the store. The path begins with a slash.
    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.target())
    }

    /// A path in the client's home.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Writes a file into the client's home.
    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        let directory = path.parent().expect("a directory");
        fs::create_dir_all(directory).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    /// A program outside of any sandbox, in the client's home.
    pub(super) fn outside(&self, name: &str) -> Command {
        let mut command = self.home.command(name);
        command.current_dir(&self.directory);
        command
    }

    /// A program that has what the sandbox has: a home, and the variables that name the proxy. In a
    /// sandbox those are there already.
    pub(super) fn program(&self, name: &str) -> Command {
        let Some(proxy) = self.proxy else {
            let mut command = Command::new(name);
            command.env("HOME", &self.directory);
            command.current_dir(&self.directory);
            return command;
        };
        let mut command = self.home.command(name);
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, format!("http://{proxy}"));
        }
        for name in ["no_proxy", "NO_PROXY"] {
            command.env(name, "localhost,127.0.0.1,::1");
        }
        command
    }
}

/// What a store answers: its stock, for a client whose home is told by the host it asks.
pub(super) fn stocked(
    stock: Stock,
    scheme: &'static str,
    home: impl Fn(&str) -> PathBuf,
) -> impl Fn(&Message) -> Vec<u8> {
    move |request| {
        let host = request.field("host").unwrap_or_default();
        let asked = Asked {
            request,
            path: request.start.split(' ').nth(1).unwrap_or_default(),
            base: &format!("{scheme}://{host}"),
            home: &home(host),
        };
        let missing = || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
        stock(&asked).unwrap_or_else(missing)
    }
}

impl Trying {
    pub(super) fn begin(command: &mut Command) -> Self {
        let child: Child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let (send, ran) = channel();
        thread::spawn(move || {
            let output = child.wait_with_output().expect("its output");
            // A test that failed does not listen any more.
            let _ = send.send(Ran::from(output));
        });
        Self { pid, ran }
    }

    /// What it did, once it has ended.
    #[track_caller]
    pub(super) fn end(&self) -> Ran {
        self.ran.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let _ = killpg(self.pid, Signal::SIGKILL);
            panic!("it does not end: {:?}", self.ran.recv())
        })
    }
}

impl Way {
    fn scheme(self) -> &'static str {
        match self {
            Self::Forwarded => "http",
            Self::Tunnelled => "https",
        }
    }
}

/// 200 with a file.
pub(super) fn file(bytes: &[u8]) -> Vec<u8> {
    typed("application/octet-stream", bytes)
}

/// 200 with a content of a type.
pub(super) fn typed(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), bytes].concat()
}
