//! Packets that go round the proxy: to addresses, to name servers, by sockets that are below
//! addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, setsockopt, socket, sockopt,
};

use super::tally::{Tally, name_of};
use crate::api::{Reach, Targets};

/// How long a connection may take to be answered. What a sandbox holds is refused at once; what is
/// on this machine answers within this.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a datagram that got out says of itself.
const WORD: &[u8] = b"vibepit self-test";

pub(super) fn tries(targets: &Targets) -> Vec<Tally> {
    let mut tallies: Vec<Tally> = thread::scope(|scope| {
        let lines: Vec<_> = targets
            .network
            .iter()
            .map(|line| scope.spawn(|| reach(line)))
            .collect();
        lines
            .into_iter()
            .map(|line| line.join().unwrap_or_else(|_| failed()))
            .collect()
    });
    tallies.push(name_servers(&targets.name_servers));
    if let Some((server, name)) = &targets.own_name_server {
        tallies.push(own_name_server(*server, name));
    }
    tallies.extend([links(targets), routes()]);
    tallies.extend(kinds());
    tallies
}

/// A try that came to no end has shown nothing, and is not taken for one that was held.
const FAILED: &str = "the try itself failed";

fn failed() -> Tally {
    let mut tally = Tally::new("network", "a try of the network");
    tally.open(FAILED);
    tally
}

fn reach(line: &Reach) -> Tally {
    let outcomes: Vec<_> = thread::scope(|scope| {
        let tcp = line.tcp.iter().map(|to| scope.spawn(|| connect(*to)));
        let tcp: Vec<_> = tcp.collect();
        let udp = line.udp.iter().map(|to| scope.spawn(|| send(*to)));
        let udp: Vec<_> = udp.collect();
        let all = tcp.into_iter().chain(udp);
        all.map(|one| one.join().unwrap_or_else(|_| Ok(FAILED.to_owned())))
            .collect()
    });
    let mut tally = Tally::new(&line.name, &line.what);
    for outcome in outcomes {
        match outcome {
            Ok(how) => tally.open(how),
            Err(why) => tally.held(why),
        }
    }
    tally
}

/// What got through, or why nothing did.
fn connect(to: SocketAddr) -> Result<String, String> {
    match TcpStream::connect_timeout(&to, PATIENCE) {
        Ok(_) => Ok(format!("{to} took a connection")),
        Err(error) => match error.raw_os_error().map(Errno::from_raw) {
            // Nobody listens on the sandbox's own loopback; elsewhere it is somebody's answer.
            Some(Errno::ECONNREFUSED) if !to.ip().is_loopback() => {
                Ok(format!("{to} answered, with a refusal"))
            }
            Some(errno) => Err(format!("{errno:?}")),
            None => Ok(format!("there is a way to {to}, though nobody answered")),
        },
    }
}

fn send(to: SocketAddr) -> Result<String, String> {
    let from: SocketAddr = match to.ip() {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from).map_err(|error| name_of(&error))?;
    match socket.connect(to).and_then(|()| socket.send(WORD)) {
        // A datagram to one's own loopback goes nowhere; whether it was heard outside is counted
        // there.
        Ok(_) if to.ip().is_loopback() => Err("it stayed on the loopback".to_owned()),
        Ok(_) => Ok(format!("a datagram to {to} was sent")),
        Err(error) => Err(name_of(&error)),
    }
}

fn name_servers(servers: &[SocketAddr]) -> Tally {
    let mut tally = Tally::new("dns-elsewhere", "name servers but the sandbox's own");
    for outcome in thread::scope(|scope| {
        let asked: Vec<_> = servers
            .iter()
            .map(|server| scope.spawn(|| asked_elsewhere(*server)))
            .collect();
        let outcomes = asked.into_iter().map(thread::ScopedJoinHandle::join);
        let outcomes = outcomes.map(|one| one.unwrap_or_else(|_| Ok(FAILED.to_owned())));
        outcomes.collect::<Vec<_>>()
    }) {
        match outcome {
            Ok(how) => tally.open(how),
            Err(why) => tally.held(why),
        }
    }
    tally
}

fn asked_elsewhere(server: SocketAddr) -> Result<String, String> {
    if let Ok(how) = connect(server) {
        return Ok(how);
    }
    match ask(server, "self-test.vibepit.invalid") {
        Ok(Some(answer)) => Ok(format!("{server} answered a question ({answer})")),
        Ok(None) if server.ip().is_loopback() => Err("nobody answered".to_owned()),
        Ok(None) => Ok(format!("a question to {server} was sent")),
        Err(error) => Err(name_of(&error)),
    }
}

fn own_name_server(server: IpAddr, name: &str) -> Tally {
    let mut tally = Tally::new(
        "dns-unlisted",
        format!("{name}, by the sandbox's name server"),
    );
    match ask((server, 53).into(), name) {
        Ok(Some(answer)) if answer.addresses == 0 => tally.held(answer.to_string()),
        Ok(Some(answer)) => tally.open(format!("it has an answer ({answer})")),
        Ok(None) => tally.held("nobody answered"),
        Err(error) => tally.held(name_of(&error)),
    }
    tally
}

/// The head of a name server's answer.
struct Answer {
    code: u8,
    addresses: u16,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.code {
            3 => f.write_str("NXDOMAIN"),
            5 => f.write_str("REFUSED"),
            code => write!(f, "code {code}, {} records", self.addresses),
        }
    }
}

/// Asks for the addresses of a name over UDP (RFC 1035, 4.1). `None`: nobody answered in time.
fn ask(server: SocketAddr, name: &str) -> std::io::Result<Option<Answer>> {
    let mut question = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).unwrap_or(0));
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 1, 0, 1]);
    let from: SocketAddr = match server.ip() {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(from)?;
    socket.set_read_timeout(Some(PATIENCE / 2))?;
    socket.connect(server)?;
    socket.send(&question)?;
    let mut answer = [0; 512];
    match socket.recv(&mut answer) {
        Ok(12..) => Ok(Some(Answer {
            code: answer[3] & 15,
            addresses: u16::from_be_bytes([answer[6], answer[7]]),
        })),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whom else the sandbox is on a link with, and what is sent there past the routing table.
fn links(targets: &Targets) -> Tally {
    let mut tally = Tally::new(
        "links",
        "interfaces that lead anywhere, and what is sent by them",
    );
    let Ok(interfaces) = getifaddrs() else {
        return tally.or_else("the kernel does not list the interfaces");
    };
    let mut names: Vec<_> = interfaces
        .map(|interface| {
            let up = interface.flags.contains(InterfaceFlags::IFF_UP);
            let loopback = interface.flags.contains(InterfaceFlags::IFF_LOOPBACK);
            (interface.interface_name, up, loopback)
        })
        .collect();
    names.sort();
    names.dedup();
    let to = targets.network.iter().flat_map(|line| &line.udp);
    let to: Vec<SocketAddr> = to.filter(|to| to.is_ipv4()).copied().collect();
    for (name, up, loopback) in names {
        match (up, loopback) {
            (true, false) => tally.open(format!("{name} is up")),
            (_, true) => tally.held(format!("{name} is a loopback")),
            (false, false) => tally.held(format!("{name} is down")),
        }
        // What of this leaves by a loopback is counted outside.
        for to in to
            .iter()
            .map(SocketAddr::ip)
            .chain([Ipv4Addr::BROADCAST.into()])
        {
            let sent = around(&name, (to, 9).into());
            if sent.is_ok() && !loopback {
                tally.open(format!("a datagram to {to} left by {name}"));
            }
        }
    }
    tally
}

fn around(interface: &str, to: SocketAddr) -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    setsockopt(&socket, sockopt::DontRoute, &true)?;
    setsockopt(&socket, sockopt::BindToDevice, &interface.into())?;
    socket.send_to(WORD, to).map(drop)
}

/// Routes by another interface than the loopback: proc_net_route in proc(5), whose first field is
/// the interface; `ipv6_route` has it last.
fn routes() -> Tally {
    let mut tally = Tally::new("routes", "routes by another interface than the loopback");
    let read = |path| std::fs::read_to_string(path);
    match read("/proc/net/route") {
        Ok(table) => {
            let mut routes = table
                .lines()
                .skip(1)
                .filter(|line| !line.starts_with("lo\t"));
            match routes.next() {
                Some(route) => tally.open(format!(
                    "there is one by {}",
                    route.split('\t').next().unwrap_or_default()
                )),
                None => tally.held("there is none"),
            }
        }
        Err(error) => tally.held(name_of(&error)),
    }
    let table = read("/proc/net/ipv6_route").unwrap_or_default();
    let interfaces = table
        .lines()
        .filter_map(|line| line.split_whitespace().last());
    for interface in interfaces.filter(|interface| *interface != "lo") {
        tally.open(format!("there is one of IPv6 by {interface}"));
    }
    tally
}

/// Sockets that a sandbox has no use for, each of them a way round addresses and ports.
fn kinds() -> Vec<Tally> {
    let open = |family, kind, protocol: Option<SockProtocol>| -> Result<OwnedFd, Errno> {
        socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol)
    };
    let (v4, v6) = (AddressFamily::Inet, AddressFamily::Inet6);
    let mut raw = Tally::new("raw-sockets", "raw IP sockets");
    raw.tried(
        "one of ICMP opened",
        open(v4, SockType::Raw, Some(SockProtocol::Icmp)),
    );
    raw.tried(
        "one of every protocol opened",
        open(v4, SockType::Raw, Some(SockProtocol::Raw)),
    );
    raw.tried(
        "one of ICMPv6 opened",
        open(v6, SockType::Raw, Some(SockProtocol::IcmpV6)),
    );
    let mut packet = Tally::new(
        "packet-sockets",
        "sockets that see and send whole packets (AF_PACKET)",
    );
    let family = AddressFamily::Packet;
    packet.tried(
        "a raw one opened",
        open(family, SockType::Raw, Some(SockProtocol::EthAll)),
    );
    packet.tried(
        "a cooked one opened",
        open(family, SockType::Datagram, None),
    );
    // It has no namespaces: a virtual machine's host is behind it.
    let mut vsock = Tally::new("vsock", "sockets to this machine's hypervisor (AF_VSOCK)");
    let family = AddressFamily::Vsock;
    vsock.tried("a stream opened", open(family, SockType::Stream, None));
    vsock.tried(
        "a datagram socket opened",
        open(family, SockType::Datagram, None),
    );
    vec![raw, packet, vsock]
}
