//! A real sshd on the loopback, with keys and settings of its own, and an `ssh` that knows it.

use std::fs::{self, DirBuilder, Permissions};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::PATIENCE;

/// Where it is installed; it insists on being called by its whole path.
pub(super) const SSHD: &str = "/usr/sbin/sshd";

/// It ends with its value.
pub(crate) struct Sshd {
    base: TempDir,
    port: u16,
    process: Child,
}

impl Sshd {
    /// Starts it.
    #[track_caller]
    pub(crate) fn start() -> Self {
        let base = TempDir::with_prefix("vibepit-ssh-").expect("a directory");
        // Whose keys are accepted is read as the user who logs in.
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).expect("its mode");
        let place = |name: &str| base.path().join(name);
        for key in ["host", "person"] {
            let made = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(place(key))
                .status();
            assert!(made.expect("ssh-keygen runs").success());
        }
        let port = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("its address").port()
        };
        // As root it wants an empty directory that distributions make at their start.
        let _ = DirBuilder::new().mode(0o755).create("/run/sshd");
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\n\
             PidFile none\nUsePAM no\nPasswordAuthentication no\nStrictModes no\n\
             PermitRootLogin prohibit-password\n",
            place("host").display(),
            place("person.pub").display(),
        );
        fs::write(place("sshd_config"), settings).expect("the settings");
        let host = fs::read_to_string(place("host.pub")).expect("the host's key");
        fs::write(
            place("known_hosts"),
            format!("[127.0.0.1]:{port} {}", host.trim()),
        )
        .expect("known hosts");
        let settings = format!(
            "IdentityFile {}\nIdentitiesOnly yes\nUserKnownHostsFile {}\n\
             GlobalKnownHostsFile /dev/null\nStrictHostKeyChecking yes\n",
            place("person").display(),
            place("known_hosts").display(),
        );
        fs::write(place("ssh_config"), settings).expect("the settings");
        fs::create_dir(place("bin")).expect("a directory");
        let script = format!(
            "#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n",
            place("ssh_config").display()
        );
        fs::write(place("bin/ssh"), script).expect("the program");
        fs::set_permissions(place("bin/ssh"), Permissions::from_mode(0o755)).expect("its mode");
        let process = Command::new(SSHD)
            .args(["-D", "-e", "-f"])
            .arg(place("sshd_config"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("sshd starts");
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "sshd does not listen");
            std::thread::yield_now();
        }
        Self {
            base,
            port,
            process,
        }
    }

    /// Its port of the loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The file of the key that it accepts.
    pub(crate) fn key(&self) -> PathBuf {
        self.base.path().join("person")
    }

    /// What a client knows it by, under this name.
    pub(crate) fn known_as(&self, name: &str) -> String {
        let key = fs::read_to_string(self.base.path().join("host.pub")).expect("the host's key");
        format!("[{name}]:{} {key}", self.port)
    }

    /// The address of the engine behind it.
    pub(crate) fn engine(&self) -> String {
        format!("ssh://127.0.0.1:{}", self.port)
    }

    /// The same for another account.
    pub(crate) fn engine_of(&self, user: &str) -> String {
        format!("ssh://{user}@127.0.0.1:{}", self.port)
    }

    /// Gives a command the `ssh` that knows this host, before any other.
    pub(crate) fn known_to(&self, command: &mut Command) {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let own = self.bin();
        let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&path)));
        command.env("PATH", path.expect("a path"));
    }

    fn bin(&self) -> PathBuf {
        self.base.path().join("bin")
    }

    /// Ends every connection that it has, as a network does that breaks. It takes new ones.
    pub(crate) fn hang_up(&self) {
        let own = self.process.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        for child in children.expect("its children").split_whitespace() {
            let child = Pid::from_raw(child.parse().expect("a pid"));
            // One may have ended by itself.
            let _ = kill(child, Signal::SIGKILL);
        }
    }

    /// Forgets who may log in.
    pub(crate) fn close(&self) {
        fs::write(self.base.path().join("person.pub"), "").expect("no key");
    }
}

/// sshd and what is needed to speak to it.
pub(super) fn is_installed(on_path: impl Fn(&str) -> bool) -> bool {
    Path::new(SSHD).exists() && Path::new("/usr/bin/ssh").exists() && on_path("ssh-keygen")
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
