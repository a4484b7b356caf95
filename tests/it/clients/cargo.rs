//! cargo, which fetches a crate from a sparse registry.

use std::path::Path;

use serde_json::json;

use super::Afterwards::{Ends, Retries};
use super::Way::{Forwarded, Tunnelled};
use super::archives::{sha256, tar_gz};
use super::{Asked, Client, DENIED, LATE, STATUS, USE_THE_MIRROR, file};

pub(super) const CARGO: Client = Client {
    program: "cargo",
    stock: registry,
    command: |setting| {
        setting.write(
            "work/Cargo.toml",
            "[package]\nname = \"work\"\nedition = \"2021\"\n\
             [dependencies]\nthing = { version = \"1\", registry = \"store\" }\n",
        );
        setting.write("work/src/lib.rs", "");
        // The one that built these tests: rustup's looks into the home for the one it is to run.
        let mut cargo = setting.program(env!("CARGO"));
        cargo.env("RUSTC", Path::new(env!("CARGO")).with_file_name("rustc"));
        cargo.current_dir(setting.file("work")).arg("fetch");
        let index = format!("sparse+{}", setting.url("/"));
        cargo.env("CARGO_REGISTRIES_STORE_INDEX", index);
        cargo.env("CARGO_HTTP_CAINFO", &setting.authority);
        cargo
    },
    arrived: |setting, _| {
        let sources = setting.file(".cargo/registry/src").read_dir();
        let mut sources = sources.expect("sources").map_while(Result::ok);
        sources.any(|index| index.path().join("thing-1.0.0/src/lib.rs").exists())
    },
};

/// A crate, as it is published.
fn thing() -> Vec<u8> {
    let manifest = b"[package]\nname = \"thing\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
    tar_gz(&[
        ("thing-1.0.0/Cargo.toml", manifest),
        ("thing-1.0.0/src/lib.rs", b""),
    ])
}

fn registry(asked: &Asked<'_>) -> Option<Vec<u8>> {
    match asked.path {
        "/config.json" => {
            let config = json!({"dl": format!("{}/{{crate}}.crate", asked.base)});
            Some(file(config.to_string().as_bytes()))
        }
        "/th/in/thing" => {
            let line = json!({
                "name": "thing", "vers": "1.0.0", "deps": [], "features": {}, "yanked": false,
                "cksum": sha256(&thing()),
            });
            Some(file(line.to_string().as_bytes()))
        }
        "/thing.crate" => Some(file(&thing())),
        _ => None,
    }
}

#[test]
fn cargo_fetches_at_its_first_try_what_is_approved_while_it_waits() {
    CARGO.is_approved(Forwarded);
    CARGO.is_approved(Tunnelled);
}

#[test]
fn cargo_shows_a_denial_and_why() {
    CARGO.is_denied(Forwarded, &[DENIED, USE_THE_MIRROR]);
}

#[test]
fn cargo_shows_the_status_of_a_denial_of_a_tunnel() {
    // It tries three times more, and a denial for once would be asked about as often.
    CARGO.is_denied(Tunnelled, &[STATUS]);
}

#[test]
fn cargo_that_was_refused_a_tunnel_tries_again_and_gets_what_was_approved_too_late() {
    CARGO.comes_too_late(Tunnelled, Retries, &[]);
}

#[test]
fn cargo_fetches_what_was_approved_too_late_when_it_is_run_again() {
    CARGO.comes_too_late(Forwarded, Ends, &[LATE]);
}
