//! Heads as other parsers read them: what is taken here is a head of the same length, method, target
//! and framing to each of them, and names no other host.

use hyper::Uri;
use hyper::http::uri::Authority;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use url::Url;

use crate::policy::Target;
use crate::policy::readings::is_the_same;

use super::{Content, Form, Head, Parsed, forward_target, parse};

const METHODS: [&str; 8] = [
    "GET", "POST", "CONNECT", "OPTIONS", "get", "TRACE", "M-X", "",
];

const TARGETS: [&str; 20] = [
    "http://a.test/",
    "http://a.test",
    "http://a.test:8080/x?y=//b.test:1/",
    "HTTP://A.Test.:80?q",
    "http://a.test:80@b.test/",
    "http://a.test\\@b.test/",
    "http://a.test/\\b.test",
    "http://a.test/#@b.test",
    "http:///b.test/",
    "http:/a.test/",
    "http://[2001:db8::1]:8080/",
    "http://0x7f.1/",
    "http://a.test/%2e%2e/%00",
    "http://http://b.test/",
    "https://a.test/",
    "a.test:443",
    "[::1]:443",
    "/x",
    "//b.test/x",
    "*",
];

const FIELDS: [&str; 20] = [
    "Host: a.test",
    "Host: a.test:80",
    "Host:\tA.Test. ",
    "host: b.test",
    "Host : a.test",
    "Host: a.test/x",
    "Host: a@b.test",
    "Content-Length: 5",
    "Content-Length: 05",
    "Content-Length: 5, 5",
    "Content-Length: +5",
    "content-length:\t0 ",
    "Content-Length: 18446744073709551616",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding:\tChunked ",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding : chunked",
    "X: y",
    " folded",
];

const ENDS: [&str; 4] = ["\r\n", "\r\n", "\r\n", "\n"];

/// What is put into a head: whatever ends, parts or hides something somewhere.
const PARTS: [&[u8]; 20] = [
    b"\r",
    b"\n",
    b"\r\n",
    b"\r\n\r\n",
    b"\0",
    b" ",
    b"\t",
    b"\x0b",
    b"\x0c",
    b":",
    b",",
    b";",
    b"@",
    b"\\",
    b"#",
    b"\x80",
    b"\xff",
    b"0",
    b"\r\nHost: b.test",
    b"\r\nTransfer-Encoding: chunked",
];

/// A head with a few changes.
fn head() -> impl Strategy<Value = Vec<u8>> {
    let line = (
        select(&METHODS[..]),
        select(&TARGETS[..]),
        select(&["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1"][..]),
    );
    let fields = vec((select(&FIELDS[..]), select(&ENDS[..])), 0..5);
    let changes = vec((any::<Index>(), 0..3_usize, select(&PARTS[..])), 0..3);
    (line, fields, changes).prop_map(|((method, target, version), fields, changes)| {
        let mut head = format!("{method} {target} {version}\r\nHost: a.test\r\n").into_bytes();
        for (field, end) in fields {
            head.extend([field.as_bytes(), end.as_bytes()].concat());
        }
        head.extend(b"\r\n");
        for (at, taken, put) in changes {
            let at = at.index(head.len() + 1);
            let end = (at + taken).min(head.len());
            head.splice(at..end, put.iter().copied());
        }
        head
    })
}

/// The values of a field, of lines that end with CR LF and hold nothing of what a parser may overlook.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    let lines = head
        .split("\r\n")
        .skip_while(|line| line.is_empty())
        .skip(1);
    let fields = lines.filter_map(|line| line.split_once(':'));
    let named = fields.filter(|(found, _)| found.eq_ignore_ascii_case(name));
    named
        .map(|(_, value)| value.trim_matches([' ', '\t']))
        .collect()
}

fn reads_the_same(target: &Target, url: &str) -> Result<(), TestCaseError> {
    let read = Url::parse(url).map_err(|error| TestCaseError::fail(format!("{url}: {error}")))?;
    prop_assert!(is_the_same(&target.host, read.host()), "{}: {}", url, read);
    prop_assert_eq!(read.port_or_known_default(), Some(target.port), "{}", url);
    prop_assert_eq!((read.username(), read.password()), ("", None), "{}", url);
    Ok(())
}

fn authority_is_the_same(target: &Target, read: &Authority) -> Result<(), TestCaseError> {
    let host = read.host();
    let named = Target::from_authority_or(host.as_bytes(), target.port);
    prop_assert_eq!(named.as_ref(), Ok(target), "{}", read);
    prop_assert!(!read.as_str().contains('@'), "{}", read);
    prop_assert_eq!(read.port_u16().unwrap_or(80), target.port, "{}", read);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_head_that_is_taken_is_read_the_same_by_others(
        bytes in head(), form in select(&[Form::Proxy, Form::Origin][..]), behind in "[a-z]{0,3}"
    ) {
        let whole = [&bytes[..], behind.as_bytes()].concat();
        let Ok(Parsed::Complete(head)) = parse(&whole, form) else { return Ok(()) };
        let length = match &head {
            Head::Connect { length, .. } | Head::Forward { length, .. } => *length,
        };
        let mut fields = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut fields);
        prop_assert_eq!(request.parse(&whole), Ok(httparse::Status::Complete(length)));
        let (method, path) = (request.method.unwrap_or_default(), request.path.unwrap_or_default());

        // Plainly: what a reader sees who knows nothing but lines.
        let text = String::from_utf8_lossy(&whole[..length]);
        let line = text.trim_start_matches("\r\n").split("\r\n").next().unwrap_or_default();
        let words: Vec<_> = line.split(' ').collect();
        prop_assert!(words.len() == 3 && words[..2] == [method, path], "{:?}", line);
        prop_assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\0']));
        prop_assert!(values(&text, "host").len() <= 1);
        let (lengths, codings) = (values(&text, "content-length"), values(&text, "transfer-encoding"));
        let content = match (lengths.as_slice(), codings.as_slice()) {
            ([], []) => Content::Length(0),
            ([one], []) => Content::Length(one.parse().map_err(|_| TestCaseError::fail("a length"))?),
            ([], [one]) if one.eq_ignore_ascii_case("chunked") => Content::Chunked,
            other => return Err(TestCaseError::fail(format!("{other:?}"))),
        };

        match head {
            Head::Connect { target, .. } => {
                prop_assert_eq!((method, content), ("CONNECT", Content::Length(0)));
                reads_the_same(&target, &format!("http://{path}/"))?;
                let read: Authority = path.parse().map_err(|_| TestCaseError::fail("an authority"))?;
                let host = Target::from_authority_or(read.host().as_bytes(), target.port);
                prop_assert_eq!(host, Ok(target.clone()));
                prop_assert_eq!(read.port_u16(), Some(target.port));
            }
            Head::Forward { content: found, .. } => {
                prop_assert!(!matches!(method, "CONNECT" | "TRACE"));
                prop_assert_eq!(found, content);
                let uri: Uri = path.parse().map_err(|_| TestCaseError::fail("a URI"))?;
                if let Some(authority) = uri.authority() {
                    let (target, _) = forward_target(path.as_bytes()).map_err(TestCaseError::fail)?;
                    reads_the_same(&target, path)?;
                    authority_is_the_same(&target, authority)?;
                } else {
                    // Relative to the Host.
                    prop_assert_eq!(form, Form::Origin);
                    let host = values(&text, "host").pop().unwrap_or_default();
                    let target = Target::from_authority_or(host.as_bytes(), 80);
                    let target = target.map_err(|error| TestCaseError::fail(error.to_string()))?;
                    reads_the_same(&target, &format!("http://{host}/"))?;
                }
            }
        }
    }
}
