//! Rows about how much there may be of something, and whose it is.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;

use hickory_proto::rr::RecordType;

use crate::support::dns::{Tcp, question};
use crate::support::{Launch, Origin, Proxy, Resolver, Wire, require};

/// As many entries as the log keeps (`proxy::ledger`).
const LOG: usize = 10_000;
/// As many destinations as are counted.
const DESTINATIONS: usize = 1024;

#[test]
pub(super) fn a_flood_of_names_leaves_bounded_books() {
    // Fewer names than in the table, and more than anything that is kept. The name server takes
    // so many of them in a second; the rest comes through another door.
    const QUESTIONS: usize = DESTINATIONS + 500;
    const NAMES: usize = QUESTIONS + LOG;
    let proxy = Proxy::start("");
    let name = |number: usize| format!("x{number}.attacker.example");
    let mut client = Tcp::to(proxy.dns());
    for number in 0..QUESTIONS {
        let asked = question(&name(number), RecordType::A);
        client.send(&asked.to_vec().expect("a question"));
        client.receive().expect("an answer");
    }
    let mut client = proxy.client();
    for number in QUESTIONS..NAMES {
        let host = name(number);
        client.send(format!(
            "GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ));
        assert_eq!(client.answer().status(), 403);
    }
    let stats = proxy.read("/stats");
    let destinations = stats["destinations"].as_array().expect("destinations");
    assert!(destinations.len() <= DESTINATIONS, "{}", destinations.len());
    let newest = format!("{}:80", name(NAMES - 1));
    assert_eq!(destinations[0]["target"], newest);
    let mut kept = HashSet::new();
    let mut after = 0;
    loop {
        let entries = proxy.logs(after);
        let Some(last) = entries.last() else { break };
        after = last["id"].as_u64().expect("a number");
        kept.extend(entries.iter().map(|entry| entry["domain"].to_string()));
    }
    assert_eq!(kept.len(), LOG);
    assert_eq!(proxy.read("/session")["counts"]["refused"], NAMES);
}

#[test]
pub(super) fn a_proxy_without_descriptors_still_answers_its_owner() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let origin = Origin::silent();
    let config = format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    );
    let few = "ulimit -n 256 && exec \"$@\"";
    let proxy = Launch::new(config)
        .through(&["sh", "-c", few, "sh"])
        .start();
    let target = format!("a.test:{}", origin.port());
    // More than there can be: those that get no descriptor wait to be accepted.
    let waiting: Vec<Wire> = (0..300)
        .map(|_| {
            let mut wire = proxy.client();
            wire.send(format!(
                "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
            ));
            wire
        })
        .collect();
    // When one tunnel that is open ends, another one gets its place: until then the rest waits.
    let mut open = waiting;
    let head = open[0].head();
    assert_eq!(head.status(), 200, "{head:?}");
    let session = proxy.read("/session");
    let connections = session["counts"]["connections"].as_u64().expect("a number");
    assert!((1..=128).contains(&connections), "{session}");
    proxy.does("/deny", &serde_json::json!({"entries": ["b.test:443"]}));
    proxy.cli(&["rules"]).ok();
    // Every one of them is served in the end.
    let rest = open.split_off(1);
    drop(open);
    thread::scope(|scope| {
        for mut wire in rest {
            scope.spawn(move || {
                let head = wire.head();
                assert_eq!(head.status(), 200, "{head:?}");
            });
        }
    });
}

#[test]
pub(super) fn a_session_is_never_a_path_out_of_the_runtime_directory() {
    let proxy = Proxy::start("");
    for asked in ["../../etc", "..", ".", "/", "", "../vibepit"] {
        let ran = proxy.cli(&["rules", "--session", asked]);
        assert_eq!(ran.code, Some(3), "{asked:?}: {ran:?}");
    }
    proxy.cli(&["rules", "--session", proxy.id()]).ok();
}

#[test]
pub(super) fn no_session_of_the_control_port_can_be_taken_up_again() {
    if !require("openssl") {
        return;
    }
    // Without a ticket there is nothing to resume, and so no early data to replay.
    let proxy = Proxy::start("");
    let directory = proxy.session_dir();
    let saved = proxy.home.home().join("session.pem");
    let mut client = proxy.home.command("openssl");
    client
        .args([
            "s_client",
            "-quiet",
            "-no_ign_eof",
            "-connect",
            &proxy.tcp().to_string(),
        ])
        .arg("-CAfile")
        .arg(directory.join("ca.pem"))
        .arg("-cert")
        .arg(directory.join("client-cert.pem"))
        .arg("-key")
        .arg(directory.join("client-key.pem"))
        .arg("-sess_out")
        .arg(&saved)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut client = client.spawn().expect("openssl starts");
    let request = b"GET /healthz HTTP/1.1\r\nHost: vibepit\r\nConnection: close\r\n\r\n";
    let mut input = client.stdin.take().expect("its input");
    input.write_all(request).expect("the request is taken");
    let mut answer = String::new();
    let mut output = client.stdout.take().expect("its output");
    output.read_to_string(&mut answer).expect("an answer");
    drop(input);
    client.wait().expect("its end");
    assert!(answer.contains("200 OK"), "{answer}");
    assert!(!saved.exists(), "a ticket was given");
}
