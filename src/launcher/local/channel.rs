//! The line to the inside of a sandbox: what is said, what is heard, and the descriptors beside it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use anyhow::{Context, Result, bail};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::api::enclosure::{FromEnclosure, LONGEST_SAID, MOST_DESCRIPTORS, ToEnclosure};
use crate::transport::passing::{self, Incoming};

/// Our end. The sandbox ends with it.
#[derive(Debug)]
pub(super) struct Channel {
    stream: UnixStream,
    /// One line at a time.
    saying: Mutex<()>,
}

/// What is heard on a channel, by whoever listens.
#[derive(Debug)]
pub(super) struct Hearing(Incoming);

impl Channel {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            saying: Mutex::new(()),
        }
    }

    /// Ends it. One that is closed already needs no end.
    pub(super) fn close(&self) {
        let _ = rustix::net::shutdown(&self.stream, rustix::net::Shutdown::Both);
    }

    /// Says a line.
    pub(super) async fn say(
        &self,
        line: &ToEnclosure,
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        let _turn = self.saying.lock().await;
        let mut rest = &text[..];
        let mut descriptors = descriptors;
        while !rest.is_empty() {
            let sent = self.stream.async_io(Interest::WRITABLE, || {
                passing::send_some(&self.stream, rest, descriptors)
            });
            rest = &rest[sent.await?..];
            descriptors = &[];
        }
        Ok(())
    }
}

impl Hearing {
    pub(super) fn new() -> Self {
        Self(Incoming::new(LONGEST_SAID, MOST_DESCRIPTORS))
    }

    /// The next line; `None` when the other side is gone. May be dropped while it waits.
    pub(super) async fn next(&mut self, channel: &Channel) -> Result<Option<FromEnclosure>> {
        loop {
            if let Some(line) = self.0.line() {
                return serde_json::from_slice(&line)
                    .map(Some)
                    .context("the inside of the sandbox is not understood");
            }
            let read = channel
                .stream
                .async_io(Interest::READABLE, || self.0.read(&channel.stream));
            match read.await {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error).context("the inside of the sandbox"),
            }
        }
    }

    /// A descriptor that belongs to the line just heard.
    pub(super) fn descriptor(&mut self) -> Result<OwnedFd> {
        match self.0.descriptor() {
            Some(descriptor) => Ok(descriptor),
            None => bail!("the inside of the sandbox promised a descriptor and sent none"),
        }
    }
}
