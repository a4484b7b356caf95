//! What the sandbox says first in a tunnel, taken for what it looks like. Of what does not look
//! like TLS or HTTP nothing is known, and it passes: many protocols are not for a proxy to judge.

use crate::policy::Name;

use super::hello::{self, Hello};

/// Bytes of a request line: longer than any URL that works elsewhere.
const LINE_MAX: usize = 16 * 1024;

/// What the first bytes come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// They are too few to tell.
    Partial,
    /// TLS, to this host; `None`: it does not say to which.
    Tls(Option<Name>),
    /// An HTTP request, of which at least the first line is there.
    Http,
    /// An SSH client.
    Ssh,
    /// Something else.
    Other,
    /// What it looks like, it is not: one clause says why.
    Broken(&'static str),
}

/// Takes the first bytes of a client for what they look like.
pub(super) fn read(sent: &[u8]) -> Opening {
    if hello::is_tls(sent) {
        return match sent.is_empty() {
            true => Opening::Partial,
            false => match hello::read(sent) {
                Hello::Partial => Opening::Partial,
                Hello::For(name) => Opening::Tls(name),
                Hello::Bad(why) => Opening::Broken(why),
            },
        };
    }
    if sent.starts_with(b"SSH-") {
        return Opening::Ssh;
    }
    http(sent)
}

/// Whether it is a request line: `METHOD target HTTP/x`. Servers pass over empty lines before one
/// (RFC 9112, section 2.2), and some take a line feed alone for the end of one.
fn http(sent: &[u8]) -> Opening {
    let start = sent.iter().position(|byte| !matches!(byte, b'\r' | b'\n'));
    let Some(start) = start else {
        return match sent.len() {
            0..=LINE_MAX => Opening::Partial,
            _ => Opening::Other,
        };
    };
    let line = &sent[start..];
    let method = line.iter().take_while(|byte| byte.is_ascii_uppercase());
    let method = method.count();
    match line.get(method) {
        None if method <= 32 => return Opening::Partial,
        Some(b' ' | b'\t') if method > 0 => {}
        _ => return Opening::Other,
    }
    let end = line.iter().position(|byte| *byte == b'\n');
    let whole = &line[..end.unwrap_or(line.len())];
    match end {
        Some(_) if whole.windows(5).any(|five| five == b"HTTP/") => Opening::Http,
        Some(_) => Opening::Other,
        None if whole
            .iter()
            .any(|byte| *byte < b' ' && !matches!(byte, b'\t' | b'\r')) =>
        {
            Opening::Other
        }
        None if whole.len() > LINE_MAX => Opening::Broken("its first line has no end"),
        None => Opening::Partial,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_is_taken_for_what_it_looks_like() {
        let hello = hello::tests::hello_for("a.example");
        assert!(matches!(read(&hello), Opening::Tls(Some(_))));
        for (sent, opening) in [
            (&b""[..], Opening::Partial),
            (b"\x16", Opening::Partial),
            (b"\x16\x03\x01", Opening::Partial),
            (b"\x16\x02", Opening::Other),
            (b"SSH-2.0-x\r\n", Opening::Ssh),
            (b"G", Opening::Partial),
            (b"GET / HTT", Opening::Partial),
            (b"GET / HTTP/1.1\r\n", Opening::Http),
            (b"\r\n\nPATCH\t/\tHTTP/1.1\n", Opening::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Opening::Http),
            (b"EHLO a.example\r\n", Opening::Other),
            (b"JRMI\0\x02K", Opening::Other),
            (b"GET \0", Opening::Other),
            (b"ping", Opening::Other),
            (b"\0\0\0\x08\x04\xd2\x16\x2f", Opening::Other),
        ] {
            assert_eq!(read(sent), opening, "{:?}", String::from_utf8_lossy(sent));
        }
        let endless = [&b"GET /"[..], &[b'a'; LINE_MAX]].concat();
        assert!(matches!(read(&endless), Opening::Broken(_)));
    }
}
