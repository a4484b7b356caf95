//! Go, which downloads a module from a module proxy. It is a program of Go's net/http itself.

use super::Afterwards::Ends;
use super::Way::{Forwarded, Tunnelled};
use super::archives::zip;
use super::{Asked, Client, DENIED, LATE, USE_THE_MIRROR, file};

pub(super) const GO: Client = Client {
    program: "go",
    stock: module,
    command: |setting| {
        let mut go = setting.program("go");
        go.args(["mod", "download", "-json", "thing.test/thing@v1.0.0"]);
        go.env("GOPROXY", setting.url(""));
        go.env("GOFLAGS", "-modcacherw");
        go.env("GOSUMDB", "off").env("GOTOOLCHAIN", "local");
        go.env("GOPATH", setting.file("go"));
        go.env("SSL_CERT_FILE", &setting.authority);
        go
    },
    arrived: |setting, _| {
        setting
            .file("go/pkg/mod/thing.test/thing@v1.0.0/thing.go")
            .exists()
    },
};

fn module(asked: &Asked<'_>) -> Option<Vec<u8>> {
    const MODULE: &[u8] = b"module thing.test/thing\n";
    let bytes = match asked.path.strip_prefix("/thing.test/thing/@v/")? {
        "v1.0.0.info" => br#"{"Version": "v1.0.0", "Time": "2024-01-01T00:00:00Z"}"#.to_vec(),
        "v1.0.0.mod" => MODULE.to_vec(),
        "v1.0.0.zip" => zip(&[
            ("thing.test/thing@v1.0.0/go.mod", MODULE),
            ("thing.test/thing@v1.0.0/thing.go", b"package thing\n"),
        ]),
        _ => return None,
    };
    Some(file(&bytes))
}

#[test]
fn go_downloads_at_its_first_try_what_is_approved_while_it_waits() {
    GO.is_approved(Forwarded);
    GO.is_approved(Tunnelled);
}

#[test]
fn go_shows_a_denial_and_why() {
    GO.is_denied(Forwarded, &[DENIED, USE_THE_MIRROR]);
}

#[test]
fn go_shows_the_reason_phrase_of_a_denial_of_a_tunnel() {
    GO.is_denied(Tunnelled, &[DENIED]);
}

#[test]
fn go_downloads_what_was_approved_too_late_when_it_is_run_again() {
    GO.comes_too_late(Forwarded, Ends, &[LATE]);
    GO.comes_too_late(Tunnelled, Ends, &[LATE]);
}
