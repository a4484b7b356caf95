//! More than there is room for: what the sandbox may take is bounded, one client of it leaves
//! room for another, and the control plane answers meanwhile.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, Once, RwLock, mpsc};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::support::{Launch, Origin, PATIENCE, Proxy, Resolver, Says, Wire, bulk, ok};

/// What a test may open itself.
fn many_descriptors() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        assert!(hard > 12_000, "this test needs 12,000 descriptors");
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the whole of it");
    });
}

/// A proxy with few descriptors and every door.
fn with_few(descriptors: u32, config: String) -> Proxy {
    let few = format!("ulimit -n {descriptors} && exec \"$@\"");
    let mut launch = Launch::new(config).through(&["sh", "-c", &few, "sh"]);
    for door in ["--socks5", "--plain", "--tls"] {
        launch = launch.argument(door).argument("127.0.0.1:0");
    }
    launch.start()
}

fn door(proxy: &Proxy, name: &str) -> SocketAddr {
    let session = proxy.read("/session");
    let address = session["doors"][name].as_str().expect("a door");
    address.parse().expect("an address")
}

/// How many descriptors the proxy has open.
fn open_descriptors(proxy: &Proxy) -> usize {
    let listed = fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("/proc");
    listed.count()
}

/// Connections that have said so much, and no more.
fn begun(at: SocketAddr, count: usize, said: &[u8]) -> Vec<Wire> {
    let begin = |_| {
        let mut wire = Wire::over(TcpStream::connect(at).expect("a connection"));
        wire.send(said);
        wire
    };
    (0..count).map(begin).collect()
}

fn allowing_here(resolver: &Resolver) -> String {
    format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    )
}

#[test]
fn on_every_door_connections_that_say_nothing_make_room_for_one_that_does() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let origin = Origin::answering(|request| ok(&request.start));
    let proxy = with_few(256, allowing_here(&resolver));
    let url = format!("http://a.test:{}/", origin.port());
    let kept_alive = b"GET http://b.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n";
    let halves: [(&str, &[u8]); 7] = [
        ("http", b""),
        ("http", b"CONNECT a.test:443 HTTP/1.1\r\nHo"),
        ("http", kept_alive),
        ("socks5", b"\x05"),
        ("socks5", b"\x05\x01\x00\x05\x01\x00\x03\x40a"),
        ("tls", b"\x16\x03\x01\x01\x00\x01"),
        ("plain", b"GET / HTTP/1.1\r\nHost: a."),
    ];
    for (name, said) in halves {
        let _silent = begun(door(&proxy, name), 300, said);
        assert_eq!(proxy.fetch(&url).status(), 200, "{name}: {said:?}");
        let mut socks = Wire::to(door(&proxy, "socks5"));
        socks.send(b"\x05\x01\x00");
        assert_eq!(socks.exactly(2), b"\x05\x00", "{name}: {said:?}");
        assert_eq!(proxy.get("/healthz").status(), 200);
        let open = open_descriptors(&proxy);
        assert!(open < 256, "{open}");
    }
}

#[test]
fn what_waits_for_a_person_leaves_places_for_what_is_allowed() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let origin = Origin::answering(|request| ok(&request.start));
    let config = format!(
        "unlisted_domain_behavior = \"request_approval\"\napproval_timeout = \"1h\"\n\
         unattended_timeout = \"1h\"\n{}",
        allowing_here(&resolver)
    );
    let proxy = with_few(256, config);
    let mut clients = Vec::new();
    for number in 0..300 {
        let target = format!("h{number}.d{number}.test:443");
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        clients.extend(begun(proxy.http(), 1, head.as_bytes()));
    }
    let url = format!("http://a.test:{}/", origin.port());
    assert_eq!(proxy.fetch(&url).status(), 200);
    // Those for which there was no room are told so, and those that wait are decided about.
    assert_eq!(clients.pop().expect("the last").answer().status(), 503);
    let waiting = proxy.read("/session")["counts"]["waiting"].clone();
    assert!(
        (64..144).contains(&waiting.as_u64().expect("a number")),
        "{waiting}"
    );
    proxy.does("/allow", &json!({"entries": ["h0.d0.test:443"]}));
    assert_eq!(clients[0].head().status(), 502);
}

#[test]
fn questions_that_no_resolver_answers_leave_descriptors_for_the_control_plane() {
    let resolver = Resolver::otherwise(Says::Silence);
    let config = format!("allow = [\"*.slow.test:443\"]\n{}", resolver.config());
    let proxy = with_few(256, config);
    let mut clients = Vec::new();
    for number in 0..300 {
        let target = format!("x{number}.slow.test:443");
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        clients.extend(begun(proxy.http(), 1, head.as_bytes()));
        if number % 50 == 0 {
            assert_eq!(proxy.get("/healthz").status(), 200);
        }
    }
    // Until the first of them is given up, the resolver is asked again and again.
    assert_eq!(clients[0].answer().status(), 504);
    let open = open_descriptors(&proxy);
    assert!(open < 256, "{open}");
    proxy.cli(&["rules"]).ok();
}

#[test]
fn origins_that_take_their_time_keep_nobody_else_waiting_and_are_waited_for() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let ready = Arc::new(RwLock::new(()));
    let (asked, is_asked) = mpsc::channel();
    let slow = {
        let (ready, asked) = (Arc::clone(&ready), Mutex::new(asked));
        Origin::answering(move |request| {
            asked.lock().expect("a lock").send(()).expect("a listener");
            drop(ready.read());
            ok(&request.start)
        })
    };
    let quick = Origin::plain();
    let proxy = with_few(256, allowing_here(&resolver));
    let not_yet = ready.write().expect("a lock");
    let url = format!("http://a.test:{}/", slow.port());
    let head = format!("GET {url} HTTP/1.1\r\nHost: x\r\n\r\n");
    let mut waiting = begun(proxy.http(), 50, head.as_bytes());
    for _ in &waiting {
        is_asked.recv_timeout(PATIENCE).expect("a request");
    }
    let url = format!("http://a.test:{}/", quick.port());
    assert_eq!(proxy.fetch(&url).status(), 200);
    assert_eq!(proxy.get("/healthz").status(), 200);
    drop(not_yet);
    for client in &mut waiting {
        assert_eq!(client.answer().status(), 200);
    }
}

#[test]
fn a_flood_of_connections_is_bounded_and_leaves_room_for_another_client() {
    many_descriptors();
    let resolver = Resolver::at_loopback(&["a.test"]);
    let origin = Origin::answering(|request| ok(&request.start));
    let proxy = with_few(1024, allowing_here(&resolver));
    let before = proxy.resident();
    let flood = begun(proxy.http(), 3000, b"CONNECT a.test:443 HTTP/1.1\r\n");
    proxy.does("/allow", &json!({"entries": ["b.test:443"]}));
    let open = open_descriptors(&proxy);
    assert!(open < 1024 - 128, "{open}");
    let url = format!("http://a.test:{}/", origin.port());
    assert_eq!(proxy.fetch(&url).status(), 200);
    let each = (proxy.resident().saturating_sub(before)) * 1024 / flood.len();
    assert!(each < 16 * 1024, "{each} bytes for each");
    proxy.cli(&["connections"]).ok();
}

#[test]
fn clients_that_do_not_read_cost_no_memory_however_much_there_is_to_read() {
    const CLIENTS: usize = 40;
    const LENGTH: usize = 64 * 1024 * 1024;
    let resolver = Resolver::at_loopback(&["a.test"]);
    let (origin, stalled) = bulk::stalled_origin(LENGTH, |wire| {
        wire.try_head().expect("a head");
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LENGTH}\r\n\r\n");
        wire.send(head);
    });
    let target = format!("a.test:{}", origin.port());
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let through_a_tunnel = |proxy: &Proxy| {
        let mut wire = proxy.tunnel(&target);
        wire.send("HELLO\r\n\r\n");
        wire
    };
    let forwarded = |proxy: &Proxy| {
        let mut wire = proxy.client();
        wire.send(request(&format!("http://{target}/")));
        wire
    };
    let each_costs = |begin: &dyn Fn(&Proxy) -> Wire| {
        let proxy = Proxy::start(allowing_here(&resolver));
        let before = proxy.resident();
        let clients: Vec<Wire> = (0..CLIENTS).map(|_| begin(&proxy)).collect();
        for _ in &clients {
            let sent = stalled.recv_timeout(PATIENCE).expect("it stalls");
            assert!(sent < LENGTH, "all of it went somewhere");
        }
        let each = proxy.resident().saturating_sub(before) / CLIENTS;
        proxy.cli(&["connections"]).ok();
        each
    };
    // In KiB: a tunnel holds a buffer of 64 for each direction that stalls; hyper 128 of what it
    // read and of what it is to write on both sides, and pieces of them that are not free yet.
    let each = each_costs(&through_a_tunnel);
    assert!(each < 128, "{each} KiB for each tunnel");
    let each = each_costs(&forwarded);
    assert!(each < 1024, "{each} KiB for each request");
}
