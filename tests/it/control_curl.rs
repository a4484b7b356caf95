//! The control plane as people reach it: with curl, over the socket and over mTLS. Every answer is
//! held against the description of the API.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::openapi_schema::Described;
use crate::support::{Message, Proxy};

/// A transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Socket,
    Port,
}

/// Both transports, as far as curl is there to use them.
pub(crate) const WAYS: [Way; 2] = [Way::Socket, Way::Port];

impl Way {
    /// Who somebody is who comes this way.
    pub(crate) fn actor(self) -> String {
        match self {
            Self::Socket => format!("uid:{}", nix::unistd::Uid::effective()),
            Self::Port => "cn:vibepit CLI".to_owned(),
        }
    }

    /// curl on its way to a path, with what it takes to be let in.
    pub(crate) fn curl(self, proxy: &Proxy, path: &str) -> Command {
        let mut curl = proxy.home.command("curl");
        curl.current_dir(proxy.session_dir());
        curl.args(["--silent", "--show-error", "--noproxy", "*"]);
        curl.args(["--max-time", "60", "--globoff"]);
        match self {
            Self::Socket => {
                curl.arg("--unix-socket").arg(proxy.socket());
                curl.arg(format!("http://vibepit{path}"));
            }
            Self::Port => {
                curl.args(["--cacert", "ca.pem", "--cert", "client-cert.pem"]);
                curl.args(["--key", "client-key.pem"]);
                curl.arg(format!("https://{}{path}", proxy.tcp()));
            }
        }
        curl.stdout(Stdio::piped()).stderr(Stdio::piped());
        curl
    }

    /// The answer to a request. `more` are further arguments of curl.
    #[track_caller]
    pub(crate) fn asks(self, proxy: &Proxy, method: &str, path: &str, more: &[&str]) -> Message {
        let mut curl = self.curl(proxy, path);
        let output = curl.args(["--include", "--request", method]).args(more);
        let output = output.output().expect("curl runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{method} {path}: {said}");
        let answer = last_message(&output.stdout);
        for (name, _) in &answer.fields {
            assert!(!name.starts_with("access-control-"), "{answer:?}");
        }
        Described::api().holds(method, path, &answer);
        answer
    }

    /// GET.
    #[track_caller]
    pub(crate) fn get(self, proxy: &Proxy, path: &str) -> Message {
        self.asks(proxy, "GET", path, &[])
    }

    /// POST of a body that may be anything.
    #[track_caller]
    pub(crate) fn posts(self, proxy: &Proxy, path: &str, body: &str) -> Message {
        self.asks(proxy, "POST", path, &["--data-raw", body])
    }

    /// GET that has to succeed.
    #[track_caller]
    pub(crate) fn reads(self, proxy: &Proxy, path: &str) -> Value {
        let answer = self.get(proxy, path);
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }

    /// POST that has to succeed.
    #[track_caller]
    pub(crate) fn does(self, proxy: &Proxy, path: &str, body: &Value) -> Value {
        let answer = self.posts(proxy, path, &body.to_string());
        assert_eq!(answer.status(), 200, "{}", answer.text());
        answer.json()
    }
}

/// The message that `curl --include` printed, behind any 100 before it.
fn last_message(printed: &[u8]) -> Message {
    let mut rest = printed;
    loop {
        let end = rest.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.expect("the end of a head") + 4;
        let (head, behind) = rest.split_at(end);
        let text = String::from_utf8_lossy(head).into_owned();
        let mut lines = text.trim_end().split("\r\n");
        let message = Message {
            start: lines.next().unwrap_or_default().to_owned(),
            fields: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            head: head.to_owned(),
            body: behind.to_owned(),
            ..Message::default()
        };
        if message.status() != 100 {
            return message;
        }
        rest = behind;
    }
}
