//! apt, which downloads a package from a repository, with every directory of its own in the
//! client's home: nothing of the machine's is read or written.

use std::fs;

use super::Afterwards::Retries;
use super::Way::{Forwarded, Tunnelled};
use super::archives::{ar, sha256, tar_gz};
use super::{Asked, Client, DENIED, file};

pub(super) const APT: Client = Client {
    program: "apt",
    stock: repository,
    command: |setting| {
        let home = &setting.directory;
        let configuration = format!(
            "Dir \"{0}/\";\nDir::State::status \"{0}/status\";\n\
             Dir::Bin::methods \"/usr/lib/apt/methods\";\n\
             Acquire::https::CaInfo \"{1}\";\nAPT::Sandbox::User \"\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\n",
            home.display(),
            setting.authority.display(),
        );
        let configuration = setting.write("apt.conf", &configuration);
        setting.write("status", "");
        let source = format!("deb [trusted=yes] {} ./\n", setting.url("/"));
        setting.write("etc/apt/sources.list", &source);
        for directory in [
            "etc/apt/apt.conf.d",
            "etc/apt/preferences.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/log/apt",
        ] {
            fs::create_dir_all(setting.file(directory)).expect("a directory");
        }
        let mut apt = setting.program("sh");
        // It takes a list that it did not get for a warning, unless it is told otherwise.
        apt.args([
            "-c",
            "apt-get update --error-on=any && apt-get download thing",
        ]);
        apt.env("APT_CONFIG", configuration);
        apt
    },
    arrived: |setting, _| setting.file("thing_1.0_all.deb").exists(),
};

const CONTROL: &str = "Package: thing\nVersion: 1.0\nArchitecture: all\nMaintainer: a test\n";

fn package() -> Vec<u8> {
    let control = format!("{CONTROL}Description: a thing\n");
    ar(&[
        ("debian-binary", b"2.0\n"),
        (
            "control.tar.gz",
            &tar_gz(&[("control", control.as_bytes())]),
        ),
        ("data.tar.gz", &tar_gz(&[("usr/share/thing", b"")])),
    ])
}

/// The list of packages of a repository without suites.
fn packages() -> String {
    let package = package();
    format!(
        "{CONTROL}Filename: ./thing.deb\nSize: {}\nSHA256: {}\nDescription: a thing\n",
        package.len(),
        sha256(&package)
    )
}

fn repository(asked: &Asked<'_>) -> Option<Vec<u8>> {
    let packages = packages();
    match asked.path.trim_start_matches("/./") {
        "Release" => {
            let (digest, size) = (sha256(packages.as_bytes()), packages.len());
            let release = format!(
                "Date: Mon, 01 Jan 2024 00:00:00 UTC\nSHA256:\n {digest} {size} Packages\n"
            );
            Some(file(release.as_bytes()))
        }
        "Packages" => Some(file(packages.as_bytes())),
        "thing.deb" => Some(file(&package())),
        _ => None,
    }
}

#[test]
fn apt_downloads_at_its_first_try_what_is_approved_while_it_waits() {
    APT.is_approved(Forwarded);
    APT.is_approved(Tunnelled);
}

#[test]
fn apt_shows_the_reason_phrase_of_a_denial() {
    // It asks for one file after the other, and a denial for once would be asked about as often.
    APT.is_denied(Forwarded, &[DENIED]);
}

#[test]
fn apt_shows_the_reason_phrase_of_a_denial_of_a_tunnel() {
    APT.is_denied(Tunnelled, &[DENIED]);
}

#[test]
fn apt_that_was_refused_goes_on_and_gets_what_was_approved_too_late() {
    APT.comes_too_late(Forwarded, Retries, &[]);
    APT.comes_too_late(Tunnelled, Retries, &[]);
}
