//! The container engine as a test sees it: plain HTTP over its socket.

use std::path::PathBuf;

use serde_json::Value;

use super::require::docker_socket;
use super::{Message, Wire};

/// One request to the engine and its answer. With the empty credentials that a push needs.
#[track_caller]
pub(crate) fn call(method: &str, path: &str, body: &[u8]) -> Message {
    let mut wire = Wire::to_socket(&socket());
    let length = body.len();
    wire.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\
         X-Registry-Auth: e30=\r\n\r\n"
    ));
    wire.send(body);
    wire.answer()
}

/// The JSON of a GET that has to succeed.
#[track_caller]
pub(crate) fn get(path: &str) -> Value {
    let answer = call("GET", path, b"");
    assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
    answer.json()
}

/// A container's details.
#[track_caller]
pub(crate) fn inspect(container: &str) -> Value {
    get(&format!("/containers/{container}/json"))
}

/// Names of containers with a label.
#[track_caller]
pub(crate) fn containers(label: &str) -> Vec<String> {
    let found = get(&format!(
        "/containers/json?all=1&filters={}",
        by_label(label)
    ));
    let found = found.as_array().expect("a list").iter();
    let name = |one: &Value| one["Names"][0].as_str().map(|name| name[1..].to_owned());
    found.filter_map(name).collect()
}

/// Names of volumes with a label.
#[track_caller]
pub(crate) fn volumes(label: &str) -> Vec<String> {
    names(&get(&format!("/volumes?filters={}", by_label(label)))["Volumes"])
}

fn names(found: &Value) -> Vec<String> {
    let found = found.as_array().into_iter().flatten();
    let name = |one: &Value| one["Name"].as_str().map(str::to_owned);
    found.filter_map(name).collect()
}

/// The filter of the engine's lists, in the characters of a URL.
fn by_label(label: &str) -> String {
    let json = serde_json::json!({ "label": [label] }).to_string();
    let escaped = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        _ => format!("%{byte:02X}"),
    };
    json.bytes().map(escaped).collect()
}

/// Its socket.
pub(crate) fn socket() -> PathBuf {
    PathBuf::from(docker_socket().expect("a socket of the engine"))
}

/// What happens to containers with a label, as it happens.
pub(crate) struct Happenings {
    wire: Wire,
}

impl Happenings {
    /// From now on.
    #[track_caller]
    pub(crate) fn of(label: &str) -> Self {
        let mut wire = Wire::to_socket(&socket());
        let filter = by_label(label);
        wire.send(format!(
            "GET /events?filters={filter} HTTP/1.1\r\nHost: docker\r\n\r\n"
        ));
        let head = wire.head();
        assert_eq!(head.status(), 200, "{head:?}");
        Self { wire }
    }

    /// Waits until this has happened to the container of this role, and says its name.
    #[track_caller]
    pub(crate) fn until(&mut self, what: &str, role: &str) -> String {
        loop {
            let size = usize::from_str_radix(&self.wire.line(), 16).expect("a chunk's size");
            let chunk = self.wire.exactly(size);
            self.wire.exactly(2);
            let event: Value = serde_json::from_slice(&chunk).expect("one event a chunk");
            let about = &event["Actor"]["Attributes"];
            if event["Action"] == what && about["x-vibepit.role"] == role {
                return about["name"].as_str().expect("a name").to_owned();
            }
        }
    }
}
