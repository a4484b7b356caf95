//! `nc`: a connection through the SOCKS5 door of a sandbox, in the place of one that there is not
//! (`ProxyCommand` in ssh_config(5)). It runs in the sandbox, next to whatever is there, and needs
//! nothing but the door: no session's directory, no configuration, no runtime.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use rustix::stdio::dup2_stdout;
use serde::Deserialize;

use crate::api::enclosure::{SOCKS5_DOOR, SOCKS5_VARIABLE};
use crate::policy::{Host, Target};

use super::args::NcArgs;
use super::failure::Failure;
use super::output::Output;

/// How long the door is silent before the person is told that somebody else decides.
const SILENCE: Duration = Duration::from_secs(2);
/// How long the page about the sandbox may take, and how much of it is read.
const PAGE_PATIENCE: Duration = Duration::from_secs(5);
const PAGE_BYTES: u64 = 1024 * 1024;

/// What a socket holds, about.
const BUFFER: usize = 64 * 1024;

// RFC 1928.
const VERSION: u8 = 5;
const NO_PASSWORD: u8 = 0;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;
const SUCCEEDED: u8 = 0;
const NOT_ALLOWED: u8 = 2;
const HOST_UNREACHABLE: u8 = 4;
const REFUSED: u8 = 5;

pub(super) fn run(args: &NcArgs, out: &Output) -> Result<ExitCode, Failure> {
    let target = target(&args.host, args.port)?;
    let door = door(args.socks5)?;
    let mut stream = TcpStream::connect(door).map_err(|error| {
        Failure::failed(format!("no SOCKS5 door answers at {door}: {error}")).hint(
            "vibepit nc is for programs in a sandbox; elsewhere --socks5 ADDR names the door of a \
             vibepit proxy",
        )
    })?;
    let reply = ask(&mut stream, &target, out)
        .map_err(|error| Failure::failed(format!("the SOCKS5 door at {door} gave up: {error}")))?;
    if reply != SUCCEEDED {
        return Err(refused(reply, &target));
    }
    join(stream)
        .map(|()| ExitCode::SUCCESS)
        .map_err(|error| Failure::failed(format!("the connection to {target} broke: {error}")))
}

/// The door that was named, that of the session, or that of any sandbox without an engine.
fn door(named: Option<SocketAddr>) -> Result<SocketAddr, Failure> {
    if let Some(door) = named {
        return Ok(door);
    }
    match std::env::var_os(SOCKS5_VARIABLE).filter(|door| !door.is_empty()) {
        None => Ok(SOCKS5_DOOR),
        Some(door) => door
            .to_str()
            .and_then(|door| door.parse().ok())
            .ok_or_else(|| {
                Failure::usage(format!(
                    "{SOCKS5_VARIABLE} is no address with a port, such as {SOCKS5_DOOR}"
                ))
            }),
    }
}

/// Where to. An IPv6 address may stand without brackets, as ssh gives it.
fn target(host: &str, port: u16) -> Result<Target, Failure> {
    let host = match host.parse::<Ipv6Addr>() {
        Ok(address) => Host::Ip(address.into()),
        Err(_) => Host::from_text(host)
            .map_err(|error| Failure::usage(format!("{host:?} is no host: {error}")))?,
    };
    Ok(Target { host, port })
}

/// The words of a request for it (RFC 1928, section 4).
fn request(target: &Target) -> Vec<u8> {
    let mut request = vec![VERSION, CONNECT, 0];
    match &target.host {
        Host::Ip(IpAddr::V4(address)) => {
            request.push(IPV4);
            request.extend(address.octets());
        }
        Host::Ip(IpAddr::V6(address)) => {
            request.push(IPV6);
            request.extend(address.octets());
        }
        Host::Name(name) => {
            let name = name.as_str();
            request.push(NAME);
            // A name has 253 bytes at most.
            request.extend(u8::try_from(name.len()));
            request.extend(name.as_bytes());
        }
    }
    request.extend(target.port.to_be_bytes());
    request
}

/// As it is typed to a shell: the brackets of an address are a pattern to it.
fn typed(target: &Target) -> String {
    match target.host {
        Host::Ip(IpAddr::V6(_)) => format!("'{target}'"),
        _ => target.to_string(),
    }
}

/// Asks the door for a connection. The answer comes when somebody has decided.
fn ask(stream: &mut TcpStream, target: &Target, out: &Output) -> io::Result<u8> {
    let what_is_that = || io::Error::other("it does not speak SOCKS5 without a password");
    stream.write_all(&[VERSION, 1, NO_PASSWORD])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    if method != [VERSION, NO_PASSWORD] {
        return Err(what_is_that());
    }
    stream.write_all(&request(target))?;
    stream.set_read_timeout(Some(SILENCE))?;
    if let Err(error) = stream.peek(&mut [0])
        && matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
    {
        out.note(format!(
            "vibepit: {target} waits for the person outside to decide: vibepit approve {}",
            typed(target)
        ));
    }
    stream.set_read_timeout(None)?;
    let mut reply = [0; 4];
    stream.read_exact(&mut reply)?;
    // Where the door is connected from, and the port of that.
    let bound = match reply {
        [VERSION, _, 0, IPV4] => 4,
        [VERSION, _, 0, IPV6] => 16,
        [VERSION, _, 0, NAME] => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            length[0].into()
        }
        _ => return Err(what_is_that()),
    };
    stream.read_exact(&mut vec![0; bound + 2])?;
    Ok(reply[1])
}

fn refused(reply: u8, target: &Target) -> Failure {
    match reply {
        NOT_ALLOWED => {
            let why = why(target);
            let detail = why.as_ref().map_or("", |why| why.detail.as_str());
            let colon = if detail.is_empty() { "" } else { ": " };
            let failure = Failure::failed(format!("{target} is not allowed{colon}{detail}"));
            // What is malformed or screened is let through by no rule.
            let allowable = why.is_none_or(|why| {
                ["unlisted", "timed_out", "denied_by_person"].contains(&&*why.reason)
            });
            match allowable {
                true => failure.hint(format!(
                    "the person outside lets it through with: vibepit allow {}",
                    typed(target)
                )),
                false => failure.hint("http://vibepit.internal/ tells what is allowed here"),
            }
        }
        HOST_UNREACHABLE => Failure::failed(format!(
            "{target} cannot be reached: its name has no address, or nothing answers there"
        )),
        REFUSED => Failure::failed(format!(
            "{target} refuses connections: nothing listens there"
        )),
        other => Failure::failed(format!(
            "the proxy did not connect to {target} (SOCKS5 reply {other})"
        ))
        .hint("outside, vibepit logs tells why"),
    }
}

/// What the proxy says of a refusal.
#[derive(Deserialize)]
struct Why {
    target: String,
    reason: String,
    detail: String,
}

/// Asks the page that a sandbox has about itself. It is a courtesy: without an answer there is less
/// to say.
fn why(target: &Target) -> Option<Why> {
    #[derive(Deserialize)]
    struct Page {
        refused: Vec<Why>,
    }
    let proxy = std::env::var("http_proxy").ok()?;
    let door: SocketAddr = proxy.strip_prefix("http://")?.parse().ok()?;
    let mut stream = TcpStream::connect_timeout(&door, PAGE_PATIENCE).ok()?;
    stream.set_read_timeout(Some(PAGE_PATIENCE)).ok()?;
    stream
        .write_all(
            b"GET http://vibepit.internal/ HTTP/1.1\r\nHost: vibepit.internal\r\n\
              Accept: application/json\r\nConnection: close\r\n\r\n",
        )
        .ok()?;
    let mut answer = String::new();
    stream.take(PAGE_BYTES).read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let page: Page = serde_json::from_str(body).ok()?;
    let asked = target.to_string();
    page.refused.into_iter().find(|why| why.target == asked)
}

/// Carries bytes both ways. The end of each way is the end of that way alone.
fn join(mut stream: TcpStream) -> io::Result<()> {
    // As files: what is read is sent on at once.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut up = stream.try_clone()?;
    let sending = thread::spawn(move || {
        let sent = pump(&mut input, &mut up);
        // It may be gone already, and then there is nobody to tell.
        let _ = up.shutdown(Shutdown::Write);
        sent
    });
    match pump(&mut stream, &mut output) {
        // Whoever reads us has heard enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        received => received?,
    }
    drop(output);
    // The last one that holds our standard output, so that its reader hears of the end.
    dup2_stdout(File::open("/dev/null")?)?;
    match sending.join() {
        Ok(Err(error)) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Not io::copy: that has the kernel splice where it can, which holds the lock of a pipe for as long
/// as the other end is silent, and a program that reads that pipe without waiting (as ssh does) is
/// held up for as long.
fn pump(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&buffer[..count])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_target_as_a_name_or_as_an_address() {
        let words = |host| request(&target(host, 22).unwrap());
        assert_eq!(words("A.Test"), b"\x05\x01\x00\x03\x06a.test\x00\x16");
        assert_eq!(
            words("192.0.2.7"),
            b"\x05\x01\x00\x01\xc0\x00\x02\x07\x00\x16"
        );
        let six = words("2001:db8::1");
        assert_eq!((six[3], six.len()), (IPV6, 4 + 16 + 2));
        assert_eq!(six, words("[2001:db8::1]"));
    }

    #[test]
    fn only_a_host_becomes_part_of_a_command() {
        let command = |host| target(host, 22).ok().map(|target| typed(&target));
        assert_eq!(command("Git.Test").as_deref(), Some("git.test:22"));
        assert_eq!(
            command("2001:db8::1").as_deref(),
            Some("'[2001:db8::1]:22'")
        );
        for hostile in ["a;reboot", "$(x)", "a b", "\u{1b}]0;x\u{7}", ""] {
            assert_eq!(command(hostile), None, "{hostile}");
        }
    }
}
