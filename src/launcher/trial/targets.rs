//! What a sandbox is asked to reach: the addresses, sockets and files of this machine as it is now.
//! Addresses of other machines are those that are set aside for documents (RFC 5737, RFC 3849), so
//! that what does get out reaches nobody.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptions};
use ipnet::IpNet;
use nix::ifaddrs::getifaddrs;
use nix::unistd::getppid;

use super::super::container;
use super::super::engine::Engine;
use super::super::labels::{Names, OURS, ROLE};
use super::super::proxy::Proxy;
use super::super::request::Policy;
use super::super::session::{Launch, Runtime};
use super::Depth;
use super::ground::Ground;
use super::listeners::Listeners;
use crate::api::{Hidden, PolicyDocument, Reach, RuleGroup, Targets, Through};
use crate::config;
use crate::policy::{Origin, Verdict};
use crate::session::discover;

/// Where a control port is in a proxy's container, and where it would be beside the doors.
const CONTROL: u16 = 3129;

/// Where engines listen when somebody has told them to listen to the network.
const ENGINES: [u16; 2] = [2375, 2376];

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
        hidden: hidden(launch),
        secret: Some(ground.secret()),
        covered: Some(ground.covered()),
        system: SYSTEM.iter().map(PathBuf::from).collect(),
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
        elsewhere(&mut targets);
    }
    targets
}

/// What of this machine means nothing on the engine's: there, what every machine has stands for it.
fn elsewhere(targets: &mut Targets) {
    targets.hidden.retain(|line| line.name == "roots-files");
    // The image has none, and the engine's machine does.
    targets.secret = Some(PathBuf::from("/usr/bin/env"));
    targets.covered = None;
    targets.processes.clear();
    targets.variables.push("LD_LIBRARY_PATH".to_owned());
}

/// What a sandboxed command has when nobody passes anything on. `HOSTNAME` and `container` are
/// engines' own.
const VARIABLES: [&str; 11] = [
    "http_proxy",
    "HTTP_PROXY",
    "https_proxy",
    "HTTPS_PROXY",
    "no_proxy",
    "NO_PROXY",
    "HOME",
    "PATH",
    "TERM",
    "HOSTNAME",
    "container",
];

/// What of the system is read-only.
const SYSTEM: [&str; 18] = [
    "/",
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/boot",
    "/etc",
    "/etc/hosts",
    "/etc/passwd",
    "/etc/resolv.conf",
    "/mnt",
    "/opt",
    "/usr",
    "/usr/bin",
    "/usr/bin/env",
    "/usr/lib",
    "/usr/local/bin",
    "/var",
];

/// What there is around a session whose runtime is an engine.
#[derive(Default)]
struct Around {
    /// It is on another machine.
    remote: bool,
    socket: Option<PathBuf>,
    gateways: Vec<IpAddr>,
    own: Option<IpAddr>,
    others: Vec<IpAddr>,
}

impl Around {
    async fn of(engine: &Engine, launch: &Launch<'_>) -> Self {
        let request = launch.request;
        let names = Names::new(
            launch.id(),
            request.project.path(),
            request.runtime_dir.path(),
        );
        let proxy = names.proxy();
        let (gateways, own, others) = tokio::join!(
            gateways(engine),
            outside_address(engine, &proxy),
            other_proxies(engine, &proxy)
        );
        Self {
            remote: engine.facts().remote,
            socket: engine.facts().endpoint.unix_socket().map(Path::to_owned),
            gateways,
            own,
            others,
        }
    }
}

/// Where things are, as the host sees them.
struct Places {
    /// That of the listeners.
    port: u16,
    here: Vec<IpAddr>,
    gateways: Vec<IpAddr>,
    /// The proxy's own address outside.
    own: Option<IpAddr>,
    /// Those of other sessions' proxies.
    others: Vec<IpAddr>,
    control: SocketAddr,
    other_controls: Vec<SocketAddr>,
    door: Option<SocketAddr>,
}

impl Places {
    fn network(&self) -> Vec<Reach> {
        let at = |ips: &[IpAddr], ports: &[u16]| -> Vec<SocketAddr> {
            let all = ips
                .iter()
                .flat_map(|ip| ports.iter().map(|port| (*ip, *port)));
            all.map(SocketAddr::from).take(MOST).collect()
        };
        let fixed = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().filter_map(|text| text.parse().ok()).collect()
        };
        let reach = |name: &str, what: &str, tcp, udp| Reach {
            name: name.to_owned(),
            what: what.to_owned(),
            tcp,
            udp,
        };
        let mut loopback = vec![
            (Ipv4Addr::LOCALHOST, self.port).into(),
            (Ipv4Addr::LOCALHOST, self.control.port()).into(),
            (Ipv4Addr::LOCALHOST, CONTROL).into(),
        ];
        loopback.extend(at(&[Ipv4Addr::LOCALHOST.into()], &ENGINES));
        loopback.extend(self.other_controls.iter().copied());
        let beside_doors = self.door.map(|door| {
            [CONTROL, 1080, 80, 443, self.port, self.control.port()]
                .map(|port| SocketAddr::new(door.ip(), port))
                .to_vec()
        });
        let mut v6 = fixed(&["[2001:db8::7]:443", "[2001:db8:1::1]:80"]);
        v6.push((std::net::Ipv6Addr::LOCALHOST, self.port).into());
        vec![
            reach(
                "direct",
                "the internet without the proxy, by TCP and UDP",
                fixed(&["198.51.100.7:443", "203.0.113.1:80", "192.0.2.1:22"]),
                fixed(&["198.51.100.7:443", "203.0.113.1:123", "192.0.2.1:53"]),
            ),
            reach(
                "ipv6",
                "the internet and this machine by IPv6",
                v6,
                fixed(&["[2001:db8::7]:443", "[ff02::1]:5353"]),
            ),
            reach(
                "multicast",
                "everybody on a link: multicast and broadcast",
                Vec::new(),
                fixed(&["224.0.0.251:5353", "239.255.255.250:1900"]),
            ),
            reach(
                "metadata",
                "the cloud's metadata service",
                fixed(&[
                    "169.254.169.254:80",
                    "168.63.129.16:80",
                    "[fd00:ec2::254]:80",
                ]),
                fixed(&["169.254.169.254:53"]),
            ),
            reach(
                "this-machine",
                "every address of this machine, by TCP and UDP",
                at(&self.here, &[self.port]),
                at(&self.here, &[self.port]),
            ),
            reach(
                "gateways",
                "the gateways of the engine's networks, docker0 among them",
                at(&self.gateways, &[self.port, 22, 53]),
                at(&self.gateways, &[self.port, 53]),
            ),
            reach(
                "engine-ports",
                "the engine's ports on this machine",
                at(&[&self.here[..], &self.gateways[..]].concat(), &ENGINES),
                Vec::new(),
            ),
            reach(
                "host-loopback",
                "this machine's loopback, with its control ports",
                loopback,
                vec![(Ipv4Addr::LOCALHOST, self.port).into()],
            ),
            reach(
                "beside-the-doors",
                "ports beside the proxy's doors, the control port among them",
                beside_doors.unwrap_or_default(),
                Vec::new(),
            ),
            reach(
                "proxy-outside",
                "the proxy's address outside, with its control port",
                at(
                    &self.own.map_or(Vec::new(), |ip| vec![ip]),
                    &[CONTROL, 3128, 53],
                ),
                Vec::new(),
            ),
            reach(
                "other-sessions",
                "the proxies of other sessions",
                at(&self.others, &[CONTROL, 3128, 53]),
                at(&self.others, &[53]),
            ),
        ]
    }

    fn name_servers(&self) -> Vec<SocketAddr> {
        let mut servers: Vec<SocketAddr> =
            ["127.0.0.11", "127.0.0.53", "203.0.113.53", "2001:db8::53"]
                .into_iter()
                .filter_map(|text| text.parse().ok())
                .map(|ip: IpAddr| (ip, 53).into())
                .collect();
        let more = self.here.iter().chain(&self.gateways);
        servers.extend(more.map(|ip| SocketAddr::from((*ip, 53))).take(MOST));
        servers
    }

    fn through_proxy(&self) -> Vec<Through> {
        let through = |name: &str, what: &str, authorities: Vec<String>| Through {
            name: name.to_owned(),
            what: what.to_owned(),
            authorities,
        };
        let control = self.control.port();
        let mut to_control: Vec<String> = vec![
            format!("127.0.0.1:{control}"),
            format!("localhost:{control}"),
            format!("[::1]:{control}"),
            format!("[::ffff:127.0.0.1]:{CONTROL}"),
            format!("127.0.0.1:{CONTROL}"),
            format!("0.0.0.0:{CONTROL}"),
            format!("2130706433:{CONTROL}"),
        ];
        let all = self.own.iter().chain(&self.others);
        to_control.extend(
            all.clone()
                .map(|ip| SocketAddr::from((*ip, CONTROL)).to_string()),
        );
        let mut itself: Vec<String> = all
            .map(|ip| SocketAddr::from((*ip, 3128)).to_string())
            .collect();
        itself.extend(self.door.map(|door| door.to_string()));
        let machine = self.here.iter().chain(&self.gateways).take(16);
        let machine = machine.flat_map(|ip| {
            [self.port, ENGINES[0]].map(|port| SocketAddr::from((*ip, port)).to_string())
        });
        vec![
            through(
                "proxy-to-control",
                "control ports, through the proxy",
                to_control,
            ),
            through(
                "proxy-to-metadata",
                "the cloud's metadata service, through the proxy",
                [
                    "169.254.169.254:80",
                    "[::ffff:169.254.169.254]:80",
                    "168.63.129.16:80",
                    "[fd00:ec2::254]:80",
                    "metadata.google.internal:80",
                ]
                .map(str::to_owned)
                .to_vec(),
            ),
            through(
                "proxy-to-host",
                "ports of this machine that nobody opened, through the proxy",
                [self.port, 22, ENGINES[0]]
                    .map(|port| format!("host.vibepit:{port}"))
                    .into_iter()
                    .chain(machine)
                    .collect(),
            ),
            through(
                "proxy-to-itself",
                "proxies' own doors, through the proxy",
                itself,
            ),
        ]
    }
}

/// Every address of this machine but its loopback's. Link-local ones of IPv6 mean nothing in
/// another network.
fn addresses() -> Vec<IpAddr> {
    let mut ips = BTreeSet::new();
    for interface in getifaddrs().into_iter().flatten() {
        let Some(address) = interface.address else {
            continue;
        };
        if let Some(v4) = address.as_sockaddr_in() {
            ips.insert(IpAddr::from(v4.ip()));
        } else if let Some(v6) = address.as_sockaddr_in6() {
            ips.insert(IpAddr::from(v6.ip()));
        }
    }
    ips.retain(|ip| match ip {
        IpAddr::V4(ip) => !ip.is_loopback(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    });
    ips.into_iter().take(MOST).collect()
}

/// The gateways of the engine's networks; without an answer there are none to try.
async fn gateways(engine: &Engine) -> Vec<IpAddr> {
    let networks = engine
        .docker
        .list_networks(None::<ListNetworksOptions>)
        .await;
    let ranges = networks
        .unwrap_or_default()
        .into_iter()
        .filter_map(|network| network.ipam?.config)
        .flatten();
    // An engine that chose it itself may not tell it; then it is the first of the range.
    ranges
        .filter_map(|range| {
            let first = || range.subnet?.parse::<IpNet>().ok()?.hosts().next();
            let told = range.gateway.and_then(|gateway| gateway.parse().ok());
            told.or_else(first)
        })
        .collect()
}

/// Addresses of the proxies of other sessions.
async fn other_proxies(engine: &Engine, own: &str) -> Vec<IpAddr> {
    let labels = vec![format!("{OURS}=true"), format!("{ROLE}=proxy")];
    let options = ListContainersOptionsBuilder::default()
        .filters(&[("label".to_owned(), labels)].into())
        .build();
    let found = engine.docker.list_containers(Some(options)).await;
    let mut ips = Vec::new();
    for container in found.unwrap_or_default() {
        let names = container.names.unwrap_or_default();
        if names.iter().any(|name| name.trim_start_matches('/') == own) {
            continue;
        }
        let networks = container
            .network_settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default();
        let addresses = networks
            .into_values()
            .filter_map(|endpoint| endpoint.ip_address);
        ips.extend(addresses.filter_map(|ip| ip.parse::<IpAddr>().ok()));
    }
    ips
}

/// A proxy's address on the engine's own network.
async fn outside_address(engine: &Engine, proxy: &str) -> Option<IpAddr> {
    let networks = container::inspect(engine, proxy)
        .await
        .ok()?
        .network_settings?
        .networks?;
    networks
        .into_values()
        .find_map(|endpoint| endpoint.ip_address?.parse().ok())
}

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

/// Trees of programs, which a sandbox sees on purpose.
const PROGRAMS: [&str; 3] = ["/usr", "/opt", "/nix"];

/// Files that only root may read, and engines' own.
const ROOTS: [&str; 10] = [
    "/etc/shadow",
    "/etc/gshadow",
    "/etc/sudoers",
    "/etc/ssh",
    "/etc/docker",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/run/docker.sock",
    "/run/containerd",
    "/run/systemd",
];

/// What of this machine's files the sandbox must not have, as far as it exists.
fn hidden(launch: &Launch<'_>) -> Vec<Hidden> {
    let project = launch.request.project.path();
    let line = |name: &str, what: &str, paths: Vec<PathBuf>| Hidden {
        name: name.to_owned(),
        what: what.to_owned(),
        paths: paths
            .into_iter()
            .filter(|path| fs::symlink_metadata(path).is_ok() && !project.starts_with(path))
            .filter(|path| !PROGRAMS.iter().any(|tree| path.starts_with(tree)))
            .take(MOST)
            .collect(),
    };
    let home = launch.request.home.as_deref();
    let homes = entries(Path::new("/home"))
        .into_iter()
        .chain([PathBuf::from("/root")])
        .filter(|other| home.is_none_or(|home| !home.starts_with(other)));
    let session = launch.directory.path().to_owned();
    let own = [
        Some(launch.request.runtime_dir.path().to_owned()),
        Some(session),
        config::state_dir().ok(),
        config::config_file()
            .ok()
            .and_then(|file| file.parent().map(Path::to_owned)),
    ];
    vec![
        line(
            "home",
            "what is in the home directory on this machine",
            home.map(entries).unwrap_or_default(),
        ),
        line(
            "other-homes",
            "other people's home directories",
            homes.collect(),
        ),
        line(
            "vibepit-files",
            "vibepit's own directories: sessions, decisions, audit logs, configuration",
            own.into_iter().flatten().collect(),
        ),
        line(
            "roots-files",
            "files that only root may read, and the engine's",
            ROOTS.iter().map(PathBuf::from).collect(),
        ),
    ]
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
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
