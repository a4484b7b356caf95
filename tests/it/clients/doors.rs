//! Clients through the doors of a sandbox: a row for each client, a column for each door. Every try
//! is held, somebody approves, and it is the one that succeeds. What a client cannot do by its
//! nature is said in its row.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::local::Local;
use crate::support::{Authority, Events, Origin, Resolver, Says, Shell, own_loopback, require};

use super::setting::{Site, Trying, stocked};
use super::{Client, HOST, Stock, apt, cargo, fetchers, git, go, id, npm, programs, python};

/// A column. Its name is a label of the store's there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    /// A request in absolute form.
    Http,
    /// CONNECT, and TLS in it.
    Connect,
    /// TLS in SOCKS5.
    Socks5,
    /// No proxy is known, and the port is 80.
    Plain,
    /// The same at 443.
    Tls,
}

/// What a client is told of a door.
enum Told {
    /// The variables that every sandbox has.
    Variables,
    /// Its address, in the client's own way.
    Itself(fn(&mut Command, &Site, &str)),
    /// Nothing: the variables are unset.
    Nothing,
    /// The variables, which it does not heed: it comes as one that knows no proxy.
    InVain(&'static str),
    /// It cannot come through this door.
    Never(&'static str),
}

use Told::{InVain, Itself, Never, Nothing, Variables};

/// What a client is told of each door.
struct Row {
    client: Client,
    http: Told,
    connect: Told,
    socks5: Told,
    plain: Told,
    tls: Told,
}

/// The variables that name a proxy.
const NAMES: [&str; 6] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
];

/// The variables, for those who find the names' addresses at the proxy with this scheme.
fn socks5h(client: &mut Command, _: &Site, door: &str) {
    client.envs(NAMES.map(|name| (name, format!("socks5h://{door}"))));
}

/// The same for those who do so with this one.
fn socks5(client: &mut Command, _: &Site, door: &str) {
    client.envs(NAMES.map(|name| (name, format!("socks5://{door}"))));
}

#[test]
fn curl_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: fetchers::CURL,
        http: Variables,
        connect: Variables,
        socks5: Itself(socks5h),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn git_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: git::GIT,
        http: Variables,
        connect: Variables,
        socks5: Itself(socks5h),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn pip_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: python::PIP,
        http: Variables,
        connect: Variables,
        socks5: Never("pip needs a further package for SOCKS, and does not bring it along"),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn npm_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: npm::NPM,
        http: Variables,
        connect: Variables,
        socks5: Itself(socks5h),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn cargo_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: cargo::CARGO,
        http: Variables,
        connect: Variables,
        socks5: Itself(socks5h),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn apt_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: apt::APT,
        http: Variables,
        connect: Variables,
        // A variable with this scheme is not taken; its own setting is.
        socks5: Itself(|_, site, door| {
            let setting = format!("Acquire::https::Proxy \"socks5h://{door}\";\n");
            site.write("etc/apt/apt.conf.d/proxy", &setting);
        }),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn go_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: go::GO,
        http: Variables,
        connect: Variables,
        socks5: Itself(socks5),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn fetch_of_node_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    const WHY: &str = "it reads no variable";
    Row {
        client: programs::FETCH,
        http: InVain(WHY),
        connect: InVain(WHY),
        socks5: Never("it has no setting for a proxy"),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn the_http_client_of_java_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    /// The options of its virtual machine, which that reads from the environment.
    fn options(java: &mut Command, _: &Site, door: &str) {
        let (host, port) = door.rsplit_once(':').expect("an address");
        let options = ["http", "https"]
            .map(|scheme| format!("-D{scheme}.proxyHost={host} -D{scheme}.proxyPort={port}"));
        java.env("JAVA_TOOL_OPTIONS", options.join(" "));
    }
    Row {
        client: programs::JAVA,
        http: Itself(options),
        connect: Itself(options),
        socks5: Never("it speaks to proxies of HTTP alone"),
        plain: InVain("it reads no variable"),
        tls: InVain("it reads no variable"),
    }
    .holds();
}

#[test]
fn asyncio_of_python_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    const WHY: &str = "its streams know no proxy";
    Row {
        client: programs::ASYNCIO,
        http: InVain(WHY),
        connect: InVain(WHY),
        socks5: Never(WHY),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

#[test]
fn a_static_program_in_c_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: programs::STATIC_C,
        http: InVain("it knows no proxy"),
        connect: Never("it speaks no TLS"),
        socks5: Never("it knows no proxy"),
        plain: Nothing,
        tls: Never("it speaks no TLS"),
    }
    .holds();
}

#[test]
fn chromium_is_held_at_every_door_and_succeeds_once_it_is_approved() {
    Row {
        client: programs::CHROMIUM,
        http: Variables,
        connect: Variables,
        socks5: Itself(|chromium, _, door| {
            chromium.arg(format!("--proxy-server=socks5://{door}"));
        }),
        plain: Nothing,
        tls: Nothing,
    }
    .holds();
}

impl Row {
    fn holds(self) {
        let components = [self.client.program, "user-namespaces", "low-ports"];
        if !components.into_iter().all(require) {
            return;
        }
        let bench = Bench::new(&self.client);
        let row = [
            (Door::Http, self.http),
            (Door::Connect, self.connect),
            (Door::Socks5, self.socks5),
            (Door::Plain, self.plain),
            (Door::Tls, self.tls),
        ];
        for (door, told) in row {
            // Which of them failed, and which are none.
            #[expect(clippy::print_stderr)]
            {
                eprintln!("{}, {door:?}: {}", self.client.program, told.word());
            }
            bench.succeeds(&self.client, door, &told);
        }
    }
}

/// A sandbox, and a store at an address that is this test's own.
struct Bench {
    /// It keeps the session, and ends before what that stands in.
    _shell: Shell,
    local: Local,
    authority: PathBuf,
    stores: [Origin; 2],
    events: std::cell::RefCell<Events>,
    /// Of the doors, as programs in the sandbox find them.
    http: String,
    socks5: String,
    _resolver: Resolver,
}

impl Bench {
    fn new(client: &Client) -> Self {
        let ip = own_loopback();
        let resolver = Resolver::otherwise(Says::addresses([ip]));
        let config = format!(
            "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n",
            resolver.config()
        );
        let local = Local::new(&config, None);
        let signs = Authority::new();
        let authority = local.project().join("authority.pem");
        fs::write(&authority, signs.pem()).expect("a file");
        let stores = stores(client.stock, ip, &signs, local.project());
        let toolchain = toolchain();
        let mut shell = local.shell(&match &toolchain {
            Some(volume) => vec!["--volume", volume],
            None => vec![],
        });
        let events = local.events();
        let mut door = |variable: &str| {
            let said = shell.ask(&format!("echo ${variable}"));
            said.trim().trim_start_matches("http://").to_owned()
        };
        Self {
            http: door("http_proxy"),
            socks5: door("VIBEPIT_SOCKS5"),
            events: events.into(),
            local,
            authority,
            stores,
            _shell: shell,
            _resolver: resolver,
        }
    }

    /// One try: it is held at the door, goes on when somebody approves, and gets what it wanted.
    #[track_caller]
    fn succeeds(&self, client: &Client, door: Door, told: &Told) {
        let expected = match told {
            Never(_) => return,
            InVain(_) => door.of_programs_that_know_no_proxy(),
            Variables | Itself(_) | Nothing => door,
        };
        let site = Site {
            home: self.local.home.clone(),
            directory: self.local.project().join(door.name()),
            scheme: door.scheme(),
            host: format!("{}.{HOST}", door.name()),
            port: None,
            authority: self.authority.clone(),
            proxy: None,
        };
        fs::create_dir(&site.directory).expect("a directory");
        let mut command = (client.command)(&site);
        match told {
            Nothing => NAMES.into_iter().for_each(|name| {
                command.env_remove(name);
            }),
            Itself(tell) => tell(&mut command, &site, self.address(door)),
            Variables | InVain(_) | Never(_) => {}
        }
        let before = self.connections();
        let trying = Trying::begin(&mut self.inside(&command));
        let request = self.held(&site.host);
        assert_eq!(request["doors"], json!([expected.name()]), "{request}");
        assert_eq!(request["port"], door.port());
        assert_eq!(self.connections(), before, "nothing is dialled before");
        self.local.cli(&["approve", id(&request)]).ok();
        let ran = trying.end();
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!((client.arrived)(&site, &ran), "{ran:?}");
    }

    /// The request for a host that is held; a browser may have other wishes, which stay unanswered.
    fn held(&self, host: &str) -> serde_json::Value {
        loop {
            let request = self.events.borrow_mut().until("domain-request-added");
            if request["domain"] == host {
                return request;
            }
        }
    }

    fn connections(&self) -> usize {
        self.stores.iter().map(Origin::connections).sum()
    }

    fn address(&self, door: Door) -> &str {
        match door {
            Door::Socks5 => &self.socks5,
            _ => &self.http,
        }
    }

    /// A command as one that is run in the sandbox, with its directory and its variables.
    fn inside(&self, command: &Command) -> Command {
        let mut exec = self.local.command(crate::support::binary());
        exec.args(["exec", "--quiet", "--no-tty"]);
        let mut unset = Vec::new();
        for (name, value) in command.get_envs() {
            let name = name.to_str().expect("UTF-8");
            match value {
                Some(value) => {
                    let value = value.to_str().expect("UTF-8");
                    exec.args(["--env", &format!("{name}={value}")]);
                }
                None => unset.push(format!("--unset={name}")),
            }
        }
        let directory = command.get_current_dir().expect("a directory");
        exec.args(["--", "env", "--chdir"]).arg(directory);
        exec.args(unset).arg(command.get_program());
        exec.args(command.get_args());
        exec
    }
}

/// The store, in plain and over TLS, at the ports of the web: what is asked for by the name of a door
/// lies in the directory of that name.
fn stores(stock: Stock, ip: Ipv4Addr, signs: &Authority, base: &Path) -> [Origin; 2] {
    let answer = |scheme| {
        let base = base.to_owned();
        stocked(stock, scheme, move |host| {
            base.join(host.split('.').next().expect("a label"))
        })
    };
    let plain = Origin::answering_at(SocketAddr::from((ip, 80)), answer("http"));
    let over_tls = Origin::answering_over_tls_at(
        SocketAddr::from((ip, 443)),
        signs.server(&format!("*.{HOST}")),
        answer("https"),
    );
    [plain.expect("a port"), over_tls.expect("a port")]
}

/// The volume with the toolchain that built these tests, where that is no part of the system.
fn toolchain() -> Option<String> {
    let tree = Path::new(env!("CARGO")).ancestors().nth(2)?.to_str()?;
    (!tree.starts_with("/usr")).then(|| format!("{tree}:{tree}:ro"))
}

impl Told {
    fn word(&self) -> &'static str {
        match self {
            Variables => "by the variables",
            Itself(_) => "by its own setting",
            Nothing => "without a proxy",
            InVain(why) | Never(why) => why,
        }
    }
}

impl Door {
    /// What the proxy calls it.
    fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Connect => "connect",
            Self::Socks5 => "socks5",
            Self::Plain => "plain",
            Self::Tls => "tls",
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::Http | Self::Plain => "http",
            Self::Connect | Self::Socks5 | Self::Tls => "https",
        }
    }

    fn port(self) -> u16 {
        match self.scheme() {
            "http" => 80,
            _ => 443,
        }
    }

    fn of_programs_that_know_no_proxy(self) -> Self {
        match self.scheme() {
            "http" => Self::Plain,
            _ => Self::Tls,
        }
    }
}
