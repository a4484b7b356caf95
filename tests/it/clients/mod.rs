//! Programs that fetch things, real ones, each against a request that is held: somebody approves
//! while it waits, denies, or comes too late. What they fetch is made here and served on loopback,
//! under a name that only the test's resolver knows.

mod apt;
mod archives;
mod cargo;
mod fetchers;
mod git;
mod go;
mod npm;
mod python;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::{
    Authority, Events, Home, Message, Origin, PATIENCE, Proxy, Ran, Resolver, require,
};

/// Where the things are.
const HOST: &str = "index.test";
/// What is in them.
const THING: &str = "the thing itself";

/// What a person may give as the reason of a denial.
const USE_THE_MIRROR: &str = "use the mirror";
/// The reason phrases of the proxy's refusals.
const DENIED: &str = "vibepit: {target} is denied";
const LATE: &str = "vibepit: {target}: nobody decided in time";
/// What a client says of a refusal that hides the reason phrase.
const STATUS: &str = " 403";

/// How the client reaches the proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A request for an `http:` URL.
    Forwarded,
    /// CONNECT, and TLS with the origin inside.
    Tunnelled,
}

/// What a client does after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// It ends; somebody has to start it again.
    Ends,
    /// It tries again by itself, a few times.
    Retries,
}

/// A program, what it fetches, and how.
struct Client {
    /// What [`require`] knows it by.
    program: &'static str,
    /// The answer to a request for something there is.
    stock: fn(&Asked<'_>) -> Option<Vec<u8>>,
    /// The program as it is started for one try, from nothing.
    command: fn(&Setting) -> Command,
    /// Whether the thing is there, after a try that succeeded.
    arrived: fn(&Setting, &Ran) -> bool,
}

/// What the store is asked.
struct Asked<'a> {
    request: &'a Message,
    /// Of the request's target, with the query.
    path: &'a str,
    /// The store's URL, without a slash at the end.
    base: &'a str,
    /// The client's home.
    home: &'a Path,
}

/// A proxy that asks, a store behind it, and a home for the client.
struct Setting {
    way: Way,
    proxy: Proxy,
    store: Origin,
    home: Home,
    /// The file with the certificate that the store's is signed by.
    authority: PathBuf,
    _resolver: Resolver,
}

/// A client that runs.
struct Trying {
    pid: Pid,
    ran: Receiver<Ran>,
}

impl Client {
    /// Somebody approves while it waits: it hears of nothing, and succeeds at its first try.
    #[track_caller]
    fn is_approved(&self, way: Way) {
        if !require(self.program) {
            return;
        }
        let setting = Setting::new(self, way, "");
        let mut events = setting.proxy.events(None);
        let trying = setting.tries(self);
        let request = setting.held(&mut events);
        assert_eq!(setting.store.connections(), 0, "nothing is dialled before");
        setting.proxy.does(&path("approve", &request), &json!({}));
        self.succeeds(&setting, trying.end());
        let events = setting.proxy.audit().into_iter();
        let decisive = events.filter(|line| line["event"] != "connect");
        let names: Vec<_> = decisive.map(|line| line["event"].clone()).collect();
        let expected = [
            "session_start",
            "domain_request",
            "rule_add",
            "domain_approve",
        ];
        assert_eq!(names, expected, "it asked once");
    }

    /// Somebody denies, for so long: it fails and says `shown`, in which `{target}` is the store.
    #[track_caller]
    fn is_denied(&self, way: Way, scope: &str, shown: &[&str]) {
        if !require(self.program) {
            return;
        }
        let setting = Setting::new(self, way, "");
        let mut events = setting.proxy.events(None);
        let trying = setting.tries(self);
        let request = setting.held(&mut events);
        let body = json!({"scope": scope, "reason": USE_THE_MIRROR});
        setting.proxy.does(&path("deny", &request), &body);
        let ran = trying.end();
        setting.shows(&ran, shown);
        assert_eq!(setting.store.connections(), 0);
    }

    /// Nobody decides in time, and somebody approves what was missed: the next try succeeds. One
    /// that ends before that says `shown`.
    #[track_caller]
    fn comes_too_late(&self, way: Way, afterwards: Afterwards, shown: &[&str]) {
        if !require(self.program) {
            return;
        }
        let setting = Setting::new(self, way, "approval_timeout = \"1s\"\n");
        let mut events = setting.proxy.events(None);
        let trying = setting.tries(self);
        let request = setting.held(&mut events);
        let end = events.until("domain-request-removed");
        assert_eq!(
            (&end["id"], &end["outcome"]),
            (&request["id"], &json!("timed_out"))
        );
        // The next try of one that goes on by itself may be held already: the approval lets that
        // one through as well.
        let refused = (afterwards == Afterwards::Ends).then(|| trying.end());
        setting.proxy.cli(&["approve", id(&request)]).ok();
        match refused {
            Some(ran) => {
                setting.shows(&ran, shown);
                self.succeeds(&setting, setting.tries(self).end());
            }
            None => self.succeeds(&setting, trying.end()),
        }
    }

    #[track_caller]
    fn succeeds(&self, setting: &Setting, ran: Ran) {
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!((self.arrived)(setting, &ran), "{ran:?}");
    }
}

impl Setting {
    fn new(client: &Client, way: Way, further: &str) -> Self {
        let resolver = Resolver::at_loopback(&[HOST]);
        let config = format!(
            "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n\
             {further}",
            resolver.config()
        );
        let (home, signs) = (Home::new(), Authority::new());
        let authority = home.home().join("authority.pem");
        fs::write(&authority, signs.pem()).expect("a file");
        let (stock, directory) = (client.stock, home.home());
        let answer = move |request: &Message| {
            let host = request.field("host").unwrap_or_default();
            let asked = Asked {
                request,
                path: request.start.split(' ').nth(1).unwrap_or_default(),
                base: &format!("{}://{host}", way.scheme()),
                home: &directory,
            };
            let missing = || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec();
            stock(&asked).unwrap_or_else(missing)
        };
        let store = match way {
            Way::Forwarded => Origin::answering(answer),
            Way::Tunnelled => Origin::answering_over_tls(signs.server(HOST), answer),
        };
        Self {
            way,
            proxy: Proxy::start(config),
            store,
            home,
            authority,
            _resolver: resolver,
        }
    }

    /// `host:port` of the store.
    fn target(&self) -> String {
        format!("{HOST}:{}", self.store.port())
    }

    /// A URL of the store. The path begins with a slash.
    fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.way.scheme(), self.target())
    }

    /// A path in the client's home.
    fn file(&self, name: &str) -> PathBuf {
        self.home.home().join(name)
    }

    /// Writes a file into the client's home.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        let directory = path.parent().expect("a directory");
        fs::create_dir_all(directory).expect("a directory");
        fs::write(&path, text).expect("a file");
        path
    }

    /// A program that has what the sandbox has: a home, and the variables that name the proxy.
    fn program(&self, name: &str) -> Command {
        let mut command = self.home.command(name);
        let proxy = format!("http://{}", self.proxy.http());
        for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"] {
            command.env(name, &proxy);
        }
        for name in ["no_proxy", "NO_PROXY"] {
            command.env(name, "localhost,127.0.0.1,::1");
        }
        command
    }

    /// Starts a client.
    fn tries(&self, client: &Client) -> Trying {
        Trying::begin(&mut (client.command)(self))
    }

    /// Waits until a client's request is held.
    #[track_caller]
    fn held(&self, events: &mut Events) -> Value {
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
    fn shows(&self, ran: &Ran, shown: &[&str]) {
        assert!(ran.code.is_some_and(|code| code != 0), "{ran:?}");
        let said = format!("{}\n{}", ran.stdout, ran.stderr);
        for part in shown {
            let part = part.replace("{target}", &self.target());
            assert!(said.contains(&part), "{part} is not in: {said}");
        }
    }
}

impl Trying {
    fn begin(command: &mut Command) -> Self {
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
    fn end(&self) -> Ran {
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
fn file(bytes: &[u8]) -> Vec<u8> {
    typed("application/octet-stream", bytes)
}

/// 200 with a content of a type.
fn typed(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let length = bytes.len();
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), bytes].concat()
}

fn id(request: &Value) -> &str {
    request["id"].as_str().expect("an id")
}

fn path(verb: &str, request: &Value) -> String {
    format!("/{verb}-domain/{}", id(request))
}
