//! Rows about entries, on every way in: the file, the command line, the API.

use serde_json::{Value, json};

use crate::support::{Home, Launch, Proxy};

use super::rows;

/// What the table has as input of a row.
fn input(id: &str) -> String {
    let row = rows().into_iter().find(|row| row.id == id);
    row.expect("a row").input
}

fn quoted(entry: &str) -> String {
    Value::from(entry).to_string()
}

/// Whether a file with this content can be used, and what is said if not.
fn check(config: &str) -> Result<(), String> {
    let home = Home::new();
    let file = home.write_config(config);
    let ran = home
        .vibepit()
        .args(["config", "check"])
        .arg(file)
        .output()
        .expect("the binary");
    let said = String::from_utf8_lossy(&ran.stderr).into_owned();
    match ran.status.code() {
        Some(0) => Ok(()),
        Some(1) => Err(said),
        other => panic!("{other:?}: {said}"),
    }
}

fn entries(proxy: &Proxy) -> Vec<Value> {
    let rules = proxy.read("/rules");
    let rules = rules["rules"].as_array().expect("rules");
    rules.iter().map(|rule| rule["entry"].clone()).collect()
}

#[test]
pub(super) fn an_entry_that_is_none_is_refused_on_every_way_in() {
    let proxy = Proxy::start("");
    for id in [
        "RULE-001", "RULE-002", "RULE-008", "RULE-009", "RULE-012", "RULE-014", "RULE-017",
        // A warning in the table. The design takes the private part of the public suffix list
        // for what it is, and refuses unless forced.
        "RULE-005", "RULE-006", // Trimmed or refused, says the table.
        "RULE-016",
    ] {
        let entry = input(id);
        let said = check(&format!("allow = [{}]\n", quoted(&entry))).expect_err(id);
        assert!(said.contains(":1:"), "{id}: no line in {said:?}");
        for arguments in [["allow", &entry], ["deny", &entry]] {
            let ran = proxy.cli(&arguments);
            assert_eq!(ran.code, Some(2), "{id}: {ran:?}");
        }
        let body = json!({"entries": ["fine.example:443", &entry]});
        let answer = proxy.post("/allow", &body);
        assert_eq!(answer.status(), 400, "{id}: {}", answer.text());
        assert_eq!(answer.json()["entry"], json!(entry), "{id}");
        assert_eq!(
            entries(&proxy),
            [json!(null); 0],
            "{id}: something was applied"
        );
        let ran = Launch::new("")
            .argument("--allow")
            .argument(&entry)
            .try_start();
        assert!(ran.is_err(), "{id}");
    }
    // What would be right is said.
    let ran = proxy.cli(&["allow", "https://allowed.example/"]);
    assert!(ran.stderr.contains("allowed.example"), "{ran:?}");
    // Forced, a wildcard over many tenants is a rule.
    proxy
        .cli(&["allow", "--force", "*.cloudfront.net:443"])
        .ok();
    assert_eq!(entries(&proxy), ["*.cloudfront.net:443"]);
}

#[test]
pub(super) fn an_entry_is_kept_in_its_canonical_spelling_whatever_way_it_came_in() {
    for (id, entry, canonical) in [
        ("RULE-018", input("RULE-018"), "allowed.example:443"),
        ("RULE-019", input("RULE-019"), "allowed.example:443"),
        (
            "IDN-015",
            "b\u{fc}cher.example:443".to_owned(),
            "xn--bcher-kva.example:443",
        ),
        // The table refuses it; in the design a rule without a port is one for 80 and 443.
        ("RULE-013", input("RULE-013"), "allowed.example"),
        // The table refuses it; in the design a network is a host of a rule.
        ("RULE-020", input("RULE-020"), "10.0.0.0/8:443"),
    ] {
        let by_file = Proxy::start(format!("allow = [{}]\n", quoted(&entry)));
        assert_eq!(entries(&by_file), [canonical], "{id}");
        let live = Launch::new("").argument("--allow").argument(&entry).start();
        assert_eq!(entries(&live), [canonical], "{id}");
        assert_eq!(
            live.does("/revoke", &json!({"entries": [entry]}))["removed"],
            json!([canonical])
        );
        live.does("/allow", &json!({"entries": [entry]}));
        assert_eq!(entries(&live), [canonical], "{id}");
        live.cli(&["revoke", canonical]).ok();
        live.cli(&["allow", &entry]).ok();
        assert_eq!(entries(&live), [canonical], "{id}");
    }
    // And a network among the rules opens nothing that is screened.
    let proxy = Proxy::start("allow = [\"10.0.0.0/8:443\"]\n");
    assert_eq!(
        proxy.read("/explain?target=10.1.2.3:443")["reason"],
        "screened_address"
    );
}

#[test]
pub(super) fn a_file_that_cannot_be_used_is_told_at_the_start() {
    for (id, config, position) in [
        ("RULE-027", "\nallow = true\n", ":2:9"),
        ("RULE-030", "allow = []\nallow = []\n", ":2:1"),
        ("RULE-032", "allow_cidr = [\"0.0.0.0/0\"]\n", ":1:15"),
        ("RULE-032", "allow_cidr = [\"::/0\"]\n", ":1:15"),
    ] {
        let said = check(config).expect_err(id);
        assert!(
            said.contains(&format!(".toml{position}: ")),
            "{id}: {said:?}"
        );
        let (status, said) = Launch::new(config).try_start().err().expect(id);
        assert_eq!(status.code(), Some(1), "{id}");
        assert!(
            said.contains(&format!(".toml{position}: ")),
            "{id}: {said:?}"
        );
    }
}

#[test]
pub(super) fn without_rules_everything_is_refused() {
    // TOML has no null: a list that is not there is an empty one.
    let proxy = Proxy::start("");
    let answer = proxy.fetch("http://allowed.example/");
    assert_eq!(answer.status(), 403);
    let ran = proxy.cli(&["rules"]);
    assert!(ran.stderr.contains("there are no rules"), "{ran:?}");
}

#[test]
pub(super) fn a_deny_outranks_an_allow_of_the_same_host() {
    let proxy = Proxy::start("allow = [\"both.example:443\"]\ndeny = [\"both.example:443\"]\n");
    let mut wire = proxy.client();
    wire.send("CONNECT both.example:443 HTTP/1.1\r\nHost: both.example:443\r\n\r\n");
    assert_eq!(wire.head().status(), 403);
    let explained = proxy.read("/explain?target=both.example:443");
    assert_eq!(explained["rule"]["verdict"], "deny", "{explained}");
    assert_eq!(explained["outranked"][0]["verdict"], "allow", "{explained}");
}

#[test]
pub(super) fn a_control_byte_in_an_entry_stores_nothing() {
    let proxy = Proxy::start("");
    let body = json!({"entries": ["attacker.example\0.wild.example:443"]});
    let answer = proxy.post("/allow", &body);
    assert_eq!(answer.status(), 400, "{}", answer.text());
    assert_eq!(entries(&proxy), [json!(null); 0]);
}

#[test]
pub(super) fn a_file_that_went_bad_leaves_the_former_rules() {
    let proxy = Proxy::start("allow = [\"wild.example:443\"]\n");
    let bad = "allow = [\n  \"attacker.example\\u0000.wild.example:443\",\n]\n";
    std::fs::write(&proxy.config, bad).expect("the configuration");
    let answer = proxy.post("/reload", &json!({}));
    assert_eq!(answer.status(), 500, "{}", answer.text());
    let detail = answer.json()["detail"]
        .as_str()
        .expect("a detail")
        .to_owned();
    assert!(detail.contains(".toml:2:3: "), "{detail}");
    assert_eq!(entries(&proxy), ["wild.example:443"]);
    let warnings = proxy.read("/session")["warnings"].to_string();
    assert!(warnings.contains(".toml:2:3: "), "{warnings}");
}
