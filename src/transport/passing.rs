//! Lines of text with descriptors beside them, over a Unix stream (SCM_RIGHTS, unix(7)), for
//! processes that wait for nothing else and for those that do. What a line means is not known here.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// Descriptors in one message, at the most.
const MOST: usize = 128;

/// What is read at once.
const PIECE: usize = 16 * 1024;

/// Sends a piece of text, with descriptors that arrive together with its first byte. Says how much
/// of the text was taken; all the descriptors were.
///
/// # Errors
///
/// `InvalidInput` for too many descriptors, and what the kernel says.
pub fn send_some(
    socket: impl AsFd,
    text: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    if descriptors.len() > MOST {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut rights = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        rights.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    let text = [IoSlice::new(text)];
    Ok(sendmsg(socket, &text, &mut rights, SendFlags::NOSIGNAL)?)
}

/// Sends a line, and waits until it is sent. The line must not contain another one.
///
/// # Errors
///
/// As [`send_some`].
pub fn send(
    socket: impl AsFd,
    mut line: Vec<u8>,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    line.push(b'\n');
    let mut rest = &line[..];
    let mut descriptors = descriptors;
    while !rest.is_empty() {
        match send_some(&socket, rest, descriptors) {
            Ok(sent) => rest = &rest[sent..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        descriptors = &[];
    }
    Ok(())
}

/// What has come in and was not taken yet.
#[derive(Debug)]
pub struct Incoming {
    text: Vec<u8>,
    /// How much of the text is known to have no end of a line in it.
    searched: usize,
    descriptors: VecDeque<OwnedFd>,
    longest: usize,
    most: usize,
}

impl Incoming {
    /// For lines up to this length, and so many descriptors that wait for theirs.
    pub fn new(longest: usize, most: usize) -> Self {
        Self {
            text: Vec::new(),
            searched: 0,
            descriptors: VecDeque::new(),
            longest,
            most,
        }
    }

    /// Reads once. False: the other side has closed.
    ///
    /// # Errors
    ///
    /// `InvalidData` when a line is too long, or more descriptors came than are allowed to; and what
    /// the kernel says.
    pub fn read(&mut self, socket: impl AsFd) -> io::Result<bool> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut rights = RecvAncillaryBuffer::new(&mut space);
        let mut piece = [0; PIECE];
        let mut slices = [IoSliceMut::new(&mut piece)];
        let got = recvmsg(socket, &mut slices, &mut rights, RecvFlags::CMSG_CLOEXEC)?;
        for message in rights.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                self.descriptors.extend(passed);
            }
        }
        // The kernel drops what does not fit, or may not be opened any more (RLIMIT_NOFILE).
        if got.flags.contains(ReturnFlags::CTRUNC) || self.descriptors.len() > self.most {
            return Err(invalid("more descriptors came than were to come"));
        }
        self.text.extend_from_slice(&piece[..got.bytes]);
        let new = &self.text[self.searched..];
        let end = new.iter().position(|byte| *byte == b'\n');
        if end.unwrap_or(new.len()) + self.searched > self.longest {
            return Err(invalid("a line is too long"));
        }
        Ok(got.bytes > 0)
    }

    /// The next line, without its end, if all of it is there.
    pub fn line(&mut self) -> Option<Vec<u8>> {
        let found = self.text[self.searched..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(end) = found.map(|end| end + self.searched) else {
            self.searched = self.text.len();
            return None;
        };
        let rest = self.text.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.text, rest);
        line.truncate(end);
        self.searched = 0;
        Some(line)
    }

    /// The next descriptor: they come in the order of the lines that they belong to.
    pub fn descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }
}

fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write, pipe};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn lines_and_their_descriptors_arrive_in_order() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut one, first) = pipe().unwrap();
        let (mut two, second) = pipe().unwrap();
        send(&here, b"none".to_vec(), &[]).unwrap();
        send(&here, b"one".to_vec(), &[first.as_fd()]).unwrap();
        send(&here, b"two".to_vec(), &[second.as_fd()]).unwrap();
        drop((here, first, second));
        let mut incoming = Incoming::new(100, 3);
        while incoming.read(&there).unwrap() {}
        for line in ["none", "one", "two"] {
            assert_eq!(incoming.line().unwrap(), line.as_bytes());
        }
        assert_eq!(incoming.line(), None);
        for (pipe, text) in [(&mut one, "1"), (&mut two, "2")] {
            let mut end = std::fs::File::from(incoming.descriptor().unwrap());
            end.write_all(text.as_bytes()).unwrap();
            drop(end);
            let mut heard = String::new();
            pipe.read_to_string(&mut heard).unwrap();
            assert_eq!(heard, text);
        }
        assert!(incoming.descriptor().is_none());
    }

    #[test]
    fn a_line_that_is_too_long_is_refused_before_it_ends() {
        let (mut here, there) = UnixStream::pair().unwrap();
        here.write_all(&[b'x'; 101]).unwrap();
        let error = Incoming::new(100, 0).read(&there).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn descriptors_that_nobody_waits_for_are_refused() {
        let (here, there) = UnixStream::pair().unwrap();
        let (_, end) = pipe().unwrap();
        send(&here, b"a".to_vec(), &[end.as_fd(), end.as_fd()]).unwrap();
        let error = Incoming::new(100, 1).read(&there).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_long_line_arrives_whole() {
        let (here, there) = UnixStream::pair().unwrap();
        let long = vec![b'x'; 1_000_000];
        let sent = long.clone();
        let sender = std::thread::spawn(move || send(&here, sent, &[]).unwrap());
        let mut incoming = Incoming::new(2_000_000, 0);
        let line = loop {
            incoming.read(&there).unwrap();
            if let Some(line) = incoming.line() {
                break line;
            }
        };
        sender.join().unwrap();
        assert!(line == long);
    }
}
