//! `config.toml`: what may stand in it. Unknown keys and bad values are errors that name file,
//! line and column; nothing is guessed.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::policy::{Entry, PresetName, SniCheck, parse_allow_cidr};

use super::toml::{Reader, Wrong};

/// The port of a resolver that is named without one.
const DNS: u16 = 53;

/// The person's own configuration.
#[derive(Debug, Default, Clone)]
pub struct Config {
    /// What every session may reach.
    pub allow: Vec<Entry>,
    /// What no session may reach.
    pub deny: Vec<Entry>,
    /// Screened networks that are opened on purpose.
    pub allow_cidr: Vec<IpNet>,
    /// Ports of the host's loopback that sandboxes reach at `host.vibepit`.
    pub allow_host_ports: Vec<u16>,
    /// The image of sandboxes; without one they have the host's own userland.
    pub image: Option<String>,
    /// Resolvers to ask, in the place of the host's.
    pub upstream_dns: Vec<SocketAddr>,
    /// What becomes of a request that no rule covers, if the file says.
    pub unlisted: Option<Unlisted>,
    /// What becomes of a tunnel whose content is for another host.
    pub sni_check: SniCheck,
    /// How long such a request waits for a person.
    pub approval_timeout: Option<Duration>,
    /// The same while nobody watches.
    pub unattended_timeout: Option<Duration>,
    /// A program and its arguments, run on the host for each request that waits.
    pub notify_command: Option<Vec<String>>,
    /// Presets that are opened. An empty list says that there are none.
    pub presets: Option<Vec<PresetName>>,
}

/// Whose a file is, which says what may stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Owner {
    /// The person's own.
    Person,
    /// A project's, which whoever works on the project has written.
    Repository,
}

/// What becomes of a request that no rule covers.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Unlisted {
    /// It waits for a person.
    #[default]
    RequestApproval,
    /// It is refused.
    Reject,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {error}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It does not say what it must.
    #[error("{path}:{line}:{column}: {what}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong.
        what: String,
    },
}

impl Config {
    /// Reads a file; one that is not there says nothing.
    ///
    /// # Errors
    /// When it cannot be read, or holds something that it must not.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(ConfigError::Read {
                path: path.to_owned(),
                error,
            }),
        }
    }

    /// Reads a file that has to be there, because somebody named it.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_named(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, path)
    }

    /// Reads the text of a project's file, in which nothing may stand that opens this machine.
    ///
    /// # Errors
    /// When it holds something that it must not.
    pub fn of_repository(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_as(Owner::Repository, text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::parse_as(Owner::Person, text, path)
    }

    fn parse_as(owner: Owner, text: &str, path: &Path) -> Result<Self, ConfigError> {
        Self::read(owner, text).map_err(|Wrong { at, what }| {
            let before = text.get(..at.min(text.len())).unwrap_or_default();
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            ConfigError::Content {
                path: path.to_owned(),
                line: before.matches('\n').count() + 1,
                column: before[line_start..].chars().count() + 1,
                what,
            }
        })
    }

    fn read(owner: Owner, text: &str) -> Result<Self, Wrong> {
        let mut config = Self::default();
        let mut file = Reader::new(text);
        while let Some((at, key)) = file.key()? {
            match &*key {
                own if owner == Owner::Repository && PERSONS_OWN.contains(&own) => {
                    let what = format!(
                        "a project must not say {own}, which opens this machine or runs what it \
                         names: take it out here, and say it in your own config.toml if you mean it"
                    );
                    return Err(Wrong { at, what });
                }
                "presets" => {
                    config.presets = Some(file.list(|item| item.text(str::parse::<PresetName>))?);
                }
                "allow" => config.allow = file.list(|item| item.text(str::parse::<Entry>))?,
                "deny" => config.deny = file.list(|item| item.text(str::parse::<Entry>))?,
                "allow_cidr" => {
                    config.allow_cidr = file.list(|item| item.text(parse_allow_cidr))?
                }
                "allow_host_ports" => {
                    config.allow_host_ports = file.list(|item| item.number(port))?
                }
                "upstream_dns" => config.upstream_dns = file.list(|item| item.text(resolver))?,
                "image" => config.image = Some(file.one()?.text(image)?),
                "unlisted_domain_behavior" => config.unlisted = Some(file.one()?.text(unlisted)?),
                "sni_check" => config.sni_check = file.one()?.text(sni_check)?,
                "approval_timeout" => {
                    config.approval_timeout = Some(file.one()?.text(patience)?);
                }
                "unattended_timeout" => {
                    config.unattended_timeout = Some(file.one()?.text(patience)?);
                }
                "notify_command" => {
                    let command = file.list(|item| item.text(argument))?;
                    if command.first().is_none_or(String::is_empty) {
                        let what =
                            "a command has a name: notify_command = [\"notify-send\", \"vibepit\"]";
                        return Err(Wrong {
                            at,
                            what: what.to_owned(),
                        });
                    }
                    config.notify_command = Some(command);
                }
                other => {
                    let what = format!(
                        "there is no setting {other:?}; there are {}",
                        KEYS.join(", ")
                    );
                    return Err(Wrong { at, what });
                }
            }
        }
        Ok(config)
    }
}

/// What may stand in the file.
const KEYS: [&str; 12] = [
    "allow",
    "deny",
    "presets",
    "allow_cidr",
    "allow_host_ports",
    "upstream_dns",
    "image",
    "unlisted_domain_behavior",
    "sni_check",
    "approval_timeout",
    "unattended_timeout",
    "notify_command",
];

/// What a project's file must not say: addresses and ports of this machine and its network, who
/// answers for names, what is looked at in tunnels, and programs that are run or fetched outside of
/// the sandbox.
const PERSONS_OWN: [&str; 6] = [
    "allow_cidr",
    "allow_host_ports",
    "upstream_dns",
    "sni_check",
    "image",
    "notify_command",
];

fn port(digits: &str) -> Result<u16, String> {
    match digits.parse() {
        Ok(port @ 1..) => Ok(port),
        _ => Err(format!("{digits} is not a port: 1 to 65535")),
    }
}

fn resolver(text: &str) -> Result<SocketAddr, String> {
    let with_port = text.parse::<SocketAddr>().ok();
    let plain = || {
        text.parse::<IpAddr>()
            .ok()
            .map(|ip| SocketAddr::new(ip, DNS))
    };
    with_port.or_else(plain).ok_or_else(|| {
        format!(
            "{text:?} is not a resolver's address, such as \"192.0.2.53\" or \"[2001:db8::53]:53\""
        )
    })
}

fn image(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("an image has a name; without one, leave the line out"),
        text => Ok(text.to_owned()),
    }
}

/// A word of a command line, which cannot hold what ends one (execve(2)).
fn argument(text: &str) -> Result<String, &'static str> {
    match text.contains('\0') {
        true => Err("no argument of a command can have a zero byte in it"),
        false => Ok(text.to_owned()),
    }
}

fn unlisted(text: &str) -> Result<Unlisted, String> {
    match text {
        "reject" => Ok(Unlisted::Reject),
        "request_approval" => Ok(Unlisted::RequestApproval),
        other => Err(format!(
            "{other:?} is neither \"request_approval\" nor \"reject\""
        )),
    }
}

fn sni_check(text: &str) -> Result<SniCheck, String> {
    match text {
        "enforce" => Ok(SniCheck::Enforce),
        "log" => Ok(SniCheck::Log),
        "off" => Ok(SniCheck::Off),
        other => Err(format!(
            "{other:?} is none of \"enforce\", \"log\" and \"off\""
        )),
    }
}

/// How long a request may wait: `45s`, `5m`, `1h`.
pub fn patience(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("{text:?} is no time to wait: write a number and s, m or h, from 1s to 24h");
    let unit = match text.chars().next_back() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        _ => return Err(wrong()),
    };
    let number = &text[..text.len() - 1];
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match number.parse::<u64>().ok().and_then(|n| n.checked_mul(unit)) {
        Some(seconds @ 1..=86_400) if digits => Ok(Duration::from_secs(seconds)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Config::parse(text, Path::new("c.toml"))
            .expect_err(text)
            .to_string()
    }

    #[test]
    fn a_bad_entry_is_named_with_line_and_column() {
        let error = refused("allow = [\n  \"a.example.com\",\n  \"https://x/\",\n]\n");
        assert!(error.starts_with("c.toml:3:3: "), "{error}");
    }

    #[test]
    fn in_a_long_list_the_first_fault_is_named_and_nothing_is_lost_or_turned_round() {
        let list = |end: &str| {
            let items = (0..5000).map(|at| format!("  \"h{at}.example\",\n"));
            format!("allow = [\n{}{end}", items.collect::<String>())
        };
        let config = Config::parse(&list("]\nimage = \"x\"\n"), Path::new("c.toml"));
        let config = config.expect("config");
        assert_eq!(
            (config.allow.len(), config.image.as_deref()),
            (5000, Some("x"))
        );
        for (at, entry) in config.allow.iter().enumerate() {
            assert_eq!(entry.to_string(), format!("h{at}.example"));
        }
        let wrong_item = list("]").replace("h4321.example", "https://x/");
        assert!(refused(&wrong_item).starts_with("c.toml:4323:3: "));
        let wrong_behind = list("\"a.example\" \"b.example\"]");
        assert!(refused(&wrong_behind).starts_with("c.toml:5002:13: `,` or `]`"));
        let both = wrong_item.replace("\"h4990.example\",", "\"h4990.example\"");
        assert!(refused(&both).starts_with("c.toml:4323:3: "));
        assert!(refused(&list("")).contains("c.toml:5002:1: "));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        assert!(refused("alow = []").contains("no setting \"alow\""));
        let error = refused("presets = [\n  \"github\", \"gihub\"]");
        assert!(
            error.starts_with("c.toml:2:13: ") && error.contains("github?"),
            "{error}"
        );
        assert!(refused("unlisted_domain_behavior = \"ask\"").contains("request_approval"));
        for text in ["", "0s", "5", "25h", "-1s", "1d", "1.5h"] {
            let error = refused(&format!("approval_timeout = \"{text}\""));
            assert!(error.contains("from 1s to 24h"), "{error}");
        }
    }

    #[test]
    fn a_project_must_not_say_what_opens_the_machine() {
        for (key, value) in [
            ("allow_cidr", "[\"10.0.0.0/8\"]"),
            ("allow_host_ports", "[5432]"),
            ("upstream_dns", "[\"192.0.2.1\"]"),
            ("image", "\"x\""),
            ("notify_command", "[\"x\"]"),
        ] {
            let text = format!("allow = []\n{key} = {value}\n");
            assert!(Config::parse(&text, Path::new("c.toml")).is_ok());
            let refused = Config::of_repository(&text, Path::new("p.toml"));
            let error = refused.expect_err(key).to_string();
            assert!(error.starts_with("p.toml:2:1: "), "{error}");
            assert!(error.contains(key), "{error}");
        }
        let text = "allow = [\"a.test\"]\npresets = [\"github\"]\napproval_timeout = \"5m\"\n";
        assert!(Config::of_repository(text, Path::new("p.toml")).is_ok());
    }

    #[test]
    fn values_of_the_wrong_type_or_range_are_refused() {
        for text in [
            "allow = true",
            "allow = [1]",
            "allow = []\nallow = []",
            "allow_cidr = [\"0.0.0.0/0\"]",
            "allow_host_ports = [0]",
            "allow_host_ports = [65536]",
            "upstream_dns = [\"resolver\"]",
            "image = 3",
            "image = \"\"",
            "[allow]",
            "allow.x = []",
            "allow = [\"a.example.com\"] deny = []",
            "allow = [\"a.example.com\"",
            "allow = [\"a.example.com\" \"b.example.com\"]",
            "allow = [\"a.example.com\\u0000\"]",
            "allow = [{}]",
            "allow",
            "= []",
            "allow = [\"unclosed]",
            "sni_check = \"no\"",
            "sni_check = true",
            "notify_command = \"notify-send\"",
            "notify_command = []",
            "notify_command = [\"\"]",
            "notify_command = [\"x\", \"\\u0000\"]",
        ] {
            refused(text);
        }
    }

    #[test]
    fn toml_of_every_spelling_is_read() {
        let text = "\u{feff}# a comment\r\n\"allow\" = [ 'a.example.com', # one\n\n \"b\\u002eexample.com\",\n]";
        let config = Config::parse(text, Path::new("c.toml")).expect("config");
        let allow: Vec<_> = config.allow.iter().map(ToString::to_string).collect();
        assert_eq!(allow, ["a.example.com", "b.example.com"]);
        assert!(Config::parse("", Path::new("c.toml")).is_ok());
        let hex = Config::parse("allow_host_ports = [5_432]", Path::new("c.toml")).expect("number");
        assert_eq!(hex.allow_host_ports, [5432]);
    }

    #[test]
    fn everything_that_may_stand_there_is_read() {
        let text = "allow = [\"a.example.com\"]\ndeny = [\"b.example.com:443\"]\n\
                    allow_cidr = [\"10.0.0.0/8\"]\nallow_host_ports = [5432]\nimage = \"x\"\n\
                    upstream_dns = [\"192.0.2.1\", \"[2001:db8::1]:5353\"]\n\
                    unlisted_domain_behavior = \"reject\"\n";
        let config = Config::parse(text, Path::new("c.toml")).expect("config");
        assert_eq!(
            config.allow.len() + config.deny.len() + config.allow_cidr.len(),
            3
        );
        assert_eq!(config.upstream_dns[0].port(), 53);
        assert_eq!(config.upstream_dns[1].port(), 5353);
    }
}
