//! The control port of a real proxy: who is let in, and how the client gets there when the socket
//! is not to be had.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::json;

use crate::control_curl::Way;
use crate::sessions_launched::Launched;
use crate::support::{Home, Launch, Proxy, Ran, Wire, require};

/// A curl that asks for /allow, with key material of its own choice.
fn tries(home: &Home, addr: SocketAddr, more: &[&str]) -> Ran {
    let mut curl = home.command("curl");
    curl.args([
        "--silent",
        "--noproxy",
        "*",
        "--max-time",
        "60",
        "--insecure",
    ]);
    curl.args(["--data-raw", r#"{"entries":["a.test"]}"#])
        .args(more);
    curl.arg(format!("https://{addr}/allow"));
    Ran::of(&mut curl)
}

/// Key material as curl takes it, in files of the environment.
fn material(home: &Home, name: &str, cert: &str, key: &str) -> [String; 4] {
    let write = |part: &str, text: &str| {
        let path = home.home().join(format!("{name}-{part}.pem"));
        fs::write(&path, text).expect("a file");
        path.to_str().expect("UTF-8").to_owned()
    };
    [
        "--cert".into(),
        write("cert", cert),
        "--key".into(),
        write("key", key),
    ]
}

#[test]
fn only_the_sessions_own_certificate_over_tls_1_3_is_served() {
    if !require("curl") {
        return;
    }
    let home = Home::new();
    let (session, other) = (
        Launched::start(&home, "one", None),
        Launched::start(&home, "two", None),
    );
    let addr = session.record.control.tcp.expect("a port");
    let keys = &session.keys;
    let own = material(&home, "own", &keys.client.cert, &keys.client.key);
    let others = material(
        &home,
        "other",
        &other.keys.client.cert,
        &other.keys.client.key,
    );
    // The server's own certificate is of the same CA, but not a client's.
    let server = material(&home, "server", &keys.server.cert, &keys.server.key);
    let refused = |more: &[&str]| {
        let ran = tries(&home, addr, more);
        assert_ne!(ran.code, Some(0), "{more:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{more:?}");
    };
    refused(&[]);
    refused(&others.each_ref().map(String::as_str));
    refused(&server.each_ref().map(String::as_str));
    let own = own.each_ref().map(String::as_str);
    refused(&[&own[..], &["--tls-max", "1.2"]].concat());
    let rules = || home.cli(&["--session", "one", "--json", "rules"]).ok();
    assert_eq!(rules(), "{\"rules\":[]}\n");
    let served = tries(&home, addr, &own).ok();
    assert!(served.contains("\"added\":[\"a.test\"]"), "{served}");
    assert!(rules().contains("a.test"));
}

#[test]
fn openssl_gets_no_tls_1_2_handshake() {
    if !require("openssl") {
        return;
    }
    let proxy = Proxy::start("");
    let handshake = |version: &str| {
        let mut openssl = proxy.home.command("openssl");
        openssl.current_dir(proxy.session_dir());
        openssl.args(["s_client", "-brief", version, "-CAfile", "ca.pem"]);
        openssl.args(["-cert", "client-cert.pem", "-key", "client-key.pem"]);
        openssl.arg("-connect").arg(proxy.tcp().to_string());
        Ran::of(&mut openssl)
    };
    let old = handshake("-tls1_2");
    assert_ne!(old.code, Some(0), "{old:?}");
    let new = handshake("-tls1_3");
    assert!(new.stderr.contains("TLSv1.3"), "{new:?}");
}

#[test]
fn plain_text_gets_no_answer() {
    let proxy = Proxy::start("");
    let mut wire = Wire::to(proxy.tcp());
    wire.send("GET /rules HTTP/1.1\r\nHost: vibepit\r\n\r\n");
    let said = wire.to_end();
    // An alert of TLS, at most.
    assert!(!said.starts_with(b"HTTP"), "{}", said.escape_ascii());
}

#[test]
fn the_clients_material_is_closed_to_others() {
    let proxy = Proxy::start("");
    let directory = proxy.session_dir();
    let mode =
        |path: &std::path::Path| fs::symlink_metadata(path).expect("it is there").mode() & 0o7777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join("socket")), 0o700);
    for file in [
        "ca.pem",
        "client-cert.pem",
        "client-key.pem",
        "session.json",
        "socket/control.sock",
    ] {
        assert_eq!(mode(&directory.join(file)), 0o600, "{file}");
    }
}

#[test]
fn a_key_that_others_can_read_is_not_used_and_the_error_says_what_to_do() {
    let proxy = Proxy::start("");
    let key = proxy.session_dir().join("client-key.pem");
    for mode in [0o640, 0o604, 0o660] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("its mode");
        let ran = proxy.cli(&["rules", "--tcp"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains(key.to_str().expect("UTF-8")), "{ran:?}");
        assert!(ran.stderr.contains(&format!("{mode:04o}")), "{ran:?}");
        assert!(ran.stderr.contains("chmod 600"), "{ran:?}");
        // Over the socket nobody needs it.
        proxy.cli(&["rules"]).ok();
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("its mode");
    proxy.cli(&["rules", "--tcp"]).ok();
}

/// Forwards connections to an address, as an SSH tunnel would, and counts them.
fn tunnel(to: SocketAddr) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for here in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::SeqCst);
            let there = TcpStream::connect(to).expect("the port");
            for (mut from, mut into) in [
                (
                    here.try_clone().expect("a handle"),
                    there.try_clone().expect("a handle"),
                ),
                (there, here),
            ] {
                thread::spawn(move || {
                    let _ = std::io::copy(&mut from, &mut into);
                    let _ = into.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (address, count)
}

#[test]
fn every_command_goes_over_mtls_when_asked_to() {
    let proxy = Proxy::start("");
    let same = |arguments: &[&str]| {
        let over_socket = proxy.cli(arguments).ok();
        let over_port = proxy.cli(&[arguments, &["--tcp"]].concat()).ok();
        assert_eq!(over_socket, over_port, "{arguments:?}");
    };
    proxy.cli(&["allow", "crates.test:443", "--tcp"]).ok();
    same(&["rules"]);
    same(&["rules", "--json"]);
    same(&["explain", "crates.test:443"]);
    same(&["logs"]);
    same(&["connections"]);
    let changes = proxy.read("/rules")["rules"]
        .as_array()
        .expect("rules")
        .len();
    assert_eq!(changes, 1);
    proxy.cli(&["--tcp", "deny", "crates.test:443"]).ok();
    proxy.cli(&["revoke", "crates.test:443", "--tcp"]).ok();
    assert_eq!(proxy.read("/rules"), json!({"rules": []}));
    let actors: Vec<_> = proxy
        .audit()
        .into_iter()
        .filter(|line| line["pattern"] == "crates.test:443")
        .map(|line| line["actor"].clone())
        .collect();
    assert!(
        actors.iter().all(|actor| *actor == Way::Port.actor()),
        "{actors:?}"
    );
}

#[test]
fn another_end_of_the_port_can_be_named() {
    let proxy = Proxy::start("");
    let (address, count) = tunnel(proxy.tcp());
    let ran = proxy.cli(&["allow", "a.test", "--addr", &address.to_string()]);
    assert_eq!(ran.ok(), "allowed a.test until the session ends\n");
    assert!(count.load(Ordering::SeqCst) > 0, "it went another way");
    let by_name = format!("localhost:{}", address.port());
    proxy.cli(&["rules", "--addr", &by_name]).ok();
    for wrong in ["", "here", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:99999"] {
        let ran = proxy.cli(&["rules", "--addr", wrong]);
        assert_eq!(ran.code, Some(2), "{wrong}: {ran:?}");
    }
}

#[test]
fn a_port_of_another_session_is_not_spoken_to() {
    let home = Home::new();
    let (one, two) = (
        Launched::start(&home, "one", None),
        Launched::start(&home, "two", None),
    );
    let port_of_two = two.record.control.tcp.expect("a port").to_string();
    let ran = home.cli(&[
        "--session",
        &one.id(),
        "allow",
        "a.test",
        "--addr",
        &port_of_two,
    ]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("certificate"), "{ran:?}");
    for session in [&one, &two] {
        let rules = home
            .cli(&["--session", &session.id(), "rules", "--json"])
            .ok();
        assert_eq!(rules, "{\"rules\":[]}\n");
    }
}

#[test]
fn the_port_serves_when_there_is_no_socket_to_reach() {
    let proxy = Proxy::start("");
    let said = proxy.cli(&["rules", "-v"]);
    assert!(said.stderr.contains("over Unix"), "{said:?}");
    // Missing.
    fs::remove_file(proxy.socket()).expect("it is removed");
    let said = proxy.cli(&["rules", "-v"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("over Tls"), "{said:?}");
    // Refused: a socket that nobody listens on.
    drop(UnixListener::bind(proxy.socket()).expect("a socket"));
    let said = proxy.cli(&["allow", "a.test", "-v"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.stderr.contains("over Tls"), "{said:?}");
}

#[test]
fn a_socket_that_answered_is_the_last_word() {
    let proxy = Proxy::start("");
    fs::remove_file(proxy.socket()).expect("it is removed");
    // Somebody who hangs up on us, as the proxy does on a peer that is not its owner.
    let listener = UnixListener::bind(proxy.socket()).expect("a socket");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // A look whether somebody listens says nothing; a call does.
            if stream.read(&mut [0]).is_ok_and(|read| read > 0) {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream.flush();
        }
    });
    let ran = proxy.cli(&["allow", "a.test"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{ran:?}");
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    let over_port = proxy.cli(&["rules", "--tcp", "--json"]).ok();
    assert_eq!(over_port, "{\"rules\":[]}\n");
}

#[test]
fn a_port_that_cannot_be_had_is_named_and_nothing_starts() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let launch = Launch::new("").argument("--tcp").argument(&address);
    let (status, said) = launch.try_start().err().expect("it does not start");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains(&address), "{said}");
}
