//! npm, which installs a package from a registry.

use serde_json::json;

use super::Afterwards::Ends;
use super::Way::{Forwarded, Tunnelled};
use super::archives::tar_gz;
use super::{Asked, Client, DENIED, LATE, file, typed};

pub(super) const NPM: Client = Client {
    program: "npm",
    stock: registry,
    command: |setting| {
        setting.write("work/package.json", "{}");
        let mut npm = setting.program("npm");
        npm.current_dir(setting.file("work"));
        // It would ask about known holes, and about newer ones of itself.
        npm.args([
            "install",
            "thing",
            "--no-audit",
            "--no-fund",
            "--no-update-notifier",
        ]);
        npm.args(["--registry", &setting.url("/")]);
        npm.arg("--cafile").arg(&setting.authority);
        npm
    },
    arrived: |setting, _| setting.file("work/node_modules/thing/index.js").exists(),
};

fn registry(asked: &Asked<'_>) -> Option<Vec<u8>> {
    let package = json!({"name": "thing", "version": "1.0.0", "main": "index.js"});
    match asked.path {
        "/thing" => {
            let mut version = package;
            version["dist"] = json!({"tarball": format!("{}/thing-1.0.0.tgz", asked.base)});
            let document = json!({
                "name": "thing",
                "dist-tags": {"latest": "1.0.0"},
                "versions": {"1.0.0": version},
            });
            Some(typed("application/json", document.to_string().as_bytes()))
        }
        "/thing-1.0.0.tgz" => Some(file(&tar_gz(&[
            ("package/package.json", package.to_string().as_bytes()),
            ("package/index.js", b""),
        ]))),
        _ => None,
    }
}

#[test]
fn npm_installs_at_its_first_try_what_is_approved_while_it_waits() {
    NPM.is_approved(Forwarded);
    NPM.is_approved(Tunnelled);
}

#[test]
fn npm_shows_the_reason_phrase_of_a_denial() {
    NPM.is_denied(Forwarded, &[DENIED]);
}

#[test]
fn npm_shows_the_reason_phrase_of_a_denial_of_a_tunnel() {
    NPM.is_denied(Tunnelled, &[DENIED]);
}

#[test]
fn npm_installs_what_was_approved_too_late_when_it_is_run_again() {
    NPM.comes_too_late(Forwarded, Ends, &[LATE]);
    NPM.comes_too_late(Tunnelled, Ends, &[LATE]);
}
