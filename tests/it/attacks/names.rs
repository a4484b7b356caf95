//! Rows about what a name turns out to be: rebinding, aliases, screened addresses, resolvers that
//! fail.

use std::net::{Ipv4Addr, SocketAddr};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use serde_json::Value;

use crate::support::{Launch, Message, Origin, Proxy, Resolver, Says, ok, own_loopback, require};

use super::bench::POLICY;

fn connect(proxy: &Proxy, target: &str) -> (Message, Value) {
    let mut wire = proxy.client();
    wire.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let head = wire.head();
    let entry = proxy.logs(0).last().expect("an entry").clone();
    (head, entry)
}

fn proxy(resolver: &Resolver, more: &str) -> Proxy {
    Launch::new(format!("{POLICY}{more}{}", resolver.config())).start()
}

fn asked_for_a(resolver: &Resolver) -> usize {
    let questions = resolver.questions();
    questions
        .iter()
        .filter(|question| question.kind == RecordType::A)
        .count()
}

#[test]
pub(super) fn a_name_is_resolved_once_and_what_was_checked_is_dialled() {
    if !require("low-ports") {
        return;
    }
    // The first address is opened, as a public one would be; the second one is not.
    let here = own_loopback();
    let origin = Origin::answering_at(SocketAddr::from((here, 443)), |request| ok(&request.start));
    let origin = origin.expect("a port");
    let resolver = Resolver::new(&[]);
    let turns = [here, Ipv4Addr::LOCALHOST].map(|address| Says::addresses([address]));
    resolver.set_in_turn("allowed.example", turns);
    let proxy = proxy(&resolver, &format!("allow_cidr = [\"{here}/32\"]\n"));
    let (answer, _) = connect(&proxy, "allowed.example:443");
    assert_eq!(answer.status(), 200, "{answer:?}");
    assert_eq!((asked_for_a(&resolver), origin.connections()), (1, 1));
    // Asked again, it is where the screen is closed.
    let (answer, entry) = connect(&proxy, "allowed.example:443");
    assert_eq!(
        (answer.status(), &entry["reason"]),
        (403, &"screened_address".into())
    );
    assert_eq!((asked_for_a(&resolver), origin.connections()), (2, 1));
}

#[test]
pub(super) fn an_alias_is_judged_by_the_name_that_was_asked_for() {
    // The table would log the chain of aliases; the design says nothing of it.
    let here = own_loopback();
    let resolver = Resolver::new(&[]);
    resolver.set(
        "allowed.example",
        Says::Alias("attacker.example".into(), vec![here.into()]),
    );
    let proxy = proxy(&resolver, &format!("allow_cidr = [\"{here}/32\"]\n"));
    let (_, entry) = connect(&proxy, "allowed.example:443");
    // Dialled: nobody listens there.
    assert_eq!(
        (&entry["reason"], &entry["rule"]),
        (&"connect_failed".into(), &"allowed.example:443".into())
    );
    let (answer, _) = connect(&proxy, "attacker.example:443");
    assert_eq!(answer.status(), 403);
}

#[test]
pub(super) fn a_resolver_that_fails_lets_nothing_through() {
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver, "");
    for code in [
        ResponseCode::ServFail,
        ResponseCode::Refused,
        ResponseCode::NXDomain,
    ] {
        resolver.set("allowed.example", Says::Fails(code));
        let (answer, entry) = connect(&proxy, "allowed.example:443");
        assert_eq!(
            (answer.status(), &entry["reason"]),
            (502, &"resolve_failed".into()),
            "{code}"
        );
    }
}

#[test]
pub(super) fn the_hosts_file_has_no_say() {
    // A hosts file of its own needs a mount namespace of its own. (Not in a user namespace: the
    // control socket is closed to peers of another one.)
    if !require("root") || !require("unshare") {
        return;
    }
    let resolver = Resolver::new(&[]);
    let launch = Launch::new(format!("{POLICY}{}", resolver.config()));
    let hosts = launch.file("hosts", "172.18.0.1 allowed.example\n");
    let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", hosts.display());
    let proxy = launch
        .through(&["unshare", "-m", "sh", "-c", &script, "sh"])
        .start();
    let (answer, entry) = connect(&proxy, "allowed.example:443");
    // The table expects the address of that file to be screened; the file is not read at all.
    assert_eq!(
        (answer.status(), &entry["reason"]),
        (502, &"resolve_failed".into())
    );
    assert!(asked_for_a(&resolver) > 0);
}

#[test]
pub(super) fn an_allowed_name_at_a_screened_address_is_refused() {
    let resolver = Resolver::new(&[]);
    let proxy = proxy(&resolver, "");
    proxy.does(
        "/allow",
        &serde_json::json!({"entries": ["localtest.me:443"]}),
    );
    for (id, name, address) in [
        ("REB-009", "allowed.example", "0.0.0.0"),
        ("REB-010", "allowed.example", "10.88.0.2"),
        ("REB-014", "x.wild.example", "192.168.1.1"),
        ("REB-015", "localtest.me", "127.0.0.1"),
        ("mapped", "allowed.example", "::ffff:10.0.0.1"),
        ("metadata", "allowed.example", "169.254.169.254"),
    ] {
        let address: std::net::IpAddr = address.parse().expect("an address");
        resolver.set(name, Says::addresses([address]));
        let (logged, audited) = (proxy.logged(), proxy.audit().len());
        let (answer, entry) = connect(&proxy, &format!("{name}:443"));
        assert_eq!(
            (answer.status(), &entry["reason"]),
            (403, &"screened_address".into()),
            "{id}"
        );
        assert_eq!(
            (proxy.logs(logged).len(), proxy.audit().len()),
            (1, audited + 1),
            "{id}"
        );
    }
}

#[test]
pub(super) fn the_addresses_of_this_machine_are_not_dialled() {
    // A public address of its own, in a network of its own; its control socket is reached through
    // the file system.
    let script = "ip link set lo up && ip address add 93.184.216.34/32 dev lo && exec \"$@\"";
    if !require("root") || !require("unshare") || !require("ip") {
        return;
    }
    let rules = "allow = [\"93.184.216.34:443\", \"93.184.216.35:443\"]\n";
    let proxy = Launch::new(rules)
        .through(&["unshare", "-n", "sh", "-c", script, "sh"])
        .start();
    let own = proxy.read("/explain?target=93.184.216.34:443");
    assert_eq!(own["reason"], "screened_address", "{own}");
    let other = proxy.read("/explain?target=93.184.216.35:443");
    assert_eq!(other["reason"], "allowed", "{other}");
}
