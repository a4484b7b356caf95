//! Noticing a TCP peer that vanished without a word (its machine, or the network between): asked for
//! a sign of life once nothing came for a while, it answers or is given up. Without that a
//! connection on which only the peer has something to say lasts as long as a limit lets it.

use std::io;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::net::sockopt;

/// Silence before the peer is asked.
const IDLE: Duration = Duration::from_secs(60);
/// Between two questions.
const INTERVAL: Duration = Duration::from_secs(15);
/// So many without an answer are enough: the connection ends with `ETIMEDOUT`.
const QUESTIONS: u32 = 4;

/// Has the kernel ask the peer (tcp(7)). Of a listener's connections each begins as a copy of it, and
/// costs no call.
///
/// # Errors
///
/// What the kernel says, of a socket that is not TCP's for example.
pub fn set(socket: impl AsFd) -> io::Result<()> {
    let socket = socket.as_fd();
    sockopt::set_tcp_keepidle(socket, IDLE)?;
    sockopt::set_tcp_keepintvl(socket, INTERVAL)?;
    sockopt::set_tcp_keepcnt(socket, QUESTIONS)?;
    sockopt::set_socket_keepalive(socket, true)?;
    Ok(())
}
