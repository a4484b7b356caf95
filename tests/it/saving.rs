//! Decisions that cannot be saved: they hold for the session, everybody is told, and what was
//! saved before stays as it was.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Disk, Home, Origin, Resolver, disks};

/// Approves and denies for everywhere while nothing can be saved, and once it can again.
fn without_a_place(spoil: impl Fn(&Disk), mend: impl Fn(&Disk)) {
    let resolver = Resolver::at_loopback(&["one.test", "two.test"]);
    let config = format!(
        "{}allow_cidr = [\"127.0.0.0/8\"]\nunlisted_domain_behavior = \"request_approval\"\n",
        resolver.config()
    );
    let (disk, proxy) = Disk::under("decisions", &config, &Home::new());
    let everywhere = |entry: &str| json!({"entries": [entry], "scope": "global"});
    let saved = proxy.does("/allow", &everywhere("before.test"));
    assert_eq!(saved["scope"], "global");
    let file = disk.path("global.toml");
    let before = fs::read(&file).expect("the saved decisions");
    spoil(&disk);
    let names = disk.names();

    // Over the API, with somebody who waits and somebody who watches.
    let origin = Origin::echo();
    let target = format!("one.test:{}", origin.port());
    let mut events = proxy.events(None);
    let mut client = proxy.client();
    client.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    let request = events.until("domain-request-added");
    let path = format!("/approve-domain/{}", request["id"].as_str().expect("an id"));
    let decided = proxy.does(&path, &json!({"scope": "global"}));
    assert_eq!(
        (
            &decided["scope"],
            &decided["saved_to"],
            &decided["released"]
        ),
        (&json!("session"), &Value::Null, &json!(1))
    );
    let why = decided["save_error"].as_str().expect("a sentence");
    let shown = proxy.home.state().join("vibepit/decisions");
    assert!(why.starts_with(shown.to_str().expect("UTF-8")), "{why}");
    let added = events.until("rule-added");
    assert_eq!(added["rule"]["scope"], "session");
    assert_eq!(added["save_error"], why);
    assert_eq!(client.head().status(), 200);
    let line = proxy
        .audit()
        .into_iter()
        .find(|line| line["event"] == "rule_add" && line["save_error"] == why);
    assert_eq!(line.expect("a line")["scope"], "session");

    // On the command line.
    client.send("still");
    let target = format!("two.test:{}", origin.port());
    let mut other = proxy.client();
    other.send(format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    ));
    events.until("domain-request-added");
    let ran = proxy.cli(&["approve", "two.test", "--scope", "global"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = format!("allowed for this session only: {why}");
    assert!(ran.stderr.contains(&said), "{ran:?}");
    assert_eq!(other.head().status(), 200);

    // A deny holds as well.
    let denied = proxy.does("/deny", &everywhere("one.test:*"));
    assert_eq!(
        (&denied["scope"], &denied["closed"]),
        (&json!("session"), &json!(1))
    );
    assert!(denied["save_error"].is_string(), "{denied}");
    assert_eq!(client.to_end(), b"still");

    assert_eq!(fs::read(&file).expect("the file"), before);
    assert_eq!(disk.names(), names, "nothing is left beside it");
    mend(&disk);
    let saved = proxy.does("/deny", &everywhere("one.test:*"));
    assert_eq!(
        (&saved["scope"], saved.get("save_error")),
        (&json!("global"), None)
    );
    let text = fs::read_to_string(&file).expect("the file");
    assert!(
        text.contains("\"before.test\"") && text.contains("\"one.test:*\""),
        "{text}"
    );
}

#[test]
fn on_a_full_disk_a_decision_holds_for_the_session_and_the_file_stays_whole() {
    if disks() {
        without_a_place(Disk::fill, Disk::make_room);
    }
}

#[test]
fn in_a_read_only_directory_a_decision_holds_for_the_session() {
    if disks() {
        without_a_place(|disk| disk.remount("ro"), |disk| disk.remount("rw"));
    }
}
