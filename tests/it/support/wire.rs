//! One end of a connection, on either side of the proxy: sends the bytes it is given, and reads
//! HTTP/1.1 messages plainly, so that nothing is repaired on the way to a test's eyes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use super::PATIENCE;

/// A connection.
pub(crate) struct Wire {
    stream: Box<dyn Duplex>,
    /// Read, and not yet asked for.
    buffer: Vec<u8>,
}

/// What a connection is made of.
pub(crate) trait Duplex: Read + Write + Send {
    /// Ends the writing side alone.
    fn end_writing(&self) -> io::Result<()>;
    /// How long a write may wait.
    fn set_write_patience(&self, patience: Duration);
    /// So that closing sends a reset.
    fn reset_at_close(&self);
    /// A second handle of the same connection, where there can be one.
    fn again(&self) -> Option<Box<dyn Duplex>> {
        None
    }
}

/// A message as it was read: a request or an answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    /// The request line or the status line.
    pub(crate) start: String,
    pub(crate) fields: Vec<(String, String)>,
    /// The content, without the framing of its transfer coding.
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Start line and fields as they came.
    pub(crate) head: Vec<u8>,
}

impl Wire {
    /// Connects over TCP.
    #[track_caller]
    pub(crate) fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("a connection");
        Self::over(stream)
    }

    /// Connects to a Unix socket.
    #[track_caller]
    pub(crate) fn to_socket(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self::new(stream)
    }

    /// A TCP connection that exists.
    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("no delay");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        Self::new(stream)
    }

    /// Any connection.
    pub(super) fn new(stream: impl Duplex + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            buffer: Vec::new(),
        }
    }

    /// A second handle, with nothing read: for a thread that writes while another one reads.
    #[track_caller]
    pub(crate) fn again(&self) -> Self {
        Self {
            stream: self.stream.again().expect("a second handle"),
            buffer: Vec::new(),
        }
    }

    /// Sends bytes.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the bytes are taken");
    }

    /// Sends bytes, or says why they were not taken.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends a part of the bytes, as many as are taken at once. `WouldBlock` where none are taken
    /// for a while: see [`Self::gives_up_soon`].
    pub(crate) fn send_some(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    /// Makes writes that nobody takes fail after a moment, for tests in which that is the event.
    pub(crate) fn gives_up_soon(&self) {
        self.stream.set_write_patience(Duration::from_millis(500));
    }

    /// Ends the writing side, or says why that cannot be: the connection may have ended.
    pub(crate) fn try_end_writing(&self) -> io::Result<()> {
        self.stream.end_writing()
    }

    /// Ends the writing side and leaves the other one.
    pub(crate) fn end_writing(&self) {
        self.try_end_writing().expect("a half-close");
    }

    /// Closes with a reset.
    pub(crate) fn reset(self) {
        self.stream.reset_at_close();
    }

    /// Reads some bytes; 0 at the end.
    pub(crate) fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffer.is_empty() {
            return self.stream.read(into);
        }
        let taken = self.buffer.len().min(into.len());
        into[..taken].copy_from_slice(&self.buffer[..taken]);
        self.buffer.drain(..taken);
        Ok(taken)
    }

    /// Reads so many bytes.
    #[track_caller]
    pub(crate) fn exactly(&mut self, length: usize) -> Vec<u8> {
        let bytes = self.try_exactly(length);
        bytes.unwrap_or_else(|| {
            let read = self.buffer.escape_ascii();
            panic!("{length} bytes were to come, and there are: {read}")
        })
    }

    /// Reads so many bytes. `None`: the connection ended before.
    fn try_exactly(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < length {
            if !matches!(self.more(), Ok(true)) {
                return None;
            }
        }
        Some(self.buffer.drain(..length).collect())
    }

    /// Reads to the end, in whatever way the connection ends.
    #[track_caller]
    #[expect(clippy::wrong_self_convention, reason = "as Read::read_to_end")]
    pub(crate) fn to_end(&mut self) -> Vec<u8> {
        loop {
            match self.more() {
                Ok(true) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    panic!("still open; read: {}", self.buffer.escape_ascii())
                }
                Ok(false) | Err(_) => return std::mem::take(&mut self.buffer),
            }
        }
    }

    /// Nothing more comes, and the connection ends.
    #[track_caller]
    pub(crate) fn ends(&mut self) {
        let rest = self.to_end();
        assert!(rest.is_empty(), "more came: {}", rest.escape_ascii());
    }

    /// Reads a line without its CR LF.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        self.try_line().expect("a line")
    }

    fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                let line = line.strip_suffix(b"\r").unwrap_or(line);
                return Some(String::from_utf8_lossy(line).into_owned());
            }
            if !matches!(self.more(), Ok(true)) {
                return None;
            }
        }
    }

    /// Reads a head and nothing behind it. `None`: the connection ended before one.
    pub(crate) fn try_head(&mut self) -> Option<Message> {
        let end = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if !matches!(self.more(), Ok(true)) {
                return None;
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let text = String::from_utf8_lossy(&head).into_owned();
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        Some(Message {
            start: lines.next().unwrap_or_default().to_owned(),
            fields: lines.map(field).collect(),
            head,
            ..Message::default()
        })
    }

    /// Reads a head and nothing behind it.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Message {
        self.try_head().expect("a head")
    }

    /// Reads a request with its content. `None`: the connection ended before the end of one.
    pub(crate) fn try_request(&mut self) -> Option<Message> {
        let head = self.try_head()?;
        if head.is_chunked() {
            self.chunks(head)
        } else {
            let length = head.field("content-length").map_or(0, length);
            let body = self.try_exactly(length)?;
            Some(Message { body, ..head })
        }
    }

    /// Reads an answer with its content; not one to HEAD, whose content never comes.
    #[track_caller]
    pub(crate) fn answer(&mut self) -> Message {
        let head = self.head();
        if matches!(head.status(), 100..200 | 204 | 304) {
            return head;
        }
        if head.is_chunked() {
            return self.chunks(head).expect("the content's end");
        }
        let body = match head.field("content-length").map(length) {
            Some(length) => self.exactly(length),
            None => self.to_end(),
        };
        Message { body, ..head }
    }

    fn chunks(&mut self, mut message: Message) -> Option<Message> {
        loop {
            let line = self.try_line()?;
            let digits = line.split(';').next().unwrap_or_default();
            let size = usize::from_str_radix(digits, 16)
                .unwrap_or_else(|_| panic!("{line:?} is no chunk size"));
            if size == 0 {
                break;
            }
            message.body.extend(self.try_exactly(size)?);
            assert_eq!(self.try_exactly(2)?, b"\r\n");
        }
        loop {
            let line = self.try_line()?;
            if line.is_empty() {
                return Some(message);
            }
            message.trailers.push(field(&line));
        }
    }

    /// Reads once more. `false` at the end.
    fn more(&mut self) -> io::Result<bool> {
        let mut part = [0; 16 * 1024];
        let read = self.stream.read(&mut part)?;
        self.buffer.extend_from_slice(&part[..read]);
        Ok(read > 0)
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or((line, ""));
    (name.to_ascii_lowercase(), value.trim().to_owned())
}

fn length(text: &str) -> usize {
    text.parse().expect("a length")
}

impl Message {
    /// The value of a field; with several, the first.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.fields
            .iter()
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect()
    }

    /// The status code of an answer.
    #[track_caller]
    pub(crate) fn status(&self) -> u16 {
        let code = self
            .start
            .split(' ')
            .nth(1)
            .and_then(|code| code.parse().ok());
        code.unwrap_or_else(|| panic!("{:?} is no status line", self.start))
    }

    /// The reason phrase of an answer.
    pub(crate) fn reason(&self) -> &str {
        self.start.splitn(3, ' ').nth(2).unwrap_or_default()
    }

    /// The content as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The content as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    fn is_chunked(&self) -> bool {
        self.field("transfer-encoding")
            .is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}

impl Duplex for TcpStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_write_patience(&self, patience: Duration) {
        self.set_write_timeout(Some(patience)).expect("a timeout");
    }

    fn reset_at_close(&self) {
        let socket = socket2::SockRef::from(self);
        socket.set_linger(Some(Duration::ZERO)).expect("linger");
    }

    fn again(&self) -> Option<Box<dyn Duplex>> {
        Some(Box::new(self.try_clone().ok()?))
    }
}

impl Duplex for UnixStream {
    fn end_writing(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn set_write_patience(&self, patience: Duration) {
        self.set_write_timeout(Some(patience)).expect("a timeout");
    }

    fn reset_at_close(&self) {}

    fn again(&self) -> Option<Box<dyn Duplex>> {
        Some(Box::new(self.try_clone().ok()?))
    }
}

/// The bytes of a text in which `\r \n \t \0 \xNN \\` stand for bytes.
pub(crate) fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let mut digit = || {
                    let digit = rest.next().and_then(|byte| char::from(byte).to_digit(16));
                    digit.expect("two hexadecimal digits") as u8
                };
                digit() * 16 + digit()
            }
            other => panic!("{other:?} behind a backslash in {text:?}"),
        });
    }
    bytes
}
