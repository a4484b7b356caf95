//! What a sandbox is asked to reach: the addresses, sockets and files of this machine as it is now.
//! Addresses of other machines are those that are set aside for documents (RFC 5737, RFC 3849), so
//! that what does get out reaches nobody.

mod around;
mod files;
mod places;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use nix::unistd::getppid;

use self::around::Around;
use self::places::{Places, addresses};
use super::super::proxy::Proxy;
use super::super::request::Policy;
use super::super::session::{Launch, Runtime};
use super::Depth;
use super::ground::Ground;
use super::listeners::Listeners;
use crate::api::enclosure::SOCKS5_VARIABLE;
use crate::api::{PolicyDocument, RuleGroup, Targets};
use crate::policy::{Origin, Verdict};
use crate::session::discover;

/// Where engines' sockets usually are.
const ENGINES_SOCKETS: [&str; 4] = [
    "/run/docker.sock",
    "/var/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
];

/// How many of anything are tried.
const MOST: usize = 256;

/// Lets every address through: what the proxy refuses then, it refuses whatever a rule says.
pub(super) fn policy() -> Policy {
    Arc::new(|| {
        let entries = ["0.0.0.0/1:*", "128.0.0.0/1:*", "[::/1]:*", "[8000::/1]:*"];
        Ok(PolicyDocument {
            rules: vec![RuleGroup {
                preset: None,
                verdict: Verdict::Allow,
                origin: Origin::Flag,
                entries: entries
                    .into_iter()
                    .map(str::parse)
                    .collect::<Result<_, _>>()?,
            }],
            ..PolicyDocument::default()
        })
    })
}

/// All targets of a session whose proxy runs.
pub(super) async fn of(
    launch: &Launch<'_>,
    runtime: &Runtime,
    ground: &Ground,
    proxy: &Proxy,
    listeners: &Listeners,
    depth: Depth,
) -> Targets {
    let around = match runtime {
        Runtime::Docker(engine) => Around::of(engine, launch).await,
        Runtime::Local => Around::default(),
    };
    let places = Places {
        port: listeners.port(),
        here: addresses(),
        gateways: around.gateways,
        own: around.own,
        others: around.others,
        control: proxy.control_tcp,
        other_controls: discover(&launch.request.runtime_dir)
            .into_iter()
            .filter_map(|found| found.record.control.tcp)
            .collect(),
        door: proxy.listening.http,
    };
    let sockets = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let mut paths = vec![
        listeners.path().to_owned(),
        launch.directory.control_socket(),
        launch.directory.socket_dir().join("launcher.sock"),
    ];
    paths.extend(around.socket);
    paths.extend(ENGINES_SOCKETS.map(PathBuf::from));
    paths.extend(listening(&sockets, '/').map(PathBuf::from));
    let mut names = vec![listeners.name().to_owned()];
    names.extend(listening(&sockets, '@').map(|name| name[1..].to_owned()));
    let parent = getppid().as_raw();
    let us = i32::try_from(std::process::id()).unwrap_or(0);
    let mut targets = Targets {
        network: places.network(),
        name_servers: places.name_servers(),
        own_name_server: proxy
            .listening
            .dns
            .map(|dns| (dns.ip(), "self-test.vibepit-unlisted.example".to_owned())),
        proxy: places.door,
        through_proxy: places.through_proxy(),
        search: u64::try_from(depth.search().as_millis()).unwrap_or(u64::MAX),
        sockets: paths,
        abstract_sockets: names,
        hidden: files::hidden(launch),
        secret: Some(ground.secret()),
        covered: Some(ground.covered()),
        system: files::SYSTEM.iter().map(PathBuf::from).collect(),
        processes: [us, parent].into_iter().filter(|pid| *pid > 1).collect(),
        namespaces: ["mnt", "pid", "net", "ipc", "uts"]
            .into_iter()
            .filter_map(|name| {
                let link = fs::read_link(format!("/proc/self/ns/{name}")).ok()?;
                Some((name.to_owned(), link.display().to_string()))
            })
            .collect(),
        user_namespace: fs::read_link("/proc/self/ns/user")
            .ok()
            .map(|link| link.display().to_string()),
        variables: VARIABLES.map(str::to_owned).to_vec(),
    };
    if around.remote {
        elsewhere(&mut targets, around.process);
    }
    targets
}

/// What of this machine means nothing on the engine's: there, what every machine has stands for it.
fn elsewhere(targets: &mut Targets, process: Option<i32>) {
    targets.hidden.retain(|line| line.name == "roots-files");
    // The image has none, and the engine's machine does.
    targets.secret = Some(PathBuf::from("/usr/bin/env"));
    targets.covered = None;
    targets.processes = process.into_iter().filter(|pid| *pid > 1).collect();
    targets.variables.push("LD_LIBRARY_PATH".to_owned());
}

/// What a sandboxed command has when nobody passes anything on. `HOSTNAME` and `container` are
/// engines' own.
const VARIABLES: [&str; 15] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    SOCKS5_VARIABLE,
    "GIT_CONFIG_SYSTEM",
    "HOME",
    "PATH",
    "TERM",
    "HOSTNAME",
    "container",
];

/// Names of the Unix sockets that listen, of those that begin so (proc_net_unix in proc(5)).
fn listening(table: &str, begins: char) -> impl Iterator<Item = &str> {
    table
        .lines()
        .filter_map(move |line| {
            let mut fields = line.split_whitespace();
            let listens = fields.nth(3)? == "00010000";
            let name = fields.nth(3)?;
            (listens && name.starts_with(begins)).then_some(name)
        })
        .take(MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_that_listen_are_known_by_path_and_by_abstract_name() {
        let table = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000: 00000002 00000000 00010000 0001 01 20 /run/docker.sock\n\
            0000: 00000002 00000000 00010000 0001 01 21 @agent\n\
            0000: 00000003 00000000 00000000 0001 03 22 /run/connected.sock\n\
            0000: 00000003 00000000 00010000 0001 01 23\n";
        assert_eq!(
            listening(table, '/').collect::<Vec<_>>(),
            ["/run/docker.sock"]
        );
        assert_eq!(listening(table, '@').collect::<Vec<_>>(), ["@agent"]);
    }

    #[test]
    fn every_rule_that_lets_an_address_through_is_one() {
        let document = policy()().unwrap();
        assert_eq!(document.rules[0].entries.len(), 4);
    }
}
