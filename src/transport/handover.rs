//! Handing open sockets to another process over a Unix stream (SCM_RIGHTS, unix(7)). Knows
//! nothing of what they are for: a byte beside each tells the receiver.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};

use super::peer;

/// How many sockets go in one message. More is an error on both sides.
pub const MOST: usize = 128;

/// The first peer that may have anything. When this returns, nobody else can ask: the socket is
/// gone, before whoever asked has got what it asked for.
///
/// # Errors
///
/// When nobody can connect any more.
pub async fn first_peer(listener: UnixListener, socket: &Path) -> io::Result<UnixStream> {
    let asked = loop {
        match listener.accept().await {
            Ok((stream, _)) if peer::check(&stream).is_err() => {}
            outcome => break outcome.map(|(stream, _)| stream),
        }
    };
    drop(listener);
    // One that is gone already is as good.
    let _ = std::fs::remove_file(socket);
    asked
}

/// Sends sockets, each with the byte that names it.
///
/// # Errors
///
/// `InvalidInput` for none or more than [`MOST`], and what the kernel says.
pub async fn send(stream: &UnixStream, sockets: &[(u8, BorrowedFd<'_>)]) -> io::Result<()> {
    let (names, sockets): (Vec<u8>, Vec<BorrowedFd<'_>>) = sockets.iter().copied().unzip();
    if names.is_empty() || names.len() > MOST {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{} sockets cannot be handed over at once", names.len()),
        ));
    }
    let sent = stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut rights = SendAncillaryBuffer::new(&mut space);
            rights.push(SendAncillaryMessage::ScmRights(&sockets));
            let names = [IoSlice::new(&names)];
            Ok(sendmsg(stream, &names, &mut rights, SendFlags::NOSIGNAL)?)
        })
        .await?;
    // The first message of a connection always fits into its empty buffer.
    if sent < names.len() {
        return Err(io::ErrorKind::WriteZero.into());
    }
    Ok(())
}

/// Receives what [`send`] sent. The sockets are closed on exec.
///
/// # Errors
///
/// `UnexpectedEof` when the other side closed without sending, `InvalidData` when names and
/// sockets do not match or some got lost, and what the kernel says.
pub async fn receive(stream: &UnixStream) -> io::Result<Vec<(u8, OwnedFd)>> {
    let (names, sockets, cut) = stream
        .async_io(Interest::READABLE, || {
            let mut names = [0; MOST];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
            let mut rights = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(&mut names)];
            let got = recvmsg(stream, &mut slices, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
            let mut sockets = Vec::new();
            for message in rights.drain() {
                if let RecvAncillaryMessage::ScmRights(passed) = message {
                    sockets.extend(passed);
                }
            }
            let cut = got.flags.contains(ReturnFlags::CTRUNC);
            Ok((names[..got.bytes].to_vec(), sockets, cut))
        })
        .await?;
    if names.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    // The kernel drops what this process may not open any more (RLIMIT_NOFILE).
    if cut || names.len() != sockets.len() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{} sockets came for {} names", sockets.len(), names.len()),
        ));
    }
    Ok(names.into_iter().zip(sockets).collect())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;

    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn sockets_arrive_under_their_names_and_still_listen() {
        let (here, there) = UnixStream::pair().unwrap();
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = listeners
            .each_ref()
            .map(|listener| listener.local_addr().unwrap());
        let named = [(b'a', listeners[0].as_fd()), (b'b', listeners[1].as_fd())];
        send(&here, &named).await.unwrap();
        drop((here, listeners));
        for ((name, socket), expected) in receive(&there).await.unwrap().into_iter().zip(addresses)
        {
            let listener = TcpListener::from(socket);
            assert_eq!(listener.local_addr().unwrap(), expected, "{name}");
            std::net::TcpStream::connect(expected).unwrap();
            listener.accept().unwrap();
        }
    }

    #[tokio::test]
    async fn names_without_sockets_and_silence_are_errors() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(b"ab").await.unwrap();
        let error = receive(&there).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        drop(here);
        let error = receive(&there).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[tokio::test]
    async fn none_and_too_many_are_not_sent() {
        let (here, _there) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        for count in [0, MOST + 1] {
            let sockets = vec![(b'x', listener.as_fd()); count];
            let error = send(&here, &sockets).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
