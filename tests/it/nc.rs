//! `vibepit nc`: a connection through a SOCKS5 door, on standard input and output.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::{Launch, Origin, Proxy, Ran, Resolver, Running, Wire, closed_port};

/// A proxy with a SOCKS5 door, and where that is.
struct Door {
    proxy: Proxy,
    address: String,
}

impl Door {
    fn open(config: &str) -> Self {
        let resolver = Resolver::at_loopback(&["a.test", "b.test"]);
        let address = format!("127.0.0.1:{}", closed_port());
        let config = format!(
            "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{config}{}",
            resolver.config()
        );
        let proxy = Launch::new(config).argument("--socks5").argument(&address);
        Self {
            proxy: proxy.start(),
            address,
        }
    }

    /// The command, as a sandbox of this proxy's would run it.
    fn nc(&self, host: &str, port: u16) -> Command {
        let mut command = self.proxy.home.vibepit();
        command
            .args(["nc", host, &port.to_string()])
            .env("VIBEPIT_SOCKS5", &self.address)
            .env("http_proxy", format!("http://{}", self.proxy.http()));
        command
    }

    fn joined(&self, origin: &Origin) -> Child {
        self.nc("a.test", origin.port())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts")
    }
}

#[test]
fn what_goes_in_comes_out_there_and_back() {
    let (door, origin) = (Door::open(""), Origin::echo());
    let mut nc = door.joined(&origin);
    let (mut input, mut output) = (nc.stdin.take().unwrap(), nc.stdout.take().unwrap());
    // Each part is sent on before the next one is there.
    for part in [&b"one"[..], &[0, 255, 13, 10], b"two"] {
        input.write_all(part).expect("it is taken");
        let mut back = vec![0; part.len()];
        output.read_exact(&mut back).expect("it comes back");
        assert_eq!(back, part);
    }
    drop(input);
    let mut rest = Vec::new();
    output.read_to_end(&mut rest).expect("the end");
    assert!(rest.is_empty());
    assert!(nc.wait().expect("its end").success());
}

#[test]
fn the_end_of_one_way_leaves_the_other_one_open() {
    let door = Door::open("");
    let origin = Origin::serving(|mut wire: Wire| {
        let heard = wire.to_end();
        wire.send([&b"heard: "[..], &heard].concat());
    });
    let mut nc = door.joined(&origin);
    let mut input = nc.stdin.take().unwrap();
    input.write_all(b"hello").expect("it is taken");
    drop(input);
    let ran = Ran::from(nc.wait_with_output().expect("its end"));
    assert_eq!(ran.ok(), "heard: hello");

    let origin = Origin::serving(|mut wire: Wire| {
        wire.send("bye");
        wire.end_writing();
        assert_eq!(wire.to_end(), b"and more");
    });
    let mut nc = door.joined(&origin);
    let (mut input, mut output) = (nc.stdin.take().unwrap(), nc.stdout.take().unwrap());
    let mut said = String::new();
    // Its reader hears of the end while it runs on.
    output.read_to_string(&mut said).expect("the end");
    assert_eq!(said, "bye");
    input.write_all(b"and more").expect("it is still taken");
    drop(input);
    assert!(nc.wait().expect("its end").success());
}

#[test]
fn a_refusal_is_one_sentence_with_the_command_that_would_allow_it() {
    let door = Door::open("");
    let ran = Ran::of(&mut door.nc("b.test", 22));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    let lines: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    assert!(
        lines[0].starts_with("error: b.test:22 is not allowed: "),
        "{ran:?}"
    );
    assert!(lines[1].ends_with("vibepit allow b.test:22"), "{ran:?}");

    door.proxy.cli(&["deny", "b.test:*"]).ok();
    let ran = Ran::of(&mut door.nc("b.test", 22));
    assert_eq!(ran.code, Some(1));
    assert!(
        !ran.stderr.contains("vibepit allow"),
        "a deny outranks it: {ran:?}"
    );
    // Without the page there is less to say.
    let mut nc = door.nc("b.test", 22);
    let ran = Ran::of(nc.env_remove("http_proxy"));
    assert!(ran.stderr.contains("b.test:22 is not allowed\n"), "{ran:?}");
}

#[test]
fn what_waits_is_told_and_goes_on_once_it_is_approved() {
    let door = Door::open("unlisted_domain_behavior = \"request_approval\"\n");
    let origin = Origin::echo();
    let mut events = door.proxy.events(None);
    let mut nc = Running::spawn(&mut door.nc("b.test", origin.port()));
    let request = events.until("domain-request-added");
    let told = nc.warns(|line| line.contains("waits for the person outside"));
    let command = format!("vibepit approve b.test:{}", origin.port());
    assert!(told.ends_with(&command), "{told}");
    let id = request["id"].as_str().expect("an id");
    door.proxy
        .does(&format!("/approve-domain/{id}"), &json!({}));
    nc.tell("hello");
    assert_eq!(nc.line(), "hello");
    assert_eq!(nc.end().0, Some(0));
}

#[test]
fn what_cannot_be_connected_to_is_told_apart_from_what_is_not_allowed() {
    let door = Door::open("");
    let ran = Ran::of(&mut door.nc("a.test", closed_port()));
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("nothing listens there"), "{ran:?}");
    let home = &door.proxy.home;
    let nowhere = format!("127.0.0.1:{}", closed_port());
    let ran = home.cli(&["nc", "--socks5", &nowhere, "a.test", "22"]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains(&nowhere) && ran.stderr.contains("--socks5"),
        "{ran:?}"
    );
    for (host, port) in [
        ("a b", "22"),
        ("a;b", "22"),
        ("a.test", "0"),
        ("a.test", "x"),
    ] {
        let ran = home.cli(&["nc", "--socks5", &door.address, host, port]);
        assert_eq!(ran.code, Some(2), "{ran:?}");
    }
}
