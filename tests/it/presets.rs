//! Presets: what they open from the start, what is offered with a request that waits, and what one
//! decision about all of it does.

use serde_json::{Value, json};

use crate::asking::{asking, held, id, waiting};
use crate::support::{Launch, Origin, Proxy};

#[test]
fn a_preset_of_the_configuration_and_one_that_is_typed_are_rules_with_its_name() {
    let proxy = Launch::new("presets = [\"composer\"]\n")
        .argument("--preset")
        .argument("go")
        .start();
    let rules = proxy.read("/rules");
    let rules = rules["rules"].as_array().expect("rules");
    let of = |entry: &str| {
        let rule = rules.iter().find(|rule| rule["entry"] == entry);
        let rule = rule.unwrap_or_else(|| panic!("{entry}: {rules:?}"));
        (rule["origin"].clone(), rule["preset"].clone())
    };
    assert_eq!(
        of("packagist.org:443"),
        (json!("preset"), json!("composer"))
    );
    assert_eq!(of("sum.golang.org:443"), (json!("preset"), json!("go")));
    // What belongs to it, under its own name.
    assert_eq!(of("github.com:443"), (json!("preset"), json!("github")));
    let shown = proxy.cli(&["rules"]).ok();
    assert!(shown.contains("preset composer"), "{shown}");
    let explained = proxy.cli(&["explain", "packagist.org"]).ok();
    assert!(explained.contains("(preset composer)"), "{explained}");
    let none = Launch::new("presets = [\"composer\"]\n")
        .argument("--no-presets")
        .start();
    assert_eq!(none.read("/rules")["rules"], json!([]));
}

#[test]
fn a_reload_follows_the_presets_of_the_configuration() {
    let proxy = Proxy::start("presets = [\"go\"]\n");
    std::fs::write(&proxy.config, "presets = [\"nuget\"]\n").expect("the configuration");
    proxy.does("/reload", &json!({}));
    let rules = proxy.read("/rules").to_string();
    assert!(
        rules.contains("api.nuget.org") && !rules.contains("golang.org"),
        "{rules}"
    );
}

#[test]
fn a_preset_that_is_none_is_told_with_its_place_and_nothing_starts() {
    let (status, said) = Launch::new("\npresets = [\"go\", \"gihub\"]\n")
        .try_start()
        .err()
        .expect("no start");
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains(":2:18: ") && said.contains("github?"),
        "{said}"
    );
    let (status, said) = Launch::new("")
        .argument("--preset")
        .argument("gihub")
        .try_start()
        .err()
        .expect("no start");
    assert_eq!(status.code(), Some(2), "{said}");
}

#[test]
fn a_held_request_offers_the_preset_that_it_is_listed_in_with_all_its_hosts() {
    let (proxy, _resolver) = asking("");
    let (_one, request) = held(&proxy, "repo.hex.pm:443");
    let offer = &request["presets"][0];
    assert_eq!(offer["name"], "hex");
    assert_eq!(
        offer["entries"],
        json!(["repo.hex.pm:443", "builds.hex.pm:443"])
    );
    assert!(offer["note"].as_str().expect("a note").contains("hex.pm"));
    let shown = proxy.cli(&["pending"]).ok();
    let command = format!("vibepit approve --preset hex {}", id(&request));
    for part in ["repo.hex.pm:443, builds.hex.pm:443", &command] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    // On another port, and of another name, it is nobody's.
    for target in ["repo.hex.pm:8443", "one.test:443"] {
        let (_client, request) = held(&proxy, target);
        assert_eq!(request["presets"], Value::Null, "{request}");
        assert_eq!(request["remember_under"], Value::Null, "{request}");
    }
}

#[test]
fn one_approval_opens_a_whole_preset_settles_what_waits_and_is_saved_as_a_whole() {
    let (proxy, _resolver) = asking("");
    let (mut first, request) = held(&proxy, "repo.hex.pm:443");
    let (mut second, _) = held(&proxy, "builds.hex.pm:443");
    let ran = proxy.cli(&[
        "approve",
        "--preset",
        "hex",
        "--scope",
        "global",
        "--json",
        id(&request),
    ]);
    let decided: Value = serde_json::from_str(&ran.ok()).expect("JSON");
    assert_eq!(
        decided["entries"],
        json!(["repo.hex.pm:443", "builds.hex.pm:443"])
    );
    // Allowed, and then the resolver does not know them.
    for client in [&mut first, &mut second] {
        assert_ne!(client.head().status(), 403);
    }
    assert!(waiting(&proxy).is_empty());
    let saved = std::fs::read_to_string(decided["saved_to"].as_str().expect("a file"));
    let saved = saved.expect("the file");
    assert!(saved.contains("\"repo.hex.pm:443\"") && saved.contains("\"builds.hex.pm:443\""));
}

#[test]
fn a_preset_that_does_not_fit_decides_nothing_and_says_why() {
    let (proxy, _resolver) = asking("");
    let (_client, request) = held(&proxy, "one.test:443");
    let path = format!("/approve-domain/{}", id(&request));
    for (body, why) in [
        (
            json!({"preset": "hex"}),
            "which opens repo.hex.pm:443, builds.hex.pm:443",
        ),
        (json!({"preset": "nope"}), "there is no preset"),
        (json!({"preset": "hex", "scope": "once"}), "scope once"),
        (
            json!({"preset": "hex", "pattern": "*.one.test"}),
            "two decisions",
        ),
    ] {
        let answer = proxy.post(&path, &body);
        assert_eq!(answer.status(), 400, "{}", answer.text());
        assert!(answer.text().contains(why), "{why}: {}", answer.text());
    }
    let denied = proxy.post(
        &format!("/deny-domain/{}", id(&request)),
        &json!({"preset": "hex"}),
    );
    assert_eq!(denied.status(), 400, "{}", denied.text());
    assert_eq!(waiting(&proxy).len(), 1);
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
}

#[test]
fn a_deny_outranks_a_preset() {
    let proxy = Proxy::start("presets = [\"hex\"]\ndeny = [\"builds.hex.pm\"]\n");
    let explained = proxy.read("/explain?target=builds.hex.pm:443");
    assert_eq!(explained["admission"], "deny");
    assert_eq!(explained["outranked"][0]["preset"], "hex");
}

#[test]
fn what_a_tool_did_not_tell_is_remembered_under_its_preset_until_it_is_revoked() {
    let (proxy, resolver) = asking("");
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let (mut client, request) = held(&proxy, &target);
    let ran = proxy.cli(&["approve", "--preset", "npm", id(&request)]);
    assert!(ran.stderr.contains("remembered under npm"), "{ran:?}");
    assert_eq!(client.head().status(), 200);
    let file = proxy
        .home
        .state()
        .join("vibepit/decisions/presets/npm.toml");
    let text = std::fs::read_to_string(&file).expect("the file");
    assert!(text.contains(&target), "{text}");

    // A later session has it with the preset, and without it has not.
    let config = |presets: &str| {
        format!(
            "{}allow_cidr = [\"127.0.0.0/8\"]\npresets = [{presets}]\n",
            resolver.config()
        )
    };
    let nowhere = ["sh", "-c", "PATH=/nowhere; export PATH; exec \"$@\"", "sh"];
    let later = Launch::new(config("\"npm\""))
        .home(&proxy.home)
        .through(&nowhere)
        .start();
    later.tunnel(&target);
    let rule = &later.read("/rules")["rules"][0];
    assert_eq!(
        (&rule["preset"], &rule["entry"]),
        (&json!("npm"), &json!(target))
    );
    let without = Launch::new(config("")).home(&proxy.home).start();
    assert_eq!(without.read("/rules")["rules"], json!([]));

    proxy
        .cli(&["--session", proxy.id(), "revoke", &target])
        .ok();
    let text = std::fs::read_to_string(&file).expect("the file");
    assert!(!text.contains("one.test"), "{text}");
}

#[test]
fn a_tool_that_is_not_there_is_told_and_what_it_asks_for_can_be_remembered() {
    let nowhere = ["sh", "-c", "PATH=/nowhere; export PATH; exec \"$@\"", "sh"];
    let config = "presets = [\"npm\"]\nunlisted_domain_behavior = \"request_approval\"\n";
    let proxy = Launch::new(config).through(&nowhere).start();
    let (_client, request) = held(&proxy, "one.test:443");
    assert_eq!(request["remember_under"], json!(["npm"]));
    let shown = proxy.cli(&["pending"]).ok();
    let command = format!("vibepit approve --preset npm {}", id(&request));
    assert!(shown.contains(&command), "{shown}");
    let none = Launch::new("presets = [\"npm\"]\n").through(&nowhere);
    let said = none
        .argument("--control")
        .argument("/nowhere/x")
        .try_start()
        .err()
        .expect("no start")
        .1;
    assert!(
        said.contains("npm is not installed on this machine"),
        "{said}"
    );
    assert!(said.contains("vibepit approve --preset npm"), "{said}");
}

#[test]
fn what_is_remembered_and_cannot_be_kept_is_let_through_and_told() {
    let (proxy, _resolver) = asking("");
    let (mut client, request) = held(&proxy, "one.test:443");
    let file = proxy
        .home
        .state()
        .join("vibepit/decisions/presets/npm.toml");
    std::fs::create_dir_all(&file).expect("a directory in its place");
    let ran = proxy.cli(&["approve", "--preset", "npm", id(&request)]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("it is not remembered: ") && ran.stderr.contains("npm.toml"));
    assert_ne!(client.head().status(), 403);
}
