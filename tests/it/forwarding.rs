//! Requests in absolute form: what reaches the origin, what comes back, and how the connection
//! goes on.

use std::sync::mpsc;

use crate::support::{Origin, Proxy, Resolver, Wire, bulk, ok};

/// A proxy that lets `a.test` through, on every port, and finds it on loopback.
fn proxy() -> Proxy {
    let resolver = Resolver::at_loopback(&["a.test"]);
    Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ))
}

/// The head of a request for `a.test` at an origin, without its end.
fn head(method: &str, origin: &Origin, path: &str) -> String {
    let port = origin.port();
    format!("{method} http://a.test:{port}{path} HTTP/1.1\r\nHost: a.test:{port}\r\n")
}

fn get(origin: &Origin, path: &str) -> String {
    format!("{}\r\n", head("GET", origin, path))
}

#[test]
fn each_request_of_a_connection_is_judged_alone() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    client.send(get(&origin, "/1"));
    assert_eq!(client.answer().text(), "GET /1 HTTP/1.1");
    client.send("GET http://b.test/2 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let refused = client.answer();
    assert_eq!((refused.status(), refused.field("connection")), (403, None));
    client.send(get(&origin, "/3?a=b"));
    assert_eq!(client.answer().text(), "GET /3?a=b HTTP/1.1");
    // One connection served both.
    assert_eq!(origin.connections(), 1);
    assert_eq!(proxy.logs(0).len(), 3);
}

#[test]
fn a_connection_goes_on_to_another_origin() {
    let (proxy, one, other) = (proxy(), Origin::plain(), Origin::plain());
    let mut client = proxy.client();
    for origin in [&one, &other, &one] {
        client.send(get(origin, "/"));
        assert_eq!(client.answer().status(), 200);
    }
    assert_eq!(other.connections(), 1);
    assert_eq!((one.requests().len(), other.requests().len()), (2, 1));
}

#[test]
fn fields_of_one_hop_stay_there() {
    let proxy = proxy();
    let origin = Origin::answering(|_| {
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
          Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nVia: 1.1 cache\r\nX-End: 2\r\n\r\nok"
            .to_vec()
    });
    let mut client = proxy.client();
    client.send(format!(
        "{}Connection: keep-alive, X-Named, Host, Content-Length\r\nX-Named: 1\r\n\
         Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic x\r\n\
         TE: gzip\r\nVia: 1.1 other\r\nX-End: 2\r\nAuthorization: Bearer y\r\nContent-Length: 2\r\n\
         \r\nhi",
        head("POST", &origin, "/").replace("Host: a.test", "Host: other.test"),
    ));
    let answer = client.answer();
    let request = origin.request();
    for gone in [
        "x-named",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "connection",
    ] {
        assert_eq!(request.field(gone), None, "{request:?}");
    }
    assert_eq!(request.start, "POST / HTTP/1.1");
    let authority = format!("a.test:{}", origin.port());
    assert_eq!(request.all("host"), [authority.as_str()]);
    assert_eq!(
        (request.field("x-end"), request.field("authorization")),
        (Some("2"), Some("Bearer y"))
    );
    assert_eq!(request.all("via").join(", "), "1.1 other, 1.1 vibepit");
    assert_eq!(request.text(), "hi");
    for gone in ["x-hop", "keep-alive", "proxy-authenticate"] {
        assert_eq!(answer.field(gone), None, "{answer:?}");
    }
    assert_eq!(answer.field("x-end"), Some("2"));
    assert_eq!(answer.all("via").join(", "), "1.1 cache, 1.1 vibepit");
}

#[test]
fn content_of_a_known_length_passes_both_ways() {
    let proxy = proxy();
    let origin = Origin::answering(|request| ok(&request.text()));
    let mut client = proxy.client();
    for body in ["", "x", "hello"] {
        let length = body.len();
        let head = head("PUT", &origin, "/");
        client.send(format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        let answer = client.answer();
        let length = length.to_string();
        assert_eq!(
            (answer.text().as_str(), answer.field("content-length")),
            (body, Some(length.as_str()))
        );
        assert_eq!(answer.field("transfer-encoding"), None);
    }
}

#[test]
fn chunks_pass_as_they_come_in_both_directions() {
    let proxy = proxy();
    // Answers each chunk before the next one comes: nothing may wait for the whole.
    let origin = Origin::serving(|mut wire| {
        wire.head();
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        loop {
            let size = wire.line();
            let size = usize::from_str_radix(&size, 16).expect("a size");
            let chunk = wire.exactly(size);
            wire.exactly(2);
            wire.send(format!("{size:x}\r\n"));
            wire.send([&chunk[..], b"\r\n"].concat());
            if size == 0 {
                return;
            }
        }
    });
    let mut client = proxy.client();
    client.send(format!(
        "{}Transfer-Encoding: chunked\r\n\r\n",
        head("POST", &origin, "/")
    ));
    assert_eq!(client.head().status(), 200);
    for chunk in ["one", "second", "3"] {
        client.send(format!("{:x}\r\n{chunk}\r\n", chunk.len()));
        assert_eq!(client.line(), format!("{:x}", chunk.len()).to_uppercase());
        assert_eq!(
            client.exactly(chunk.len() + 2),
            format!("{chunk}\r\n").as_bytes()
        );
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.exactly(5), b"0\r\n\r\n");
}

#[test]
fn trailers_pass_both_ways() {
    let proxy = proxy();
    let origin = Origin::answering(|request| {
        let (name, value) = request.trailers.first().cloned().unwrap_or_default();
        let trailer = format!("X-Back: {name}={value}");
        format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Back\r\n\r\n\
             2\r\nok\r\n0\r\n{trailer}\r\n\r\n"
        )
        .into_bytes()
    });
    let mut client = proxy.client();
    client.send(format!(
        "{}TE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n\
         5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
        head("POST", &origin, "/")
    ));
    let answer = client.answer();
    assert_eq!(
        origin.request().trailers,
        [("x-sum".to_owned(), "42".to_owned())]
    );
    assert_eq!(origin.requests()[0].field("te"), Some("trailers"));
    assert_eq!(
        answer.trailers,
        [("x-back".to_owned(), "x-sum=42".to_owned())]
    );
}

#[test]
fn a_client_that_waits_for_100_gets_it_after_the_decision() {
    let (proxy, origin) = (proxy(), Origin::answering(|request| ok(&request.text())));
    let mut client = proxy.client();
    let head = head("POST", &origin, "/");
    client.send(format!(
        "{head}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    ));
    assert_eq!(client.head().status(), 100);
    client.send("hello");
    assert_eq!(client.answer().text(), "hello");
    assert_eq!(origin.request().field("expect"), None);
}

#[test]
fn an_answer_without_content_is_followed_by_the_next_one() {
    let proxy = proxy();
    let origin = Origin::answering(|request| match request.start.as_str() {
        "HEAD / HTTP/1.1" => b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n".to_vec(),
        "GET /204 HTTP/1.1" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "GET /304 HTTP/1.1" => {
            b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 5000\r\n\r\n".to_vec()
        }
        // Hints, and then the answer: the hints are not the answer.
        "GET /103 HTTP/1.1" => [
            &b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"[..],
            &ok("after"),
        ]
        .concat(),
        start => ok(start),
    });
    let mut client = proxy.client();
    client.send(format!("{}\r\n", head("HEAD", &origin, "/")));
    let answer = client.head();
    assert_eq!(
        (answer.status(), answer.field("content-length")),
        (200, Some("5000"))
    );
    for path in ["/204", "/304"] {
        client.send(get(&origin, path));
        assert_eq!(client.head().status().to_string(), path[1..]);
    }
    client.send(get(&origin, "/103"));
    let answer = client.answer();
    let answer = if answer.status() == 103 {
        client.answer()
    } else {
        answer
    };
    assert_eq!(answer.text(), "after");
    client.send(get(&origin, "/next"));
    assert_eq!(client.answer().text(), "GET /next HTTP/1.1");
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_client_of_http_1_0_gets_an_answer_it_can_read() {
    let proxy = proxy();
    let origin = Origin::answering(|request| match request.start.as_str() {
        "GET /chunked HTTP/1.1" => {
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_vec()
        }
        start => ok(start),
    });
    let port = origin.port();
    for (path, text) in [("/plain", "GET /plain HTTP/1.1"), ("/chunked", "hello")] {
        let mut client = proxy.client();
        client.send(format!("GET http://a.test:{port}{path} HTTP/1.0\r\n\r\n"));
        let head = client.head();
        assert_eq!(
            (head.status(), head.field("transfer-encoding")),
            (200, None),
            "{head:?}"
        );
        assert_eq!(client.to_end(), text.as_bytes());
    }
    assert_eq!(origin.request().field("via"), Some("1.0 vibepit"));
}

#[test]
fn an_answer_that_only_the_end_of_a_connection_ends_is_whole() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        wire.head();
        wire.send("HTTP/1.0 200 OK\r\n\r\nhello");
    });
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(get(&origin, "/"));
        assert_eq!(client.answer().text(), "hello");
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_taken_for_a_whole_one() {
    let proxy = proxy();
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let origin = Origin::serving(move |mut wire| {
            wire.head();
            wire.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhe"));
        });
        let mut client = proxy.client();
        client.send(get(&origin, "/"));
        assert_eq!(client.head().status(), 200);
        let rest = client.to_end();
        assert!(
            rest.len() < 10 && !rest.ends_with(b"0\r\n\r\n"),
            "{}",
            rest.escape_ascii()
        );
    }
}

#[test]
fn an_origin_that_does_not_speak_http_is_a_502() {
    let proxy = proxy();
    for said in [
        "SSH-2.0-OpenSSH\r\n",
        "",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        let origin = Origin::serving(move |mut wire| {
            wire.head();
            wire.send(said);
        });
        let mut client = proxy.client();
        client.send(get(&origin, "/"));
        let answer = client.answer();
        assert_eq!(answer.status(), 502, "{said:?}: {answer:?}");
        assert!(
            answer
                .field("proxy-status")
                .expect("it")
                .starts_with("vibepit; error=")
        );
        // The client did nothing wrong: its connection goes on.
        let fine = Origin::plain();
        client.send(get(&fine, "/"));
        assert_eq!(client.answer().status(), 200);
    }
}

#[test]
fn an_origin_that_closed_meanwhile_is_connected_to_again() {
    let proxy = proxy();
    // One answer a connection, and nothing said about it.
    let origin = Origin::serving(|mut wire| {
        if wire.try_head().is_some() {
            wire.send(ok("once"));
        }
    });
    let mut client = proxy.client();
    for _ in 0..50 {
        client.send(get(&origin, "/"));
        let answer = client.answer();
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
    assert_eq!(origin.connections(), 50);
}

#[test]
fn a_request_that_may_have_been_carried_out_is_not_sent_twice() {
    let proxy = proxy();
    let (send, seen) = mpsc::channel();
    let send = std::sync::Mutex::new(send);
    // Answers the first request, reads the second one and leaves.
    let origin = Origin::serving(move |mut wire| {
        while let Some(request) = wire.try_request() {
            let first = request.start == "GET / HTTP/1.1";
            send.lock()
                .expect("a lock")
                .send(request.start)
                .expect("a listener");
            if !first {
                return;
            }
            wire.send(ok("first"));
        }
    });
    let mut client = proxy.client();
    client.send(get(&origin, "/"));
    assert_eq!(client.answer().status(), 200);
    client.send(format!(
        "{}Content-Length: 5\r\n\r\nhello",
        head("POST", &origin, "/order")
    ));
    assert_eq!(client.answer().status(), 502);
    let seen: Vec<String> = seen.try_iter().collect();
    assert_eq!(seen, ["GET / HTTP/1.1", "POST /order HTTP/1.1"]);
}

#[test]
fn an_early_answer_ends_a_request_that_is_still_being_sent() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        wire.head();
        wire.send(
            "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno",
        );
    });
    let mut client = proxy.client();
    client.send(format!(
        "{}Content-Length: 1000000\r\n\r\nhello",
        head("POST", &origin, "/")
    ));
    let answer = client.answer();
    assert_eq!((answer.status(), answer.text().as_str()), (413, "no"));
}

#[test]
fn content_that_is_refused_goes_nowhere() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    client.send("POST http://b.test/ HTTP/1.1\r\nHost: b.test\r\nContent-Length: 5\r\n\r\nhello");
    let answer = client.answer();
    // Whether the rest of the content comes is not waited for.
    assert_eq!(
        (answer.status(), answer.field("connection")),
        (403, Some("close"))
    );
    client.ends();
    assert_eq!(origin.connections(), 0);
}

#[test]
fn a_client_that_wants_to_close_is_closed() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    client.send(format!(
        "{}Connection: close\r\n\r\n",
        head("GET", &origin, "/")
    ));
    assert_eq!(client.answer().status(), 200);
    client.ends();
    // And one that ends its side while it waits gets its answer.
    let mut client = proxy.client();
    client.send(get(&origin, "/"));
    client.end_writing();
    assert_eq!(client.answer().status(), 200);
    client.ends();
}

#[test]
fn options_without_a_path_ask_about_the_whole_server() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    // All at once: each is what it is, whatever stands around it.
    let paths = ["", "/", "", "/*", "?"];
    for path in paths {
        client.send(format!("{}\r\n", head("OPTIONS", &origin, path)));
    }
    client.send(format!("{}\r\n", head("GET", &origin, "")));
    for line in [
        "OPTIONS *",
        "OPTIONS /",
        "OPTIONS *",
        "OPTIONS /*",
        "OPTIONS /?",
        "GET /",
    ] {
        assert_eq!(client.answer().text(), format!("{line} HTTP/1.1"));
    }
}

#[test]
fn options_are_for_the_origin_unless_their_hops_are_spent() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    client.send(format!("{}\r\n", head("OPTIONS", &origin, "/")));
    assert_eq!(client.answer().text(), "OPTIONS / HTTP/1.1");
    client.send(format!(
        "{}Max-Forwards: 2\r\n\r\n",
        head("OPTIONS", &origin, "/")
    ));
    assert_eq!(client.answer().status(), 200);
    assert_eq!(origin.requests()[1].field("max-forwards"), Some("1"));
    client.send(format!(
        "{}Max-Forwards: 0\r\n\r\n",
        head("OPTIONS", &origin, "/")
    ));
    assert_eq!(
        (client.answer().status(), origin.requests().len()),
        (200, 2)
    );
}

#[test]
fn an_upgrade_that_the_origin_accepts_is_a_tunnel() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        let request = wire.head();
        assert_eq!(request.field("upgrade"), Some("websocket"));
        assert!(
            request
                .field("connection")
                .expect("it")
                .eq_ignore_ascii_case("upgrade")
        );
        assert_eq!(request.field("sec-websocket-key"), Some("x"));
        // The first bytes of the protocol come with the answer.
        wire.send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Accept: y\r\n\r\nfirst",
        );
        let heard = wire.exactly(5);
        wire.send(heard);
        wire.end_writing();
        wire.ends();
    });
    let mut client = proxy.client();
    client.send(format!(
        "{}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\n",
        head("GET", &origin, "/")
    ));
    let answer = client.head();
    assert_eq!(
        (answer.status(), answer.field("upgrade")),
        (101, Some("websocket"))
    );
    assert!(
        answer
            .field("connection")
            .expect("it")
            .eq_ignore_ascii_case("upgrade")
    );
    assert_eq!(answer.field("sec-websocket-accept"), Some("y"));
    assert_eq!(client.exactly(5), b"first");
    client.send("hello");
    assert_eq!(client.exactly(5), b"hello");
    client.ends();
}

#[test]
fn an_upgrade_that_the_origin_declines_is_an_answer() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send(format!(
            "{}Connection: upgrade\r\nUpgrade: websocket\r\n\r\n",
            head("GET", &origin, "/")
        ));
        assert_eq!(client.answer().status(), 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn http2_is_never_upgraded_to_however_it_is_spelled() {
    let (proxy, origin) = (proxy(), Origin::plain());
    let mut client = proxy.client();
    for upgrade in ["h2c", "H2C", "HTTP/2.0", "websocket, h2c"] {
        client.send(format!(
            "{}Connection: upgrade, http2-settings\r\nUpgrade: {upgrade}\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            head("GET", &origin, "/")
        ));
        assert_eq!(client.answer().status(), 200);
        let request = origin.request();
        for gone in ["upgrade", "http2-settings", "connection"] {
            assert_eq!(request.field(gone), None, "{upgrade}: {request:?}");
        }
    }
}

const MUCH: usize = 64 * 1024 * 1024;

#[test]
fn much_content_arrives_as_it_was_sent() {
    let proxy = proxy();
    let origin = Origin::serving(|mut wire| {
        while let Some(head) = wire.try_head() {
            if head.start.starts_with("PUT") {
                bulk::receive(&mut wire, MUCH);
                wire.send(ok("got it"));
            } else {
                wire.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n"));
                bulk::send(&mut wire, MUCH).expect("the content is taken");
            }
        }
    });
    let mut client = proxy.client();
    client.send(get(&origin, "/"));
    assert_eq!(client.head().status(), 200);
    bulk::receive(&mut client, MUCH);
    client.send(format!(
        "{}Content-Length: {MUCH}\r\n\r\n",
        head("PUT", &origin, "/")
    ));
    bulk::send(&mut client, MUCH).expect("the content is taken");
    assert_eq!(client.answer().text(), "got it");
    proxy.settles();
    let entry = proxy.read("/stats")["destinations"][0].clone();
    assert!(entry["bytes_down"].as_u64() >= Some(MUCH as u64), "{entry}");
    assert!(entry["bytes_up"].as_u64() >= Some(MUCH as u64), "{entry}");
}

/// Far above what a proxy of this kind needs, and far below what would pass through it.
const ROOM: usize = 64 * 1024;

#[test]
fn a_client_that_does_not_read_makes_the_origin_wait() {
    const CONTENT: usize = 4 * MUCH;
    let proxy = proxy();
    let (origin, stalled) = bulk::stalled_origin(CONTENT, |wire| {
        wire.head();
        wire.send(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {CONTENT}\r\n\r\n"
        ));
    });
    let mut client = proxy.client();
    client.send(get(&origin, "/"));
    assert_eq!(client.head().status(), 200);
    let sent = stalled.recv().expect("the origin waits");
    assert!(sent < CONTENT, "nobody made it wait");
    assert!(
        proxy.resident() < ROOM,
        "{} KiB for {sent} bytes",
        proxy.resident()
    );
    bulk::receive(&mut client, CONTENT);
}

#[test]
fn an_origin_that_does_not_read_makes_the_client_wait() {
    const CONTENT: usize = 4 * MUCH;
    let proxy = proxy();
    let (go, begin) = mpsc::channel::<()>();
    let begin = std::sync::Mutex::new(begin);
    let origin = Origin::serving(move |mut wire: Wire| {
        wire.head();
        begin.lock().expect("a lock").recv().expect("a word");
        bulk::receive(&mut wire, CONTENT);
        wire.send(ok("got it"));
    });
    let mut client = proxy.client();
    client.send(format!(
        "{}Content-Length: {CONTENT}\r\n\r\n",
        head("PUT", &origin, "/")
    ));
    client.gives_up_soon();
    bulk::send_until_stalled(&mut client, CONTENT, |sent| {
        assert!(sent < CONTENT, "nobody made it wait");
        assert!(
            proxy.resident() < ROOM,
            "{} KiB for {sent} bytes",
            proxy.resident()
        );
        go.send(()).expect("the origin waits");
    });
    assert_eq!(client.answer().text(), "got it");
}
