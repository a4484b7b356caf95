//! That the self-attack can fail: `vibepit attack --stdin` where there is no sandbox, and things answer.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddr, UnixListener};
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};

use crate::support::{Home, Ran, Running, binary, own_loopback, require};

/// What came of an attack: outcome and what was seen, by name.
struct Attacked(Vec<Value>);

impl Attacked {
    /// Runs `vibepit attack` behind these words, with these targets.
    fn by(home: &Home, before: &[&str], targets: &Value) -> Self {
        let mut command = match before {
            [] => home.vibepit(),
            [program, arguments @ ..] => {
                let mut command = home.command(program);
                command.args(arguments).arg(binary());
                command
            }
        };
        let mut child = command
            .args(["attack", "--stdin"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut input = child.stdin.take().expect("its input");
        write!(input, "{targets}").expect("it reads");
        drop(input);
        let output = child.wait_with_output().expect("its output");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        let lines = said.lines().map(serde_json::from_str);
        Self(lines.collect::<Result<_, _>>().expect("JSON lines"))
    }

    #[track_caller]
    fn finding(&self, name: &str) -> (&str, &str) {
        let found = self.0.iter().find(|finding| finding["name"] == name);
        let found = found.unwrap_or_else(|| panic!("{name}: {:?}", self.0));
        let text = |field: &str| found[field].as_str().expect("a text");
        (text("outcome"), text("seen"))
    }

    /// It is open, and says how.
    #[track_caller]
    fn is_open(&self, name: &str, how: &str) {
        let (outcome, seen) = self.finding(name);
        assert_eq!(outcome, "not_held", "{name}: {seen}");
        assert!(seen.contains(how), "{name}: {seen}");
    }
}

#[test]
fn what_answers_on_the_network_is_not_held() {
    if !require("root") || !require("unshare") || !require("ip") || !require("sh") {
        return;
    }
    let home = Home::new();
    // A link, an address on it, and nobody but this machine at the other end.
    let script = "ip link set lo up; ip link add here type veth peer name there; \
                  ip addr add 198.51.100.7/24 dev here; ip link set here up; \
                  ip link set there up; exec \"$0\" \"$@\"";
    let before = ["unshare", "--net", "--mount", "sh", "-c", script];
    let targets = json!({
        "network": [
            {"name": "answers", "what": "", "tcp": ["198.51.100.7:443"]},
            {"name": "silent", "what": "", "tcp": ["198.51.100.9:443"]},
            {"name": "datagrams", "what": "", "udp": ["198.51.100.7:123", "198.51.100.9:123"]},
            {"name": "nowhere", "what": "", "tcp": ["192.0.2.1:443"], "udp": ["192.0.2.1:53"]},
        ],
        "name_servers": ["198.51.100.7:53"],
    });
    let attacked = Attacked::by(&home, &before, &targets);
    attacked.is_open("answers", "198.51.100.7:443 answered");
    attacked.is_open("silent", "198.51.100.9:443");
    attacked.is_open("datagrams", "was sent");
    attacked.is_open("dns-elsewhere", "198.51.100.7:53");
    attacked.is_open("links", "here is up");
    attacked.is_open("routes", "by here");
    attacked.is_open("raw-sockets", "ICMP");
    attacked.is_open("packet-sockets", "raw");
    assert_eq!(attacked.finding("nowhere"), ("held", "ENETUNREACH"));
}

#[test]
fn what_is_not_behind_a_wall_of_the_kernel_is_not_held() {
    if !require("root") || !require("unshare") {
        return;
    }
    let home = Home::new();
    let place = home.home();
    let (secret, meta) = (place.join("secret"), place.join(".vibepit"));
    fs::write(&secret, "s").expect("a file");
    fs::create_dir(&meta).expect("a directory");
    fs::write(meta.join("config.toml"), "").expect("a file");
    let link = |name: &str| {
        let link = fs::read_link(format!("/proc/self/ns/{name}")).expect("a namespace");
        link.display().to_string()
    };
    // Somebody who is not this test's child is meant, and one who does not mind.
    let bystander = Running::spawn(Command::new("cat").env("BYSTANDER", "1"));
    let targets = json!({
        "secret": secret,
        "covered": meta,
        "system": [place, secret],
        "hidden": [{"name": "hidden", "what": "", "paths": [secret, "/nowhere"]}],
        "processes": [bystander.pid().as_raw()],
        "namespaces": {"pid": link("pid"), "net": link("net"), "uts": "uts:[1]"},
        "variables": ["PATH", "HOME"],
    });
    let attacked = Attacked::by(&home, &["unshare", "--mount"], &targets);
    let pid = bystander.pid();
    for (name, how) in [
        ("namespaces", "net is the host's; pid is the host's"),
        (
            "host-processes",
            &*format!("a signal could be sent to process {pid}"),
        ),
        ("environment", " has "),
        ("proc-roots", "secret was opened"),
        ("open-files", "secret was opened"),
        ("privileges", "CapEff"),
        ("mounts", "a file system was mounted"),
        ("new-namespaces", "a network namespace was made"),
        (
            "kernel-settings",
            "/proc/sys/kernel/core_pattern can be written",
        ),
        ("device-nodes", "memory"),
        ("devices", "is there"),
        ("system-files", "a file was made in"),
        ("project-settings", "what is in it can be read"),
        ("hidden", "secret is there"),
    ] {
        attacked.is_open(name, how);
    }
    assert!(!attacked.finding("namespaces").1.contains("uts"));
    // All of it was tried, and none of it left anything.
    let left = fs::read_dir(&place).expect("a directory").count();
    assert_eq!(left, 2, "the secret and the settings");
    assert_eq!(fs::read_dir(&meta).expect("a directory").count(), 1);
}

#[test]
fn a_proxy_that_does_not_refuse_is_not_held() {
    let home = Home::new();
    let proxy = |answer: &'static [u8]| -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        thread::spawn(move || {
            // Held, so that what gets no answer waits for one.
            let mut held = Vec::new();
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let _ = stream.read(&mut [0; 512]);
                let _ = stream.write_all(answer);
                held.push(stream);
            }
        });
        address
    };
    for (answer, outcome, seen) in [
        (&b"HTTP/1.1 403 no\r\n\r\n"[..], "held", "403"),
        (
            b"HTTP/1.1 200 yes\r\n\r\n",
            "not_held",
            "was answered with 200",
        ),
        // Whoever says that nobody is there has looked.
        (
            b"HTTP/1.1 502 sorry\r\n\r\n",
            "not_held",
            "was answered with 502",
        ),
        (b"", "not_held", "waits"),
    ] {
        let targets = json!({
            "proxy": proxy(answer),
            "through_proxy": [{"name": "through", "what": "", "authorities": ["127.0.0.1:3129"]}],
        });
        let attacked = Attacked::by(&home, &[], &targets);
        let (found, how) = attacked.finding("through");
        assert!(found == outcome && how.contains(seen), "{found}: {how}");
    }
}

#[test]
fn a_socket_that_takes_connections_is_not_held_by_path_nor_by_name() {
    let home = Home::new();
    let path = home.home().join("engine.sock");
    let _by_path = UnixListener::bind(&path).expect("a socket");
    let name = format!("vibepit-it-{}", std::process::id());
    let address = UnixAddr::from_abstract_name(&name).expect("a name");
    let _by_name = UnixListener::bind_addr(&address).expect("a socket");
    let targets = json!({
        "sockets": [path, "/nowhere/docker.sock"],
        "abstract_sockets": [name],
    });
    let attacked = Attacked::by(&home, &[], &targets);
    attacked.is_open("host-sockets", "engine.sock took a connection");
    attacked.is_open("abstract-sockets", &format!("@{name}"));

    let targets = json!({"sockets": ["/nowhere/docker.sock"]});
    let attacked = Attacked::by(&home, &[], &targets);
    assert_eq!(attacked.finding("host-sockets"), ("held", "ENOENT"));
}

/// The search connects to whatever it finds, so it finds none of this machine's sockets, nor those
/// of other tests: who takes a connection may have but one to give.
#[test]
fn a_socket_that_nobody_named_is_found_wherever_it_is() {
    if !require("root") || !require("unshare") || !require("sh") {
        return;
    }
    let home = Home::new();
    let path = home.home().join("engine.sock");
    let _listener = UnixListener::bind(&path).expect("a socket");
    let script = format!(
        "exec 3< \"$0\"; mount --bind {} /mnt && mount -t tmpfs none {} && \
         mount -t tmpfs none /run && exec /proc/self/fd/3 \"$@\"",
        home.home().display(),
        std::env::temp_dir().display()
    );
    let before = ["unshare", "--mount", "sh", "-c", &script];
    let attacked = Attacked::by(&home, &before, &json!({"search": 60_000}));
    attacked.is_open("sockets-anywhere", "/mnt/engine.sock took a connection");
}

/// UDS-002: its directory says that it is a file.
#[test]
fn a_socket_that_is_mounted_over_a_file_is_found_without_a_search() {
    if !require("root") || !require("unshare") || !require("sh") {
        return;
    }
    let home = Home::new();
    let (socket, innocent) = (home.home().join("engine.sock"), home.home().join("notes"));
    let _engine = UnixListener::bind(&socket).expect("a socket");
    fs::write(&innocent, "").expect("a file");
    let script = format!(
        "mount --bind {} {}; exec \"$0\" \"$@\"",
        socket.display(),
        innocent.display()
    );
    let before = ["unshare", "--mount", "sh", "-c", &script];
    let attacked = Attacked::by(&home, &before, &json!({}));
    attacked.is_open("sockets-anywhere", "notes took a connection");
}

#[test]
fn a_name_server_that_knows_more_than_it_should_is_not_held() {
    if !require("low-ports") {
        return;
    }
    let home = Home::new();
    let ip = own_loopback();
    let server = UdpSocket::bind((ip, 53)).expect("a port");
    thread::spawn(move || {
        let mut question = [0; 512];
        while let Ok((length, from)) = server.recv_from(&mut question) {
            // An answer, without an error, of one record.
            question[2] = 0x81;
            question[3] = 0x80;
            question[7] = 1;
            let _ = server.send_to(&question[..length], from);
        }
    });
    let targets = json!({
        "own_name_server": [ip, "unlisted.example"],
        "name_servers": [format!("{ip}:53")],
    });
    let attacked = Attacked::by(&home, &[], &targets);
    attacked.is_open("dns-unlisted", "it has an answer");
    attacked.is_open("dns-elsewhere", &format!("{ip}:53 answered a question"));
}

#[test]
fn targets_that_are_none_are_a_mistake_of_the_caller() {
    let home = Home::new();
    for text in ["", "7", "{\"unknown\": 1}"] {
        let path = home.home().join("targets.json");
        fs::write(&path, text).expect("a file");
        let ran = Ran::of(
            home.vibepit()
                .args(["attack", "--stdin"])
                .stdin(fs::File::open(&path).expect("a file")),
        );
        assert_eq!(ran.code, Some(2), "{text}: {ran:?}");
    }
}
