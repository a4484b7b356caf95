//! curl and wget, which fetch a file.

use super::Afterwards::Ends;
use super::Way::{Forwarded, Tunnelled};
use super::{Client, DENIED, LATE, STATUS, THING, USE_THE_MIRROR, file};

pub(super) const CURL: Client = Client {
    program: "curl",
    stock: |asked| (asked.path == "/thing").then(|| file(THING.as_bytes())),
    command: |setting| {
        let mut curl = setting.program("curl");
        // Without this it takes an answer of 403 for a success.
        curl.args(["--silent", "--show-error", "--fail-with-body"]);
        curl.arg("--cacert").arg(&setting.authority);
        curl.arg(setting.url("/thing"));
        curl
    },
    arrived: |_, ran| ran.stdout == THING,
};

const WGET: Client = Client {
    program: "wget",
    stock: CURL.stock,
    command: |setting| {
        let mut wget = setting.program("wget");
        wget.arg("--no-verbose");
        wget.arg("--ca-certificate").arg(&setting.authority);
        wget.args(["--output-document", "-"])
            .arg(setting.url("/thing"));
        wget
    },
    arrived: |_, ran| ran.stdout == THING,
};

#[test]
fn curl_fetches_at_its_first_try_what_is_approved_while_it_waits() {
    CURL.is_approved(Forwarded);
    CURL.is_approved(Tunnelled);
}

#[test]
fn curl_shows_a_denial_and_why() {
    CURL.is_denied(Forwarded, &[DENIED, USE_THE_MIRROR]);
}

#[test]
fn curl_shows_the_status_of_a_denial_of_a_tunnel() {
    CURL.is_denied(Tunnelled, &[STATUS]);
}

#[test]
fn curl_fetches_what_was_approved_too_late_when_it_is_run_again() {
    CURL.comes_too_late(Forwarded, Ends, &[LATE]);
    CURL.comes_too_late(Tunnelled, Ends, &[STATUS]);
}

#[test]
fn wget_fetches_at_its_first_try_what_is_approved_while_it_waits() {
    WGET.is_approved(Forwarded);
    WGET.is_approved(Tunnelled);
}

#[test]
fn wget_shows_the_reason_phrase_of_a_denial() {
    WGET.is_denied(Forwarded, &[DENIED]);
}

#[test]
fn wget_shows_the_reason_phrase_of_a_denial_of_a_tunnel() {
    WGET.is_denied(Tunnelled, &[DENIED]);
}

#[test]
fn wget_fetches_what_was_approved_too_late_when_it_is_run_again() {
    WGET.comes_too_late(Forwarded, Ends, &[LATE]);
    WGET.comes_too_late(Tunnelled, Ends, &[LATE]);
}
