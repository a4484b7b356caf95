//! Sessions on an engine that is reached over ssh: a real sshd on the loopback, and the engine of
//! the other tests behind it. Nothing of this machine is mounted, as if it were another one.

use std::fs;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::docker::NO_NAMES;
use crate::docker_images::Busybox;
use crate::support::{Bench, Ran, Shell, Sshd, engine, require};

/// A project, an image, and the way there.
pub(crate) struct Far {
    pub(crate) bench: Bench,
    pub(crate) image: Busybox,
    pub(crate) sshd: Sshd,
}

impl Far {
    pub(crate) fn new() -> Option<Self> {
        Self::with("")
    }

    /// With more in the person's configuration.
    pub(crate) fn with(more: &str) -> Option<Self> {
        if !require("docker") || !require("ssh") {
            return None;
        }
        let image = Busybox::import()?;
        let config = format!("{NO_NAMES}unlisted_domain_behavior = \"reject\"\n{more}");
        Some(Self {
            bench: Bench::new(&config),
            image,
            sshd: Sshd::start(),
        })
    }

    pub(crate) fn vibepit(&self) -> Command {
        let mut command = self.bench.vibepit();
        command.env("DOCKER_HOST", self.sshd.engine());
        self.sshd.known_to(&mut command);
        command
    }

    pub(crate) fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.vibepit().args(arguments))
    }

    fn run(&self, script: &str) -> Ran {
        let mut command = self.vibepit();
        command.args(["run", "--image", &self.image.0, "--", "sh", "-c", script]);
        Ran::of(&mut command)
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.bench.project().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.bench.project().join(path)).expect("a file")
    }

    fn copies(&self) -> Vec<String> {
        let mut volumes = engine::volumes(&self.bench.label());
        volumes.retain(|name| name.ends_with("-project"));
        volumes
    }

    /// The process of the one session's launcher.
    pub(crate) fn launcher(&self) -> i32 {
        let said: Value =
            serde_json::from_str(&self.cli(&["sessions", "--json"]).ok()).expect("JSON");
        let pid = said["sessions"][0]["pid"].as_i64().expect("a pid");
        i32::try_from(pid).expect("a pid")
    }

    /// What `ssh` leaves in the runtime directory.
    fn tunnels(&self) -> usize {
        let entries = fs::read_dir(self.bench.runtime_dir()).expect("a directory");
        let name = |entry: fs::DirEntry| entry.file_name().to_string_lossy().into_owned();
        let names = entries.flatten().map(name);
        names.filter(|name| name.starts_with("engine-")).count()
    }
}

#[test]
fn a_session_on_another_machine_is_commanded_from_here_and_leaves_its_work_to_pull() {
    let Some(far) = Far::new() else { return };
    far.write("src/file", "1\n");
    far.write("both", "1\n");
    far.write(".vibepit/secret", "not theirs");
    let mut vibepit = far.vibepit();
    vibepit.args(["run", "--image", &far.image.0, "--", "sh"]);
    let mut shell = Shell::spawn(&mut vibepit);
    shell.warns(|line| line.contains(&far.sshd.engine()));
    assert_eq!(shell.ask("cat src/file"), "1\n");
    assert_eq!(shell.ask("ls -A"), "both\nsrc\n");
    let refused = shell.ask("wget -q -O - http://unlisted.example/");
    assert!(refused.contains("403"), "{refused}");

    // Commanded over the port alone.
    let said: Value = serde_json::from_str(&far.cli(&["sessions", "--json"]).ok()).expect("JSON");
    let session = &said["sessions"][0];
    assert_eq!(session["control"]["socket"], Value::Null, "{session}");
    let port = session["control"]["tcp"].as_str().expect("a port");
    assert!(port.starts_with("127.0.0.1:"), "{port}");
    far.cli(&["allow", "allowed.example"]).ok();
    assert!(far.cli(&["rules"]).ok().contains("allowed.example"));
    assert!(far.cli(&["logs"]).ok().contains("unlisted.example"));
    let id = session["id"].as_str().expect("an id").to_owned();
    let audit = far
        .bench
        .home
        .state()
        .join(format!("vibepit/audit/{id}.jsonl"));
    let audit = fs::read_to_string(audit).expect("the audit file is here");
    assert!(audit.contains("unlisted.example"), "{audit}");
    // Nobody else's: neither container has anything of this machine.
    for role in ["proxy", "holder", "sandbox"] {
        let found = engine::inspect(&format!("vibepit-{id}-{role}"));
        let mounts = found["Mounts"].as_array().expect("mounts");
        assert!(mounts.iter().all(|one| one["Type"] != "bind"), "{mounts:?}");
    }

    shell.ask("echo 2 > src/file; echo new > src/new; echo there > both; rm -r gone");
    assert_eq!(shell.end().0, Some(0));
    assert_eq!(far.copies().len(), 1);
    assert_eq!(far.read("src/file"), "1\n", "not before somebody says so");

    far.write("both", "here\n");
    let looked = far.cli(&["pull"]);
    assert_eq!(looked.code, Some(1), "{looked:?}");
    for part in ["modified src/file", "added    src/new", "-1", "+2"] {
        assert!(looked.stdout.contains(part), "{part}: {looked:?}");
    }
    assert_eq!(far.read("src/file"), "1\n");
    let pulled = far.cli(&["pull", "--yes"]);
    assert_eq!(pulled.code, Some(1), "{pulled:?}");
    assert!(
        pulled.stderr.contains("both was changed here and there"),
        "{pulled:?}"
    );
    assert_eq!(
        (far.read("src/file"), far.read("src/new")),
        ("2\n".into(), "new\n".into())
    );
    assert_eq!(far.read("both"), "here\n");
    assert_eq!(far.copies().len(), 1, "something of it is not here");
    far.write("both", "there\n");
    far.cli(&["pull"]).ok();
    assert_eq!(far.copies(), [""; 0]);
    assert_eq!(far.tunnels(), 0);
    far.bench.is_clean();
}

#[test]
fn on_another_machine_a_command_has_its_exit_code_and_a_session_can_be_kept() {
    let Some(far) = Far::new() else { return };
    let ran = far.run("echo out; echo err >&2; exit 7");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(7), "out\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("err\n"), "{ran:?}");
    far.cli(&["pull"]).ok();

    far.cli(&["up", "--image", &far.image.0]).ok();
    far.cli(&["exec", "--", "sh", "-c", "echo kept > kept"])
        .ok();
    assert_eq!(far.cli(&["exec", "--", "cat", "kept"]).ok(), "kept\n");
    far.cli(&["pull", "--yes"]).ok();
    assert_eq!(far.read("kept"), "kept\n", "of a session that runs");
    far.cli(&["down"]).ok();
    far.cli(&["pull"]).ok();
    assert_eq!(far.copies(), [""; 0]);
    far.bench.is_clean();
}

#[test]
fn what_is_decided_for_good_is_saved_on_this_machine_and_holds_in_the_next_session() {
    let Some(far) = Far::new() else { return };
    let mut vibepit = far.vibepit();
    vibepit.args(["run", "--image", &far.image.0, "--", "sh"]);
    let mut shell = Shell::spawn(&mut vibepit);
    assert_eq!(shell.ask("echo here"), "here\n");
    let said: Value = serde_json::from_str(
        &far.cli(&["allow", "--scope", "project", "--json", "saved.example"])
            .ok(),
    )
    .expect("JSON");
    assert_eq!(said["scope"], "project", "{said}");
    let file = said["saved_to"].as_str().expect("a file").to_owned();
    let saved = fs::read_to_string(&file).expect("it is on this machine");
    assert!(saved.contains("saved.example"), "{saved}");
    far.cli(&["deny", "--scope", "global", "never.example"])
        .ok();
    assert_eq!(shell.end().0, Some(0));
    far.cli(&["pull"]).ok();

    let mut vibepit = far.vibepit();
    vibepit.args(["run", "--image", &far.image.0, "--", "sh"]);
    let mut shell = Shell::spawn(&mut vibepit);
    assert_eq!(shell.ask("echo here"), "here\n");
    let rules = far.cli(&["rules"]).ok();
    for rule in ["saved.example", "never.example"] {
        assert!(rules.contains(rule), "{rule}: {rules}");
    }
    far.cli(&["revoke", "saved.example"]);
    let saved = fs::read_to_string(&file).expect("the file");
    assert!(!saved.contains("saved.example"), "{saved}");
    assert_eq!(shell.end().0, Some(0));
    far.cli(&["pull"]).ok();
    far.bench.is_clean();
}

#[test]
fn a_directory_of_the_other_machine_is_worked_on_where_it_is() {
    let Some(far) = Far::new() else { return };
    let there = tempfile::tempdir().expect("a directory");
    let mut vibepit = far.vibepit();
    vibepit.args(["run", "--image", &far.image.0, "--remote-path"]);
    vibepit
        .arg(there.path())
        .args(["--", "sh", "-c", "echo made > made"]);
    Ran::of(&mut vibepit).ok();
    let made = fs::read_to_string(there.path().join("made")).expect("it is there");
    assert_eq!(made, "made\n");
    assert_eq!(far.copies(), [""; 0]);
    far.bench.is_clean();
}

#[test]
fn what_another_machine_cannot_give_is_refused_with_the_next_step() {
    let Some(far) = Far::new() else { return };
    let ran = far.cli(&["run", "--", "true"]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("--image"),
        "{ran:?}"
    );
    let volume = far.cli(&[
        "run",
        "--image",
        &far.image.0,
        "--volume",
        "/usr:/mnt/u",
        "--",
        "true",
    ]);
    assert!(
        volume.code == Some(1) && volume.stderr.contains("--volume"),
        "{volume:?}"
    );
    let mut here = far.bench.vibepit();
    here.args(["run", "--remote-path", "/srv", "--", "true"]);
    let here = Ran::of(&mut here);
    assert!(
        here.code == Some(1) && here.stderr.contains("leave it out"),
        "{here:?}"
    );
    far.sshd.close();
    let refused = far.cli(&["run", "--image", &far.image.0, "--", "true"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in ["Permission denied", "ssh -o BatchMode=yes"] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    far.bench.is_clean();
}

/// An ordinary account that may use the engine, until it is dropped.
struct Account(String);

impl Account {
    fn new() -> Self {
        let name = format!("vibepit-ssh-{}", std::process::id());
        let made = Command::new("useradd")
            .args([
                "--no-create-home",
                "--shell",
                "/bin/sh",
                "--groups",
                "docker",
            ])
            .args(["--password", "*", &name])
            .status();
        assert!(made.expect("useradd runs").success());
        Self(name)
    }

    fn uid(&self) -> String {
        let user = nix::unistd::User::from_name(&self.0).expect("users");
        user.expect("the user").uid.to_string()
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        let _ = Command::new("userdel").args(["--force", &self.0]).output();
    }
}

#[test]
fn with_another_account_there_the_command_is_that_account_and_the_copy_is_its_own() {
    // Which says that users may be made.
    if !require("rootless") {
        return;
    }
    let Some(far) = Far::new() else { return };
    let account = Account::new();
    let engine = far.sshd.engine_of(&account.0);
    far.write("file", "1\n");
    let mut vibepit = far.vibepit();
    vibepit.env("DOCKER_HOST", &engine);
    let script = "id -u; echo 2 > file; echo new > new";
    vibepit.args(["run", "--image", &far.image.0, "--", "sh", "-c", script]);
    let ran = Ran::of(&mut vibepit);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.trim(), account.uid(), "{ran:?}");
    far.cli(&["pull", "--yes"]).ok();
    assert_eq!(
        (far.read("file"), far.read("new")),
        ("2\n".into(), "new\n".into())
    );
    far.bench.is_clean();
}

#[test]
fn a_launcher_that_is_killed_takes_its_ssh_along_and_the_rest_is_found_by_prune() {
    let Some(far) = Far::new() else { return };
    let mut vibepit = far.vibepit();
    vibepit.args([
        "run",
        "--image",
        &far.image.0,
        "--",
        "sh",
        "-c",
        "echo runs; cat",
    ]);
    let mut session = Shell::spawn(&mut vibepit);
    assert_eq!(session.line(), "runs");
    let ssh = ssh_of(session.pid().as_raw());
    session.signal(Signal::SIGKILL);
    session.wait();
    while Path::new(&format!("/proc/{ssh}")).exists() {
        std::thread::yield_now();
    }
    let pruned = far.cli(&["prune"]).ok();
    for part in ["-socket", "-sandbox", "-proxy", "-holder"] {
        assert!(pruned.contains(part), "{part}: {pruned}");
    }
    assert_eq!(far.tunnels(), 0);
    far.cli(&["pull"]).ok();
    far.bench.is_clean();
}

/// The `ssh` that a process has started.
pub(crate) fn ssh_of(parent: i32) -> i32 {
    let processes = fs::read_dir("/proc").expect("processes").flatten();
    let mut found = processes.filter_map(|entry| {
        let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // pid (comm) state ppid: proc_pid_stat(5).
        let (head, rest) = stat.rsplit_once(") ")?;
        let its_parent: i32 = rest.split(' ').nth(1)?.parse().ok()?;
        (its_parent == parent && head.ends_with("(ssh")).then_some(pid)
    });
    found.next().expect("an ssh")
}

#[test]
fn a_lost_connection_is_made_again_and_what_was_held_is_still_held() {
    let Some(far) = Far::new() else { return };
    let up = far.cli(&[
        "up",
        "--ask",
        "--approval-timeout",
        "5m",
        "--image",
        &far.image.0,
    ]);
    up.ok();
    let ask = "wget -q -O - http://unlisted.example/ >answer 2>&1 & echo asked";
    assert_eq!(far.cli(&["exec", "--", "sh", "-c", ask]).ok(), "asked\n");
    let pending =
        || -> Value { serde_json::from_str(&far.cli(&["pending", "--json"]).ok()).expect("JSON") };
    let held = loop {
        let held = pending();
        if held["pending"][0]["id"].is_string() {
            break held["pending"][0]["id"].clone();
        }
    };
    let said: Value = serde_json::from_str(&far.cli(&["sessions", "--json"]).ok()).expect("JSON");
    let (id, launcher) = (
        said["sessions"][0]["id"]
            .as_str()
            .expect("an id")
            .to_owned(),
        said["sessions"][0]["pid"].as_i64().expect("a pid"),
    );
    let ssh = ssh_of(i32::try_from(launcher).expect("a pid"));
    kill(Pid::from_raw(ssh), Signal::SIGKILL).expect("a signal");

    assert_eq!(
        pending()["pending"][0]["id"],
        held,
        "over the new connection"
    );
    assert_ne!(ssh_of(i32::try_from(launcher).expect("a pid")), ssh);
    far.cli(&["deny", held.as_str().expect("an id")]).ok();
    let waiting = "until [ -s answer ]; do sleep 0.1; done; cat answer";
    let answer = far.cli(&["exec", "--", "sh", "-c", waiting]).ok();
    assert!(answer.contains("403"), "{answer}");
    far.cli(&["down"]).ok();
    // Also what was said while nobody listened.
    let audit = far
        .bench
        .home
        .state()
        .join(format!("vibepit/audit/{id}.jsonl"));
    let audit = fs::read_to_string(audit).expect("the audit file");
    for event in ["domain_request", "domain_deny", "session_end"] {
        assert!(audit.contains(event), "{event}: {audit}");
    }
    far.cli(&["pull"]);
    far.bench.is_clean();
}
