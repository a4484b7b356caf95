//! A running session: what is allowed while it runs, what shows it, which of the host's services
//! it reaches.

use std::io::Read;
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use crate::docker::{NO_NAMES, bridge, origin, reachable};
use crate::support::{Bench, Origin, require};

#[test]
fn what_is_allowed_while_the_session_runs_is_reached_from_then_on() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&config);
    let origin = origin();
    let target = format!("origin.test:{}", origin.port());
    let mut shell = bench.shell(&[]);
    let fetch = format!("curl -sS -m 50 -w '%{{http_code}}' http://{target}/x; echo; true");
    let head = format!("curl -sSi -m 50 http://{target}/ | head -n 1");

    let refused = shell.ask(&head);
    assert!(
        refused.starts_with("HTTP/1.1 403 ") && refused.contains(&target),
        "{refused}"
    );
    assert_eq!(origin.requests().len(), 0);
    bench.cli(&["allow", &target]).ok();
    let allowed = shell.ask(&fetch);
    assert_eq!(allowed.trim(), "GET /x HTTP/1.1200");
    let tunnel = shell.ask(&format!("curl -sS -p -m 50 http://{target}/tunnel"));
    assert_eq!(tunnel.trim(), "GET /tunnel HTTP/1.1");

    // The same by the other two ways to the control plane.
    bench.cli(&["revoke", &target]).ok();
    assert!(shell.ask(&fetch).ends_with("403\n"));
    bench.cli(&["allow", "--tcp", &target]).ok();
    assert!(shell.ask(&fetch).ends_with("200\n"));
    bench.cli(&["revoke", "--tcp", &target]).ok();
    let socket = bench.sessions()[0]["control"]["socket"]
        .as_str()
        .expect("a socket")
        .to_owned();
    let said = Command::new("curl")
        .args(["-sS", "--unix-socket", &socket, "http://vibepit/allow"])
        .args(["-H", "Content-Type: application/json", "-d"])
        .arg(serde_json::json!({ "entries": [target] }).to_string())
        .output()
        .expect("curl runs");
    assert!(said.status.success(), "{said:?}");
    assert!(
        shell.ask(&fetch).ends_with("200\n"),
        "{}",
        String::from_utf8_lossy(&said.stdout)
    );
    assert_eq!(shell.end().0, Some(0));
    bench.is_clean();
}

#[test]
fn a_running_session_is_shown_by_every_command() {
    if !require("docker") || !require("curl") {
        return;
    }
    let (_resolver, config) = reachable("origin.test");
    let bench = Bench::new(&config);
    let silent = TcpListener::bind((bridge(), 0)).expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let target = format!("origin.test:{port}");
    let mut shell = bench.shell(&["--allow", &target, "--name", "shown"]);
    let id = bench.session();

    let read = |arguments: &[&str]| -> Value {
        serde_json::from_str(&bench.cli(arguments).ok()).expect("JSON")
    };
    let sessions = bench.cli(&["sessions"]).ok();
    for part in [id.as_str(), "shown", "docker"] {
        assert!(sessions.contains(part), "{sessions}");
    }
    let status = bench.cli(&["status"]).ok();
    assert!(status.contains(&id) && status.contains("shown"), "{status}");
    let rules = bench.cli(&["rules"]).ok();
    assert!(rules.contains(&target), "{rules}");

    shell.ask("curl -sS http://unlisted.example/");
    let logs = bench.cli(&["logs"]).ok();
    assert!(
        logs.contains("unlisted.example:80") && logs.contains("unlisted"),
        "{logs}"
    );

    shell.ask(&format!(
        "curl -sS -m 60 http://{target}/ >/dev/null 2>&1 & echo begun"
    ));
    let (mut held, _) = silent.accept().expect("the connection of the proxy");
    // The request comes once the connection is in the books.
    held.read_exact(&mut [0]).expect("the request");
    let open = read(&["connections", "--json"]);
    assert_eq!(open["connections"][0]["target"], target.as_str(), "{open}");
    drop(held);
    assert_eq!(shell.end().0, Some(0));
    assert!(bench.sessions().is_empty());
    bench.is_clean();
}

#[test]
fn a_service_of_the_host_is_reached_on_the_ports_that_are_named_and_on_no_other() {
    if !require("docker") || !require("curl") {
        return;
    }
    // On the loopback alone: only by way of the launcher can it be reached.
    let (named, other) = (Origin::plain(), Origin::plain());
    let config = format!("{NO_NAMES}allow_host_ports = [{}]\n", named.port());
    let bench = Bench::new(&config);
    let mut shell = bench.shell(&[]);
    let mut fetch = |port: u16| {
        shell.ask(&format!(
            "curl -sS -m 50 -w '%{{http_code}}' http://host.vibepit:{port}/; echo"
        ))
    };
    let reached = fetch(named.port());
    assert!(reached.ends_with("200\n"), "{reached}");
    let refused = fetch(other.port());
    assert!(refused.ends_with("403\n"), "{refused}");
    assert_eq!(named.connections(), 1);
    assert_eq!(other.connections(), 0);
    assert_eq!(shell.end().0, Some(0));
}
