//! Where a container engine is, as people write it: `unix://`, `tcp://` and `ssh://`. An
//! [`Endpoint`] that exists can be used; whether somebody answers there is not known here.

mod context;
mod surroundings;

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

pub(crate) use self::surroundings::Named;
pub use self::surroundings::{EndpointError, Surroundings};

/// The port of an engine that speaks TLS, and of one that does not (IANA: docker-s, docker).
const TLS_PORT: u16 = 2376;
const PLAIN_PORT: u16 = 2375;

/// The engine's socket on the other machine, unless the address names one.
const REMOTE_SOCKET: &str = "/var/run/docker.sock";

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket of this machine.
    Unix(UnixEnd),
    /// A TCP port.
    Tcp(TcpEnd),
    /// A Unix socket of a machine that sshd leads to.
    Ssh(SshEnd),
}

/// An absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixEnd(PathBuf);

/// A host and a port, with TLS or on the loopback.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TcpEnd {
    host: String,
    port: u16,
    tls: Option<TlsFiles>,
}

/// The directory with `ca.pem`, `cert.pem` and `key.pem`, as docker keeps them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles(PathBuf);

/// What `ssh` is told, and the socket at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshEnd {
    user: Option<String>,
    host: String,
    port: Option<u16>,
    socket: PathBuf,
}

impl Endpoint {
    /// Reads an address as docker writes it. `tls` is the key material that goes with it.
    ///
    /// # Errors
    ///
    /// A clause that says what is wrong with it.
    pub fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(match text.starts_with('/') {
                true => format!("a socket is written unix://{text}"),
                false => "it has no scheme (unix://, tcp:// or ssh://)".to_owned(),
            });
        };
        match scheme {
            "unix" => UnixEnd::new(rest)
                .map(Self::Unix)
                .ok_or_else(|| "what follows unix:// must be an absolute path".to_owned()),
            "tcp" => TcpEnd::parse(rest, tls).map(Self::Tcp),
            "ssh" => SshEnd::parse(rest).map(Self::Ssh),
            other => Err(format!(
                "vibepit speaks to engines over unix://, tcp:// and ssh://, and not over {other}://"
            )),
        }
    }

    /// The socket of this machine, if it is one.
    pub fn unix_socket(&self) -> Option<&Path> {
        match self {
            Self::Unix(end) => Some(end.path()),
            Self::Tcp(_) | Self::Ssh(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(end) => write!(f, "{}", end.0.display()),
            Self::Tcp(end) => write!(f, "tcp://{}:{}", bracketed(&end.host), end.port),
            Self::Ssh(end) => {
                f.write_str("ssh://")?;
                if let Some(user) = &end.user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(&end.host))?;
                if let Some(port) = end.port {
                    write!(f, ":{port}")?;
                }
                match end.socket == Path::new(REMOTE_SOCKET) {
                    true => Ok(()),
                    false => write!(f, "{}", end.socket.display()),
                }
            }
        }
    }
}

/// An IPv6 address as it stands before a port.
fn bracketed(host: &str) -> String {
    match host.contains(':') {
        true => format!("[{host}]"),
        false => host.to_owned(),
    }
}

impl UnixEnd {
    /// `None` unless the path is absolute.
    pub fn new(path: impl Into<PathBuf>) -> Option<Self> {
        Some(Self(path.into())).filter(|end| end.0.is_absolute())
    }

    /// The socket.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl TlsFiles {
    /// The material in a directory, if all three parts are there.
    ///
    /// # Errors
    ///
    /// A clause that names the part that is missing.
    pub(crate) fn in_directory(directory: &Path) -> Result<Self, String> {
        for part in ["ca.pem", "cert.pem", "key.pem"] {
            let path = directory.join(part);
            if !path.is_file() {
                return Err(format!(
                    "its TLS material is not whole: there is no {}",
                    path.display()
                ));
            }
        }
        Ok(Self(directory.to_owned()))
    }

    /// Where they are.
    pub fn directory(&self) -> &Path {
        &self.0
    }
}

impl TcpEnd {
    fn parse(text: &str, tls: Option<TlsFiles>) -> Result<Self, String> {
        let (authority, path) = parted(text);
        if !path.is_empty() {
            return Err("a tcp:// address has no path".to_owned());
        }
        if authority.contains('@') {
            return Err("a tcp:// address has no user".to_owned());
        }
        let (host, port) = host_and_port(authority)?;
        if tls.is_none() && !is_loopback(&host) {
            return Err(
                "without TLS whoever is on the way could be the engine, and command it; set \
                 DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH, or use ssh://"
                    .to_owned(),
            );
        }
        let port = port.unwrap_or(match tls {
            Some(_) => TLS_PORT,
            None => PLAIN_PORT,
        });
        Ok(Self { host, port, tls })
    }

    /// A name or an address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The key material; none on the loopback.
    pub fn tls(&self) -> Option<&TlsFiles> {
        self.tls.as_ref()
    }
}

impl SshEnd {
    fn parse(text: &str) -> Result<Self, String> {
        let (authority, path) = parted(text);
        if path.contains(['?', '#']) {
            return Err("an ssh:// address ends with its path".to_owned());
        }
        let (user, rest) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, authority),
        };
        if let Some(user) = &user {
            if user.contains(':') {
                return Err(
                    "a password does not belong into an address: let ssh ask for it, or use a key"
                        .to_owned(),
                );
            }
            // It becomes an argument of ssh's.
            if !is_plain(user) {
                return Err(format!("{user:?} is not a user's name"));
            }
        }
        let (host, port) = host_and_port(rest)?;
        let socket = match path {
            "" | "/" => REMOTE_SOCKET,
            path => path,
        };
        // A colon would part it from what ssh is to forward.
        if socket.contains(':') || socket.chars().any(char::is_control) {
            return Err(format!("{socket:?} cannot be forwarded"));
        }
        Ok(Self {
            user,
            host,
            port,
            socket: PathBuf::from(socket),
        })
    }

    /// The user's name over there, if it is not for ssh's own configuration to say.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// A name or an address, or an alias of ssh's own configuration.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it is not for ssh's own configuration to say.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// How a person tells `ssh` of it: "-p 2222 me@box".
    pub fn command(&self) -> String {
        let port = self.port.map(|port| format!("-p {port} "));
        let user = self.user.as_ref().map(|user| format!("{user}@"));
        [port, user, Some(self.host.clone())]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The engine's socket on that machine.
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

/// What stands before the first slash, and the path with it.
fn parted(text: &str) -> (&str, &str) {
    text.split_at(text.find('/').unwrap_or(text.len()))
}

fn host_and_port(authority: &str) -> Result<(String, Option<u16>), String> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (host, behind) = rest
                .split_once(']')
                .ok_or("an IPv6 address ends with a bracket")?;
            if host.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(format!("{host:?} is not an IPv6 address"));
            }
            match behind {
                "" => (host, None),
                behind => (host, Some(behind.strip_prefix(':').unwrap_or(behind))),
            }
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if host.is_empty() {
        return Err("it names no host".to_owned());
    }
    if !is_plain(host) && host.parse::<IpAddr>().is_err() {
        return Err(format!("{host:?} is not the name of a host"));
    }
    let port = port.map(|port| match port.parse::<u16>() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err(format!("{port:?} is not a port")),
    });
    Ok((host.to_owned(), port.transpose()?))
}

/// A word that no program takes for an option or for more than one word.
fn is_plain(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    !word.is_empty() && !word.starts_with('-') && word.bytes().all(fits)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, String> {
        Endpoint::parse(text, None).map(|end| end.to_string())
    }

    #[test]
    fn addresses_are_read_as_docker_writes_them() {
        for (text, expected) in [
            ("unix:///run/d.sock", "/run/d.sock"),
            ("tcp://127.0.0.1", "tcp://127.0.0.1:2375"),
            ("tcp://localhost:77", "tcp://localhost:77"),
            ("tcp://[::1]:77", "tcp://[::1]:77"),
            ("ssh://box", "ssh://box"),
            ("ssh://me@box.test:2222/", "ssh://me@box.test:2222"),
            ("ssh://[fe80::1]/run/p.sock", "ssh://[fe80::1]/run/p.sock"),
        ] {
            assert_eq!(shown(text).unwrap(), expected, "{text}");
        }
        let tls = TlsFiles(PathBuf::from("/keys"));
        let end = Endpoint::parse("tcp://box.test", Some(tls)).unwrap();
        assert_eq!(end.to_string(), "tcp://box.test:2376");
    }

    #[test]
    fn ssh_is_told_of_a_machine_as_a_person_would() {
        let command = |text| match Endpoint::parse(text, None).unwrap() {
            Endpoint::Ssh(end) => end.command(),
            other => panic!("{other}"),
        };
        assert_eq!(command("ssh://box"), "box");
        assert_eq!(command("ssh://me@box:2222"), "-p 2222 me@box");
    }

    #[test]
    fn what_is_no_address_of_an_engine_is_refused_with_the_reason() {
        for (text, why) in [
            ("/run/d.sock", "unix:///run/d.sock"),
            ("box:2375", "scheme"),
            ("unix://relative", "absolute"),
            ("unix://", "absolute"),
            ("npipe:////./pipe/docker", "npipe://"),
            ("tcp://box.test:2375", "TLS"),
            ("tcp://:2375", "no host"),
            ("tcp://127.0.0.1:0", "port"),
            ("tcp://127.0.0.1:99999", "port"),
            ("tcp://127.0.0.1/v1", "no path"),
            ("tcp://me@127.0.0.1", "no user"),
            ("tcp://[::1", "bracket"),
            ("ssh://", "no host"),
            ("ssh://me:secret@box", "password"),
            ("ssh://-oProxyCommand=x@box", "user"),
            ("ssh://-oProxyCommand=x", "host"),
            ("ssh://box/run:1/x", "forwarded"),
            ("ssh://box/a?b", "path"),
            ("ssh://a b", "host"),
        ] {
            let said = shown(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
