//! The command line: exit codes, what goes where, and how it looks to a person, a script and a
//! terminal.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli_terminal::Terminal;
use crate::support::{Home, Launch, Origin, Proxy, Ran, Resolver, Running, require};

#[test]
fn exit_codes_tell_what_kind_of_failure_it_was() {
    let proxy = Proxy::start("allow = [\"config.test\"]");
    let code = |arguments: &[&str]| {
        let ran = proxy.cli(arguments);
        let ok = ran.code == Some(0);
        assert!(ok || ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
        assert!(
            ok || ran.stderr.contains("error:"),
            "{arguments:?}: {ran:?}"
        );
        ran.code
    };
    for done in [
        &["rules"][..],
        &["allow", "a.test"],
        &["revoke", "a.test"],
        &["sessions"],
    ] {
        assert_eq!(code(done), Some(0), "{done:?}");
    }
    for failed in [
        &["revoke", "none.test"][..],
        &["config", "check", "/nowhere/config.toml"],
    ] {
        assert_eq!(code(failed), Some(1), "{failed:?}");
    }
    for usage in [
        &["--nothing"][..],
        &["nothing"],
        &["allow"],
        &["allow", "https://x/"],
        &["deny", "*.com"],
        &["revoke", "a..test"],
        &["allow", "a.test", "--for", "soon"],
        &["allow", "a.test", "b.test", "c.test:0"],
        &["explain", "https://x/"],
        &["explain"],
        &["logs", "-n", "many"],
        &["rules", "--color", "blue"],
        &["rules", "-q", "-v"],
        &["rules", "--addr", "nowhere"],
        &["completions", "cmd"],
    ] {
        assert_eq!(code(usage), Some(2), "{usage:?}");
    }
    assert_eq!(code(&["rules", "--session", "other"]), Some(3));
    let second = Launch::new("").home(&proxy.home).start();
    assert_eq!(code(&["rules"]), Some(4));
    fs::remove_file(second.socket()).expect("it is removed");
    let listener = UnixListener::bind(second.socket()).expect("a socket");
    std::thread::spawn(move || listener.incoming().for_each(drop));
    assert_eq!(code(&["rules", "--session", second.id()]), Some(5));
    assert_eq!(
        proxy.read("/rules")["rules"]
            .as_array()
            .expect("rules")
            .len(),
        1
    );
}

#[test]
fn what_is_no_entry_is_told_with_one_that_is_before_a_session_is_looked_for() {
    let home = Home::new();
    for command in ["allow", "deny", "revoke"] {
        let ran = home.cli(&[command, "https://x/"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        for part in ["https://x/", "an entry looks like", "api.example.com"] {
            assert!(ran.stderr.contains(part), "{part}: {ran:?}");
        }
    }
}

#[test]
fn what_is_not_known_says_what_to_do_next() {
    let home = Home::new();
    let none = home.cli(&["rules"]);
    assert!(none.stderr.contains("vibepit run"), "{none:?}");
    let proxy = Proxy::start("allow = [\"config.test\"]\ndeny = [\"denied.test\"]");
    let missing = proxy.cli(&["revoke", "none.test"]);
    assert!(missing.stderr.contains("vibepit rules"), "{missing:?}");
    // What a file holds is not gone, and a script must not believe that it is.
    let kept = proxy.cli(&["revoke", "config.test"]);
    assert_eq!((kept.code, kept.stdout.as_str()), (Some(1), ""), "{kept:?}");
    assert!(kept.stderr.contains("vibepit deny config.test"), "{kept:?}");
    let kept = proxy.cli(&["revoke", "denied.test"]);
    assert!(!kept.stderr.contains("vibepit deny"), "{kept:?}");
    let shadowed = proxy.cli(&["allow", "denied.test:443"]);
    assert_eq!(shadowed.code, Some(0), "{shadowed:?}");
    assert!(
        shadowed.stderr.contains("\"deny denied.test\""),
        "{shadowed:?}"
    );
}

#[test]
fn people_read_what_was_done() {
    let proxy = Proxy::start("deny = [\"denied.test\"]");
    let does = |arguments: &[&str]| proxy.cli(arguments).ok();
    assert_eq!(
        does(&["allow", "a.test", "B.test:8443"]),
        "allowed a.test until the session ends\nallowed b.test:8443 until the session ends\n"
    );
    assert_eq!(does(&["allow", "a.test"]), "allowed a.test already\n");
    assert_eq!(
        does(&["allow", "c.test", "--for", "10m"]),
        "allowed c.test for 10m\n"
    );
    assert_eq!(
        does(&["deny", "c.test"]),
        "denied c.test until the session ends\n"
    );
    assert_eq!(does(&["revoke", "c.test"]), "revoked c.test\n");
    assert_eq!(
        does(&["allow", "*.github.io", "--force"]),
        "allowed *.github.io until the session ends\n"
    );
    let us = format!("uid:{}", nix::unistd::Uid::effective());
    let said = does(&["explain", "a.test"]);
    for part in [
        "a.test:443: allow (allowed): the rule \"allow a.test\" (session) covers it\n  rule: allow \
         a.test (session, made by ",
        &format!("{us} at 20"),
        "Z), 0 hits\n",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let said = does(&["explain", "denied.test:80"]);
    assert!(said.starts_with("denied.test:80: deny (denied_by_rule)"));
    assert!(said.ends_with("  to let it through: vibepit revoke denied.test\n"));
    for target in ["::1", "[::1]", "[::1]:443"] {
        assert!(does(&["explain", target]).starts_with("[::1]:443: deny (screened_address)"));
    }
    let rules = does(&["rules"]);
    let rows: Vec<Vec<_>> = rules
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows[0],
        [
            "VERDICT", "ENTRY", "ORIGIN", "SCOPE", "UNTIL", "HITS", "MADE", "BY"
        ]
    );
    assert_eq!(
        rows[1],
        [
            "deny",
            "denied.test",
            "config",
            "global",
            "-",
            "0",
            "-",
            "-"
        ]
    );
    let (known, made) = rows[2].split_at(6);
    assert_eq!(known, ["allow", "a.test", "session", "session", "-", "0"]);
    assert_eq!(made[1], us);
    let status = does(&["status"]);
    assert!(
        status.contains(proxy.id()) && status.contains(&proxy.http().to_string()),
        "{status}"
    );
}

#[test]
fn json_is_one_object_on_one_line_of_every_command_that_prints_data() {
    let resolver = Resolver::at_loopback(&["a.test"]);
    let config = format!(
        "allow = [\"a.test:*\"]\ndeny = [\"no.test\"]\nallow_cidr = [\"127.0.0.0/8\"]\n{}",
        resolver.config()
    );
    let proxy = Proxy::start(&config);
    let own = proxy.home.write_own_config(&config);
    let origin = Origin::echo();
    let _tunnel = proxy.tunnel(&format!("a.test:{}", origin.port()));
    let commands: [(&[&str], &str); 11] = [
        (&["sessions"], "/sessions/0/id"),
        (&["status"], "/id"),
        (&["allow", "no.test:443"], "/shadowed/0/by/entry"),
        (&["deny", "b.test"], "/scope"),
        (&["rules"], "/rules/0/entry"),
        (&["explain", "b.test"], "/rule/entry"),
        (&["revoke", "b.test", "no.test:443"], "/removed/0"),
        (&["connections"], "/connections/0/target"),
        (&["logs"], "/domain"),
        (&["config", "check"], "/file"),
        (&["config", "check", own.to_str().expect("UTF-8")], "/allow"),
    ];
    for (arguments, pointer) in commands {
        // Wherever the flag stands.
        for whole in [
            [arguments, &["--json"]].concat(),
            [&["--json"], arguments].concat(),
        ] {
            let text = proxy.cli(&whole).ok();
            assert_eq!(text.matches('\n').count(), 1, "{whole:?}: {text:?}");
            let value: Value = serde_json::from_str(&text).expect("JSON");
            assert!(
                value.pointer(pointer).is_some_and(|found| !found.is_null()),
                "{text}"
            );
            if arguments[0] == "revoke" {
                break;
            }
        }
    }
    let failed = proxy.cli(&["--json", "revoke", "none.test"]);
    let answer: Value = serde_json::from_str(&failed.stdout).expect("the answer, all the same");
    assert_eq!(
        (failed.code, &answer["missing"]),
        (Some(1), &json!(["none.test"]))
    );
}

#[test]
fn results_go_to_stdout_and_everything_else_to_stderr() {
    let proxy = Proxy::start("");
    let empty = ["rules", "connections"];
    for command in empty {
        let ran = proxy.cli(&[command]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{ran:?}");
        assert!(!ran.stderr.is_empty(), "{command}");
        let quiet = proxy.cli(&["-q", command]);
        assert_eq!(
            (quiet.stdout.as_str(), quiet.stderr.as_str()),
            ("", ""),
            "{command}"
        );
    }
    let verbose = proxy.cli(&["-v", "allow", "a.test"]);
    assert_eq!(verbose.stdout, "allowed a.test until the session ends\n");
    assert!(verbose.stderr.contains("over Unix"), "{verbose:?}");
    assert_eq!(proxy.cli(&["allow", "b.test"]).stderr, "");
    for asked in [&["--help"][..], &["allow", "--help"], &["--version"]] {
        let ran = proxy.cli(asked);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        assert!(ran.stdout.contains("vibepit"), "{ran:?}");
    }
    let wrong = proxy.cli(&["allow", "--nothing"]);
    assert_eq!(wrong.stdout, "");
}

#[test]
fn colour_is_for_terminals_and_as_it_is_told() {
    let proxy = Proxy::start("allow = [\"a.test\"]");
    let coloured = |variable: Option<&str>, arguments: &[&str], terminal: bool| {
        let mut command = proxy.home.vibepit();
        command.arg("rules").args(arguments);
        if let Some(value) = variable {
            command.env("NO_COLOR", value);
        }
        if terminal {
            let mut screen = Terminal::new();
            let mut child = command.stdout(screen.stdio()).spawn().expect("it starts");
            assert!(child.wait().expect("its end").success());
            return screen.shows("a.test").contains('\x1b');
        }
        Ran::of(&mut command).ok().contains('\x1b')
    };
    for (variable, arguments, terminal, expected) in [
        (None, &[][..], false, false),
        (None, &[], true, true),
        (Some("1"), &[], true, false),
        // no-color.org: present and not empty.
        (Some(""), &[], true, true),
        (None, &["--color", "never"], true, false),
        (None, &["--color", "always"], false, true),
        // What is typed is newer than what stands in the environment.
        (Some("1"), &["--color", "always"], false, true),
        (None, &["--color", "always", "--json"], false, false),
    ] {
        let found = coloured(variable, arguments, terminal);
        assert_eq!(found, expected, "{variable:?} {arguments:?} {terminal}");
    }
}

#[test]
fn what_others_named_does_not_steer_the_terminal() {
    let hostile = "\x1b]0;owned\x07\r\x1b[2J\u{202e}\u{200b}name";
    let proxy = Launch::new("").argument("--name").argument(hostile).start();
    for bytes in [
        "GET http://a\x1b[2J.test/ HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(),
        b"\x1b]0;owned\x07 / HTTP/1.1\r\n\r\n",
        b"CONNECT \xe2\x80\xae.test:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    ] {
        let mut wire = proxy.client();
        wire.send(bytes);
        wire.to_end();
    }
    assert_eq!(proxy.logs(0).len(), 3);
    let second = Launch::new("")
        .home(&proxy.home)
        .argument("--name")
        .argument(hostile)
        .start();
    let id = proxy.id();
    for (arguments, code) in [
        (&["sessions"][..], 0),
        (&["status", "--session", id], 0),
        (&["logs", "--session", id], 0),
        // They are in errors, too.
        (&["rules"], 4),
        (&["rules", "--session", hostile], 4),
        (&["rules", "--session", "\x1b[2Jnone"], 3),
        (&["allow", "\x1b[2J.test"], 2),
        (&["explain", "\x1b[2J.test"], 2),
        (&["config", "check", "/nowhere/\x1b[2J"], 1),
    ] {
        let ran = proxy.cli(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {ran:?}");
        for text in [&ran.stdout, &ran.stderr] {
            let steers = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
            assert!(!text.contains(steers), "{arguments:?}: {text:?}");
        }
    }
    // The plain truth is in JSON, escaped as JSON is.
    let text = proxy.cli(&["sessions", "--json"]).ok();
    assert!(!text.contains('\x1b'), "{text:?}");
    let sessions: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(sessions["sessions"][0]["name"], hostile);
    drop(second);
}

#[test]
fn a_reader_that_has_enough_is_no_failure() {
    let proxy = Proxy::start("");
    let many: Vec<_> = (0..5000).map(|n| format!("n{n}.test")).collect();
    proxy.does("/allow", &json!({ "entries": many }));
    for arguments in [
        &["rules"][..],
        &["rules", "--json"],
        &["completions", "bash"],
        &["man"],
    ] {
        let mut child = proxy
            .home
            .vibepit()
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(
            (output.status.code(), &*said),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_proxy_survives_that_nobody_reads_what_it_says() {
    let home = Home::new();
    let mut command = home.vibepit();
    command.args(["proxy", "--http", "127.0.0.1:0"]);
    let (read, write) = std::io::pipe().expect("a pipe");
    drop(read);
    let mut proxy = command
        .stderr(Stdio::from(write))
        .spawn()
        .expect("it starts");
    let mut watch = Running::spawn(home.vibepit().args(["sessions", "--watch", "--json"]));
    let line = watch.line();
    assert!(line.contains("appeared"), "{line}");
    let pid = nix::unistd::Pid::from_raw(i32::try_from(proxy.id()).expect("a pid"));
    // It has something to say about that, too.
    nix::sys::signal::kill(pid, Signal::SIGHUP).expect("a signal");
    home.cli(&["allow", "a.test"]).ok();
    nix::sys::signal::kill(pid, Signal::SIGTERM).expect("a signal");
    assert_eq!(proxy.wait().expect("its end").code(), Some(0));
}

#[test]
fn a_configuration_is_checked_with_line_and_column() {
    let home = Home::new();
    let check = |text: &str| {
        let file = home.write_config(text);
        (
            home.cli(&["config", "check", file.to_str().expect("UTF-8")]),
            file,
        )
    };
    let (good, file) = check("allow = [\"a.test\", \"*.b.test:443\"]\ndeny = [\"c.test\"]\n");
    assert_eq!(
        good.ok(),
        format!(
            "{} can be used: 2 to allow, 1 to deny, 0 presets\n",
            file.display()
        )
    );
    for (text, place, what) in [
        (
            "allow = [\n  \"a.test\",\n  \"https://x/\",\n]\n",
            "3:3",
            "an entry looks like",
        ),
        ("allow = [\"a.test\"\n", "", ""),
        ("\n\nalow = []\n", "3:1", "no setting"),
        ("image = 3\n", "1:9", "a text in quotes"),
        ("allow_cidr = [\"10.0.0.0/33\"]\n", "1:15", ""),
        ("allow_host_ports = [80, 0]\n", "1:25", "1 to 65535"),
        (
            "unlisted_domain_behavior = \"ask\"\n",
            "1:28",
            "request_approval",
        ),
        ("sni_check = \"yes\"\n", "1:13", "enforce"),
        ("presets = [\"gihub\"]\n", "1:12", "github?"),
        ("allow = []\nallow = []\n", "2:1", ""),
        ("# ü\nallow = [\"ü..test\"]\n", "2:10", ""),
    ] {
        let (ran, file) = check(text);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(1), ""),
            "{text}: {ran:?}"
        );
        let start = format!("{}:{place}", file.display());
        assert!(
            ran.stderr.contains(&start) && ran.stderr.contains(what),
            "{text}: {ran:?}"
        );
    }
    // The person's own, where nothing is named.
    assert!(home.cli(&["config", "check"]).ok().contains("is not there"));
    let own = home.write_own_config("deny = [\"a.test\"]");
    assert!(
        home.cli(&["config", "check"])
            .ok()
            .contains("0 to allow, 1 to deny")
    );
    fs::write(&own, "deny = [0]").expect("it is written");
    let ran = home.cli(&["config", "check"]);
    assert!(
        ran.stderr.contains(&format!("{}:1:9: ", own.display())),
        "{ran:?}"
    );
    // No proxy starts with it.
    let ran = home.cli(&["proxy", "--http", "127.0.0.1:0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(":1:9: "), "{ran:?}");
}

#[test]
fn completions_are_scripts_of_their_shells() {
    let home = Home::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = home.cli(&["completions", shell]).ok();
        for word in ["vibepit", "allow", "explain", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        if !require(shell) {
            continue;
        }
        let mut command = home.command(shell);
        command
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let mut input = child.stdin.take().expect("its input");
        input.write_all(script.as_bytes()).expect("the script");
        drop(input);
        let output = child.wait_with_output().expect("its end");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && said.is_empty(),
            "{shell}: {said}"
        );
    }
}

#[test]
fn a_person_at_a_terminal_is_asked_which_session() {
    let home = Home::new();
    let sessions: Vec<_> = ["one", "two"]
        .iter()
        .map(|name| {
            Launch::new("")
                .home(&home)
                .argument("--name")
                .argument(*name)
                .start()
        })
        .collect();
    let ask = |answer: &str| {
        let mut screen = Terminal::new();
        let mut command = home.vibepit();
        command
            .arg("status")
            .stdin(screen.stdio())
            .stderr(screen.stdio());
        let child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let shown = screen.shows("Which session?");
        for session in &sessions {
            assert!(shown.contains(session.id()), "{shown}");
        }
        screen.types(answer);
        let output = child.wait_with_output().expect("its end");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    // Oldest first.
    let (code, status) = ask("2\n");
    assert!(
        code == Some(0) && status.contains(sessions[1].id()),
        "{status}"
    );
    for wrong in ["0\n", "3\n", "\n", "two\n"] {
        assert_eq!(ask(wrong), (Some(4), String::new()), "{wrong:?}");
    }
    // A script that wants JSON is not asked, wherever it runs.
    let mut screen = Terminal::new();
    let mut command = home.vibepit();
    command
        .args(["status", "--json"])
        .stdin(screen.stdio())
        .stderr(screen.stdio());
    let status = command.stdout(Stdio::null()).status().expect("it runs");
    assert_eq!(status.code(), Some(4));
    assert!(!screen.shows("several sessions").contains("Which session?"));
}
