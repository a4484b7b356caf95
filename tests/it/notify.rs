//! `notify_command`: the person's own program, told of each request that waits.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::{Value, json};

use crate::support::{Home, Launch, Proxy};

/// A program that says on a pipe what it was told: some variables, and its input.
struct Told {
    home: Home,
    program: PathBuf,
    lines: BufReader<std::fs::File>,
}

impl Told {
    fn new() -> Self {
        let home = Home::new();
        let (pipe, program) = (home.home().join("pipe"), home.home().join("told"));
        mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
        let script = format!(
            "#!/bin/sh\nread -r input\n\
             printf '%s %s %s %s %s\\n' \"$1\" \"$VIBEPIT_SESSION\" \"$VIBEPIT_DOMAIN\" \
             \"$VIBEPIT_PORT\" \"$input\" >'{}'\n",
            pipe.display()
        );
        std::fs::write(&program, script).expect("a program");
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("its mode");
        // Open for both, so that it never ends.
        let lines = OpenOptions::new().read(true).write(true).open(&pipe);
        Self {
            home,
            program,
            lines: BufReader::new(lines.expect("the pipe")),
        }
    }

    fn config(&self) -> String {
        format!(
            "unlisted_domain_behavior = \"request_approval\"\n\
             notify_command = [{:?}, \"an argument; true\"]\n",
            self.program.display()
        )
    }

    fn next(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).expect("a line");
        line
    }
}

fn ask(proxy: &Proxy, target: &str) -> crate::support::Wire {
    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    client
}

#[test]
fn it_is_run_once_for_each_request_and_told_what_is_asked_for() {
    let mut told = Told::new();
    let proxy = Launch::new(told.config()).home(&told.home).start();
    let session = proxy.read("/session")["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let mut clients = Vec::new();
    for (target, domain, port) in [
        ("one.test:443", "one.test", 443),
        ("two.test:22", "two.test", 22),
    ] {
        clients.push(ask(&proxy, target));
        let line = told.next();
        let parts = line
            .strip_prefix(&format!("an argument; true {session} {domain} {port} "))
            .unwrap_or_else(|| panic!("{line}"));
        let input: Value = serde_json::from_str(parts).expect("JSON");
        let listed = proxy.read("/pending-domains");
        let listed = listed["pending"].as_array().expect("a list");
        let request = listed
            .iter()
            .find(|request| request["domain"] == domain)
            .expect("it waits");
        assert_eq!(
            (&input["session"], &input["id"], &input["port"]),
            (&json!(session), &request["id"], &json!(port))
        );
        // The same once more is not another request.
        clients.push(ask(&proxy, target));
    }
    let mut third = ask(&proxy, "three.test:443");
    assert!(told.next().contains(" three.test 443 "));
    let id = proxy.read("/pending-domains")["pending"][2]["id"].clone();
    proxy.does(
        &format!("/deny-domain/{}", id.as_str().expect("an id")),
        &json!({}),
    );
    assert_eq!(third.answer().status(), 403);
}

#[test]
fn a_program_that_is_told_is_nobody_who_watches() {
    let mut told = Told::new();
    let config = format!(
        "{}approval_timeout = \"24h\"\nunattended_timeout = \"1s\"\n",
        told.config()
    );
    let proxy = Launch::new(config).home(&told.home).start();
    let mut client = ask(&proxy, "one.test:443");
    told.next();
    let answer = client.answer();
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("timed_out"), "{}", answer.text());
}

#[test]
fn one_that_cannot_be_run_is_named_once_and_stops_nothing() {
    let config = "unlisted_domain_behavior = \"request_approval\"\n\
                  notify_command = [\"/nowhere/at-all\"]\n";
    let proxy = Launch::new(config).start();
    let _first = ask(&proxy, "one.test:443");
    let warning = proxy.says(|line| line.contains("notify_command"));
    assert!(
        warning.contains("\"/nowhere/at-all\" cannot be run"),
        "{warning}"
    );
    let mut events = proxy.events(None);
    let _second = ask(&proxy, "two.test:443");
    assert_eq!(events.until("domain-request-added")["domain"], "two.test");
}
