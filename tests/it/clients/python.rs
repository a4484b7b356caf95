//! Python: pip, which installs a wheel from a simple index (PEP 503), and a script with urllib.

use super::Afterwards::{Ends, Retries};
use super::Way::{Forwarded, Tunnelled};
use super::archives::zip;
use super::{Asked, Client, DENIED, LATE, THING, file, typed};

pub(super) const PIP: Client = Client {
    program: "pip",
    stock: index,
    command: |setting| {
        let mut pip = setting.program("pip");
        pip.args(["install", "--no-cache-dir", "--target", "lib", "thing"]);
        pip.args(["--index-url", &setting.url("/simple/")]);
        pip.args(["--trusted-host", &setting.host]);
        pip.env("PIP_CERT", &setting.authority);
        // It would ask for itself, behind its work.
        pip.env("PIP_DISABLE_PIP_VERSION_CHECK", "1");
        pip
    },
    arrived: |setting, _| setting.file("lib/thing.py").exists(),
};

const URLLIB: Client = Client {
    program: "python3",
    stock: |asked| (asked.path == "/thing").then(|| file(THING.as_bytes())),
    command: |setting| {
        let mut python = setting.program("python3");
        python.args(["-c", SCRIPT, &setting.url("/thing")]);
        python.env("SSL_CERT_FILE", &setting.authority);
        python
    },
    arrived: |_, ran| ran.stdout.trim_end() == THING,
};

const SCRIPT: &str =
    "import sys, urllib.request as r; print(r.urlopen(sys.argv[1]).read().decode())";

fn index(asked: &Asked<'_>) -> Option<Vec<u8>> {
    const WHEEL: &str = "thing-1.0-py3-none-any.whl";
    match asked.path {
        "/simple/thing/" => {
            let page = format!("<!DOCTYPE html><a href=\"/{WHEEL}\">{WHEEL}</a>");
            Some(typed("text/html", page.as_bytes()))
        }
        path if path.strip_prefix('/') == Some(WHEEL) => Some(file(&zip(&[
            ("thing.py", b""),
            (
                "thing-1.0.dist-info/METADATA",
                b"Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n",
            ),
            (
                "thing-1.0.dist-info/WHEEL",
                b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
            ),
            (
                "thing-1.0.dist-info/RECORD",
                b"thing.py,,\nthing-1.0.dist-info/METADATA,,\nthing-1.0.dist-info/WHEEL,,\n\
                  thing-1.0.dist-info/RECORD,,\n",
            ),
        ]))),
        _ => None,
    }
}

#[test]
fn pip_installs_at_its_first_try_what_is_approved_while_it_waits() {
    PIP.is_approved(Forwarded);
    PIP.is_approved(Tunnelled);
}

#[test]
fn pip_that_is_denied_says_that_it_found_nothing_and_not_why() {
    // An index's page that it does not get is one of several, and told with --verbose alone.
    PIP.is_denied(Forwarded, &["No matching distribution found for thing"]);
}

#[test]
fn pip_shows_the_reason_phrase_of_a_denial_of_a_tunnel() {
    // It tries five times more, and a denial for once would be asked about as often.
    PIP.is_denied(Tunnelled, &[DENIED]);
}

#[test]
fn pip_that_was_refused_a_tunnel_tries_again_and_gets_what_was_approved_too_late() {
    PIP.comes_too_late(Tunnelled, Retries, &[]);
}

#[test]
fn pip_that_was_refused_installs_what_was_approved_too_late_when_it_is_run_again() {
    PIP.comes_too_late(
        Forwarded,
        Ends,
        &["No matching distribution found for thing"],
    );
}

#[test]
fn python_fetches_at_its_first_try_what_is_approved_while_it_waits() {
    URLLIB.is_approved(Forwarded);
    URLLIB.is_approved(Tunnelled);
}

#[test]
fn python_shows_the_reason_phrase_of_a_denial() {
    URLLIB.is_denied(Forwarded, &[DENIED]);
}

#[test]
fn python_shows_the_reason_phrase_of_a_denial_of_a_tunnel() {
    URLLIB.is_denied(Tunnelled, &[DENIED]);
}

#[test]
fn python_fetches_what_was_approved_too_late_when_it_is_run_again() {
    URLLIB.comes_too_late(Forwarded, Ends, &[LATE]);
    URLLIB.comes_too_late(Tunnelled, Ends, &[LATE]);
}
