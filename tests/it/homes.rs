//! The homes of projects: `prune` tells them, and removes them where that is asked for. Asked by
//! people whom the test makes alone: whoever runs the tests may have homes of their own.

use serde_json::Value;

use crate::docker::NO_NAMES;
use crate::support::local::{Local, ORDINARY};
use crate::support::{Person, Ran, Shell, binary, require};

/// What `prune` said, as JSON.
#[track_caller]
fn said(ran: Ran) -> Value {
    serde_json::from_str(&ran.ok()).expect("JSON")
}

#[test]
fn a_home_is_told_and_goes_when_it_is_asked_for_unless_a_session_has_it() {
    if !require("root") || !require("user-namespaces") || !require("setpriv") {
        return;
    }
    let bench = Local::new(NO_NAMES, Some(ORDINARY));
    let mut shell = bench.shell(&[]);
    shell.ask("echo kept > ~/kept");
    let told = said(bench.cli(&["prune", "--json"]));
    let homes = told["homes"].as_array().expect("a list");
    assert_eq!(homes.len(), 1, "{told}");
    let home = homes[0].as_str().expect("a path").to_owned();
    assert!(bench.cli(&["prune"]).stderr.contains(&home));

    let told = said(bench.cli(&["prune", "--homes", "--json"]));
    assert_eq!(told["homes"][0], home, "a session has it: {told}");
    assert_eq!(shell.ask("cat ~/kept"), "kept\n");
    assert_eq!(shell.end().0, Some(0));

    // Nothing is followed out of it.
    let outside = bench.home.home().join("outside");
    std::fs::write(&outside, "stays").expect("a file");
    let link = format!("ln -s {} ~/link", bench.home.home().display());
    bench.run(&[], &link).ok();
    let told = said(bench.cli(&["prune", "--homes", "--json"]));
    assert_eq!(told["homes"], Value::Array(Vec::new()), "{told}");
    assert_eq!(told["removed"][0], format!("home {home}"), "{told}");
    assert_eq!(std::fs::read_to_string(outside).expect("a file"), "stays");
    assert_eq!(
        bench.run(&[], "cat ~/kept 2>/dev/null || echo gone").ok(),
        "gone\n"
    );

    // Whoever made it may have closed it.
    bench
        .run(
            &[],
            "mkdir ~/closed && touch ~/closed/file && chmod 500 ~/closed",
        )
        .ok();
    let ran = bench.cli(&["prune", "--homes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains(&format!("chmod -R u+rwX {home}")),
        "{ran:?}"
    );
    bench.is_clean();
}

#[test]
fn a_home_that_an_engine_keeps_is_told_and_goes_when_it_is_asked_for() {
    if !require("rootless") {
        return;
    }
    let person = Person::with_docker(NO_NAMES);
    let mut vibepit = person.command(binary());
    let mut shell = Shell::spawn(vibepit.args(["run", "--reject", "--", "sh"]));
    shell.ask("echo kept > ~/kept");
    for arguments in [&["prune", "--json"][..], &["prune", "--homes", "--json"]] {
        let told = said(person.cli(arguments));
        let volumes = told["home_volumes"].as_array().map(Vec::len);
        assert_eq!(volumes, Some(1), "{told}");
    }
    assert_eq!(shell.ask("cat ~/kept"), "kept\n");
    assert_eq!(shell.end().0, Some(0));
    let told = said(person.cli(&["prune", "--homes", "--json"]));
    assert_eq!(told["home_volumes"], Value::Array(Vec::new()), "{told}");
    assert!(
        told["removed"].to_string().contains("home volume"),
        "{told}"
    );
}
