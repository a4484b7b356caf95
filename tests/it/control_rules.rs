//! Changing rules while a session runs.

use std::fs;

use serde_json::{Value, json};

use crate::control_curl::{WAYS, Way};
use crate::support::{Launch, Origin, Proxy, Resolver, require};

/// Verdict and entry of each rule.
fn rules(proxy: &Proxy) -> Vec<(String, String)> {
    let rules = proxy.read("/rules");
    let text = |rule: &Value, field: &str| rule[field].as_str().expect("a text").to_owned();
    let rules = rules["rules"].as_array().expect("rules").iter();
    rules
        .map(|rule| (text(rule, "verdict"), text(rule, "entry")))
        .collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pairs = expected.iter();
    pairs
        .map(|(verdict, entry)| ((*verdict).to_owned(), (*entry).to_owned()))
        .collect()
}

fn entries(entries: &[&str]) -> Value {
    json!({ "entries": entries })
}

#[test]
fn an_entry_is_shown_as_it_is_understood() {
    let proxy = Proxy::start("");
    let sent = [
        "API.Example.TEST.:443",
        "bücher.test",
        "*.A.test",
        "[2001:DB8::1]:443",
        "10.0.0.0/8:*",
    ];
    let added = proxy.does("/allow", &entries(&sent));
    let understood = [
        "api.example.test:443",
        "xn--bcher-kva.test",
        "*.a.test",
        "[2001:db8::1]:443",
        "10.0.0.0/8:*",
    ];
    assert_eq!(added["added"], json!(understood));
    assert_eq!(added["existing"], json!([]));
    let again = proxy.does("/allow", &entries(&understood));
    assert_eq!(again["existing"], json!(understood));
    assert_eq!(again["added"], json!([]));
    assert_eq!(rules(&proxy).len(), sent.len());
}

#[test]
fn a_later_decision_on_the_same_entry_replaces_the_earlier_one() {
    let proxy = Proxy::start("");
    let mut events = proxy.events(None);
    proxy.does("/allow", &entries(&["a.test"]));
    assert_eq!(rules(&proxy), pairs(&[("allow", "a.test")]));
    proxy.does("/deny", &entries(&["a.test"]));
    assert_eq!(rules(&proxy), pairs(&[("deny", "a.test")]));
    let allowed = proxy.does("/allow", &entries(&["a.test"]));
    assert_eq!(allowed["added"], json!(["a.test"]));
    assert_eq!(allowed.get("shadowed"), None);
    assert_eq!(rules(&proxy), pairs(&[("allow", "a.test")]));
    // Another port is another entry.
    proxy.does("/deny", &entries(&["a.test:443"]));
    assert_eq!(
        rules(&proxy),
        pairs(&[("allow", "a.test"), ("deny", "a.test:443")])
    );
    let mut told = Vec::new();
    while told.len() < 6 {
        let (_, name, data) = events.next().expect("an event");
        let verdict = data["rule"]["verdict"]
            .as_str()
            .expect("a verdict")
            .to_owned();
        told.push((name, verdict));
    }
    let expected = [
        ("rule-added", "allow"),
        ("rule-removed", "allow"),
        ("rule-added", "deny"),
        ("rule-removed", "deny"),
        ("rule-added", "allow"),
        ("rule-added", "deny"),
    ];
    assert_eq!(told, pairs(&expected));
}

#[test]
fn allowing_lifts_a_sessions_deny_of_what_a_file_allows() {
    let proxy = Proxy::start("allow = [\"a.test\"]");
    let explained = |proxy: &Proxy| proxy.read("/explain?target=a.test:443")["admission"].clone();
    proxy.does("/deny", &entries(&["a.test"]));
    assert_eq!(explained(&proxy), "deny");
    let allowed = proxy.does("/allow", &entries(&["a.test"]));
    assert_eq!(allowed.get("shadowed"), None, "{allowed}");
    assert_eq!(explained(&proxy), "allow");
}

#[test]
fn an_entry_named_twice_is_one_rule() {
    let proxy = Proxy::start("");
    for body in [
        entries(&["a.test", "A.test."]),
        json!({"entries": ["b.test", "b.test"], "ttl": "1h"}),
    ] {
        let added = proxy.does("/allow", &body);
        let count = |field: &str| added[field].as_array().expect(field).len();
        assert_eq!((count("added"), count("existing")), (1, 1), "{added}");
    }
    assert_eq!(
        rules(&proxy),
        pairs(&[("allow", "a.test"), ("allow", "b.test")])
    );
}

#[test]
fn thousands_of_entries_are_taken_in_one_request() {
    let proxy = Proxy::start("");
    let many: Vec<_> = (0..40_000).map(|n| format!("n{n}.block.test")).collect();
    let body = json!({ "entries": many });
    assert!(body.to_string().len() < 1024 * 1024);
    let count = |answer: &Value, field: &str| answer[field].as_array().expect(field).len();
    assert_eq!(count(&proxy.does("/deny", &body), "added"), many.len());
    assert_eq!(count(&proxy.does("/deny", &body), "existing"), many.len());
    assert_eq!(count(&proxy.does("/allow", &body), "added"), many.len());
    assert_eq!(count(&proxy.does("/revoke", &body), "removed"), many.len());
    assert_eq!(rules(&proxy), []);
}

#[test]
fn a_session_takes_so_many_rules_and_then_none_of_a_request() {
    let proxy = Proxy::start("");
    for part in 0..3 {
        let many: Vec<_> = (0..33_000)
            .map(|n| format!("n{n}.part{part}.test"))
            .collect();
        proxy.does("/allow", &json!({ "entries": many }));
    }
    let more: Vec<_> = (0..1_001).map(|n| format!("more{n}.test")).collect();
    let full = proxy.post("/allow", &json!({ "entries": more }));
    assert_eq!(full.status(), 503, "{}", full.text());
    assert!(full.text().contains("config.toml"), "{}", full.text());
    assert_eq!(proxy.read("/session")["counts"]["rules"], 99_000);
    proxy.does("/allow", &json!({ "entries": more[..1000] }));
}

#[test]
fn a_time_limit_ends_the_rule_and_what_it_let_through() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let proxy = Proxy::start(format!(
        "allow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let origin = Origin::echo();
    let mut events = proxy.events(None);
    let entry = format!("a.test:{}", origin.port());
    let added = proxy.does("/allow", &json!({"entries": [entry], "ttl": "1s"}));
    assert_eq!(added["added"], json!([entry]));
    let rule = &proxy.read("/rules")["rules"][0];
    assert!(rule["expires_at"].is_string(), "{rule}");
    let mut tunnel = proxy.tunnel(&entry);
    tunnel.send("hello");
    assert_eq!(tunnel.exactly(5), b"hello");
    let removed = events.until("rule-removed");
    assert_eq!(
        (&removed["actor"], &removed["rule"]["entry"]),
        (&json!("vibepit"), &json!(entry))
    );
    tunnel.ends();
    assert_eq!(rules(&proxy), []);
    let explained = proxy.read(&format!("/explain?target={entry}"));
    assert_eq!(explained["reason"], "unlisted");
}

#[test]
fn a_time_limit_can_be_changed_and_lifted() {
    let proxy = Proxy::start("");
    let ends = || proxy.read("/rules")["rules"][0]["expires_at"].clone();
    let limited = |ttl: &str| json!({"entries": ["a.test"], "ttl": ttl});
    proxy.does("/allow", &limited("1h"));
    let first = ends();
    assert_eq!(
        proxy.does("/allow", &limited("2h"))["added"],
        json!(["a.test"])
    );
    assert!(ends().as_str() > first.as_str(), "{first} {}", ends());
    assert_eq!(
        proxy.does("/allow", &entries(&["a.test"]))["added"],
        json!(["a.test"])
    );
    assert_eq!(ends(), Value::Null);
    assert_eq!(rules(&proxy).len(), 1);
}

#[test]
fn an_allow_that_a_deny_outranks_says_by_which_rule() {
    let proxy = Proxy::start("deny = [\"denied.test\", \"**.deep.test:*\"]");
    proxy.does("/deny", &entries(&["live.test:443"]));
    let asked = [
        "denied.test:443",
        "a.b.deep.test",
        "live.test:443",
        "free.test",
        "live.test:80",
    ];
    let allowed = proxy.does("/allow", &entries(&asked));
    let shadowed = allowed["shadowed"].as_array().expect("shadowed");
    let told: Vec<_> = shadowed
        .iter()
        .map(|each| (each["entry"].as_str(), each["by"]["entry"].as_str()))
        .collect();
    let expected = [
        (Some("denied.test:443"), Some("denied.test")),
        (Some("a.b.deep.test"), Some("**.deep.test:*")),
    ];
    // The deny of live.test:443 was replaced: it was said live, on the very same entry.
    assert_eq!(told, expected, "{allowed}");
}

#[test]
fn an_allow_that_leaves_a_port_of_the_host_closed_says_what_opens_it() {
    let proxy = Proxy::start("allow_host_ports = [80, 5432]");
    let warnings = |entry: &str| {
        let allowed = proxy.does("/allow", &entries(&[entry]));
        allowed.get("warnings").cloned()
    };
    let remedy = |ports: &str| format!("allow_host_ports = [{ports}] in config.toml");
    for (entry, port, remedy) in [
        ("host.vibepit:8080", "port 8080", remedy("8080")),
        ("host.vibepit", "port 443", remedy("443")),
        ("HOST.vibepit.:443", "port 443", remedy("443")),
        ("host.vibepit:*", "no port", "allow_host_ports".to_owned()),
    ] {
        let warnings = warnings(entry).unwrap_or_else(|| panic!("{entry}"));
        assert_eq!(warnings.as_array().map(Vec::len), Some(1), "{warnings}");
        let said = warnings[0].as_str().expect("a sentence");
        assert!(said.contains(port) && said.contains(&remedy), "{said}");
    }
    for entry in ["host.vibepit:5432", "a.test:8080"] {
        assert_eq!(warnings(entry), None, "{entry}");
    }
    let denied = proxy.does("/deny", &entries(&["host.vibepit:9000"]));
    assert_eq!(denied.get("warnings"), None, "{denied}");
    let ran = proxy.cli(&["allow", "host.vibepit:8081"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let warning = ran.stderr.trim_end();
    assert_eq!(
        warning,
        "warning: host.vibepit:8081 does not open port 8081 of the host: that takes \
         allow_host_ports = [8081] in config.toml, then vibepit run again"
    );
}

#[test]
fn flags_are_revoked_and_what_a_file_holds_is_kept_and_says_so() {
    let config = "allow = [\"config.test\"]\ndeny = [\"denied.test\"]";
    let proxy = Launch::new(config)
        .argument("--allow")
        .argument("flag.test")
        .start();
    proxy.does("/allow", &entries(&["live.test"]));
    let all = [
        "flag.test",
        "config.test",
        "denied.test",
        "live.test",
        "none.test",
    ];
    let revoked = proxy.does("/revoke", &entries(&all));
    assert_eq!(revoked["removed"], json!(["flag.test", "live.test"]));
    assert_eq!(revoked["missing"], json!(["none.test"]));
    let kept = revoked["kept"].as_array().expect("kept").iter();
    let kept: Vec<_> = kept.map(|rule| (&rule["entry"], &rule["origin"])).collect();
    let config = json!("config");
    assert_eq!(
        kept,
        [
            (&json!("config.test"), &config),
            (&json!("denied.test"), &config)
        ]
    );
    assert_eq!(
        rules(&proxy),
        pairs(&[("allow", "config.test"), ("deny", "denied.test")])
    );
    // A reload reads files; what was taken back live does not come back with it.
    proxy.does("/reload", &json!({}));
    assert_eq!(
        rules(&proxy),
        pairs(&[("allow", "config.test"), ("deny", "denied.test")])
    );
}

#[test]
fn a_reload_replaces_what_files_say_and_leaves_what_was_said_live() {
    let proxy = Launch::new("allow = [\"old.test\"]")
        .argument("--allow")
        .argument("flag.test")
        .start();
    proxy.does("/allow", &entries(&["live.test"]));
    fs::write(
        &proxy.config,
        "allow = [\"new.test\", \"more.test\"]\ndeny = [\"no.test\"]\n",
    )
    .unwrap();
    assert_eq!(
        proxy.does("/reload", &json!({})),
        json!({"rules": 3, "closed": 0})
    );
    let expected = [
        ("allow", "new.test"),
        ("allow", "more.test"),
        ("deny", "no.test"),
        ("allow", "flag.test"),
        ("allow", "live.test"),
    ];
    assert_eq!(rules(&proxy), pairs(&expected));
}

#[test]
fn a_configuration_that_cannot_be_used_leaves_the_rules_and_a_warning() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("allow = [\"a.test\"]");
    let before = rules(&proxy);
    fs::write(
        &proxy.config,
        "allow = [\"b.test\"]\ndeny = [\n  \"https://x/\",\n]\n",
    )
    .unwrap();
    for way in WAYS {
        let answer = way.posts(&proxy, "/reload", "");
        assert_eq!(answer.status(), 500, "{}", answer.text());
        let detail = answer.json()["detail"]
            .as_str()
            .expect("a detail")
            .to_owned();
        let place = format!("{}:3:3: ", proxy.config.display());
        assert!(detail.contains(&place), "{detail}");
    }
    assert_eq!(rules(&proxy), before);
    let warnings = proxy.read("/session")["warnings"].clone();
    assert!(
        warnings[0].as_str().expect("a warning").contains(":3:3: "),
        "{warnings}"
    );
    // Good again: the warning goes.
    fs::write(&proxy.config, "").unwrap();
    proxy.does("/reload", &json!({}));
    assert_eq!(proxy.read("/session")["warnings"], json!([]));
    assert_eq!(rules(&proxy), []);
    let reloads: Vec<_> = proxy
        .audit()
        .into_iter()
        .filter(|line| line["event"] == "reload")
        .map(|line| line["actor"].clone())
        .collect();
    let uid = Way::Socket.actor();
    assert_eq!(reloads, [json!(uid), json!(Way::Port.actor()), json!(uid)]);
}

#[test]
fn whoever_changed_a_rule_is_named() {
    if !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    let mut events = proxy.events(None);
    for way in WAYS {
        way.does(&proxy, "/allow", &entries(&["a.test"]));
        way.does(&proxy, "/revoke", &entries(&["a.test"]));
        for name in ["rule-added", "rule-removed"] {
            let (_, found, data) = events.next().expect("an event");
            assert_eq!(
                (found.as_str(), &data["actor"]),
                (name, &json!(way.actor()))
            );
        }
    }
    let audit = proxy.audit();
    let audited: Vec<_> = audit
        .iter()
        .filter(|line| line["pattern"] == "a.test")
        .map(|line| (line["event"].as_str(), line["actor"].as_str()))
        .collect();
    let (uid, cn) = (Way::Socket.actor(), Way::Port.actor());
    let expected = [
        (Some("rule_add"), Some(&*uid)),
        (Some("rule_revoke"), Some(&*uid)),
        (Some("rule_add"), Some(&*cn)),
        (Some("rule_revoke"), Some(&*cn)),
    ];
    assert_eq!(audited, expected);
}

#[test]
fn a_deny_and_a_revoke_close_what_is_open_and_say_how_much() {
    let resolver = Resolver::at_loopback(&["a.test", "b.test"]);
    let proxy = Proxy::start(format!(
        "allow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    ));
    let origin = Origin::echo();
    let (a, b) = (
        format!("a.test:{}", origin.port()),
        format!("b.test:{}", origin.port()),
    );
    proxy.does("/allow", &entries(&[&a, &b]));
    let mut tunnels = [proxy.tunnel(&a), proxy.tunnel(&a), proxy.tunnel(&b)];
    assert_eq!(
        proxy.read("/connections")["connections"]
            .as_array()
            .expect("some")
            .len(),
        3
    );
    let denied = proxy.does("/deny", &entries(&["a.test:*"]));
    assert_eq!(denied["closed"], 2);
    tunnels[0].ends();
    tunnels[1].ends();
    let open = proxy.read("/connections");
    let open = open["connections"].as_array().expect("some");
    assert_eq!(
        (open.len(), &open[0]["target"], &open[0]["rule"]),
        (1, &json!(b), &json!(b))
    );
    let revoked = proxy.does("/revoke", &entries(&[&b]));
    assert_eq!(
        (&revoked["closed"], &revoked["removed"]),
        (&json!(1), &json!([b]))
    );
    tunnels[2].ends();
}

#[test]
fn a_saved_rule_is_known_by_who_made_it_and_when_in_every_later_session() {
    let first = Proxy::start("allow = [\"written.test\"]\n");
    let second = Launch::new("").home(&first.home).start();
    let mut events = second.events(None);
    first.does(
        "/allow",
        &json!({"entries": ["kept.test"], "scope": "global"}),
    );
    events.until("rule-added");
    first.does("/allow", &json!({"entries": ["kept.test"]}));
    let third = Launch::new("").home(&first.home).start();
    let of = |proxy: &Proxy, entry: &str| {
        let rules = proxy.read("/rules");
        let rules = rules["rules"].as_array().expect("rules").clone();
        let rule = rules.iter().find(|rule| rule["entry"] == entry);
        let rule = rule.expect("the rule").clone();
        (rule["made_by"].clone(), rule["made_at"].clone())
    };
    let (by, at) = of(&first, "kept.test");
    assert_eq!(by, format!("uid:{}", nix::unistd::Uid::effective()));
    assert!(at.as_str().is_some_and(|at| at.ends_with('Z')), "{at}");
    for later in [&second, &third] {
        assert_eq!(of(later, "kept.test"), (by.clone(), at.clone()));
    }
    let explained = third.read("/explain?target=kept.test:443");
    assert_eq!(explained["rule"]["made_at"], at);
    // A file that a person wrote does not say.
    assert_eq!(of(&first, "written.test"), (Value::Null, Value::Null));
}
