//! Somebody with an engine of their own, which the test starts: an ordinary user whom it makes, or
//! root. Nobody else's engine and nobody else's files are touched.

use std::env;
use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User};
use serde_json::Value;
use tempfile::TempDir;

use super::{PATIENCE, ROOTLESS_SCRIPTS, Ran, Wire, binary};

/// Devices that an engine without root needs.
const DEVICES: [&str; 2] = ["/dev/net/tun", "/dev/fuse"];

/// A person, until it is dropped.
pub(crate) struct Person {
    name: String,
    uid: u32,
    gid: u32,
    base: TempDir,
    engine: Option<Child>,
    made_by: Engine,
    devices: Vec<(&'static str, Permissions)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Engine {
    Docker,
    Podman,
}

impl Person {
    /// An ordinary user with a Docker of their own.
    pub(crate) fn with_docker(config: &str) -> Self {
        let mut person = Self::ordinary(Engine::Docker, config);
        let script = ROOTLESS_SCRIPTS
            .iter()
            .find(|script| Path::new(script).exists());
        let mut command = person.command(script.expect("the script"));
        // The engine's own variable, which its daemon must not take for an address.
        command.env_remove("DOCKER_HOST");
        person.start(command);
        person
    }

    /// An ordinary user with a Podman of their own.
    pub(crate) fn with_podman(config: &str) -> Self {
        let mut person = Self::ordinary(Engine::Podman, config);
        person.start_podman();
        person
    }

    /// Root, with a Podman that has its storage in a directory of its own.
    pub(crate) fn root_with_podman(config: &str) -> Self {
        let mut person = Self::at_home("root", 0, 0, Engine::Podman, config);
        person.start_podman();
        person
    }

    fn ordinary(engine: Engine, config: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("vibepit-it-{}-{number}", std::process::id());
        // With ranges of subordinate ids, as login.defs has them.
        let made = Command::new("useradd")
            .args(["--no-create-home", "--shell", "/bin/sh"])
            .args(["-K", "SUB_UID_COUNT=65536", &name])
            .status();
        assert!(made.expect("useradd runs").success());
        let user = User::from_name(&name).expect("users").expect("the user");
        let (uid, gid) = (user.uid.as_raw(), user.gid.as_raw());
        let mut person = Self::at_home(&name, uid, gid, engine, config);
        for device in DEVICES {
            let Ok(metadata) = fs::metadata(device) else {
                continue;
            };
            person.devices.push((device, metadata.permissions()));
            fs::set_permissions(device, Permissions::from_mode(0o666)).expect("its mode");
        }
        person
    }

    fn at_home(name: &str, uid: u32, gid: u32, made_by: Engine, config: &str) -> Self {
        let base = TempDir::with_prefix("vibepit-p-").expect("a directory");
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).expect("its mode");
        let person = Self {
            name: name.to_owned(),
            uid,
            gid,
            base,
            engine: None,
            made_by,
            devices: Vec::new(),
        };
        for place in ["home", "run", "config", "state", "home/project"] {
            person.give_directory(place);
        }
        person.give_directory("config/vibepit");
        person.give("config/vibepit/config.toml", config);
        person
    }

    pub(crate) fn uid(&self) -> u32 {
        self.uid
    }

    /// A place in the person's own directory.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    /// Makes a directory of the person's.
    pub(crate) fn give_directory(&self, name: &str) {
        let path = self.place(name);
        fs::create_dir(&path).expect("a directory");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("its mode");
        chown(&path, Some(self.uid), Some(self.gid)).expect("its owner");
    }

    /// Makes a file of the person's.
    pub(crate) fn give(&self, name: &str, content: &str) {
        let path = self.place(name);
        fs::write(&path, content).expect("a file");
        chown(&path, Some(self.uid), Some(self.gid)).expect("its owner");
    }

    /// The engine's socket, where it usually is.
    pub(crate) fn engine_socket(&self) -> PathBuf {
        self.place(match self.made_by {
            Engine::Docker => "run/docker.sock",
            Engine::Podman => "run/podman/podman.sock",
        })
    }

    /// A program that this user runs.
    pub(crate) fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setpriv");
        let (uid, gid) = (self.uid.to_string(), self.gid.to_string());
        command
            .args(["--reuid", &uid, "--regid", &gid, "--clear-groups"])
            .arg(program.as_ref())
            .env_clear()
            .env(
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("USER", &self.name)
            .env("LC_ALL", "C.UTF-8")
            // As in every other environment of a test.
            .env("VIBEPIT_NO_SELF_TEST", "1")
            .env("HOME", self.place("home"))
            .env("XDG_RUNTIME_DIR", self.place("run"))
            .env("XDG_CONFIG_HOME", self.place("config"))
            .env("XDG_STATE_HOME", self.place("state"))
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.engine_socket().display()),
            )
            .current_dir(self.place("home/project"))
            .stdin(Stdio::null());
        command
    }

    /// vibepit, run by this user, to its end.
    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(binary()).args(arguments))
    }

    /// Names of the containers of this person's engine, whatever has become of them.
    pub(crate) fn containers(&self) -> Vec<String> {
        let mut wire = Wire::to_socket(&self.engine_socket());
        wire.send(
            "GET /v1.41/containers/json?all=1 HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n",
        );
        let found = wire.answer().json();
        let found = found.as_array().expect("a list").iter();
        let name = |one: &Value| one["Names"][0].as_str().map(str::to_owned);
        found.filter_map(name).collect()
    }

    /// Containers and directories of this person's sessions.
    pub(crate) fn left(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place("run/vibepit"))
            .into_iter()
            .flatten();
        let names = entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok());
        let sessions = names.filter(|name| name.len() == 16);
        self.containers().into_iter().chain(sessions).collect()
    }

    fn start_podman(&mut self) {
        self.give_directory("config/containers");
        self.give("config/containers/containers.conf", &containers_conf());
        self.give_directory("run/podman");
        let mut command = self.podman();
        let address = format!("unix://{}", self.engine_socket().display());
        // It says when it listens, and nothing else would.
        command.args([
            "--log-level=info",
            "system",
            "service",
            "--time=0",
            &address,
        ]);
        self.start(command);
    }

    /// podman, with this person's storage.
    fn podman(&self) -> Command {
        let mut command = self.command("podman");
        command.env_remove("DOCKER_HOST").env(
            "CONTAINERS_CONF",
            self.place("config/containers/containers.conf"),
        );
        if self.uid == 0 {
            // Not the machine's own.
            command
                .arg("--root")
                .arg(self.place("state/storage"))
                .arg("--runroot")
                .arg(self.place("run/storage"));
        }
        command.args(["--storage-driver", "overlay"]);
        command
    }

    fn start(&mut self, mut command: Command) {
        let (log, end) = io::pipe().expect("a pipe");
        let engine = command
            .stdout(end.try_clone().expect("a second handle"))
            .stderr(end)
            .process_group(0)
            .spawn()
            .expect("the engine starts");
        // With it go this process's handles of the pipe, which ends with the engine then.
        drop(command);
        self.engine = Some(engine);
        let (tell, lines) = mpsc::channel();
        // To its end, so that the engine never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(log).lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        let socket = self.engine_socket();
        let mut said = Vec::new();
        // It says something at every step, and goes on doing so behind the one that listens.
        while UnixStream::connect(&socket).is_err() {
            match lines.recv_timeout(PATIENCE) {
                Ok(line) => said.push(line),
                Err(_) => panic!("the engine is not ready: {}", said.join("\n")),
            }
        }
        let mut wire = Wire::to_socket(&socket);
        wire.send("GET /_ping HTTP/1.1\r\nHost: docker\r\n\r\n");
        assert_eq!(wire.answer().status(), 200, "{}", said.join("\n"));
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if self.made_by == Engine::Podman {
            let _ = self.podman().args(["rm", "--all", "--force"]).output();
        }
        if let Some(mut engine) = self.engine.take() {
            let group = Pid::from_raw(i32::try_from(engine.id()).expect("a pid"));
            let _ = kill(group, Signal::SIGTERM);
            let _ = engine.wait();
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = Command::new("umount")
            .arg(self.place("state/storage/overlay"))
            .output();
        for (device, permissions) in &self.devices {
            let _ = fs::set_permissions(device, permissions.clone());
        }
        if self.uid != 0 {
            // Such as the one that keeps Podman's namespaces.
            for process in processes_of(self.uid) {
                let _ = kill(process, Signal::SIGKILL);
            }
            let _ = Command::new("userdel")
                .args(["--force", &self.name])
                .output();
        }
    }
}

/// The processes of a user.
fn processes_of(uid: u32) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").expect("processes").flatten();
    let owned = entries.filter(|entry| entry.metadata().is_ok_and(|found| found.uid() == uid));
    let pid = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    owned.filter_map(pid).map(Pid::from_raw).collect()
}

/// What Podman needs on a machine that was not made for it: limits that root may set without a
/// capability, cgroups without systemd, a runtime that takes old cgroups, and an init, whichever is
/// here.
fn containers_conf() -> String {
    let limit = |what| {
        let (_, hard) = getrlimit(what).expect("a limit");
        hard.min(16_384)
    };
    let (files, processes) = (
        limit(Resource::RLIMIT_NOFILE),
        limit(Resource::RLIMIT_NPROC),
    );
    let first_cgroups = !Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
    let runtime = match first_cgroups {
        true => "runtime = \"runc\"\n",
        false => "",
    };
    let path = env::var_os("PATH").unwrap_or_default();
    let init = ["catatonit", "tini"].iter().find_map(|name| {
        let mut places = env::split_paths(&path).map(|directory| directory.join(name));
        places.find(|place| place.exists())
    });
    let init = init.map(|init| format!("init_path = \"{}\"\n", init.display()));
    format!(
        "[containers]\ndefault_ulimits = [\"nofile={files}:{files}\", \
         \"nproc={processes}:{processes}\"]\n[engine]\ncgroup_manager = \"cgroupfs\"\n\
         events_logger = \"file\"\n{runtime}{}",
        init.unwrap_or_default()
    )
}
