//! What a launcher and the inside of a sandbox of the local runtime say to each other: one JSON
//! object a line, over a Unix stream that also carries descriptors. What comes from inside is
//! hostile to the launcher, however far from the sandboxed command it is said.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a sandbox is called in its own network.
pub const HOSTNAME: &str = "vibepit";

/// Where the doors are in the sandbox's network. All of 127/8 is the loopback's (RFC 1122,
/// 3.2.1.3); an address of its own keeps the proxy apart from what the sandbox runs on 127.0.0.1.
const DOORS: Ipv4Addr = Ipv4Addr::new(127, 86, 80, 1);

/// The HTTP door of a sandbox's network.
pub const HTTP_DOOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(DOORS), 3128);
/// The name server of a sandbox's network.
pub const DNS_DOOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(DOORS), 53);
/// The SOCKS5 door of a sandbox's network.
pub const SOCKS5_DOOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(DOORS), 1080);
/// Where programs that know no proxy arrive with plain HTTP: the name server says that every name
/// is here.
pub const PLAIN_DOOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(DOORS), 80);
/// Where they arrive with TLS.
pub const TLS_DOOR: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(DOORS), 443);

/// Ports of the host that have doors, at the most; the sockets of all doors go in one message.
pub const MOST_HOST_DOORS: usize = 64;

/// Where programs that know no proxy arrive for a port of the host: the name server says that
/// `host.vibepit` is here.
pub fn host_door(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(DOORS), port)
}

/// Of the ports of the host that may be reached, those that get doors of their own, each once; and
/// those that do not: other doors are at them, or they are too many.
pub fn with_host_doors(ports: &[u16]) -> (Vec<u16>, Vec<u16>) {
    let taken = [HTTP_DOOR, DNS_DOOR, SOCKS5_DOOR, PLAIN_DOOR, TLS_DOOR].map(|at| at.port());
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for port in ports {
        if with.contains(port) || without.contains(port) {
            continue;
        }
        match taken.contains(port) || with.len() == MOST_HOST_DOORS {
            true => without.push(*port),
            false => with.push(*port),
        }
    }
    (with, without)
}

/// What a door's socket is called while it is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DoorName {
    /// The HTTP proxy.
    Http = b'h',
    /// The name server over UDP.
    DnsUdp = b'u',
    /// The name server over TCP.
    DnsTcp = b't',
    /// The SOCKS5 proxy.
    Socks5 = b's',
    /// Plain HTTP of programs that know no proxy.
    Plain = b'p',
    /// TLS of programs that know no proxy.
    Tls = b'e',
    /// A port of the host, for such programs; there may be several.
    Host = b'l',
}

impl DoorName {
    /// All that every sandbox has, in the order in which [`FromEnclosure::Doors`] brings them.
    pub const ALL: [Self; 6] = [
        Self::Http,
        Self::DnsUdp,
        Self::DnsTcp,
        Self::Socks5,
        Self::Plain,
        Self::Tls,
    ];

    /// The door of a byte, if it is one's.
    pub fn of(byte: u8) -> Option<Self> {
        let mut all = Self::ALL.into_iter().chain([Self::Host]);
        all.find(|door| *door as u8 == byte)
    }
}

/// What is vibepit's own within a sandbox, on every runtime; nobody there can write to it.
pub const OWN_DIRECTORY: &str = "/run/vibepit";
/// Where this executable is within a sandbox.
pub const OWN_EXECUTABLE: &str = "/run/vibepit/vibepit";

/// The variable that says where the SOCKS5 door of a sandbox is.
pub const SOCKS5_VARIABLE: &str = "VIBEPIT_SOCKS5";

/// The longest line to the inside: a plan has a link for each program of `/sbin`.
pub const LONGEST_TOLD: usize = 16 * 1024 * 1024;

/// The longest line from the inside. Everything that is said there is short.
pub const LONGEST_SAID: usize = 16 * 1024;

/// Descriptors that come with one line, at the most.
pub const MOST_DESCRIPTORS: usize = DoorName::ALL.len() + MOST_HOST_DOORS;

/// Everything a sandbox is made of, looked up and judged by the launcher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// What is mounted in it.
    pub mounts: Vec<PlannedMount>,
    /// Links of its root directory, as (path, what it says).
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Files that are written for it, with their text.
    pub files: Vec<(PathBuf, String)>,
    /// Namespaces may be made inside, and mounts within them.
    pub allow_userns: bool,
    /// How many processes and threads it may have, where nothing but rlimits keeps count.
    pub processes: Option<u64>,
    /// How much of the machine's memory each scratch directory may take, in percent.
    pub scratch_percent: u8,
}

/// One mount of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedMount {
    /// Where, in the sandbox.
    pub target: PathBuf,
    /// What.
    pub what: Mounted,
}

/// What is mounted somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mounted {
    /// A file or directory of the host, by its path without symbolic links.
    Host {
        /// The path on the host.
        source: PathBuf,
        /// Its device and inode, for what must be the very file that was looked at.
        identity: Option<(u64, u64)>,
        /// Neither it nor what is mounted below it can be written to.
        read_only: bool,
    },
    /// An empty directory that everybody may write to, and that ends with the sandbox.
    Scratch,
    /// An empty directory that nobody can write to, over one that is not to be seen.
    Cover,
}

/// A line to the inside.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToEnclosure {
    /// The first line, once.
    Plan(Box<Plan>),
    /// Start a command. Without a terminal its standard input, output and error come along.
    Run {
        /// What the launcher calls it.
        job: u64,
        /// The command.
        command: Box<CommandLine>,
    },
    /// Send it a signal; with a terminal, send it to all that runs in the foreground there.
    Signal {
        /// Which command.
        job: u64,
        /// The signal's name, such as SIGTERM.
        signal: String,
    },
}

/// A command to be run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandLine {
    /// The program and its arguments; never empty.
    pub words: Vec<String>,
    /// `NAME=VALUE`, the whole environment.
    pub env: Vec<String>,
    /// The working directory.
    pub directory: PathBuf,
    /// Rows and columns of the terminal it gets, if it gets one.
    pub terminal: Option<(u16, u16)>,
}

/// A line from the inside.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromEnclosure {
    /// The doors are open; their sockets come along, in the order of [`DoorName::ALL`], and behind
    /// them those for ports of the host, in the order in which these were named.
    Doors,
    /// The kernel gives us no namespaces; one sentence says which step it refused, and how.
    Refused(String),
    /// The sandbox does not start; one sentence says why.
    Failed(String),
    /// Every wall stands: commands may come.
    Ready,
    /// A command runs. With a terminal, the other end of that comes along.
    Started {
        /// Which command.
        job: u64,
    },
    /// A command could not be started.
    CannotRun {
        /// Which command.
        job: u64,
        /// What a shell would exit with.
        exit_code: u8,
        /// A phrase that says why.
        why: String,
    },
    /// A command has ended.
    Ended {
        /// Which command.
        job: u64,
        /// Its exit code, or 128 and the number of the signal that ended it.
        exit_code: u8,
    },
}
