//! The gateway of the web page, as whoever is on this machine can speak to it: who is let in, what
//! is refused, what a tab is told.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use serde_json::{Value, json};

use crate::asking::{asking, held, id, waiting};
use crate::support::{Followed, Home, Pass, Proxy, Ran, Running, Ui, binary, require};

/// A stream that knows of this session, and so a gateway that follows it.
#[track_caller]
fn following(ui: &Ui, pass: &Pass, proxy: &Proxy) -> Followed {
    let mut tab = ui.follows(pass, None);
    tab.until(|told| shows(told, proxy.id()));
    tab
}

/// Whether this tells everything, and all of this session is in it.
fn shows(told: &Value, id: &str) -> bool {
    let sessions = told["sessions"].as_array();
    sessions.is_some_and(|all| {
        all.iter()
            .any(|one| one["record"]["id"] == id && one["link"]["state"] == "open")
    })
}

fn is_request(told: &Value) -> bool {
    told["kind"] == "request"
}

/// WEB-006.
#[test]
fn a_code_lets_one_browser_in_and_is_then_worth_nothing() {
    let mut ui = Ui::start(&Home::new());
    let first = ui.invitation.clone();
    let answer = ui.posts("/enter", &json!({"code": Ui::code(&first)}), None);
    assert_eq!(answer.status(), 200);
    let cookie = answer.field("set-cookie").expect("a cookie").to_owned();
    let name = format!("vibepit-{}=", ui.address.port());
    assert!(cookie.starts_with(&name), "{cookie}");
    assert!(
        cookie.ends_with("; HttpOnly; SameSite=Strict; Path=/"),
        "{cookie}"
    );
    assert_eq!(answer.field("referrer-policy"), Some("no-referrer"));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    for code in [Ui::code(&first), "", "0", &"0".repeat(64)] {
        let answer = ui.posts("/enter", &json!({"code": code}), None);
        assert_eq!(answer.status(), 401, "{code}");
        assert_eq!(answer.field("set-cookie"), None);
        assert!(answer.text().contains("press Enter"), "{}", answer.text());
    }
    // A new one makes the one before worthless.
    let (second, third) = (ui.invites(), ui.invites());
    let old = ui.posts("/enter", &json!({"code": Ui::code(&second)}), None);
    assert_eq!(old.status(), 401);
    ui.enters(&third);
}

#[test]
fn what_lets_in_ends_with_the_process() {
    let home = Home::new();
    let ui = Ui::start(&home);
    let pass = ui.enters(&ui.invitation);
    assert_eq!(
        ui.gets("/api/audit?session=0123456789abcdef", &pass)
            .status(),
        200
    );
    let port = ui.address.port();
    let (code, _) = ui.running.end_by_term();
    assert_eq!(code, Some(0));
    let again = Ui::at(&home, port);
    assert_eq!(again.gets("/api/events", &pass).status(), 401);
}

/// WEB-011.
#[test]
fn without_a_pass_everything_but_the_pages_own_files_is_401() {
    if !require("curl") {
        return;
    }
    let home = Home::new();
    let ui = Ui::start(&home);
    let pass = ui.enters(&ui.invitation);
    let url = format!("http://{}/", ui.address);
    let mut curl = home.command("curl");
    let ran = Ran::of(curl.args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url])).ok();
    assert_eq!(ran, "401");
    for path in [
        "/api/events",
        "/api/audit?session=0123456789abcdef",
        "/nothing",
    ] {
        let answer = ui.sends(&format!("GET {path}"), &[&ui.host()], "");
        assert_eq!(answer.status(), 401, "{path}");
    }
    for path in ["decide", "allow", "deny", "revoke", "preview"] {
        let answer = ui.posts(&format!("/api/{path}"), &json!({}), None);
        assert_eq!(answer.status(), 401, "{path}");
        let without_key = Pass {
            key: String::new(),
            ..pass.clone()
        };
        let answer = ui.posts(&format!("/api/{path}"), &json!({}), Some(&without_key));
        assert_eq!(
            answer.status(),
            401,
            "another port is sent the cookie: {path}"
        );
    }
    let page = ui.gets("/", &pass);
    assert_eq!(page.status(), 200);
}

/// WEB-001.
#[test]
fn what_another_site_has_a_browser_post_is_refused_and_decides_nothing() {
    let (proxy, _resolver) = asking("");
    let ui = Ui::start(&proxy.home);
    let pass = ui.enters(&ui.invitation);
    let _tab = following(&ui, &pass, &proxy);
    let (_client, request) = held(&proxy, "one.test:443");
    let (cookie, key) = (
        format!("Cookie: {}", pass.cookie),
        format!("Vibepit-Key: {}", pass.key),
    );
    let (host, ours) = (ui.host(), format!("Origin: http://{}", ui.address));
    let body = json!({
        "session": proxy.id(), "request": id(&request), "missed": false, "verdict": "allow",
        "decision": {}
    });
    let post = |lines: &[&str]| {
        let lines = [&[host.as_str(), cookie.as_str(), key.as_str()], lines].concat();
        ui.sends("POST /api/decide", &lines, &body.to_string())
            .status()
    };
    let json = "Content-Type: application/json";
    let form = "Content-Type: text/plain";
    let foreign = "Origin: http://evil.example";
    let cross = "Sec-Fetch-Site: cross-site";
    assert_eq!(post(&[foreign, cross, form]), 403);
    assert_eq!(post(&[foreign, json]), 403);
    assert_eq!(post(&["Origin: null", json]), 403);
    assert_eq!(post(&[json]), 403);
    assert_eq!(post(&[&ours, cross, json]), 403);
    assert_eq!(post(&[&ours, "Sec-Fetch-Site: same-site", json]), 403);
    assert_eq!(post(&[&ours, form]), 415);
    assert_eq!(waiting(&proxy).len(), 1);
    assert_eq!(post(&[&ours, "Sec-Fetch-Site: same-origin", json]), 200);
    assert!(waiting(&proxy).is_empty());
}

/// WEB-005.
#[test]
fn the_gateway_answers_to_its_own_address_alone() {
    let ui = Ui::start(&Home::new());
    let port = ui.address.port();
    for host in [
        format!("0.0.0.0:{port}"),
        format!("localhost:{port}"),
        format!("rebound.example:{port}"),
        "127.0.0.1".to_owned(),
    ] {
        for path in ["/", "/page.js", "/api/events"] {
            let answer = ui.sends(&format!("GET {path}"), &[&format!("Host: {host}")], "");
            assert_eq!(answer.status(), 403, "{host}{path}");
        }
    }
    let absolute = format!("GET http://rebound.example:{port}/");
    assert_eq!(ui.sends(&absolute, &[&ui.host()], "").status(), 403);
    assert_eq!(ui.sends("GET /", &[], "").status(), 403);
}

/// WEB-008, WEB-009.
#[test]
fn every_answer_says_what_a_browser_must_not_do_with_it() {
    let ui = Ui::start(&Home::new());
    for path in ["/", "/style.css", "/page.js", "/api/events", "/nothing"] {
        let answer = ui.sends(&format!("GET {path}"), &[&ui.host()], "");
        let policy = answer.field("content-security-policy").expect("a policy");
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.field(name), Some(value), "{path}");
        }
        assert!(answer.all("access-control-allow-origin").is_empty());
    }
    // In a frame there is not even the page.
    let framed = [
        "Sec-Fetch-Site: cross-site",
        "Sec-Fetch-Mode: navigate",
        "Sec-Fetch-Dest: iframe",
    ];
    let host = ui.host();
    let lines = [&[host.as_str()], &framed[..]].concat();
    assert_eq!(ui.sends("GET /", &lines, "").status(), 403);
}

/// WEB-014.
#[test]
fn a_decision_about_what_does_not_stand_any_more_is_409_and_touches_nothing_else() {
    let (proxy, _resolver) = asking("approval_timeout = \"1s\"\n");
    let ui = Ui::start(&proxy.home);
    let pass = ui.enters(&ui.invitation);
    let mut tab = following(&ui, &pass, &proxy);
    let (mut client, _) = held(&proxy, "one.test:443");
    let (_, told) = tab.until(is_request);
    let old = told["request"]["id"].as_str().expect("an id").to_owned();
    let (_, settled) = tab.until(|told| told["kind"] == "settled");
    assert_eq!(settled["settled"]["outcome"], "timed_out");
    assert_eq!(settled["missed"]["id"], old);
    assert_eq!(client.answer().status(), 403);
    let decide = |request: &str, missed: bool, verdict: &str| {
        let body = json!({
            "session": proxy.id(), "request": request, "missed": missed, "verdict": verdict,
            "decision": {"scope": "session"}
        });
        ui.posts("/api/decide", &body, Some(&pass))
    };
    let stale = decide(&old, false, "allow");
    assert_eq!(stale.status(), 409);
    assert!(stale.text().contains("ran out"), "{}", stale.text());
    assert_eq!(proxy.read("/rules")["rules"], json!([]));
    // Whoever sees that it was missed decides about its next try, once.
    assert_eq!(decide(&old, true, "allow").status(), 200);
    let again = decide(&old, true, "deny");
    assert_eq!(again.status(), 409, "{}", again.text());
    assert_eq!(decide("0123456789ab", false, "allow").status(), 409);
    assert_eq!(decide("../session", false, "allow").status(), 400);
    let body = json!({"session": "0123456789abcdef", "rules": {"entries": ["a.test"]}});
    assert_eq!(ui.posts("/api/allow", &body, Some(&pass)).status(), 409);
}

#[test]
fn a_tab_that_lost_its_stream_goes_on_where_it_was() {
    let (proxy, _resolver) = asking("");
    let ui = Ui::start(&proxy.home);
    let pass = ui.enters(&ui.invitation);
    let mut tab = following(&ui, &pass, &proxy);
    let (_one, first) = held(&proxy, "one.test:443");
    let (place, told) = tab.until(is_request);
    assert_eq!(told["request"]["id"], id(&first));
    drop(tab);
    let (_two, second) = held(&proxy, "two.test:443");
    let mut tab = ui.follows(&pass, Some(&place));
    let (_, told) = tab.next();
    assert_eq!(
        (&told["kind"], &told["request"]["id"]),
        (&json!("request"), &json!(id(&second)))
    );
    // What no number is known of is told everything.
    for unknown in ["00000000-1", "nonsense", ""] {
        let (_, told) = ui.follows(&pass, Some(unknown)).next();
        assert_eq!(told["kind"], "whole", "{unknown}");
        assert_eq!(
            told["sessions"][0]["pending"].as_array().map(Vec::len),
            Some(2)
        );
    }
}

#[test]
fn nobody_watches_while_no_tab_is_open() {
    let (proxy, _resolver) = asking("approval_timeout = \"10m\"\nunattended_timeout = \"1s\"\n");
    let ui = Ui::start(&proxy.home);
    let pass = ui.enters(&ui.invitation);
    let mut client = proxy.client();
    client.send("CONNECT one.test:443 HTTP/1.1\r\nHost: one.test\r\n\r\n");
    assert_eq!(client.answer().status(), 403, "nobody is there");
    let mut tab = following(&ui, &pass, &proxy);
    let (_client, request) = held(&proxy, "two.test:443");
    let (_, told) = tab.until(is_request);
    assert_eq!(told["request"]["expires_at"], request["expires_at"]);
    assert_eq!(waiting(&proxy).len(), 1);
}

#[test]
fn rules_are_added_and_taken_back_and_the_faults_are_the_sessions_own() {
    let (proxy, _resolver) = asking("");
    let ui = Ui::start(&proxy.home);
    let pass = ui.enters(&ui.invitation);
    let _tab = following(&ui, &pass, &proxy);
    let post = |path: &str, rules: Value| {
        let body = json!({"session": proxy.id(), "rules": rules});
        ui.posts(path, &body, Some(&pass))
    };
    let added = post("/api/allow", json!({"entries": ["a.test"], "ttl": "10m"}));
    assert_eq!(added.json()["added"], json!(["a.test"]));
    assert_eq!(
        post("/api/deny", json!({"entries": ["b.test"]})).status(),
        200
    );
    assert_eq!(
        proxy.read("/rules")["rules"].as_array().map(Vec::len),
        Some(2)
    );
    let gone = post("/api/revoke", json!({"entries": ["a.test", "b.test"]}));
    assert_eq!(gone.json()["removed"], json!(["a.test", "b.test"]));
    let wrong = post("/api/allow", json!({"entries": ["*.com"]}));
    assert_eq!(
        (wrong.status(), wrong.json()["entry"].as_str()),
        (400, Some("*.com"))
    );
    assert_eq!(
        post("/api/allow", json!({"entries": [], "more": 1})).status(),
        400
    );
    assert_eq!(post("/api/nothing", json!({})).status(), 404);
    let get = ui.gets("/api/decide", &pass);
    assert_eq!((get.status(), get.field("allow")), (405, Some("POST")));
    let large = json!({"entries": ["x".repeat(70_000)]});
    assert_eq!(post("/api/allow", large).status(), 400);
}

#[test]
fn the_audit_log_is_read_and_says_that_the_page_decided() {
    let (proxy, _resolver) = asking("");
    let ui = Ui::start(&proxy.home);
    let pass = ui.enters(&ui.invitation);
    let _tab = following(&ui, &pass, &proxy);
    let (mut client, request) = held(&proxy, "one.test:443");
    let body = json!({
        "session": proxy.id(), "request": id(&request), "missed": false, "verdict": "deny",
        "decision": {"reason": "no"}
    });
    assert_eq!(ui.posts("/api/decide", &body, Some(&pass)).status(), 200);
    assert_eq!(client.answer().status(), 403);
    proxy.audit();
    let audit = ui
        .gets(&format!("/api/audit?session={}", proxy.id()), &pass)
        .json();
    let lines = audit.as_array().expect("lines");
    let denied = lines.iter().find(|line| line["event"] == "domain_deny");
    let uid = nix::unistd::Uid::effective();
    assert_eq!(denied.expect("a line")["actor"], format!("uid:{uid} ui"));
    assert_eq!(ui.gets("/api/audit?session=../x", &pass).status(), 400);
}

#[test]
fn a_port_that_is_taken_is_said_to_be() {
    let home = Home::new();
    let ui = Ui::start(&home);
    let port = ui.address.port().to_string();
    let ran = home.cli(&["ui", "--no-open", "--port", &port]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("is taken") && ran.stderr.contains("--port 0"),
        "{ran:?}"
    );
}

#[test]
fn the_browser_is_led_in_by_a_file_and_no_command_line_shows_the_code() {
    if !require("sh") {
        return;
    }
    let home = Home::new();
    let tools = home.home().join("tools");
    fs::create_dir(&tools).expect("a directory");
    let opener = tools.join("xdg-open");
    fs::write(&opener, "#!/bin/sh\necho \"$# $1\" >&3\n").expect("a program");
    fs::set_permissions(&opener, Permissions::from_mode(0o700)).expect("its mode");
    let path = env::var_os("PATH").unwrap_or_default();
    let paths = [tools].into_iter().chain(env::split_paths(&path));
    // What the opener is told goes to a descriptor of the test's: its output is nobody's.
    let mut command = home.command("sh");
    command
        .env("PATH", env::join_paths(paths).expect("a path"))
        .env("DISPLAY", ":77")
        .args(["-c", "exec 3>&1; exec \"$0\" ui --port 0"])
        .arg(binary());
    let mut running = Running::spawn(&mut command);
    let told = running.line();
    let file = told.strip_prefix("1 ").expect("one argument");
    assert!(
        file.starts_with(home.runtime().to_str().expect("UTF-8")),
        "{file}"
    );
    assert_eq!(fs::metadata(file).expect("the file").mode() & 0o777, 0o600);
    let text = fs::read_to_string(file).expect("the file");
    let (_, rest) = text.split_once("url=").expect("an address");
    let invitation = rest.trim_end_matches("\">");
    assert_eq!(Ui::code(invitation).len(), 64);
    assert!(!file.contains(Ui::code(invitation)));
    let (code, _) = running.end_by_term();
    assert_eq!(code, Some(0));
    assert!(!Path::new(file).exists(), "it goes with the page");
}
