//! `vibepit ui` under test: the gateway of the web page, and requests to it as they are written.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Home, Message, Running, Wire};

/// A gateway that runs. Dropping it ends it.
pub(crate) struct Ui {
    pub(crate) running: Running,
    /// What lets a browser in, once.
    pub(crate) invitation: String,
    pub(crate) address: SocketAddr,
}

/// What a browser that was let in says with every request.
#[derive(Clone)]
pub(crate) struct Pass {
    pub(crate) cookie: String,
    pub(crate) key: String,
}

impl Ui {
    /// Beside the sessions of this environment.
    #[track_caller]
    pub(crate) fn start(home: &Home) -> Self {
        Self::at(home, 0)
    }

    /// The same, on a port of its own.
    #[track_caller]
    pub(crate) fn at(home: &Home, port: u16) -> Self {
        let port = port.to_string();
        let mut command = home.vibepit();
        command.args(["ui", "--no-open", "--port", &port]);
        let mut running = Running::spawn(&mut command);
        let invitation = running.line();
        let address = address(&invitation);
        Self {
            running,
            invitation,
            address,
        }
    }

    /// A new invitation: what Enter is for.
    #[track_caller]
    pub(crate) fn invites(&mut self) -> String {
        self.running.tell("");
        self.running.line()
    }

    /// The code of an invitation.
    pub(crate) fn code(invitation: &str) -> &str {
        invitation.split_once('#').expect("a fragment").1
    }

    /// A request with these lines besides its first two.
    #[track_caller]
    pub(crate) fn sends(&self, first: &str, lines: &[&str], body: &str) -> Message {
        let mut wire = Wire::to(self.address);
        let length = body.len();
        let mut head = format!("{first} HTTP/1.1\r\nConnection: close\r\n");
        for line in lines {
            head.push_str(line);
            head.push_str("\r\n");
        }
        wire.send(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        wire.answer()
    }

    /// The line that names the gateway.
    pub(crate) fn host(&self) -> String {
        format!("Host: {}", self.address)
    }

    /// What the page posts.
    #[track_caller]
    pub(crate) fn posts(&self, path: &str, body: &Value, pass: Option<&Pass>) -> Message {
        let (cookie, key) = pass.map_or_else(Default::default, Pass::lines);
        let lines = [
            &self.host(),
            &format!("Origin: http://{}", self.address),
            "Content-Type: application/json",
            "Sec-Fetch-Site: same-origin",
            &cookie,
            &key,
        ];
        let lines = lines.into_iter().filter(|line| !line.is_empty());
        let lines: Vec<&str> = lines.collect();
        self.sends(&format!("POST {path}"), &lines, &body.to_string())
    }

    /// What the page gets.
    #[track_caller]
    pub(crate) fn gets(&self, path: &str, pass: &Pass) -> Message {
        let (cookie, key) = pass.lines();
        self.sends(&format!("GET {path}"), &[&self.host(), &cookie, &key], "")
    }

    /// Uses an invitation up.
    #[track_caller]
    pub(crate) fn enters(&self, invitation: &str) -> Pass {
        let answer = self.posts("/enter", &json!({"code": Self::code(invitation)}), None);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let cookie = answer.field("set-cookie").expect("a cookie");
        let cookie = cookie.split(';').next().expect("a pair");
        Pass {
            cookie: cookie.to_owned(),
            key: answer.json()["key"].as_str().expect("a key").to_owned(),
        }
    }

    /// A tab's stream: behind a place, or from the start.
    #[track_caller]
    pub(crate) fn follows(&self, pass: &Pass, last: Option<&str>) -> Followed {
        let (cookie, key) = pass.lines();
        let mut wire = Wire::to(self.address);
        let last = last.map_or_else(String::new, |last| format!("Last-Event-ID: {last}\r\n"));
        let host = self.host();
        wire.send(format!(
            "GET /api/events HTTP/1.1\r\n{host}\r\n{cookie}\r\n{key}\r\n{last}\r\n"
        ));
        let head = wire.head();
        assert_eq!(head.status(), 200, "{head:?}");
        assert_eq!(head.field("content-type"), Some("text/event-stream"));
        Followed {
            wire,
            text: String::new(),
        }
    }
}

impl Pass {
    fn lines(&self) -> (String, String) {
        (
            format!("Cookie: {}", self.cookie),
            format!("Vibepit-Key: {}", self.key),
        )
    }
}

/// A stream that is being read.
pub(crate) struct Followed {
    wire: Wire,
    text: String,
}

impl Followed {
    /// The next message and its place.
    #[track_caller]
    pub(crate) fn next(&mut self) -> (String, Value) {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
                if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
                    let data = serde_json::from_str(data).expect("JSON");
                    return (id.to_owned(), data);
                }
                continue;
            }
            let size = usize::from_str_radix(&self.wire.line(), 16).expect("a chunk's size");
            let chunk = self.wire.exactly(size);
            self.wire.exactly(2);
            let text = String::from_utf8(chunk).expect("UTF-8");
            self.text.push_str(&text);
        }
    }

    /// The next message that fits, and its place.
    #[track_caller]
    pub(crate) fn until(&mut self, fits: impl Fn(&Value) -> bool) -> (String, Value) {
        loop {
            let (place, told) = self.next();
            if fits(&told) {
                return (place, told);
            }
        }
    }
}

fn address(invitation: &str) -> SocketAddr {
    let rest = invitation.strip_prefix("http://").expect("an address");
    let (address, _) = rest.split_once("/#").expect("a code behind it");
    address.parse().expect("an address")
}
