//! What was refused is settled later, and what is not used is found: from the audit logs, with a
//! session and without one.

use std::fs;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli_terminal::Terminal;
use crate::support::local::Local;
use crate::support::{Home, Proxy, Ran, binary, require};

fn read(home: &Home, arguments: &[&str]) -> Value {
    serde_json::from_str(&home.cli(arguments).ok()).expect("JSON")
}

/// A command that was printed, as a shell takes it.
fn pasted(home: &Home, command: &str) -> String {
    let script = command.replacen("vibepit", "\"$0\"", 1);
    let mut shell = home.command("sh");
    shell.args(["-c", &script]).arg(binary());
    Ran::of(&mut shell).ok()
}

/// The domains of what is to be reviewed, each with the number of its destinations.
fn groups(home: &Home) -> Vec<(String, usize)> {
    let review = read(home, &["review", "--all", "--json"]);
    let groups = review["groups"].as_array().expect("groups").iter();
    let one = |group: &Value| {
        let targets = group["targets"].as_array().expect("targets");
        let name = group["group"].as_str().expect("a name");
        (name.to_owned(), targets.len())
    };
    groups.map(one).collect()
}

#[test]
fn what_was_refused_is_grouped_by_owner_and_gone_once_the_printed_command_was_run() {
    let mut proxy = Proxy::start("deny = [\"no.test\"]\n");
    let home = proxy.home.clone();
    for url in [
        "http://a.one.example/",
        "http://a.one.example/",
        "http://b.one.example:8080/",
        "http://two.example/",
        // Somebody said no to that already.
        "http://no.test/",
    ] {
        assert_eq!(proxy.fetch(url).status(), 403, "{url}");
    }
    proxy.logged();
    let both = [("one.example".to_owned(), 2), ("two.example".to_owned(), 1)];
    assert_eq!(groups(&home), both);
    let review = read(&home, &["review", "--all", "--json"]);
    let first = &review["groups"][0];
    let target = &first["targets"][0];
    assert_eq!(
        (&target["entry"], &target["count"], &target["reason"]),
        (&json!("a.one.example:80"), &json!(2), &json!("unlisted"))
    );
    assert_eq!(
        first["wildcard"],
        json!(["**.one.example", "**.one.example:8080"])
    );
    let command = first["allow"].as_str().expect("a command");
    let listed = home.cli(&["review", "--all"]).ok();
    assert!(
        listed.contains(&format!("  allow: {command}\n")),
        "{listed}"
    );
    assert!(pasted(&home, command).contains("allowed a.one.example:80 everywhere"));
    assert_eq!(groups(&home), both[1..]);

    // Of a session that is over, and with none to tell.
    proxy.signal(Signal::SIGTERM);
    proxy.wait();
    assert_eq!(groups(&home), both[1..]);
    let review = read(&home, &["review", "--all", "--json"]);
    let command = review["groups"][0]["deny"].as_str().expect("a command");
    assert!(pasted(&home, command).contains("denied two.example:80 everywhere"));
    assert_eq!(groups(&home), []);
    let file = home.state().join("vibepit/decisions/global.toml");
    let text = fs::read_to_string(file).expect("the decisions");
    assert!(text.contains("\"two.example:80\", # 20"), "{text}");
}

#[test]
fn a_letter_settles_a_group_of_an_ended_session_and_what_is_skipped_is_not_shown_again() {
    if !require("user-namespaces") || !require("curl") {
        return;
    }
    let local = Local::new("unlisted_domain_behavior = \"reject\"\n", None);
    let script = "for host in a.one.example b.one.example two.example; do \
                  curl -sS -o /dev/null http://$host/; done; exit 0";
    assert_eq!(local.run(&[], script).code, Some(0));
    local.is_clean();
    let mut terminal = Terminal::new();
    let mut review = local.command(binary());
    review
        .arg("review")
        .stdin(terminal.stdio())
        .stdout(terminal.stdio())
        .stderr(terminal.stdio());
    let mut review = review.spawn().expect("vibepit runs");
    let shown = terminal.shows("q(uit) ? ");
    for part in [
        "1 of 2",
        "one.example",
        "a.one.example:80",
        "b.one.example:80",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(!shown.contains("a(llow"), "no session runs: {shown}");
    terminal.types("?\n");
    terminal.shows("allow every name below");
    terminal.shows("q(uit) ? ");
    terminal.types("w\n");
    terminal.shows("**.one.example: p(roject)");
    terminal.types("p\n");
    terminal.shows("allowed **.one.example, saved to ");
    terminal.shows("two.example:80");
    terminal.shows("q(uit) ? ");
    terminal.types("s\n");
    assert_eq!(review.wait().expect("its end").code(), Some(0));

    let again = local.cli(&["review"]);
    assert_eq!(
        (again.code, again.stdout.as_str()),
        (Some(0), ""),
        "{again:?}"
    );
    // Of all that was refused, only what was skipped is still open.
    let all = local.cli(&["review", "--since", "1h"]).ok();
    assert!(
        all.contains("two.example:80") && !all.contains("one.example\n"),
        "{all}"
    );
    let rules = local.run(&["--quiet"], "exit 0");
    assert_eq!(rules.code, Some(0), "{rules:?}");
}

#[test]
fn a_rule_is_unused_if_logs_that_reach_back_show_no_use_and_the_printed_command_takes_it_back() {
    let mut proxy = Proxy::start("");
    let home = proxy.home.clone();
    let everywhere = |entry: &str| json!({"entries": [entry], "scope": "global"});
    for entry in ["used.test", "*.old.test"] {
        proxy.does("/deny", &everywhere(entry));
    }
    proxy.logged();
    let since = OffsetDateTime::now_utc().format(&Rfc3339).expect("a time");
    assert_eq!(proxy.fetch("http://used.test/").status(), 403);
    proxy.does("/allow", &everywhere("young.test"));
    proxy.logged();
    let answer = read(&home, &["rules", "--unused", &since, "--json"]);
    assert_eq!(answer["tells"], true, "{answer}");
    let entries: Vec<_> = answer["unused"].as_array().expect("rules").iter().collect();
    assert_eq!(entries.len(), 1, "{answer}");
    assert_eq!(
        (&entries[0]["entry"], &entries[0]["made_by"]),
        (
            &json!("*.old.test"),
            &json!(format!("uid:{}", nix::unistd::Uid::effective()))
        )
    );

    // They do not go back so far: nothing is called unused.
    let ran = home.cli(&["rules", "--unused", "30d"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
    assert!(ran.stderr.contains("nothing is called unused"), "{ran:?}");

    proxy.signal(Signal::SIGTERM);
    proxy.wait();
    let ran = home.cli(&["rules", "--unused", &since]).ok();
    let command = ran.lines().last().and_then(|line| line.split_once(": "));
    let (_, command) = command.expect("the command");
    assert_eq!(command, "vibepit revoke '*.old.test'");
    assert_eq!(pasted(&home, command), "revoked *.old.test\n");
    let answer = read(&home, &["rules", "--unused", &since, "--json"]);
    assert_eq!(answer["unused"], json!([]), "{answer}");
    // Lines that are gone may have told of a use.
    let log = home.state().join("vibepit/audit").join(proxy.id());
    let log = log.join("audit.jsonl");
    let text = fs::read_to_string(&log).expect("the audit file");
    let (_, later) = text.split_once('\n').expect("lines");
    let later = later.lines().last().expect("a line").to_owned() + "\n";
    fs::write(&log, later).expect("a shorter file");
    let answer = read(&home, &["rules", "--unused", &since, "--json"]);
    assert_eq!(
        (&answer["tells"], &answer["unused"]),
        (&json!(false), &json!([]))
    );
}
