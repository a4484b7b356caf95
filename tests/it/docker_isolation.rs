//! Two sessions of one project, and the end of one: what was decided for a session is that
//! session's, and goes with it.

use std::collections::BTreeSet;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::docker::NO_NAMES;
use crate::support::engine::{self, Happenings};
use crate::support::{Bench, Ran, Shell, require};

/// Where nobody is asked in vain: a request waits until it is decided about.
const ASKING: &str = "unlisted_domain_behavior = \"request_approval\"\napproval_timeout = \"1h\"\n";

/// A session, and the id of it.
struct Session {
    id: String,
    shell: Shell,
}

fn begin(bench: &Bench, name: &str) -> Session {
    let shell = bench.shell(&["--name", name]);
    let sessions = bench.sessions();
    let ours = sessions.iter().find(|session| session["name"] == name);
    let id = ours.expect("it is listed")["id"].as_str().expect("an id");
    Session {
        id: id.to_owned(),
        shell,
    }
}

impl Session {
    /// Has the sandbox ask for a host in the background, and waits until the person sees that.
    fn asks_for(&mut self, bench: &Bench, host: &str) {
        let mut events = bench.events(&self.id);
        let fetch = format!("curl -sS -m 3000 http://{host}/ >/dev/null 2>&1 &");
        self.shell.ask(&fetch);
        while events.until("domain-request-added")["domain"] != host {}
    }

    /// `vibepit ARGUMENTS --json` about this session.
    fn read(&self, bench: &Bench, command: &str) -> Value {
        let said = bench.cli(&[command, "--session", &self.id, "--json"]);
        serde_json::from_str(&said.ok()).expect("JSON")
    }

    fn rules(&self, bench: &Bench) -> BTreeSet<String> {
        let rules = self.read(bench, "rules");
        let rules = rules["rules"].as_array().expect("rules").iter();
        let shown = |rule: &Value| format!("{} {}", rule["entry"], rule["scope"]).replace('"', "");
        rules.map(shown).collect()
    }

    fn waiting(&self, bench: &Bench) -> Vec<Value> {
        let pending = self.read(bench, "pending");
        let pending = pending["pending"].as_array().expect("requests").iter();
        pending.map(|request| request["domain"].clone()).collect()
    }

    /// What the sandbox is told about itself.
    fn about(&mut self) -> Value {
        let ask = "curl -sS -H 'Accept: application/json' http://vibepit.internal/";
        serde_json::from_str(&self.shell.ask(ask)).expect("JSON")
    }
}

fn set(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn two_sessions_of_a_project_share_what_is_saved_for_it_and_nothing_else() {
    if !require("docker") || !require("curl") {
        return;
    }
    let bench = Bench::new(&format!("{NO_NAMES}{ASKING}"));
    let (mut one, mut two) = (begin(&bench, "one"), begin(&bench, "two"));
    let nothing = json!({"allowed": [], "refused": [], "waiting": []});
    let nothing_for = |about: Value| {
        for (list, empty) in nothing.as_object().expect("lists") {
            assert_eq!(about[list], *empty, "{about}");
        }
    };
    for host in ["session.test", "project.test", "held.test"] {
        one.asks_for(&bench, host);
    }
    assert_eq!(one.waiting(&bench).len(), 3);
    assert_eq!(two.waiting(&bench), [Value::Null; 0]);
    nothing_for(two.about());

    let approve = |host: &str, scope: &str| {
        bench.cli(&["approve", "--session", &one.id, host, "--scope", scope])
    };
    approve("session.test", "session").ok();
    assert_eq!(one.rules(&bench), set(&["session.test:80 session"]));
    assert_eq!(two.rules(&bench), set(&[]));
    nothing_for(two.about());

    let mut events = bench.events(&two.id);
    approve("project.test", "project").ok();
    let added = events.until("rule-added");
    assert_eq!(
        (&added["rule"]["entry"], &added["rule"]["scope"]),
        (&json!("project.test:80"), &json!("project"))
    );
    assert_eq!(two.about()["allowed"], json!(["project.test:80"]));
    // What one may reach, the other one is asked about.
    two.asks_for(&bench, "session.test");
    assert_eq!(two.waiting(&bench), ["session.test"]);
    assert_eq!(one.waiting(&bench), ["held.test"]);
    assert_eq!(one.about()["waiting"], json!(["held.test:80"]));

    // Another project has neither.
    let another = bench.another_project();
    let mut third = bench.vibepit();
    third
        .arg("run")
        .arg(&another)
        .args(["--", "curl", "-sS", "http://vibepit.internal/"]);
    let third = Ran::of(&mut third).ok();
    assert!(!third.contains("project.test"), "{third}");

    for session in [one, two] {
        assert_eq!(session.shell.end().0, Some(0));
    }
    bench.is_clean();
}

/// Ends a session.
type End = fn(&Bench, Session);

fn by_itself(_: &Bench, session: Session) {
    assert_eq!(session.shell.end().0, Some(0));
}

fn by_a_signal(_: &Bench, mut session: Session) {
    session.shell.signal(Signal::SIGTERM);
    session.shell.wait();
}

fn by_killing_the_launcher(bench: &Bench, mut session: Session) {
    session.shell.signal(Signal::SIGKILL);
    session.shell.wait();
    stopped(&session.id);
    bench.cli(&["prune"]).ok();
}

fn by_killing_the_proxy(_: &Bench, mut session: Session) {
    let proxy = engine::inspect(&proxy(&session.id));
    let pid = proxy["State"]["Pid"].as_i64().expect("a pid");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    kill(pid, Signal::SIGKILL).expect("a signal");
    session.shell.warns(|line| line.contains("the proxy ended"));
    assert_eq!(session.shell.end().0, Some(0));
}

fn by_removing_the_proxys_container(bench: &Bench, mut session: Session) {
    let mut happenings = Happenings::of(&bench.label());
    let path = format!("/containers/{}?force=1&v=1", proxy(&session.id));
    let removed = engine::call("DELETE", &path, b"");
    assert_eq!(removed.status(), 204, "{}", removed.text());
    happenings.until("destroy", "proxy");
    session.shell.warns(|line| line.contains("the proxy ended"));
    assert_eq!(session.shell.end().0, Some(0));
}

fn proxy(id: &str) -> String {
    format!("vibepit-{id}-proxy")
}

/// Waits until the proxy of a launcher that was killed is gone or has stopped.
fn stopped(id: &str) {
    let path = format!("/containers/{}/wait", proxy(id));
    let answer = engine::call("POST", &path, b"");
    assert!([200, 404].contains(&answer.status()), "{}", answer.text());
}

#[test]
fn however_a_session_ends_nothing_of_it_stays_but_its_audit_log() {
    if !require("docker") || !require("root") || !require("curl") {
        return;
    }
    let bench = Bench::new(&format!("{NO_NAMES}{ASKING}"));
    let ends: [End; 5] = [
        by_itself,
        by_a_signal,
        by_killing_the_launcher,
        by_killing_the_proxy,
        by_removing_the_proxys_container,
    ];
    let mut logs = set(&[]);
    for end in ends {
        let mut session = begin(&bench, "ends");
        assert_eq!(session.rules(&bench), set(&[]), "nothing of the one before");
        assert_eq!(session.waiting(&bench), [Value::Null; 0]);
        for host in ["session.test", "held.test"] {
            session.asks_for(&bench, host);
        }
        let id = session.id.clone();
        bench
            .cli(&["approve", "session.test", "--scope", "session"])
            .ok();
        assert_eq!(session.rules(&bench), set(&["session.test:80 session"]));
        end(&bench, session);
        bench.is_clean();
        logs.insert(format!("audit/{id}.jsonl"));
        logs.insert(format!("audit/{id}/audit.jsonl"));
        let mut left = bench.home.state_files();
        // Of all sessions, and empty: whoever saves holds it meanwhile.
        left.remove("decisions/.lock");
        assert_eq!(left, logs);
        let said = bench.cli(&["audit", &id, "--event", "domain_approve"]).ok();
        assert!(said.contains("session.test:80"), "{said}");
    }
}
