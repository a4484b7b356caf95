//! Calls of a session's control plane over its socket, one a connection.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long an answer may take before the call has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a GET answers.
pub(crate) fn get(socket: &Path, path: &str) -> Result<Value> {
    call(socket, &format!("GET {path}"), "")
}

/// What a POST of this body answers.
pub(crate) fn post(socket: &Path, path: &str, body: &Value) -> Result<Value> {
    call(socket, &format!("POST {path}"), &body.to_string())
}

fn call(socket: &Path, first: &str, body: &str) -> Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{first} HTTP/1.1\r\nHost: vibepit\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "{first}: {answer}");
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    serde_json::from_str(body).with_context(|| format!("{first}: no JSON: {answer}"))
}
