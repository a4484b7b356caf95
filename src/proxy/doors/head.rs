//! The head of a request, read strictly: what can be taken in two ways is refused.
//!
//! Every request of the HTTP door passes here before anything else looks at it, the later ones
//! of a kept-alive connection too. RFC 9112 lets a recipient be lenient in places (bare LF,
//! Content-Length beside Transfer-Encoding); leniency is where two parsers disagree.

use hyper::Uri;

use crate::policy::Target;

#[cfg(test)]
mod readings;

/// Of a whole head, request line and fields (design 3 gives the control plane the same).
const HEAD_MAX: usize = 64 * 1024;
/// Of a request line; longer than any URL that works elsewhere.
const LINE_MAX: usize = 16 * 1024;
/// Fields of one head: as many as hyper reads, which would say no without a word in the log.
const FIELDS_MAX: usize = 100;

/// A head that can be judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// CONNECT: a tunnel to the target. `length` bytes of head.
    Connect { target: Target, length: usize },
    /// Any other method, in absolute form: `length` bytes of head, and then the content.
    /// `asterisk`: it is OPTIONS without path and query, which asks about the server as a whole and
    /// goes on as `*` (RFC 9112, section 3.2.4).
    Forward {
        length: usize,
        content: Content,
        asterisk: bool,
    },
}

/// How a request says where it goes (RFC 9112, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As to a proxy: CONNECT, or absolute-form.
    Proxy,
    /// As to the origin itself: origin-form, and the Host field; absolute-form is taken, too.
    Origin,
}

/// How a request's content is delimited (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    /// By its length; 0 for none.
    Length(u64),
    /// By the chunked coding.
    Chunked,
}

/// Whether the head is all there.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    Complete(Head),
    Partial,
}

/// A head that cannot be judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    /// The status to answer.
    pub(super) status: u16,
    /// One clause for a person.
    pub(super) why: String,
    /// What is shown of it in the log: the target as it was sent.
    pub(super) sent: Vec<u8>,
    /// Whether it is, or may be meant as, a CONNECT.
    pub(super) connect: bool,
}

impl Bad {
    fn new(status: u16, why: impl Into<String>, head: &[u8]) -> Self {
        let line = head
            .split(|byte| matches!(byte, b'\r' | b'\n'))
            .next()
            .unwrap_or_default();
        let target = line
            .split(|byte| *byte == b' ')
            .nth(1)
            .filter(|target| !target.is_empty());
        Self {
            status,
            why: why.into(),
            sent: target.unwrap_or(line).iter().copied().take(256).collect(),
            connect: line.starts_with(b"CONNECT"),
        }
    }

    /// The connection ended within the head.
    pub(super) fn cut_short(head: &[u8]) -> Self {
        Self::new(400, "the connection ended within the request's head", head)
    }

    /// What follows the head cannot be read.
    pub(super) fn content(why: impl Into<String>) -> Self {
        Self {
            status: 400,
            why: why.into(),
            sent: b"(content)".to_vec(),
            connect: false,
        }
    }

    /// The head did not arrive in time.
    pub(super) fn too_slow(head: &[u8]) -> Self {
        Self::new(408, "the request's head took too long", head)
    }
}

/// Reads the head at the start of a buffer.
pub(super) fn parse(buffer: &[u8], form: Form) -> Result<Parsed, Bad> {
    let end = end_of_head(buffer)?;
    let window = &buffer[..end.unwrap_or(buffer.len())];
    if end.is_none() {
        let line = window
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(window.len());
        if line > LINE_MAX {
            return Err(Bad::new(414, "the request line is too long", window));
        }
        return if window.len() < HEAD_MAX {
            Ok(Parsed::Partial)
        } else {
            Err(Bad::new(
                431,
                "the request's head is larger than 64 KiB",
                window,
            ))
        };
    }
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(window, &mut fields) {
        Ok(httparse::Status::Complete(length)) if length == window.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Bad::new(
                431,
                format!("more than {FIELDS_MAX} header fields"),
                window,
            ));
        }
        Err(error) => return Err(Bad::new(400, describe(error), window)),
        Ok(_) => return Err(Bad::new(400, "it is not an HTTP/1.1 request", window)),
    }
    let bad = |why: &str| Bad::new(400, why, window);
    let (Some(method), Some(path), Some(minor)) = (request.method, request.path, request.version)
    else {
        return Err(bad("it is not an HTTP/1.1 request"));
    };
    if path.len() > LINE_MAX {
        return Err(Bad::new(414, "the request line is too long", window));
    }
    let content = framing(request.headers, minor).map_err(bad)?;
    if method == "CONNECT" && form == Form::Origin {
        return Err(Bad::new(
            405,
            "CONNECT is for a proxy, and this is none",
            window,
        ));
    }
    if method == "CONNECT" {
        if content != Content::Length(0) {
            return Err(bad("a CONNECT request has no content"));
        }
        let target = Target::from_authority(path.as_bytes())
            .map_err(|error| Bad::new(400, error.to_string(), window))?;
        return Ok(Parsed::Complete(Head::Connect {
            target,
            length: window.len(),
        }));
    }
    let hosts = request
        .headers
        .iter()
        .filter(|f| f.name.eq_ignore_ascii_case("host"))
        .count();
    if hosts == 0 && minor == 1 {
        return Err(bad("an HTTP/1.1 request names its host in a Host field"));
    }
    if method == "TRACE" {
        // RFC 9110, section 9.3.8: it would show the sandbox what the proxy adds.
        return Err(Bad::new(405, "TRACE is not served", window));
    }
    let in_origin_form = form == Form::Origin && (path.starts_with('/') || path == "*");
    let rest = match in_origin_form {
        true => origin_form(path, &request).map_err(|error| Bad::new(400, error, window))?,
        false => {
            let target = forward_target(path.as_bytes());
            target.map_err(|error| Bad::new(400, error, window))?.1
        }
    };
    // hyper reads it again, and would refuse what it cannot read without a word in the log.
    if Uri::try_from(path).is_err() {
        return Err(bad(
            "the URL holds what a URL must not: write it percent-encoded",
        ));
    }
    Ok(Parsed::Complete(Head::Forward {
        length: window.len(),
        content,
        asterisk: method == "OPTIONS" && rest.is_empty(),
    }))
}

/// The path and query of an origin-form request, whose Host names its target. The `*` of OPTIONS is
/// no path.
fn origin_form<'a>(path: &'a str, request: &httparse::Request<'_, '_>) -> Result<&'a [u8], String> {
    if path == "*" && request.method != Some("OPTIONS") {
        return Err("only OPTIONS asks about the server as a whole".to_owned());
    }
    if path.contains('#') {
        return Err("a request's target has no fragment".to_owned());
    }
    let mut fields = request.headers.iter();
    let host = fields.find(|field| field.name.eq_ignore_ascii_case("host"));
    let host = host.ok_or("a request names its host in a Host field")?;
    let target = Target::from_authority_or(host.value, 80);
    target.map_err(|error| format!("its Host field: {error}"))?;
    Ok(path.strip_prefix('*').unwrap_or(path).as_bytes())
}

/// The target of an absolute-form request (RFC 9112, section 3.2.2), and its path and query:
/// `http` only, since what is to be encrypted end to end asks for a tunnel.
fn forward_target(path: &[u8]) -> Result<(Target, &[u8]), String> {
    let scheme_end = path.windows(3).position(|window| window == b"://");
    let (Some(scheme_end), false) = (scheme_end, path.starts_with(b"/")) else {
        return Err("this is a proxy: it takes CONNECT host:port, or http://host/path".to_owned());
    };
    let (scheme, rest) = (&path[..scheme_end], &path[scheme_end + 3..]);
    if scheme.eq_ignore_ascii_case(b"https") {
        return Err("https:// is asked for with CONNECT host:443".to_owned());
    }
    if !scheme.eq_ignore_ascii_case(b"http") {
        return Err("only http:// is forwarded".to_owned());
    }
    if rest.contains(&b'#') {
        return Err("a request's target has no fragment".to_owned());
    }
    let end = rest
        .iter()
        .position(|byte| matches!(byte, b'/' | b'?'))
        .unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    match Target::from_authority_or(authority, 80) {
        Ok(target) => Ok((target, rest)),
        Err(error) => Err(error.to_string()),
    }
}

/// Where the head ends, if it does within the buffer: behind the first empty line. A line feed
/// without a carriage return, or the reverse, ends no line.
fn end_of_head(buffer: &[u8]) -> Result<Option<usize>, Bad> {
    let mut line_start = 0;
    let mut seen_line = false;
    let mut rest = buffer;
    let mut at = 0;
    while let Some(found) = rest
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n' | 0))
    {
        let (position, byte) = (at + found, rest[found]);
        let next = buffer.get(position + 1);
        match (byte, next) {
            (b'\r', Some(b'\n')) => {}
            (b'\r', None) => return Ok(None),
            _ => {
                return Err(Bad::new(
                    400,
                    "a line ends with CR LF and holds no control bytes",
                    buffer,
                ));
            }
        }
        let end = position + 2;
        if position == line_start && seen_line {
            return Ok(Some(end).filter(|end| *end <= HEAD_MAX));
        }
        // RFC 9112, section 2.2: empty lines before the request line are skipped.
        seen_line |= position != line_start;
        line_start = end;
        at = end;
        rest = &buffer[end..];
    }
    Ok(None)
}

fn framing(fields: &[httparse::Header<'_>], minor: u8) -> Result<Content, &'static str> {
    let mut length = None;
    let mut chunked = false;
    let mut hosts = 0;
    for field in fields {
        if field.name.eq_ignore_ascii_case("content-length") {
            if length.is_some() {
                return Err("there is more than one Content-Length");
            }
            length = Some(decimal(field.value).ok_or("Content-Length is not a number")?);
        } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err("the only Transfer-Encoding taken is chunked, once");
            }
            chunked = true;
        } else if field.name.eq_ignore_ascii_case("host") {
            hosts += 1;
        }
    }
    if hosts > 1 {
        return Err("there is more than one Host");
    }
    match (length, chunked) {
        (Some(_), true) => Err("Content-Length and Transfer-Encoding contradict each other"),
        (_, true) if minor == 0 => Err("HTTP/1.0 has no Transfer-Encoding"),
        (_, true) => Ok(Content::Chunked),
        (length, false) => Ok(Content::Length(length.unwrap_or(0))),
    }
}

fn decimal(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}

fn describe(error: httparse::Error) -> &'static str {
    match error {
        httparse::Error::HeaderName => "a header field's name holds what it must not",
        httparse::Error::HeaderValue => "a header field's value holds what it must not",
        httparse::Error::Version => "only HTTP/1.0 and HTTP/1.1 are spoken here",
        _ => "the request line is not METHOD target HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(head: &str) -> u16 {
        match parse(head.as_bytes(), Form::Proxy) {
            Err(bad) => bad.status,
            Ok(parsed) => panic!("{head:?} is taken: {parsed:?}"),
        }
    }

    fn content(head: &str) -> Content {
        match parse(head.as_bytes(), Form::Proxy) {
            Ok(Parsed::Complete(Head::Forward {
                content, length, ..
            })) if length == head.len() => content,
            other => panic!("{head:?}: {other:?}"),
        }
    }

    #[test]
    fn a_connect_names_its_target_and_has_no_content() {
        let head = "CONNECT a.test:443 HTTP/1.1\r\nHost: b.test\r\n\r\n";
        let Ok(Parsed::Complete(Head::Connect { target, length })) =
            parse(head.as_bytes(), Form::Proxy)
        else {
            panic!("not taken");
        };
        assert_eq!(
            (target.to_string().as_str(), length),
            ("a.test:443", head.len())
        );
        assert_eq!(
            status("CONNECT a.test:443 HTTP/1.1\r\nContent-Length: 5\r\n\r\n"),
            400
        );
        assert_eq!(
            status("CONNECT a.test HTTP/1.1\r\nHost: a.test\r\n\r\n"),
            400
        );
    }

    #[test]
    fn every_prefix_of_a_head_is_partial() {
        let head = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\n";
        for end in 0..head.len() {
            assert_eq!(
                parse(&head.as_bytes()[..end], Form::Proxy),
                Ok(Parsed::Partial),
                "{end}"
            );
        }
        assert_eq!(content(head), Content::Length(5));
    }

    #[test]
    fn contradicting_lengths_are_refused_whatever_their_order() {
        for fields in [
            "Content-Length: 6\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 6",
            "Content-Length: 6\r\nContent-Length: 6",
            "Content-Length: +5",
            "Content-Length: 5, 5",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: chunked, identity",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
            "Host: b.test",
        ] {
            let head = format!("POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\n{fields}\r\n\r\n");
            assert_eq!(status(&head), 400, "{fields}");
        }
        assert_eq!(
            status("POST http://a.test/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400
        );
    }

    #[test]
    fn a_bare_line_feed_or_an_old_version_is_refused() {
        assert_eq!(status("GET http://a.test/ HTTP/1.1\nHost: a.test\n\n"), 400);
        assert_eq!(status("GET http://a.test/\r\n\r\n"), 400);
        assert_eq!(status("GET http://a.test/ HTTP/1.10\r\n\r\n"), 400);
        assert_eq!(status("PRI * HTTP/2.0\r\n\r\n"), 400);
    }

    #[test]
    fn only_http_in_absolute_form_is_forwarded() {
        for path in [
            "/",
            "*",
            "http:/a.test/",
            "http:///a.test",
            "https://a.test/",
            "ftp://a.test/",
            "http://a@b.test/",
            "http://a.test/#x",
        ] {
            let head = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
            assert_eq!(status(&head), 400, "{path}");
        }
        let (target, rest) = forward_target(b"HTTP://A.test:8080?q").expect("target");
        assert_eq!(
            (target.to_string().as_str(), rest),
            ("a.test:8080", &b"?q"[..])
        );
    }

    #[test]
    fn options_without_path_and_query_are_about_the_whole_server() {
        for (line, expected) in [
            ("OPTIONS http://a.test", true),
            ("OPTIONS http://a.test:8080", true),
            ("OPTIONS http://a.test/", false),
            ("OPTIONS http://a.test/*", false),
            ("OPTIONS http://a.test?", false),
            ("GET http://a.test", false),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: a.test\r\n\r\n");
            let Ok(Parsed::Complete(Head::Forward { asterisk, .. })) =
                parse(head.as_bytes(), Form::Proxy)
            else {
                panic!("{line} is not taken");
            };
            assert_eq!(asterisk, expected, "{line}");
        }
    }

    #[test]
    fn a_head_that_is_too_large_is_refused_before_it_is_whole() {
        let long = format!("GET http://a.test/{} HTTP/1.1\r\n", "a".repeat(LINE_MAX));
        assert_eq!(status(&long), 414);
        let mut many = "GET http://a.test/ HTTP/1.1\r\n".to_owned();
        many.push_str(&"X: y\r\n".repeat(HEAD_MAX / 6));
        assert_eq!(status(&many), 431);
        let fields = "X: y\r\n".repeat(FIELDS_MAX + 1);
        assert_eq!(
            status(&format!("GET http://a.test/ HTTP/1.1\r\n{fields}\r\n")),
            431
        );
    }
}
