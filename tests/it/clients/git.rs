//! git, which clones a repository over its smart protocol: the store runs git's own CGI program.

use std::env;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::support::Ran;

use super::Afterwards::Ends;
use super::Way::{Forwarded, Tunnelled};
use super::{Asked, Client, DENIED, LATE, STATUS, THING, USE_THE_MIRROR};

pub(super) const GIT: Client = Client {
    program: "git",
    stock: backend,
    command: |setting| {
        // Made before the clone, of a tree that is written down here.
        let script = "git init --quiet --bare origin.git && cd origin.git \
             && tree=$(printf '100644 blob %s\\tthing\\n' \
                \"$(printf %s \"$1\" | git hash-object -w --stdin)\" | git mktree) \
             && git update-ref HEAD \"$(git commit-tree -m thing \"$tree\")\"";
        let mut made = setting.outside("sh");
        made.args(["-c", script, "sh", THING]);
        for role in ["AUTHOR", "COMMITTER"] {
            made.env(format!("GIT_{role}_NAME"), "a test");
            made.env(format!("GIT_{role}_EMAIL"), "a@thing.test");
        }
        Ran::of(&mut made).ok();
        let mut git = setting.program("git");
        git.args(["clone", "--quiet"])
            .arg(setting.url("/origin.git"))
            .arg("clone");
        git.env("GIT_SSL_CAINFO", &setting.authority);
        git
    },
    arrived: |setting, _| {
        fs::read_to_string(setting.file("clone/thing")).is_ok_and(|text| text == THING)
    },
};

/// git-http-backend(1), with the variables of CGI (RFC 3875, section 4.1).
fn backend(asked: &Asked<'_>) -> Option<Vec<u8>> {
    let (path, query) = asked.path.split_once('?').unwrap_or((asked.path, ""));
    let field = |name| asked.request.field(name).unwrap_or_default();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", env::var_os("PATH").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", asked.home)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("REQUEST_METHOD", asked.request.start.split(' ').next()?)
        .env("CONTENT_TYPE", field("content-type"))
        .env("CONTENT_LENGTH", asked.request.body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", field("content-encoding"))
        .env("GIT_PROTOCOL", field("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git runs");
    let mut stdin = child.stdin.take().expect("its input");
    stdin
        .write_all(&asked.request.body)
        .expect("the request is taken");
    drop(stdin);
    let said = child.wait_with_output().expect("its output").stdout;
    let end = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, content) = (String::from_utf8_lossy(&said[..end]), &said[end + 4..]);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: "));
    let head = format!(
        "HTTP/1.1 {}\r\nContent-Length: {}\r\n{head}\r\n\r\n",
        status.unwrap_or("200 OK"),
        content.len()
    );
    Some([head.as_bytes(), content].concat())
}

#[test]
fn git_clones_at_its_first_try_what_is_approved_while_it_waits() {
    GIT.is_approved(Forwarded);
    GIT.is_approved(Tunnelled);
}

#[test]
fn git_shows_a_denial_and_why() {
    GIT.is_denied(Forwarded, &[DENIED, USE_THE_MIRROR]);
}

#[test]
fn git_shows_the_status_of_a_denial_of_a_tunnel() {
    GIT.is_denied(Tunnelled, &[STATUS]);
}

#[test]
fn git_clones_what_was_approved_too_late_when_it_is_run_again() {
    GIT.comes_too_late(Forwarded, Ends, &[LATE]);
    GIT.comes_too_late(Tunnelled, Ends, &[STATUS]);
}
