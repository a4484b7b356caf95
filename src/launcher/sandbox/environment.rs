//! The environment of a sandboxed command: what vibepit sets, what the person names, and nothing
//! else of the host's.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use super::equipment::GIT_CONFIG;
use crate::api::enclosure::{OWN_DIRECTORY, SOCKS5_VARIABLE};

/// A variable that the person passes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    name: String,
    value: String,
}

/// Why an `--env` is refused.
#[derive(Debug, thiserror::Error)]
pub enum VariableError {
    /// No name.
    #[error("{0:?} is not a variable; write NAME=VALUE, or NAME to pass yours on")]
    Syntax(String),
    /// Named, but not set here.
    #[error("{0} is not set in your environment, so it cannot be passed on; write {0}=VALUE")]
    Unset(String),
    /// Not text.
    #[error("the value of {0} is not UTF-8 text; write {0}=VALUE")]
    NotText(String),
}

impl Variable {
    /// Parses `NAME=VALUE`, or `NAME`, whose value `of_host` tells.
    ///
    /// # Errors
    ///
    /// When there is no name, or no value.
    pub fn parse(
        text: &str,
        of_host: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, VariableError> {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(VariableError::Syntax(text.to_owned()));
        }
        let value = match value {
            Some(value) => value.to_owned(),
            None => of_host(name)
                .ok_or_else(|| VariableError::Unset(name.to_owned()))?
                .into_string()
                .map_err(|_| VariableError::NotText(name.to_owned()))?,
        };
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

impl Variable {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl std::fmt::Display for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// Names that need no proxy: the sandbox's own loopback.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// Where programs are on a system that says nothing else.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Trees of the host's userland that a PATH may lead to.
const PROGRAM_TREES: [&str; 6] = [
    "/usr",
    "/opt",
    "/nix/store",
    "/nix/var/nix/profiles",
    "/bin",
    "/sbin",
];

/// What a command's environment is made of.
pub(super) struct Environment<'a> {
    /// The proxy's HTTP door.
    pub(super) proxy: SocketAddr,
    /// Its SOCKS5 door.
    pub(super) socks5: Option<SocketAddr>,
    /// vibepit's own directory is in the sandbox.
    pub(super) equipped: bool,
    /// The home directory in the sandbox.
    pub(super) home: &'a Path,
    /// This process's PATH, when the sandbox has the host's programs; an image has its own.
    pub(super) host_path: Option<String>,
    /// The kind of terminal, when the command gets one.
    pub(super) term: Option<String>,
    /// What the person passes on; it comes last and wins.
    pub(super) variables: &'a [Variable],
}

impl Environment<'_> {
    /// The variables as `NAME=VALUE`.
    pub(super) fn list(&self) -> Vec<String> {
        let proxy = format!("http://{}", self.proxy);
        let mut list = Vec::new();
        // For the rest the HTTP door as well, and not SOCKS5: there are many programs in Python that
        // end at once when ALL_PROXY names a SOCKS proxy (httpx without its extra package).
        for name in ["http_proxy", "https_proxy", "all_proxy"] {
            list.push(format!("{name}={proxy}"));
            list.push(format!("{}={proxy}", name.to_uppercase()));
        }
        list.push(format!("no_proxy={NO_PROXY}"));
        list.push(format!("NO_PROXY={NO_PROXY}"));
        list.extend(self.socks5.map(|door| format!("{SOCKS5_VARIABLE}={door}")));
        if self.equipped {
            list.push(format!("GIT_CONFIG_SYSTEM={GIT_CONFIG}"));
        }
        list.push(format!("HOME={}", self.home.display()));
        if let Some(path) = &self.host_path {
            let mut path = visible_path(path);
            if self.equipped {
                path = format!("{path}:{OWN_DIRECTORY}");
            }
            list.push(format!("PATH={path}"));
        }
        list.extend(self.term.iter().map(|term| format!("TERM={term}")));
        list.retain(|entry| {
            let name = entry.split('=').next();
            !self
                .variables
                .iter()
                .any(|variable| Some(variable.name.as_str()) == name)
        });
        list.extend(self.variables.iter().map(ToString::to_string));
        list
    }
}

/// Whether a sandbox with the host's programs has this one, by this path.
pub fn sees_program(path: &Path) -> bool {
    let visible = |path: &Path| PROGRAM_TREES.iter().any(|tree| path.starts_with(tree));
    visible(path) && path.canonicalize().is_ok_and(|path| visible(&path))
}

/// The entries of the host's PATH that the sandbox has too, then the usual ones.
fn visible_path(host: &str) -> String {
    let mut entries: Vec<&str> = Vec::new();
    for entry in host.split(':').chain(PATH.split(':')) {
        let visible = PROGRAM_TREES
            .iter()
            .any(|tree| Path::new(entry).starts_with(tree));
        if visible && !entry.contains("..") && !entries.contains(&entry) {
            entries.push(entry);
        }
    }
    entries.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_written_out_or_taken_from_here() {
        let here = |name: &str| (name == "TOKEN").then(|| OsString::from("x=y"));
        let variable = |name: &str, value: &str| Variable {
            name: name.into(),
            value: value.into(),
        };
        assert_eq!(
            Variable::parse("A=b=c", here).unwrap(),
            variable("A", "b=c")
        );
        assert_eq!(Variable::parse("A=", here).unwrap(), variable("A", ""));
        assert_eq!(
            Variable::parse("TOKEN", here).unwrap(),
            variable("TOKEN", "x=y")
        );
        let error = Variable::parse("NOPE", here).unwrap_err().to_string();
        assert!(error.contains("NOPE=VALUE"), "{error}");
        for bad in ["", "=x", "A B=c"] {
            assert!(
                matches!(Variable::parse(bad, here), Err(VariableError::Syntax(_))),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_command_sees_the_proxy_in_both_cases_and_the_persons_word_wins() {
        let variables = [Variable {
            name: "no_proxy".into(),
            value: "intern.test".into(),
        }];
        let list = Environment {
            proxy: "172.18.0.2:3128".parse().unwrap(),
            socks5: Some("172.18.0.2:1080".parse().unwrap()),
            equipped: true,
            home: Path::new("/home/u"),
            host_path: None,
            term: Some("xterm".into()),
            variables: &variables,
        }
        .list();
        assert_eq!(
            list,
            [
                "http_proxy=http://172.18.0.2:3128",
                "HTTP_PROXY=http://172.18.0.2:3128",
                "https_proxy=http://172.18.0.2:3128",
                "HTTPS_PROXY=http://172.18.0.2:3128",
                "all_proxy=http://172.18.0.2:3128",
                "ALL_PROXY=http://172.18.0.2:3128",
                "NO_PROXY=localhost,127.0.0.1,::1",
                "VIBEPIT_SOCKS5=172.18.0.2:1080",
                "GIT_CONFIG_SYSTEM=/run/vibepit/gitconfig",
                "HOME=/home/u",
                "TERM=xterm",
                "no_proxy=intern.test",
            ]
        );
    }

    #[test]
    fn a_path_leads_only_to_what_the_sandbox_has() {
        assert_eq!(
            visible_path("/home/u/bin:/opt/node/bin:/usr/bin::/usr/../home/u"),
            "/opt/node/bin:/usr/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin:/bin"
        );
    }
}
