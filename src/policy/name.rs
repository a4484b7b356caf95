//! Names: how a DNS name is spelled, stored and compared.
//!
//! A [`Name`] can only hold a name that was folded and checked, so nothing after it looks at the
//! spelling again. Knows nothing of ports, addresses or rules.

use std::fmt;
use std::hash::{Hash, Hasher};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

use super::host::HostError;

/// Longest name in its printed form without the trailing dot (RFC 1035, section 2.3.4: 255 octets
/// on the wire, of which one is the first length and one the root).
pub(super) const NAME_MAX: usize = 253;
/// Longest label (RFC 1035, section 2.3.4).
const LABEL_MAX: usize = 63;
/// Names up to this length are stored in place: with the length and the tag they fill 32 bytes.
const INLINE: usize = 30;

/// Names that mean something only near the machine that asks. From the registry of special-use
/// domain names (RFC 6761, 6762, 7686, 9476) and the private ones that RFC 6762, appendix G, and
/// ICANN's reservation of `internal` name. `test` and `example` are left out: they are used on
/// purpose.
const SPECIAL: [&str; 13] = [
    "alt",
    "arpa",
    "corp",
    "home",
    "internal",
    "intranet",
    "invalid",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "onion",
    "private",
];

/// A DNS name: lower-case A-labels, no trailing dot, never empty, never an address.
#[derive(Clone)]
pub struct Name(Repr);

#[derive(Clone)]
enum Repr {
    Inline { len: u8, bytes: [u8; INLINE] },
    Heap(Box<str>),
}

impl Name {
    /// Takes a name as it stands in a protocol: ASCII, nothing mapped but upper case.
    pub fn from_wire(bytes: &[u8]) -> Result<Self, HostError> {
        let name = Self::fold(bytes)?;
        if ends_in_a_number(name.as_bytes()) {
            return Err(HostError::Number);
        }
        Ok(name)
    }

    /// Takes what is known not to end in a number.
    pub(super) fn fold(bytes: &[u8]) -> Result<Self, HostError> {
        let bytes = without_trailing_dot(bytes);
        if bytes.is_empty() {
            return Err(HostError::Empty);
        }
        if bytes.len() > NAME_MAX {
            return Err(HostError::NameTooLong);
        }
        let mut inline = [0; INLINE];
        if let Some(folded) = inline.get_mut(..bytes.len()) {
            folded.copy_from_slice(bytes);
            folded.make_ascii_lowercase();
            check_labels(folded)?;
            return Ok(Self(Repr::Inline {
                len: bytes.len() as u8,
                bytes: inline,
            }));
        }
        let folded = bytes.to_ascii_lowercase();
        check_labels(&folded)?;
        let text = String::from_utf8(folded).expect("every label was checked to be ASCII");
        Ok(Self(Repr::Heap(text.into())))
    }

    /// The name's text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Inline { .. } => {
                std::str::from_utf8(self.as_bytes()).expect("only ASCII is ever stored")
            }
            Repr::Heap(text) => text,
        }
    }

    /// The name's text as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline { len, bytes } => &bytes[..usize::from(*len)],
            Repr::Heap(text) => text.as_bytes(),
        }
    }

    /// Whether nobody should be asked about this name: it has one label, or belongs to a domain
    /// that no public resolver answers for. A rule may still cover it.
    pub fn is_special(&self) -> bool {
        match self.as_str().rsplit_once('.') {
            None => true,
            Some((_, top)) => SPECIAL.contains(&top),
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// Removes one trailing dot, the root's.
pub(super) fn without_trailing_dot(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b".").unwrap_or(bytes)
}

fn check_labels(folded: &[u8]) -> Result<(), HostError> {
    folded.split(|&b| b == b'.').try_for_each(check_label)
}

/// Checks one label that has been folded to lower case.
///
/// Letters, digits, hyphens and underscores: the underscore is no host name's (RFC 1123), but
/// resolvers and certificates carry it, and refusing it would break services that have one.
pub(super) fn check_label(label: &[u8]) -> Result<(), HostError> {
    let (Some(first), Some(last)) = (label.first(), label.last()) else {
        return Err(HostError::EmptyLabel);
    };
    if let Some(&b) = label
        .iter()
        .find(|b| !matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
    {
        return Err(if b.is_ascii() {
            HostError::Byte(b)
        } else {
            HostError::NotAscii
        });
    }
    if label.len() > LABEL_MAX {
        return Err(HostError::LabelTooLong);
    }
    if *first == b'-' || *last == b'-' {
        return Err(HostError::Hyphen);
    }
    if label.starts_with(b"xn--") && !is_a_label(label) {
        return Err(HostError::Punycode);
    }
    Ok(())
}

/// Whether a label that claims to be an A-label is the one spelling of what it decodes to. One
/// that decodes to plain ASCII, or to what would be mapped away, is not.
fn is_a_label(label: &[u8]) -> bool {
    Uts46::new()
        .to_ascii(
            label,
            AsciiDenyList::STD3,
            Hyphens::CheckFirstLast,
            DnsLength::Ignore,
        )
        .is_ok_and(|again| again.as_bytes() == label)
}

/// Maps people's text to A-labels; the result is still to be checked label by label.
pub(super) fn to_ascii(text: &str) -> Result<String, HostError> {
    if let Some(c) = text.chars().find(|&c| is_invisible(c)) {
        return Err(HostError::Invisible(c));
    }
    Uts46::new()
        .to_ascii(
            text.as_bytes(),
            AsciiDenyList::EMPTY,
            Hyphens::Allow,
            DnsLength::Ignore,
        )
        .map(|mapped| mapped.into_owned())
        .map_err(|_| HostError::Unmapped)
}

/// Characters that show nothing, or turn the reading direction. UTS 46 drops some of them in
/// silence; what a person cannot see they did not mean.
fn is_invisible(c: char) -> bool {
    c.is_control()
        || c.is_whitespace()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffd}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the last label is what some resolver or library would read as (part of) an IPv4
/// address: the URL standard's "ends in a number", decimal, octal or hexadecimal.
pub(super) fn ends_in_a_number(name: &[u8]) -> bool {
    let last = name.rsplit(|&b| b == b'.').next().unwrap_or(name);
    match last {
        [] => false,
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        digits => digits.iter().all(u8::is_ascii_digit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Result<String, HostError> {
        Name::from_wire(text.as_bytes()).map(|name| name.to_string())
    }

    #[test]
    fn case_is_folded_and_one_trailing_dot_removed() {
        assert_eq!(name("WWW.Example.TEST.").unwrap(), "www.example.test");
        assert_eq!(
            name("www.example.test..").unwrap_err(),
            HostError::EmptyLabel
        );
    }

    #[test]
    fn empty_labels_are_refused_wherever_they_are() {
        for text in [".a.test", "a..test", "..", "a.."] {
            assert_eq!(name(text).unwrap_err(), HostError::EmptyLabel, "{text}");
        }
        assert_eq!(name("").unwrap_err(), HostError::Empty);
        assert_eq!(name(".").unwrap_err(), HostError::Empty);
    }

    #[test]
    fn the_longest_label_and_the_longest_name_are_accepted_and_no_longer_ones() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        assert_eq!(name(&longest).unwrap(), longest);
        assert_eq!(name(&format!("{longest}.")).unwrap(), longest);
        assert_eq!(
            name(&format!("{longest}a")).unwrap_err(),
            HostError::NameTooLong
        );
        assert_eq!(
            name(&format!("a{label}.test")).unwrap_err(),
            HostError::LabelTooLong
        );
    }

    #[test]
    fn names_around_the_inline_length_keep_their_text() {
        for length in 1..=80 {
            let text: String = (0..length)
                .map(|at| if at % 9 == 8 { '.' } else { 'b' })
                .collect();
            let text = text.trim_end_matches('.');
            let name = Name::from_wire(text.as_bytes()).unwrap();
            assert_eq!(name.as_str(), text);
            assert_eq!(name.clone(), name);
        }
        assert_eq!(size_of::<Name>(), 32);
    }

    #[test]
    fn underscores_are_accepted_and_hyphens_at_the_ends_are_not() {
        assert_eq!(name("_dmarc.my_host.test").unwrap(), "_dmarc.my_host.test");
        assert_eq!(name("r3---sn-x.test").unwrap(), "r3---sn-x.test");
        for text in ["-a.test", "a-.test", "a.-", "-"] {
            assert_eq!(name(text).unwrap_err(), HostError::Hyphen, "{text}");
        }
    }

    #[test]
    fn no_byte_but_those_of_a_label_gets_through() {
        for byte in 0..=255_u8 {
            let text = [b'a', byte, b'b'];
            let fine = byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            assert_eq!(Name::from_wire(&text).is_ok(), fine, "{byte:#x}");
        }
    }

    #[test]
    fn a_labels_are_accepted_in_their_one_spelling_only() {
        assert_eq!(name("XN--BCHER-KVA.test").unwrap(), "xn--bcher-kva.test");
        assert_eq!(name("xn--80ak6aa92e.test").unwrap(), "xn--80ak6aa92e.test");
        for text in [
            "xn--",            // nothing
            "xn--allowed-",    // plain ASCII in disguise
            "xn--a",           // not Punycode
            "xn--bcher_x-kva", // an underscore belongs to ASCII names only
            "xn--bucher-xyd",  // a letter and its accent apart: not normalised
            "xn--bcher-2pa",   // an upper-case letter beyond ASCII
            "xn--ab-g1t",      // a zero-width space
            "xn--x-6q0i",      // a full-width letter
            "xn--99999999999", // overflow
        ] {
            assert!(name(text).is_err(), "{text}");
        }
        assert_eq!(name("xn--a.test").unwrap_err(), HostError::Punycode);
    }

    #[test]
    fn what_ends_in_a_number_is_no_name() {
        for text in [
            "127.1",
            "1",
            "foo.0x7f",
            "a.0x",
            "0x7f000001",
            "1.2.3.4.5",
            "a.00",
            "1.2.3.4",
        ] {
            assert_eq!(name(text).unwrap_err(), HostError::Number, "{text}");
        }
        for text in [
            "1.2.3.4.a",
            "0x7g",
            "1a",
            "0xdeadbeef.test",
            "4.4.4.4.in-addr.arpa",
        ] {
            assert!(name(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn names_of_the_neighbourhood_are_special_and_those_of_the_world_are_not() {
        for text in [
            "metadata",
            "localhost",
            "a.localhost",
            "metadata.google.internal",
            "printer.local",
            "x.in-addr.arpa",
            "router.home.arpa",
            "nas.lan",
            "x.onion",
            "x.invalid",
        ] {
            assert!(
                Name::from_wire(text.as_bytes()).unwrap().is_special(),
                "{text}"
            );
        }
        for text in [
            "api.example",
            "api.test",
            "local.example",
            "example.com",
            "mylocal.com",
        ] {
            assert!(
                !Name::from_wire(text.as_bytes()).unwrap().is_special(),
                "{text}"
            );
        }
    }
}
