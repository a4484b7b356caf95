//! git and ssh in a sandbox: real ones, to a real sshd, with nothing but what vibepit has set up; and
//! who the person is to git there.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::docker::NO_NAMES;
use crate::docker_images::Busybox;
use crate::support::local::Local;
use crate::support::{Bench, Home, Origin, Ran, Resolver, Sshd, require};

/// What is in the repository.
const THING: &str = "the thing itself";

/// A server with a repository, and what a person needs to log in there.
struct Server {
    sshd: Sshd,
    /// What it is called in the sandbox.
    name: &'static str,
    config: String,
}

impl Server {
    /// As a service of this machine.
    fn start() -> Self {
        let sshd = Sshd::start();
        let config = format!("{NO_NAMES}allow_host_ports = [{}]\n", sshd.port());
        Self {
            sshd,
            name: "host.vibepit",
            config,
        }
    }

    /// With a name of its own, which a person is asked about.
    fn asked_about(name: &'static str, resolver: &Resolver) -> Self {
        let asking = "unlisted_domain_behavior = \"request_approval\"\n";
        let config = format!(
            "{}allow_cidr = [\"127.0.0.0/8\"]\n{asking}",
            resolver.config()
        );
        Self {
            sshd: Sshd::start(),
            name,
            config,
        }
    }

    /// Puts the key and a repository into a project, and a person's git configuration into a home:
    /// the volume that makes the server known.
    fn equip(&self, home: &Home, project: &Path) -> String {
        let key = project.join("key");
        fs::copy(self.sshd.key(), &key).expect("the key");
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
        let script = "git init --quiet --bare origin.git && cd origin.git \
             && tree=$(printf '100644 blob %s\\tthing\\n' \
                \"$(printf %s \"$1\" | git hash-object -w --stdin)\" | git mktree) \
             && git update-ref HEAD \"$(git commit-tree -m thing \"$tree\")\"";
        let mut made = home.command("sh");
        made.args(["-c", script, "sh", THING]).current_dir(project);
        for role in ["AUTHOR", "COMMITTER"] {
            made.env(format!("GIT_{role}_NAME"), "a test");
            made.env(format!("GIT_{role}_EMAIL"), "a@thing.test");
        }
        Ran::of(&mut made).ok();
        let known = home.home().join("known");
        fs::write(&known, self.sshd.known_as(self.name)).expect("known hosts");
        format!("{}:/etc/ssh/ssh_known_hosts:ro", known.display())
    }

    /// Clones, and runs a command there, with no setting of its own but the key.
    fn script(&self, project: &Path) -> String {
        let (name, port, user) = (self.name, self.sshd.port(), whoever_runs_the_tests());
        format!(
            "set -e; eval \"$(ssh-agent)\" >/dev/null; ssh-add -q key\n\
             git clone --quiet ssh://{user}@{name}:{port}{}/origin.git clone\n\
             cat clone/thing; echo\n\
             ssh -p {port} {user}@{name} echo over ssh\n\
             ssh-agent -k >/dev/null",
            project.display()
        )
    }
}

fn whoever_runs_the_tests() -> String {
    let ran = Command::new("id").arg("-un").output().expect("id runs");
    String::from_utf8(ran.stdout)
        .expect("UTF-8")
        .trim()
        .to_owned()
}

#[test]
fn git_and_ssh_go_through_the_proxy_of_a_sandbox_without_an_engine() {
    if !(require("ssh") && require("git") && require("user-namespaces")) {
        return;
    }
    let server = Server::start();
    let bench = Local::new(&server.config, None);
    let volume = server.equip(&bench.home, bench.project());
    let ran = bench.run(&["--volume", &volume], &server.script(bench.project()));
    assert_eq!(ran.stdout, format!("{THING}\nover ssh\n"), "{ran:?}");
    let refused = bench.run(&[], "ssh -p 2222 other.example; echo $?");
    assert_eq!(refused.stdout, "255\n", "{refused:?}");
    assert!(
        refused.stderr.contains("vibepit allow other.example:2222"),
        "{refused:?}"
    );
    bench.is_clean();
}

#[test]
fn git_over_ssh_is_held_and_clones_at_its_first_try_once_it_is_approved() {
    if !(require("ssh") && require("git") && require("user-namespaces")) {
        return;
    }
    let resolver = Resolver::at_loopback(&["git.test"]);
    let server = Server::asked_about("git.test", &resolver);
    let bench = Local::new(&server.config, None);
    let volume = server.equip(&bench.home, bench.project());
    let mut shell = bench.shell(&["--volume", &volume]);
    let mut events = bench.events();
    shell.tell(&format!("({})", server.script(bench.project())));
    let request = events.until("domain-request-added");
    assert_eq!(request["domain"], "git.test");
    assert_eq!(request["port"], server.sshd.port());
    assert_eq!(request["doors"], serde_json::json!(["socks5"]));
    let id = request["id"].as_str().expect("an id");
    bench.cli(&["approve", id]).ok();
    assert_eq!([shell.line(), shell.line()], [THING, "over ssh"]);
    assert_eq!(shell.end().0, Some(0));
    bench.is_clean();
}

#[test]
fn git_and_ssh_go_through_the_proxy_of_a_container() {
    if !(require("ssh") && require("git") && require("docker")) {
        return;
    }
    let server = Server::start();
    let bench = Bench::new(&server.config);
    let volume = server.equip(&bench.home, bench.project());
    let ran = bench.run(&["--volume", &volume], &server.script(bench.project()));
    assert_eq!(ran.stdout, format!("{THING}\nover ssh\n"), "{ran:?}");
}

#[test]
fn an_image_needs_no_tool_of_its_own_to_connect() {
    if !require("docker") {
        return;
    }
    let Some(image) = Busybox::import() else {
        return assert!(!require("busybox"), "busybox is not static");
    };
    let origin = Origin::serving(|mut wire| {
        let heard = wire.to_end();
        wire.send([&b"heard: "[..], &heard].concat());
    });
    let port = origin.port();
    let bench = Bench::new(&format!("{NO_NAMES}allow_host_ports = [{port}]\n"));
    let script = format!("echo hello | /run/vibepit/vibepit nc host.vibepit {port}");
    let ran = bench.run(&["--image", &image.0], &script);
    assert_eq!(ran.stdout, "heard: hello\n", "{ran:?}");
}

/// The person's configuration, with what must stay outside.
const PERSON: &str = "[user]\n\tname = \"A \\\"Quoted\\\" Person\"\n\temail = a@person.test\n\
    \tsigningkey = ABCD\n[credential]\n\thelper = store\n[alias]\n\tx = !reboot\n\
    [url \"https://token@git.test/\"]\n\tinsteadOf = https://git.test/\n";

const WHO: &str = "git init -q repo; cd repo; git commit -q --allow-empty -m one; \
    git log -1 --format='%an <%ae>'; git config --list --name-only | sort; \
    git config user.name Another; git commit -q --allow-empty -m two; git log -1 --format=%an; \
    cat ~/.gitconfig ~/.git-credentials 2>/dev/null; touch /run/vibepit/gitconfig 2>/dev/null || echo closed";

fn is_the_person(said: &str) {
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[0], "A \"Quoted\" Person <a@person.test>", "{said}");
    for kept in ["credential", "alias", "url.", "signingkey", "token"] {
        assert!(!said.contains(kept), "{kept}: {said}");
    }
    assert_eq!(lines[lines.len() - 2..], ["Another", "closed"], "{said}");
}

#[test]
fn git_works_in_the_persons_name_and_has_nothing_else_of_theirs() {
    if !(require("git") && require("user-namespaces")) {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    fs::write(bench.home.home().join(".gitconfig"), PERSON).expect("a configuration");
    // A project does not say who the person is.
    Ran::of(bench.command("git").args(["init", "-q"])).ok();
    let mine = ["config", "user.name", "The project"];
    Ran::of(bench.command("git").args(mine)).ok();
    let ran = bench.run(&[], WHO);
    is_the_person(&ran.ok());
}

#[test]
fn git_works_in_the_persons_name_in_a_container() {
    if !(require("git") && require("docker")) {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    fs::write(bench.home.home().join(".gitconfig"), PERSON).expect("a configuration");
    is_the_person(&bench.run(&[], WHO).ok());
}
