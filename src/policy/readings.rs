//! Targets as another parser reads them. Whoever is connected to was judged by this crate's reading
//! and may read the same bytes by rules of their own (the URL standard's, mostly): what is taken here
//! means the same there.

use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use url::Url;

use super::{Host, Target};

/// Authorities that are plain, and ones that are read in several ways.
const SEEDS: [&str; 32] = [
    "a.test",
    "A.Test.",
    "a.test:80",
    "a.test:8080",
    "a_b.c-d.test:443",
    "xn--bcher-kva.test",
    "XN--80AK6AA92E.com:443",
    "xn--a.test",
    "192.0.2.1",
    "192.0.2.1.:80",
    "0300.0.2.1",
    "0x7f.1",
    "2130706433",
    "127.1:80",
    "a.1",
    "a.0x4",
    "1.2.3.4.5",
    "[2001:db8::1]:443",
    "[::ffff:192.0.2.1]",
    "[::192.0.2.1]:80",
    "[fe80::1%25eth0]",
    "[0:0:0:0:0:0:0:1]",
    "user@a.test",
    "user:80@a.test:443",
    "a.test:080",
    "a.test:",
    "a.test:+80",
    "a%2etest",
    "a.test\\@b.test",
    "a.test#@b.test",
    "a.test?b.test",
    "a..test",
];

/// What is put into them: whatever separates, hides or is taken for a number somewhere.
const PARTS: [&str; 24] = [
    ".", ":", "@", "/", "\\", "?", "#", "%", "[", "]", "0", "1", "0x", "x", "-", "xn--", "\t", " ",
    "\0", "%2e", "%00", "\u{ff0e}", "\u{ad}", "b.test",
];

/// An authority with a few changes.
fn authority() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), 0..2_usize, select(&PARTS[..]));
    (select(&SEEDS[..]), vec(change, 0..4)).prop_map(|(seed, changes)| {
        let mut text: Vec<char> = seed.chars().collect();
        for (at, taken, put) in changes {
            let at = at.index(text.len() + 1);
            let end = (at + taken).min(text.len());
            text.splice(at..end, put.chars());
        }
        text.into_iter().collect()
    })
}

/// Whether a host of the URL standard is this one. A last dot is kept there.
pub(crate) fn is_the_same(host: &Host, read: Option<url::Host<&str>>) -> bool {
    match (host, read) {
        (Host::Name(name), Some(url::Host::Domain(read))) => {
            read.strip_suffix('.').unwrap_or(read) == name.as_str()
        }
        (Host::Ip(IpAddr::V4(ip)), Some(url::Host::Ipv4(read))) => *ip == read,
        (Host::Ip(IpAddr::V6(ip)), Some(url::Host::Ipv6(read))) => *ip == read,
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_target_that_is_taken_is_read_the_same_in_a_url(text in authority()) {
        if let Ok(target) = Target::from_authority_or(text.as_bytes(), 80) {
            let url = Url::parse(&format!("http://{text}/"));
            prop_assert!(url.is_ok(), "{:?}: {:?}", text, url);
            let url = url.expect("it was looked at");
            prop_assert!(is_the_same(&target.host, url.host()), "{:?}: {}", text, url);
            prop_assert_eq!(url.port_or_known_default(), Some(target.port), "{:?}", text);
            prop_assert_eq!((url.username(), url.password()), ("", None));
            prop_assert_eq!((url.path(), url.query(), url.fragment()), ("/", None, None));
        }
    }
}
