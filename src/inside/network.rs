//! The sandbox's network: a loopback and nothing else, and the doors on it. This runs in the user
//! namespace that owns the network, which the sandbox is not in.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket as open_socket,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::{Doing, Failure};
use crate::api::enclosure::{
    DNS_DOOR, DoorName, HTTP_DOOR, PLAIN_DOOR, SOCKS5_DOOR, TLS_DOOR, host_door,
};

/// Connections that may wait to be accepted; a short queue shows as stalls of a second.
const BACKLOG: i32 = 4096;

/// Settings of the network namespace. What cannot be set is as the kernel has it: low ports are
/// closed then, or the loopback has an IPv6 address, and nothing is open that should not be.
const SETTINGS: [(&str, &str); 4] = [
    ("ipv4/ip_unprivileged_port_start", "0"),
    ("ipv6/conf/all/disable_ipv6", "1"),
    ("ipv6/conf/default/disable_ipv6", "1"),
    ("ipv6/conf/lo/disable_ipv6", "1"),
];

/// Raises the loopback and opens the doors, in the order of [`DoorName::ALL`], and behind them those
/// for these ports of the host.
pub(super) fn open(ports: &[&str]) -> Result<Vec<OwnedFd>, Failure> {
    for (name, value) in SETTINGS {
        let _ = fs::write(Path::new("/proc/sys/net").join(name), value);
    }
    raise_loopback()?;
    let doors: [OwnedFd; DoorName::ALL.len()] = [
        listen(HTTP_DOOR)?,
        datagrams(DNS_DOOR)?,
        listen(DNS_DOOR)?,
        listen(SOCKS5_DOOR)?,
        listen(PLAIN_DOOR)?,
        listen(TLS_DOOR)?,
    ];
    let of_host = ports.iter().map(|port| {
        let port = port.parse().doing(format!("{port:?} is no port"))?;
        listen(host_door(port))
    });
    doors.into_iter().map(Ok).chain(of_host).collect()
}

fn listen(address: SocketAddr) -> Result<OwnedFd, Failure> {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        // What is accepted has it too (on Linux a connection begins as a copy of its listener).
        socket.set_tcp_nodelay(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        std::io::Result::Ok(socket.into())
    };
    open().doing(format!("the door {address} cannot be opened"))
}

fn datagrams(address: SocketAddr) -> Result<OwnedFd, Failure> {
    let open = || {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
        socket.bind(&address.into())?;
        std::io::Result::Ok(socket.into())
    };
    open().doing(format!("the door {address} (UDP) cannot be opened"))
}

// rtnetlink(7), netlink(7).
const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
/// The loopback is the first interface of every network namespace.
const LOOPBACK: i32 = 1;
/// `IFF_UP` of netdevice(7).
const UP: u32 = 1;
/// The length of a `struct nlmsghdr`, and of a `struct ifinfomsg`.
const HEADER: u32 = 16;

/// Sets the loopback up, over netlink, whose messages are bytes (ioctl(2) would take a pointer).
fn raise_loopback() -> Result<(), Failure> {
    let mut message = Vec::new();
    message.extend((2 * HEADER).to_ne_bytes());
    message.extend(RTM_NEWLINK.to_ne_bytes());
    message.extend((NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    // Sequence number, port.
    message.extend([0; 8]);
    // Family, padding, type.
    message.extend([0; 4]);
    message.extend(LOOPBACK.to_ne_bytes());
    // Flags, and which of them are meant.
    message.extend(UP.to_ne_bytes());
    message.extend(UP.to_ne_bytes());
    let ask = || {
        let socket = open_socket(
            AddressFamily::Netlink,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC,
            SockProtocol::NetlinkRoute,
        )?;
        send(socket.as_raw_fd(), &message, MsgFlags::empty())?;
        let mut answer = [0; 1024];
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        std::io::Result::Ok(answer[..length].to_vec())
    };
    let answer = ask().doing("the loopback cannot be set up")?;
    let field = |at: usize| answer.get(at..at + 4).and_then(|four| four.try_into().ok());
    let kind = answer.get(4..6).and_then(|two| two.try_into().ok());
    match (
        kind.map(u16::from_ne_bytes),
        field(16).map(i32::from_ne_bytes),
    ) {
        (Some(NLMSG_ERROR), Some(0)) => Ok(()),
        (Some(NLMSG_ERROR), Some(error)) => {
            Err(std::io::Error::from_raw_os_error(-error)).doing("the loopback cannot be set up")
        }
        _ => Err("the loopback cannot be set up: the kernel's answer is none".to_owned()),
    }
}
