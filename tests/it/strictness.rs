//! One parser decides: what the strict reader takes is forwarded as it is, what it does not take
//! is answered and logged by us, and nothing in between is left to the parser behind it.

use crate::support::{Message, Origin, Proxy, Resolver};

fn bench() -> (Proxy, Origin) {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    (proxy, Origin::plain())
}

/// Sends a head and says what became of it: the request that the origin got, or `None` for one
/// that was refused, with a phrase of ours and one entry in the log.
#[track_caller]
fn outcome(proxy: &Proxy, origin: &Origin, head: &[u8]) -> Option<Message> {
    let shown = head.escape_ascii().to_string();
    let logged = proxy.logged();
    let mut client = proxy.client();
    client.send(head);
    let answer = client.answer();
    let entries = proxy.logs(logged);
    assert_eq!(entries.len(), 1, "{shown}: {entries:?}; {answer:?}");
    match answer.status() {
        200 => {
            assert_eq!(entries[0]["verdict"], "allow", "{shown}");
            Some(origin.request())
        }
        status => {
            assert!((400..500).contains(&status), "{shown}: {answer:?}");
            assert!(
                answer.reason().starts_with("vibepit: "),
                "{shown}: {answer:?}"
            );
            assert_eq!(entries[0]["reason"], "malformed", "{shown}");
            None
        }
    }
}

fn head(origin: &Origin, path: &[u8], fields: &[u8]) -> Vec<u8> {
    let start = format!("GET http://a.test:{}", origin.port());
    [
        start.as_bytes(),
        path,
        b" HTTP/1.1\r\nHost: a.test\r\n",
        fields,
        b"\r\n",
    ]
    .concat()
}

#[test]
fn every_byte_of_a_path_is_forwarded_as_it_is_or_refused() {
    let (proxy, origin) = bench();
    let mut taken = Vec::new();
    for byte in 0..=u8::MAX {
        let path = [b'/', b'a', byte, b'b'];
        if let Some(request) = outcome(&proxy, &origin, &head(&origin, &path, b"")) {
            let line = [b"GET ", &path[..], b" HTTP/1.1\r\n"].concat();
            assert!(request.head.starts_with(&line), "{request:?}");
            taken.push(byte);
        }
    }
    // What RFC 3986 has for a path and a query is taken; what separates or is no text is not.
    for byte in b"aZ09-._~!$&'()*+,;=:@/?%" {
        assert!(taken.contains(byte), "{}", byte.escape_ascii());
    }
    for byte in b"\0\t\n\r #\x7f" {
        assert!(!taken.contains(byte), "{}", byte.escape_ascii());
    }
}

#[test]
fn every_byte_of_a_field_is_forwarded_as_it_is_or_refused() {
    let (proxy, origin) = bench();
    for byte in 0..=u8::MAX {
        let value = [b"X-Value: a", &[byte][..], b"b\r\n"].concat();
        let sent = head(&origin, b"/", &value);
        let in_value = outcome(&proxy, &origin, &sent);
        if let Some(request) = &in_value {
            let held = [b"a", &[byte][..], b"b"].concat();
            assert!(
                request.head.windows(3).any(|three| three == held),
                "{byte:#x}: {request:?}"
            );
        }
        let control = byte.is_ascii_control() && byte != b'\t';
        assert_eq!(in_value.is_none(), control, "{byte:#x} in a value");
        let name = [b"X-", &[byte][..], b"n: v\r\n"].concat();
        let in_name = outcome(&proxy, &origin, &head(&origin, b"/", &name));
        let token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte);
        assert_eq!(in_name.is_some(), token, "{byte:#x} in a name");
    }
}

#[test]
fn as_many_fields_as_are_taken_are_forwarded() {
    let (proxy, origin) = bench();
    let mut most = 0;
    for count in [50, 90, 97, 99, 100, 101, 110, 126, 127, 128, 129, 200] {
        let fields: String = (0..count).map(|n| format!("X-{n}: {n}\r\n")).collect();
        let Some(request) = outcome(&proxy, &origin, &head(&origin, b"/", fields.as_bytes()))
        else {
            continue;
        };
        for n in 0..count {
            let value = n.to_string();
            assert_eq!(request.field(&format!("x-{n}")), Some(value.as_str()));
        }
        most = count;
    }
    assert!((90..200).contains(&most), "{most}");
    // And as many bytes.
    for length in [10, 30_000, 60_000, 65_000, 66_000] {
        let field = format!("X-Long: {}\r\n", "y".repeat(length));
        let request = outcome(&proxy, &origin, &head(&origin, b"/", field.as_bytes()));
        let arrived = request.and_then(|request| request.field("x-long").map(str::len));
        assert_eq!(
            arrived,
            (length < 65_536 - 100)
                .then_some(length)
                .filter(|_| length <= 65_000)
        );
    }
    for length in [10, 8_000, 16_000, 17_000, 60_000] {
        let path = format!("/{}", "p".repeat(length));
        let request = outcome(&proxy, &origin, &head(&origin, path.as_bytes(), b""));
        assert_eq!(request.is_some(), length < 16_300, "{length}");
    }
}

#[test]
fn targets_are_forwarded_in_origin_form() {
    let (proxy, origin) = bench();
    for (sent, forwarded) in [
        ("", "/"),
        ("/", "/"),
        ("?a=b", "/?a=b"),
        ("/?a=http://b.test/", "/?a=http://b.test/"),
        ("//b.test/", "//b.test/"),
        ("/../..//a/./b", "/../..//a/./b"),
        ("/%2e%2E/%00%ff", "/%2e%2E/%00%ff"),
        ("/a@b:c", "/a@b:c"),
    ] {
        let request = outcome(&proxy, &origin, &head(&origin, sent.as_bytes(), b""));
        let request = request.unwrap_or_else(|| panic!("{sent:?} is refused"));
        assert_eq!(request.start, format!("GET {forwarded} HTTP/1.1"));
    }
}

#[test]
fn what_looks_like_a_request_and_is_none_is_refused() {
    let (proxy, origin) = bench();
    let port = origin.port();
    let url = format!("http://a.test:{port}/");
    for head in [
        format!("connect a.test:{port} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost : a.test\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\n Host: a.test\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost: a.test\r\nX: a\r\n b\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost: a.test\r\n: b\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost: a.test\r\nX\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\n\r\n"),
        format!("GET {url} HTTP/1.2\r\nHost: a.test\r\n\r\n"),
        format!("GET {url} HTTP/2\r\nHost: a.test\r\n\r\n"),
        format!("GET {url} http/1.1\r\nHost: a.test\r\n\r\n"),
        format!("GET  {url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("GET\t{url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("G(T {url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!(" GET {url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("POST {url} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0x5\r\n\r\n"),
        format!("POST {url} HTTP/1.1\r\nHost: a.test\r\nContent-Length: \r\n\r\n"),
        format!(
            "POST {url} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 18446744073709551616\r\n\r\n"
        ),
        format!(
            "POST {url} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n"
        ),
        format!("POST {url} HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5, 5\r\n\r\n"),
        format!("POST {url} HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        "* * *\r\n\r\n".to_owned(),
        "\x16\x03\x01\x02\x00\x01\x00\x01\u{1}\r\n\r\n".to_owned(),
    ] {
        assert!(
            outcome(&proxy, &origin, head.as_bytes()).is_none(),
            "{head:?} is taken"
        );
    }
    // Methods are the client's, and empty lines before a request are nothing.
    for head in [
        format!("PROPFIND {url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("get {url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("\r\n\r\nGET {url} HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        format!("GET {url} HTTP/1.1\r\nHost:\r\n\r\n"),
        format!("GET {url} HTTP/1.0\r\n\r\n"),
    ] {
        assert!(
            outcome(&proxy, &origin, head.as_bytes()).is_some(),
            "{head:?} is refused"
        );
    }
    assert_eq!(origin.requests().len(), 5);
}

#[test]
fn a_head_in_parts_is_the_same_head() {
    let (proxy, origin) = bench();
    let sent = head(&origin, b"/whole", b"X: y\r\n");
    for cut in [1, 3, 4, 20, sent.len() - 3, sent.len() - 1] {
        let mut client = proxy.client();
        client.send(&sent[..cut]);
        // A call over another socket: the first part is with the proxy by then, or soon.
        proxy.logged();
        client.send(&sent[cut..]);
        assert_eq!(client.answer().text(), "GET /whole HTTP/1.1");
    }
    // And one that ends too early is told so.
    let mut client = proxy.client();
    client.send(&sent[..20]);
    client.end_writing();
    assert_eq!(client.answer().status(), 400);
    assert_eq!(
        proxy.logs(0).last().expect("an entry")["reason"],
        "malformed"
    );
}

#[test]
fn content_that_cannot_be_followed_is_the_clients_fault() {
    let (proxy, origin) = bench();
    let port = origin.port();
    let long = "x".repeat(20_000);
    for content in [
        "x\r\n".to_owned(),
        "5 \r\nhello\r\n0\r\n\r\n".to_owned(),
        "5\nhello\r\n0\r\n\r\n".to_owned(),
        "5\r\nhelloX\r\n0\r\n\r\n".to_owned(),
        "-5\r\nhello\r\n0\r\n\r\n".to_owned(),
        "0x5\r\nhello\r\n0\r\n\r\n".to_owned(),
        format!("5;{long}\r\nhello\r\n0\r\n\r\n"),
        format!("5\r\nhello\r\n0\r\nX: {long}\r\n\r\n"),
        "5\r\nhello\r\n0\r\nBad Name: x\r\n\r\n".to_owned(),
        "5\r\nhello\r\n0\r\nno colon\r\n\r\n".to_owned(),
        "5\r\nhello\r\n0\r\n folded\r\n\r\n".to_owned(),
        "5\r\nhello\r\n0\nX: y\n\n".to_owned(),
        format!("1;{}\r\nx\r\n", "e".repeat(2000)).repeat(10) + "0\r\n\r\n",
    ] {
        let logged = proxy.logged();
        let mut client = proxy.client();
        client.send(format!(
            "POST http://a.test:{port}/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        ));
        // It may be answered before all of it is read.
        let _ = client.try_send(&content);
        let shown = &content[..content.len().min(40)];
        let answer = client.answer();
        assert_eq!(answer.status(), 400, "{shown:?}: {answer:?}");
        client.ends();
        let entries = proxy.logs(logged);
        let reasons: Vec<_> = entries.iter().map(|entry| &entry["reason"]).collect();
        assert_eq!(reasons, ["allowed", "malformed"], "{shown:?}: {entries:?}");
    }
    assert_eq!(origin.requests().len(), 0, "{:?}", origin.requests());
    // Broken off, in either framing: nobody is there to be told, and the origin gets no whole one.
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut client = proxy.client();
        client.send(format!(
            "POST http://a.test:{port}/ HTTP/1.1\r\nHost: a.test\r\n{framing}\r\n\r\n5\r\nhe"
        ));
        client.end_writing();
        assert_eq!(client.answer().status(), 400);
    }
    proxy.settles();
    assert_eq!(origin.requests().len(), 0, "{:?}", origin.requests());
}

#[test]
fn chunks_are_taken_however_they_are_cut() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = Proxy::start(format!(
        "allow = [\"a.test:*\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let origin = Origin::answering(|request| crate::support::ok(&request.text()));
    let head = format!(
        "POST http://a.test:{}/ HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n",
        origin.port()
    );
    let content = "5;name=value\r\nhello\r\n00a\r\n, all of y\r\n2\r\nou\r\n0\r\nX-Sum: 1\r\n\r\n";
    let whole = format!("{head}{content}");
    let mut client = proxy.client();
    for cut in (1..content.len()).step_by(3) {
        client.send(&whole[..head.len() + cut]);
        proxy.logged();
        client.send(&whole[head.len() + cut..]);
        assert_eq!(client.answer().text(), "hello, all of you");
    }
    // The next request begins where the content ends.
    client.send(whole.repeat(3));
    for _ in 0..3 {
        assert_eq!(client.answer().text(), "hello, all of you");
    }
    assert_eq!(origin.connections(), 1);
}
