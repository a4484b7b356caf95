//! Streams of bytes, at the lowest cost there is for whoever makes and takes them: a blocking
//! thread a connection, and receiving with MSG_TRUNC, by which the kernel drops what it would
//! otherwise copy (tcp(7)).

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use nix::sys::socket::{MsgFlags, recv};

/// What a client asks for, as often as it likes on one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The origin sends this many bytes.
    Send(u64),
    /// The origin takes this many bytes and answers with one.
    Take(u64),
}

impl Order {
    pub(crate) const SIZE: usize = 9;

    pub(crate) fn encode(self) -> [u8; Self::SIZE] {
        let (word, length) = match self {
            Self::Send(length) => (b'S', length),
            Self::Take(length) => (b'T', length),
        };
        let mut bytes = [word; Self::SIZE];
        bytes[1..].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    fn decode(bytes: [u8; Self::SIZE]) -> Option<Self> {
        let [word, length @ ..] = bytes;
        let length = u64::from_be_bytes(length);
        match word {
            b'S' => Some(Self::Send(length)),
            b'T' => Some(Self::Take(length)),
            _ => None,
        }
    }
}

/// Starts the service on a port that the kernel chooses.
pub(crate) fn start() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        let mut order = [0; Order::SIZE];
        stream.read_exact(&mut order)?;
        match Order::decode(order).ok_or(io::ErrorKind::InvalidData)? {
            Order::Send(length) => send(&mut stream, length)?,
            Order::Take(length) => {
                discard(&stream, length)?;
                stream.write_all(b".")?;
            }
        }
    }
}

/// Writes so many bytes.
pub(crate) fn send(stream: &mut TcpStream, mut length: u64) -> io::Result<()> {
    static BYTES: [u8; 1 << 18] = [b'v'; 1 << 18];
    while length > 0 {
        let part = BYTES
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX));
        length -= stream.write(&BYTES[..part])? as u64;
    }
    Ok(())
}

/// Takes so many bytes without looking at them.
pub(crate) fn discard(stream: &TcpStream, mut length: u64) -> io::Result<()> {
    // Never written to: it only says how much to drop at once.
    let mut buffer = vec![0; 1 << 20];
    while length > 0 {
        let part = buffer
            .len()
            .min(usize::try_from(length).unwrap_or(usize::MAX));
        match recv(stream.as_raw_fd(), &mut buffer[..part], MsgFlags::MSG_TRUNC)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            dropped => length -= dropped as u64,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_reads_as_it_was_written() {
        for order in [Order::Send(1 << 40), Order::Take(3)] {
            assert_eq!(Order::decode(order.encode()), Some(order));
        }
        assert_eq!(Order::decode([0; Order::SIZE]), None);
    }
}
