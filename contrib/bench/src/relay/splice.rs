//! Moving bytes between two sockets through a pipe, without copying them into this process.

use std::io;
use std::os::fd::AsRawFd;

use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd::pipe2;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe holds by default: pipe(7).
const PIPE: usize = 1 << 16;

pub(crate) async fn relay(client: &TcpStream, server: &TcpStream) -> io::Result<()> {
    tokio::try_join!(one_way(client, server), one_way(server, client)).map(drop)
}

async fn one_way(from: &TcpStream, to: &TcpStream) -> io::Result<()> {
    from.readable().await?;
    let (outlet, inlet) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    let flags = SpliceFFlags::SPLICE_F_MOVE | SpliceFFlags::SPLICE_F_NONBLOCK;
    loop {
        // The pipe is empty here, so "would block" can only mean the socket.
        let fill = || Ok(splice(from, None, &inlet, None, PIPE, flags)?);
        let mut held = from.async_io(Interest::READABLE, fill).await?;
        if held == 0 {
            return Ok(shutdown(to.as_raw_fd(), Shutdown::Write)?);
        }
        while held > 0 {
            let drain = || Ok(splice(&outlet, None, to, None, held, flags)?);
            held -= to.async_io(Interest::WRITABLE, drain).await?;
        }
    }
}
