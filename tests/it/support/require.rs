//! Which components a test needs, and what happens where one is missing.

use std::env;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// Found out once: of two tests that listen at the same time, one would find the port taken.
static LOW_PORTS: LazyLock<bool> = LazyLock::new(|| TcpListener::bind("127.99.99.99:80").is_ok());

/// Whether a component is here: `docker` (an engine that answers), `root`, `low-ports` (ports
/// below 1024 may be listened on), `ipv6` (there is a loopback of it), `rootless` (what a Docker
/// without root is made of), `podman`, `rootless-podman`, `ssh` (and sshd), `pyyaml` (Python's), `user-namespaces` (they may be made),
/// `tun` (network devices of programs), or else a program.
///
/// Without it a test is skipped and says so; unless `VIBEPIT_TEST_REQUIRE` names the component, in
/// a list with commas, or is `all`: then the test fails.
pub(crate) fn require(name: &str) -> bool {
    if is_here(name) {
        return true;
    }
    assert!(
        !is_asked_for(name),
        "{name} is not here, and VIBEPIT_TEST_REQUIRE wants it"
    );
    // A test's word to whoever runs it with --nocapture.
    #[expect(clippy::print_stderr)]
    {
        eprintln!("skipped: {name} is not here");
    }
    false
}

fn is_asked_for(name: &str) -> bool {
    let list = env::var("VIBEPIT_TEST_REQUIRE").unwrap_or_default();
    list.split(',').any(|one| one == "all" || one == name)
}

fn is_here(name: &str) -> bool {
    match name {
        "docker" => docker_socket().is_some_and(|path| UnixStream::connect(path).is_ok()),
        "root" => nix::unistd::Uid::effective().is_root(),
        "low-ports" => *LOW_PORTS,
        "ipv6" => TcpListener::bind("[::1]:0").is_ok(),
        "rootless" => rootless(),
        "podman" => own_engine("podman", &["podman", "conmon"]),
        "rootless-podman" => {
            own_engine("rootless-podman", &["podman", "conmon"]) && ordinary_users()
        }
        "ssh" => super::sshd::is_installed(on_path),
        "user-namespaces" => Command::new("unshare")
            .args(["--user", "--net", "--map-current-user", "true"])
            .output()
            .is_ok_and(|ran| ran.status.success()),
        "tun" => Path::new("/dev/net/tun").exists(),
        "pyyaml" => Command::new("python3")
            .args(["-c", "import yaml"])
            .output()
            .is_ok_and(|ran| ran.status.success()),
        program => on_path(program),
    }
}

/// The script that starts an engine without root, where distributions put it.
pub(crate) const ROOTLESS_SCRIPTS: [&str; 2] = [
    "/usr/bin/dockerd-rootless.sh",
    "/usr/share/docker.io/contrib/dockerd-rootless.sh",
];

fn rootless() -> bool {
    own_engine("rootless", &["rootlesskit"])
        && ordinary_users()
        && ROOTLESS_SCRIPTS
            .iter()
            .any(|script| is_program(Path::new(script)))
}

/// What makes an engine is here. The test makes networks with it, or a user, and takes them away
/// again, so it runs where that was asked for alone.
fn own_engine(name: &str, programs: &[&str]) -> bool {
    is_asked_for(name)
        && nix::unistd::Uid::effective().is_root()
        && on_path("setpriv")
        && programs.iter().all(|program| on_path(program))
}

/// Users can be made who have an engine of their own.
fn ordinary_users() -> bool {
    let programs = ["useradd", "userdel", "newuidmap", "slirp4netns"];
    Path::new("/dev/net/tun").exists() && programs.iter().all(|program| on_path(program))
}

pub(super) fn docker_socket() -> Option<String> {
    match env::var("DOCKER_HOST") {
        Ok(host) => Some(host.strip_prefix("unix://")?.to_owned()),
        Err(_) => Some("/var/run/docker.sock".to_owned()),
    }
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|directory| is_program(&directory.join(program)))
}

fn is_program(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}
