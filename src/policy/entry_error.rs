//! Why a text is not an entry, said so that the person who wrote it can write it right.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;

use thiserror::Error;

use super::cidr::CidrError;
use super::entry::Entry;
use super::host::HostError;
use super::ports::Ports;

/// How much of a wrong text is repeated.
const SHOWN: usize = 80;

/// What is wrong with a text that should be an entry: the rest of a sentence that begins with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum Problem {
    #[error("is not an entry: {0}")]
    Host(#[from] HostError),
    #[error("is not an entry: {0}")]
    Cidr(#[from] CidrError),
    #[error("has a colon but no port: write a number after it, or * for every port")]
    PortMissing,
    #[error("has a port that is neither * nor one number from 1 to 65535 in plain decimals")]
    Port,
    #[error("has brackets that are not around an IPv6 address or network (without a zone)")]
    Brackets,
    #[error("has a star that is only part of a label: a star stands alone between dots")]
    PartialStar,
    #[error("has ** more than once: use * for the labels that are one each")]
    TwoDoubleStars,
    #[error("has nothing fixed after its last star, so it would cover everybody's names")]
    NothingFixed,
    #[error(
        "covers names of many owners, because {0} is a public suffix: fix one more label, or force it"
    )]
    PublicSuffix(String),
    #[error("is empty")]
    Nothing,
    #[error("has white space in it, which no entry has")]
    Space,
    #[error("is a URL, not an entry")]
    Url,
    #[error("has a path, a query or a fragment, which no entry has")]
    Path,
    #[error("has a user name in it, which no entry has")]
    UserInfo,
    #[error("is an IPv6 address without its brackets")]
    BareIpv6,
}

/// A text that is not an entry. Displays as one sentence for people, with the text escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryError {
    shown: String,
    problem: Problem,
    instead: Option<Box<Entry>>,
}

impl EntryError {
    /// `problem` is what stopped the parser; what a person did wrong may be plainer to see.
    pub(super) fn new(text: &str, problem: Problem) -> Self {
        let shown = match text.char_indices().nth(SHOWN) {
            None => text.escape_debug().to_string(),
            Some((end, _)) => format!("{}…", text[..end].escape_debug()),
        };
        let problem = plainer(text).unwrap_or(problem);
        let instead = instead(text, &problem).map(Box::new);
        Self {
            shown,
            problem,
            instead,
        }
    }

    /// Whether the entry is refused only because it covers a whole public suffix, so that
    /// [`Entry::parse_forced`] takes it.
    pub fn can_be_forced(&self) -> bool {
        matches!(self.problem, Problem::PublicSuffix(_))
    }
}

impl std::error::Error for EntryError {}

impl fmt::Display for EntryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` {}", self.shown, self.problem)?;
        if let Some(instead) = &self.instead {
            write!(f, ": write {instead}")?;
        }
        f.write_str(
            " (an entry looks like `api.example.com`, `*.example.com:443` or `192.0.2.7:8080`)",
        )
    }
}

/// What a text is, when it is plainly something else than an entry.
fn plainer(text: &str) -> Option<Problem> {
    if text.trim().is_empty() {
        return Some(Problem::Nothing);
    }
    if text.contains(char::is_whitespace) {
        return Some(Problem::Space);
    }
    if text.contains("://") {
        return Some(Problem::Url);
    }
    if text.contains('@') {
        return Some(Problem::UserInfo);
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(Problem::BareIpv6);
    }
    let before_slash = text.split('/').next().unwrap_or(text);
    let is_network = before_slash
        .trim_start_matches('[')
        .parse::<IpAddr>()
        .is_ok();
    (text.contains(['?', '#', '\\']) || (text.contains('/') && !is_network))
        .then_some(Problem::Path)
}

/// The entry that was probably meant.
fn instead(text: &str, problem: &Problem) -> Option<Entry> {
    let text = text.trim();
    match problem {
        Problem::BareIpv6 => Entry::read(&format!("[{text}]")).ok(),
        Problem::Space | Problem::Url | Problem::Path | Problem::UserInfo => from_url(text),
        _ => None,
    }
}

/// The host and port of a URL, or of something that has some of a URL's parts.
fn from_url(text: &str) -> Option<Entry> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    let host = authority.rsplit('@').next()?;
    let entry = Entry::read(host).ok()?;
    let port = match scheme.to_ascii_lowercase().as_str() {
        "https" | "wss" => NonZeroU16::new(443),
        "http" | "ws" => NonZeroU16::new(80),
        _ => None,
    };
    match port {
        Some(port) if entry.ports() == Ports::Web => Some(entry.with_ports(Ports::One(port))),
        _ => Some(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        text.parse::<Entry>().unwrap_err().to_string()
    }

    #[test]
    fn a_mistake_is_told_with_what_was_probably_meant() {
        for (text, begins) in [
            (
                "https://x/",
                "`https://x/` is a URL, not an entry: write x:443 (",
            ),
            (
                "http://a.test/b?c",
                "`http://a.test/b?c` is a URL, not an entry: write a.test:80 (",
            ),
            (
                "HTTPS://u:p@a.test:8443/",
                "`HTTPS://u:p@a.test:8443/` is a URL, not an entry: write a.test:8443 (",
            ),
            (
                "ssh://a.test",
                "`ssh://a.test` is a URL, not an entry: write a.test (",
            ),
            (
                "a.test/b",
                "`a.test/b` has a path, a query or a fragment, which no entry has: write a.test (",
            ),
            (
                "u@a.test:443",
                "`u@a.test:443` has a user name in it, which no entry has: write a.test:443 (",
            ),
            (
                " a.test ",
                "` a.test ` has white space in it, which no entry has: write a.test (",
            ),
            (
                "2001:db8::1",
                "`2001:db8::1` is an IPv6 address without its brackets: write [2001:db8::1] (",
            ),
            (
                "10.0.0.1/8:443",
                "`10.0.0.1/8:443` is not an entry: its address is not the first of its network: write 10.0.0.0/8 (",
            ),
            (
                "*.co.uk",
                "`*.co.uk` covers names of many owners, because co.uk is a public suffix",
            ),
            ("", "`` is empty ("),
        ] {
            let said = said(text);
            assert!(said.starts_with(begins), "{said}");
        }
    }

    #[test]
    fn every_refusal_says_what_an_entry_looks_like() {
        for text in [
            "",
            "*",
            "a*.x",
            "a:0",
            "https://x/",
            "[a]",
            "10.0.0.0/99",
            "a b",
            "*.com",
        ] {
            let said = said(text);
            for example in [
                "`api.example.com`",
                "`*.example.com:443`",
                "`192.0.2.7:8080`",
            ] {
                assert!(said.contains(example), "{said}");
            }
        }
    }

    #[test]
    fn the_text_is_shown_escaped_and_cut() {
        for text in [
            "a\u{202e}b",
            "a\x1b[2Jb",
            "a\nb",
            "a\u{200b}b",
            "http://a\x1bb/\u{7}",
        ] {
            let said = said(text);
            assert!(
                !said
                    .chars()
                    .any(|c| c.is_control() || "\u{202e}\u{200b}".contains(c)),
                "{said:?}"
            );
        }
        assert!(said(&"*é".repeat(5000)).len() < 600);
    }
}
