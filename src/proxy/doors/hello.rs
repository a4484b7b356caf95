//! The ClientHello of TLS, read for the one thing that is asked of it: which host it is for.
//!
//! Read from the bytes alone, and strictly: a hello that could be read in two ways is for no host
//! (RFC 8446, sections 4.1.2 and 5.1; RFC 6066, section 3). The real name of a hello with ECH is
//! encrypted; what is read then is its outer name, the one that a server without ECH would serve.

use std::borrow::Cow;

use crate::policy::{Host, Name};

/// A record's head: type, version, length.
const RECORD_HEAD: usize = 5;
/// What a record may hold: 2^14 bytes.
const RECORD_MAX: usize = 1 << 14;
/// What a hello may weigh, its records' heads left out. Post-quantum key shares make two KiB of it.
pub(super) const HELLO_MAX: usize = 64 * 1024;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the first bytes of a TLS client come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Hello {
    /// It is not all there.
    Partial,
    /// It is for this host; `None`: it does not say.
    For(Option<Name>),
    /// It cannot be judged: one clause says why.
    Bad(&'static str),
}

/// Whether bytes are the beginning of TLS, or may become it.
pub(super) fn is_tls(sent: &[u8]) -> bool {
    sent.iter()
        .zip([HANDSHAKE, 3])
        .all(|(byte, tls)| *byte == tls)
}

/// Reads the hello at the start of what a client sent.
pub(super) fn read(sent: &[u8]) -> Hello {
    let message = match joined(sent) {
        Ok(Some(message)) => message,
        Ok(None) => return Hello::Partial,
        Err(why) => return Hello::Bad(why),
    };
    match name(&message) {
        Ok(name) => Hello::For(name),
        Err(why) => Hello::Bad(why),
    }
}

/// The handshake message, whose parts may come in several records.
fn joined(sent: &[u8]) -> Result<Option<Cow<'_, [u8]>>, &'static str> {
    let mut message: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = sent;
    while let Some((head, behind)) = rest.split_first_chunk::<RECORD_HEAD>() {
        let [kind, major, _, high, low] = *head;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if (kind, major) != (HANDSHAKE, 3) {
            return Err("its ClientHello is interrupted by another record");
        }
        if length == 0 || length > RECORD_MAX {
            return Err("a record of its ClientHello has no length that TLS allows");
        }
        let fragment = &behind[..length.min(behind.len())];
        match message.is_empty() {
            true => message = Cow::Borrowed(fragment),
            false => message.to_mut().extend_from_slice(fragment),
        }
        if let [kind, ..] = *message
            && kind != CLIENT_HELLO
        {
            return Err("its handshake does not begin with a ClientHello");
        }
        if let [_, high, middle, low, ..] = *message {
            let length =
                4 + usize::from(high) * 0x1_0000 + usize::from(middle) * 0x100 + usize::from(low);
            if length > HELLO_MAX {
                return Err("its ClientHello is larger than 64 KiB");
            }
            if message.len() >= length {
                return match message {
                    Cow::Borrowed(whole) => Ok(Some(Cow::Borrowed(&whole[4..length]))),
                    Cow::Owned(whole) => Ok(Some(Cow::Owned(whole[4..length].to_vec()))),
                };
            }
        }
        if fragment.len() < length {
            break;
        }
        rest = &behind[length..];
    }
    Ok(None)
}

/// A cursor over bytes that may be anything.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self
            .0
            .split_at_checked(count)
            .ok_or("its ClientHello says that it is longer than it is")?;
        self.0 = rest;
        Ok(taken)
    }

    fn number(&mut self, bytes: usize) -> Result<usize, &'static str> {
        let taken = self.take(bytes)?;
        Ok(taken
            .iter()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
    }

    /// What follows its own length, which is written in so many bytes.
    fn counted(&mut self, bytes: usize) -> Result<Self, &'static str> {
        let length = self.number(bytes)?;
        Ok(Self(self.take(length)?))
    }
}

fn name(message: &[u8]) -> Result<Option<Name>, &'static str> {
    let mut hello = Bytes(message);
    // Version and random.
    hello.take(2 + 32)?;
    let _session = hello.counted(1)?;
    let _ciphers = hello.counted(2)?;
    let _compression = hello.counted(1)?;
    if hello.0.is_empty() {
        return Ok(None);
    }
    let mut extensions = hello.counted(2)?;
    if !hello.0.is_empty() {
        return Err("something follows its ClientHello's extensions");
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number(2)?;
        let content = extensions.counted(2)?;
        if kind != usize::from(SERVER_NAME) {
            continue;
        }
        if found.is_some() {
            return Err("its ClientHello has two server_name extensions");
        }
        found = Some(server_name(content)?);
    }
    Ok(found)
}

fn server_name(mut extension: Bytes<'_>) -> Result<Name, &'static str> {
    let mut list = extension.counted(2)?;
    let kind = list.number(1)?;
    let text = list.counted(2)?;
    if !extension.0.is_empty() || !list.0.is_empty() {
        return Err("its ClientHello names more than one host");
    }
    if kind != usize::from(HOST_NAME) {
        return Err("its ClientHello names a host in a way that is not known");
    }
    match Host::from_wire(text.0) {
        Ok(Host::Name(name)) => Ok(name),
        Ok(Host::Ip(_)) => Err("its ClientHello names an address where a name belongs"),
        Err(_) => Err("its ClientHello names what is no host"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn counted(bytes: usize, content: &[u8]) -> Vec<u8> {
        let length = content.len().to_be_bytes();
        [&length[length.len() - bytes..], content].concat()
    }

    fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
        [&kind.to_be_bytes()[..], &counted(2, content)].concat()
    }

    fn named(kind: u8, names: &[&str]) -> Vec<u8> {
        let each = names
            .iter()
            .map(|name| [&[kind][..], &counted(2, name.as_bytes())].concat());
        extension(SERVER_NAME, &counted(2, &each.collect::<Vec<_>>().concat()))
    }

    fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
        let body = [
            &[3, 3][..],
            &[7; 32],
            &counted(1, &[1; 32]),
            &counted(2, &[0x0a, 0x0a, 0x13, 0x01]),
            &counted(1, &[0]),
            &counted(2, &extensions.concat()),
        ]
        .concat();
        [&[CLIENT_HELLO][..], &counted(3, &body)].concat()
    }

    fn records(message: &[u8], each: usize) -> Vec<u8> {
        let record = |piece: &[u8]| [&[HANDSHAKE, 3, 1][..], &counted(2, piece)].concat();
        message.chunks(each).flat_map(record).collect()
    }

    /// A hello for this host, as a client would send it.
    pub(in crate::proxy::doors) fn hello_for(name: &str) -> Vec<u8> {
        let grease = extension(0x0a0a, &[]);
        records(&message(&[grease, named(HOST_NAME, &[name])]), RECORD_MAX)
    }

    fn name_of(sent: &[u8]) -> Option<String> {
        match read(sent) {
            Hello::For(name) => name.map(|name| name.as_str().to_owned()),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_name_is_found_however_the_hello_is_cut() {
        let ech = extension(0xfe0d, &[0; 300]);
        let large = extension(51, &[9; 40_000]);
        let hello = message(&[large, named(HOST_NAME, &["A.Example."]), ech]);
        for each in [1, 7, 300, RECORD_MAX] {
            let sent = records(&hello, each);
            assert_eq!(name_of(&sent).as_deref(), Some("a.example"), "{each}");
            for at in [0, 1, 4, 5, 6, 9, 200, sent.len() - 1] {
                assert_eq!(read(&sent[..at]), Hello::Partial, "{each}: {at}");
            }
            let more = [&sent[..], b"what follows"].concat();
            assert_eq!(name_of(&more).as_deref(), Some("a.example"));
        }
    }

    #[test]
    fn a_hello_without_a_name_is_for_nobody() {
        assert_eq!(name_of(&records(&message(&[]), RECORD_MAX)), None);
        let bare = message(&[]);
        let bare = [
            &[CLIENT_HELLO, 0, 0, (bare.len() - 6) as u8][..],
            &bare[4..bare.len() - 2],
        ];
        assert_eq!(name_of(&records(&bare.concat(), RECORD_MAX)), None);
    }

    /// MIS-006, MIS-010.
    #[test]
    fn what_could_be_for_two_hosts_or_for_none_is_refused() {
        let bad = |extensions: &[Vec<u8>]| {
            let read = read(&records(&message(extensions), RECORD_MAX));
            assert!(matches!(read, Hello::Bad(_)), "{read:?}");
        };
        bad(&[named(HOST_NAME, &["a.example", "b.example"])]);
        bad(&[
            named(HOST_NAME, &["a.example"]),
            named(HOST_NAME, &["a.example"]),
        ]);
        bad(&[named(1, &["a.example"])]);
        for name in [
            "",
            "192.0.2.1",
            "1.2.3.4",
            "[::1]",
            "a b",
            "a\0b",
            "a..b",
            "*.example",
        ] {
            bad(&[named(HOST_NAME, &[name])]);
        }
        bad(&[extension(SERVER_NAME, &[])]);
        bad(&[vec![0, 0, 0, 9]]);
    }

    #[test]
    fn what_is_no_hello_is_refused_at_once() {
        for sent in [
            &[HANDSHAKE, 3, 1, 0, 4, 2, 0, 0, 0][..],
            &[HANDSHAKE, 3, 1, 0, 0],
            &[HANDSHAKE, 3, 1, 0x40, 1],
            &[HANDSHAKE, 3, 1, 0, 4, CLIENT_HELLO, 1, 0, 0],
            &[HANDSHAKE, 3, 1, 0, 1, CLIENT_HELLO, 23, 3, 1, 0, 1],
        ] {
            assert!(matches!(read(sent), Hello::Bad(_)), "{sent:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd_to_be_read(sent: Vec<u8>) {
            let _ = read(&sent);
            let _ = read(&records(&[&[CLIENT_HELLO, 0, 0, 200][..], &sent].concat(), 50));
        }
    }
}
