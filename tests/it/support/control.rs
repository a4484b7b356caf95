//! The control plane as curl would speak to it: plain HTTP over the socket, and the stream of
//! events.

use std::path::Path;

use serde_json::Value;

use super::{Message, Wire};

/// One request and its answer.
#[track_caller]
pub(super) fn call(socket: &Path, method: &str, path: &str, body: Option<&str>) -> Message {
    let mut wire = Wire::to_socket(socket);
    let body = body.unwrap_or_default();
    let length = body.len();
    wire.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: vibepit\r\nConnection: close\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    ));
    wire.answer()
}

/// A stream of events that is being read.
pub(crate) struct Events {
    wire: Wire,
    text: String,
}

impl Events {
    /// Begins behind an event, or with what comes next. When this returns, what happens from now
    /// on is in the stream.
    #[track_caller]
    pub(super) fn begin(socket: &Path, after: Option<u64>) -> Self {
        let mut wire = Wire::to_socket(socket);
        let query = after.map_or_else(String::new, |after| format!("?after={after}"));
        wire.send(format!(
            "GET /events{query} HTTP/1.1\r\nHost: vibepit\r\n\r\n"
        ));
        let head = wire.head();
        assert_eq!(head.status(), 200, "{head:?}");
        let mut events = Self {
            wire,
            text: String::new(),
        };
        let comment = events.block().expect("the first comment");
        assert!(comment.starts_with(':'), "{comment:?}");
        events
    }

    /// The next event: its number, its name, what it carries. `None` at the end of the stream.
    pub(crate) fn next(&mut self) -> Option<(u64, String, Value)> {
        loop {
            let block = self.block()?;
            let field = |name: &str| {
                block
                    .lines()
                    .find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(": ")?.to_owned()))
            };
            if let (Some(id), Some(name), Some(data)) = (field("id"), field("event"), field("data"))
            {
                let data = serde_json::from_str(&data).expect("JSON");
                return Some((id.parse().expect("a number"), name, data));
            }
        }
    }

    /// The next event of a name, whatever comes before it.
    #[track_caller]
    pub(crate) fn until(&mut self, name: &str) -> Value {
        loop {
            match self.next() {
                Some((_, found, data)) if found == name => return data,
                Some(_) => {}
                None => panic!("the stream ended before {name}"),
            }
        }
    }

    /// One block of the stream, up to its empty line.
    fn block(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                return Some(block);
            }
            let chunk = self.chunk()?;
            self.text
                .push_str(&String::from_utf8(chunk).expect("UTF-8"));
        }
    }

    fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.wire.line(), 16).expect("a chunk's size");
        let chunk = self.wire.exactly(size);
        self.wire.exactly(2);
        (size > 0).then_some(chunk)
    }
}
