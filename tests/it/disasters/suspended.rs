//! A machine that sleeps: everything of a session stands still for longer than anybody waits for an
//! answer, and then goes on.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::processes;
use crate::project::runtimes;
use crate::support::{Launch, require};

/// Nobody knows a name, and somebody could be asked, for so long.
const CONFIG: &str = "upstream_dns = [\"192.0.2.53:53\"]\n\
                      unlisted_domain_behavior = \"request_approval\"\n\
                      approval_timeout = \"3s\"\n";

#[test]
fn what_waited_while_the_machine_slept_ends_as_refused_and_the_session_goes_on() {
    if !require("root") || !require("curl") {
        return;
    }
    for runtime in runtimes() {
        let bench = crate::support::Bench::new(CONFIG);
        let mut shell = bench.shell(runtime.options);
        let session = bench.session();
        let mut events = bench.events(&session);
        bench.cli(&["allow", "--for", "2s", "brief.test:80"]).ok();
        shell.ask("curl -s -o /dev/null -w '%{http_code}' -m 100 http://held.test/ > held &");
        events.until("domain-request-added");
        let processes = processes(&bench);
        assert!(processes.len() >= 4, "{}", processes.len());
        for (_, process) in &processes {
            process.signal(Signal::SIGSTOP);
        }
        // Another proxy is the clock: a request that was made there after the stop, and has run
        // out, has waited as long as the one here.
        let clock = Launch::new(CONFIG).start();
        let refused = clock.fetch("http://clock.test/");
        assert_eq!(refused.status(), 403);
        for (_, process) in processes.iter().rev() {
            process.signal(Signal::SIGCONT);
        }
        let removed = events.until("domain-request-removed");
        assert_eq!(removed["outcome"], "timed_out", "{removed}");
        assert_eq!(shell.ask("wait; cat held"), "403");

        // Nothing is wider than it was, and what had a time limit has come to its end.
        let rules: Value =
            serde_json::from_str(&bench.cli(&["rules", "--json"]).ok()).expect("JSON");
        assert_eq!(rules["rules"], Value::Array(Vec::new()));
        let pending: Value =
            serde_json::from_str(&bench.cli(&["pending", "--json"]).ok()).expect("JSON");
        assert_eq!(
            pending["pending"].as_array().map(Vec::len),
            Some(0),
            "{pending}"
        );
        // It goes on: somebody is asked again, and answered.
        bench.cli(&["deny", "held.test"]).ok();
        let again = "curl -s -o /dev/null -w '%{http_code}\\n' -m 100 http://held.test/";
        assert_eq!(shell.ask(again), "403\n");
        assert_eq!(shell.ask("echo goes on"), "goes on\n");
        bench.cli(&["down"]).ok();
        bench.is_clean();
    }
}
