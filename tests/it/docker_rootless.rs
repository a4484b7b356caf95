//! A session on an engine that runs without root, for an ordinary user: whose commands are
//! answered, and whose are not.

use std::fs::{self, Permissions};
use std::io::{self, BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, User};
use serde_json::Value;
use tempfile::TempDir;

use crate::docker::NO_NAMES;
use crate::support::{PATIENCE, ROOTLESS_SCRIPTS, Ran, Shell, Wire, binary, require};

/// An ordinary user with an engine, until it is dropped.
struct Person {
    name: String,
    user: User,
    base: TempDir,
    engine: Option<Child>,
    tun: Permissions,
}

impl Person {
    fn new() -> Self {
        let name = format!("vibepit-it-{}", std::process::id());
        // With ranges of subordinate ids, as login.defs has them.
        let made = Command::new("useradd")
            .args([
                "--no-create-home",
                "--shell",
                "/bin/sh",
                "-K",
                "SUB_UID_COUNT=65536",
                &name,
            ])
            .status();
        assert!(made.expect("useradd runs").success());
        let user = User::from_name(&name).expect("users").expect("the user");
        let base = TempDir::with_prefix("vibepit-rl-").expect("a directory");
        fs::set_permissions(base.path(), Permissions::from_mode(0o755)).expect("its mode");
        let tun = fs::metadata("/dev/net/tun").expect("tun").permissions();
        fs::set_permissions("/dev/net/tun", Permissions::from_mode(0o666)).expect("tun's mode");
        let mut person = Self {
            name,
            user,
            base,
            engine: None,
            tun,
        };
        for place in [
            "home",
            "run",
            "config",
            "config/vibepit",
            "state",
            "home/project",
        ] {
            person.give(place);
        }
        let config = person.place("config/vibepit/config.toml");
        fs::write(&config, NO_NAMES).expect("the configuration");
        chown(&config, Some(person.uid()), Some(person.gid())).expect("its owner");
        person.start_engine();
        person
    }

    fn uid(&self) -> u32 {
        self.user.uid.as_raw()
    }

    fn gid(&self) -> u32 {
        self.user.gid.as_raw()
    }

    fn place(&self, name: &str) -> PathBuf {
        self.base.path().join(name)
    }

    fn give(&self, name: &str) {
        let path = self.place(name);
        fs::create_dir(&path).expect("a directory");
        fs::set_permissions(&path, Permissions::from_mode(0o700)).expect("its mode");
        chown(&path, Some(self.uid()), Some(self.gid())).expect("its owner");
    }

    /// A program that this user runs.
    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("setpriv");
        let (uid, gid) = (self.uid().to_string(), self.gid().to_string());
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
            .env("HOME", self.place("home"))
            .env("XDG_RUNTIME_DIR", self.place("run"))
            .env("XDG_CONFIG_HOME", self.place("config"))
            .env("XDG_STATE_HOME", self.place("state"))
            .env(
                "DOCKER_HOST",
                format!("unix://{}", self.place("run/docker.sock").display()),
            )
            .current_dir(self.place("home/project"))
            .stdin(Stdio::null());
        command
    }

    fn start_engine(&mut self) {
        let script = ROOTLESS_SCRIPTS
            .iter()
            .find(|script| Path::new(script).exists());
        let (log, end) = io::pipe().expect("a pipe");
        let mut command = self.command(script.expect("the script"));
        // The engine's own variable, which its daemon must not take for an address.
        command.env_remove("DOCKER_HOST");
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
        let socket = self.place("run/docker.sock");
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

    fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(binary()).args(arguments))
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        if let Some(mut engine) = self.engine.take() {
            let group = Pid::from_raw(i32::try_from(engine.id()).expect("a pid"));
            let _ = kill(group, Signal::SIGTERM);
            let _ = engine.wait();
            let _ = killpg(group, Signal::SIGKILL);
        }
        let _ = fs::set_permissions("/dev/net/tun", self.tun.clone());
        let _ = Command::new("userdel").arg(&self.name).status();
    }
}

/// A GET by somebody, over a socket.
fn asks(uid: u32, socket: &Path, path: &str) -> Output {
    let uid = uid.to_string();
    Command::new("setpriv")
        .args(["--reuid", &uid, "--regid", &uid, "--clear-groups"])
        .args(["curl", "-sS", "--unix-socket"])
        .arg(socket)
        .arg(format!("http://vibepit{path}"))
        .output()
        .expect("curl runs")
}

/// UDS-006 and its neighbours on an engine whose root is the person.
#[test]
fn on_an_engine_without_root_the_owner_is_answered_and_nobody_else() {
    if !require("rootless") || !require("curl") {
        return;
    }
    let person = Person::new();
    let mut vibepit = person.command(binary());
    vibepit.args(["run", "--reject", "--", "sh"]);
    let mut shell = Shell::spawn(&mut vibepit);
    // What the sandbox makes in the project is the person's.
    assert_eq!(shell.ask("echo made > file; cat file"), "made\n");
    let file = fs::metadata(person.place("home/project/file")).expect("the file");
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&file), person.uid());
    let status = shell.ask("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status");
    assert_eq!(status, "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
    let refused = shell.ask("curl -sSi -m 50 http://unlisted.example/ | head -n 1");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");

    let sessions: Value =
        serde_json::from_str(&person.cli(&["sessions", "--json"]).ok()).expect("JSON");
    let record = &sessions["sessions"][0];
    let id = record["id"].as_str().expect("an id").to_owned();
    let socket = PathBuf::from(record["control"]["socket"].as_str().expect("a socket"));
    person.cli(&["allow", "allowed.example"]).ok();
    person.cli(&["allow", "--tcp", "also.example"]).ok();
    assert!(person.cli(&["rules"]).ok().contains("also.example"));

    let own = asks(person.uid(), &socket, "/session");
    assert!(own.status.success(), "{own:?}");
    assert!(
        String::from_utf8_lossy(&own.stdout).contains(&id),
        "{own:?}"
    );

    // The directories keep others away; what if they did not?
    let way = || {
        socket
            .ancestors()
            .take_while(|above| *above != person.base.path())
    };
    for step in way() {
        fs::set_permissions(step, Permissions::from_mode(0o777)).expect("a mode");
    }
    let refusals = || {
        let audit = person.place(&format!("state/vibepit/audit/{id}.jsonl"));
        let audit = fs::read_to_string(audit).expect("the audit file");
        audit
            .lines()
            .filter(|line| line.contains("\"peer_refused\""))
            .count()
    };
    for (uid, lines) in [(0, 1), (65_534, 2)] {
        let other = asks(uid, &socket, "/session");
        assert!(!other.status.success(), "{uid}: {other:?}");
        assert!(other.stdout.is_empty(), "{uid}: {other:?}");
        // The log's answer to the owner means that the books are up to date.
        let own = asks(person.uid(), &socket, "/logs");
        assert!(own.status.success(), "{own:?}");
        assert_eq!(refusals(), lines, "{uid}");
    }
    for step in way() {
        fs::set_permissions(step, Permissions::from_mode(0o700)).expect("a mode");
    }
    assert_eq!(shell.end().0, Some(0));
    let pruned = person.cli(&["prune"]);
    assert_eq!(pruned.code, Some(0), "{pruned:?}");
    assert!(!pruned.stdout.contains("container"), "{pruned:?}");
}
