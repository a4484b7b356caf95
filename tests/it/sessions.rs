//! Sessions, from the outside: which one a command means, what is left of one that was killed,
//! and who may keep their directory.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use serde_json::{Value, json};
use vibepit::session::{SessionDir, SessionId};

use crate::sessions_launched::{Launched, record, runtime};
use crate::support::{Home, Launch, Ran, Running, announced, require};

/// The id of the session that a command means, or its exit code and what it said.
fn meant(home: &Home, cwd: &Path, arguments: &[&str]) -> Result<String, (Option<i32>, String)> {
    let mut status = home.vibepit();
    let ran = Ran::of(
        status
            .current_dir(cwd)
            .args(["status", "--json"])
            .args(arguments),
    );
    if ran.code == Some(0) {
        let status: Value = serde_json::from_str(&ran.stdout).expect("JSON");
        Ok(status["id"].as_str().expect("an id").to_owned())
    } else {
        assert_eq!(ran.stdout, "", "{ran:?}");
        Err((ran.code, ran.stderr))
    }
}

/// The ids that `vibepit sessions` lists.
fn listed(home: &Home) -> Vec<String> {
    let text = home.cli(&["sessions", "--json"]).ok();
    let answer: Value = serde_json::from_str(&text).expect("JSON");
    let sessions = answer["sessions"].as_array().expect("sessions").iter();
    sessions
        .map(|session| session["id"].as_str().expect("an id").to_owned())
        .collect()
}

fn directory(home: &Home, id: &str) -> PathBuf {
    home.runtime().join("vibepit").join(id)
}

fn project(home: &Home, name: &str) -> PathBuf {
    let path = home.home().canonicalize().expect("a home").join(name);
    fs::create_dir_all(&path).expect("a project");
    path
}

#[test]
fn a_command_means_the_session_that_is_named_or_that_it_stands_in() {
    let home = Home::new();
    let (web, api) = (project(&home, "web"), project(&home, "web/api"));
    let below = project(&home, "web/api/src/deep");
    let elsewhere = project(&home, "elsewhere");
    let one = Launched::start(&home, "one", Some(&web));
    // The only one there is, from wherever.
    assert_eq!(meant(&home, &elsewhere, &[]), Ok(one.id()));
    let two = Launched::start(&home, "two", Some(&api));
    for (cwd, arguments, expected) in [
        (&elsewhere, vec!["--session", "one"], &one),
        (&elsewhere, vec!["--session", "two"], &two),
        (
            &elsewhere,
            vec!["--session", web.to_str().expect("UTF-8")],
            &one,
        ),
        (&elsewhere, vec!["--session", "../web/api"], &two),
        (&web, vec![], &one),
        (&api, vec![], &two),
        (&below, vec![], &two),
        (&below, vec!["--session", "one"], &one),
    ] {
        assert_eq!(
            meant(&home, cwd, &arguments),
            Ok(expected.id()),
            "{cwd:?} {arguments:?}"
        );
    }
    for session in [&one, &two] {
        let id = session.id();
        assert_eq!(
            meant(&home, &elsewhere, &["--session", &id]),
            Ok(id.clone())
        );
        // As much of the id as no other session has.
        let other = if id == one.id() { two.id() } else { one.id() };
        let alike = id
            .bytes()
            .zip(other.bytes())
            .take_while(|(a, b)| a == b)
            .count();
        assert_eq!(
            meant(&home, &elsewhere, &["--session", &id[..=alike]]),
            Ok(id.clone())
        );
    }
}

#[test]
fn the_variable_means_a_session_where_nothing_is_typed_and_none_where_it_is_empty() {
    let home = Home::new();
    let web = project(&home, "web");
    let one = Launched::start(&home, "one", Some(&web));
    let two = Launched::start(&home, "two", None);
    let meant = |variable: &str, arguments: &[&str]| {
        let mut command = home.vibepit();
        command.env("VIBEPIT_SESSION", variable).current_dir(&web);
        let status = Ran::of(command.args(arguments).arg("--json")).ok();
        let status: Value = serde_json::from_str(&status).expect("JSON");
        status["id"].as_str().expect("an id").to_owned()
    };
    assert_eq!(meant("two", &["status"]), two.id());
    assert_eq!(meant("two", &["status", "--session", "one"]), one.id());
    assert_eq!(meant("two", &["--session", "one", "status"]), one.id());
    assert_eq!(meant("", &["status"]), one.id());
}

#[test]
fn what_speaks_to_no_session_refuses_to_be_told_which() {
    let home = Home::new();
    for option in [
        &["--session", "web"][..],
        &["--tcp"],
        &["--addr", "127.0.0.1:1"],
    ] {
        for (command, why) in [
            (&[][..], "--name"),
            (&["run"], "--name"),
            (&["proxy"], "a session of its own"),
            (&["sessions"], "leave it out"),
            (&["prune"], "leave it out"),
        ] {
            let ran = home.cli(&[option, command].concat());
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
            assert!(
                ran.stderr.contains(option[0]) && ran.stderr.contains(why),
                "{ran:?}"
            );
        }
    }
    // The variable is for all that is typed in a terminal, and says nothing to these.
    let mut command = home.vibepit();
    command.env("VIBEPIT_SESSION", "web");
    Ran::of(command.arg("sessions")).ok();
    let mut command = home.vibepit();
    command.env("VIBEPIT_SESSION", "web");
    command.current_dir(project(&home, "web"));
    let ran = Ran::of(command.env("DOCKER_HOST", "unix:///nowhere").arg("run"));
    assert!(
        ran.code == Some(1) && ran.stderr.contains("/nowhere"),
        "{ran:?}"
    );
}

#[test]
fn several_sessions_and_nobody_to_choose_is_4_with_a_list_and_none_is_3() {
    let home = Home::new();
    let nowhere = project(&home, "nowhere");
    for arguments in [
        &[][..],
        &["--session", "web"],
        &["--session", "0123456789abcdef"],
    ] {
        let (code, said) = meant(&home, &nowhere, arguments).expect_err("there is none");
        assert_eq!(code, Some(3), "{said}");
    }
    let sessions = [
        Launched::start(&home, "one", None),
        Launched::start(&home, "two", None),
    ];
    let (code, said) = meant(&home, &nowhere, &[]).expect_err("several");
    assert_eq!(code, Some(4), "{said}");
    for session in &sessions {
        assert!(
            said.contains(&session.id()) && said.contains("--session"),
            "{said}"
        );
    }
    let same = Launched::start(&home, "one", None);
    let (code, said) = meant(&home, &nowhere, &["--session", "one"]).expect_err("two of a name");
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains(&same.id()) && said.contains(&sessions[0].id()),
        "{said}"
    );
    let (code, said) = meant(&home, &nowhere, &["--session", "three"]).expect_err("no such");
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("three"), "{said}");
}

#[test]
fn a_project_that_was_removed_and_a_working_directory_that_was_do_not_matter() {
    let home = Home::new();
    let (gone, cwd) = (project(&home, "gone"), project(&home, "cwd"));
    let session = Launched::start(&home, "one", Some(&gone));
    fs::remove_dir(&gone).expect("it is removed");
    let path = gone.to_str().expect("UTF-8");
    assert_eq!(
        meant(&home, &home.home(), &["--session", path]),
        Ok(session.id())
    );
    // A shell that stands in a directory that is removed meanwhile.
    let mut shell = home.command("sh");
    shell
        .current_dir(&cwd)
        .args(["-c", "rmdir \"$PWD\" && exec \"$0\" status --json"]);
    let ran = Ran::of(shell.arg(env!("CARGO_BIN_EXE_vibepit")));
    assert!(ran.stdout.contains(&session.id()), "{ran:?}");
}

#[test]
fn a_session_that_was_killed_is_not_listed_and_the_next_one_takes_it_away() {
    let home = Home::new();
    let killed = Launch::new("").home(&home).start();
    let id = killed.id().to_owned();
    assert_eq!(listed(&home), std::slice::from_ref(&id));
    killed.signal(Signal::SIGKILL);
    drop(killed);
    assert_eq!(listed(&home), Vec::<String>::new());
    let (code, _) = meant(&home, &home.home(), &["--session", &id]).expect_err("it is dead");
    assert_eq!(code, Some(3));
    // To look is not to remove.
    assert!(directory(&home, &id).exists());
    let next = Launch::new("").home(&home).start();
    assert!(!directory(&home, &id).exists());
    assert_eq!(listed(&home), [next.id()]);
}

#[test]
fn a_session_whose_launcher_lives_is_not_taken_away() {
    let home = Home::new();
    let starting = SessionDir::create(&runtime(&home), &SessionId::random().unwrap()).unwrap();
    starting
        .announce(&record(&starting, "starting", None))
        .unwrap();
    let path = starting.path().to_owned();
    let first = Launch::new("").home(&home).start();
    assert!(path.exists(), "its lock is held");
    assert_eq!(listed(&home), [first.id()], "it does not answer");
    drop(starting);
    let _second = Launch::new("").home(&home).start();
    assert!(!path.exists(), "its lock is free");
}

#[test]
fn a_session_that_ends_by_itself_leaves_nothing() {
    let home = Home::new();
    let mut proxy = Launch::new("").home(&home).start();
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.wait().code(), Some(0));
    let left = fs::read_dir(home.runtime().join("vibepit")).expect("the runtime directory");
    assert_eq!(left.count(), 0);
}

#[test]
fn a_proxy_that_does_not_start_leaves_nothing() {
    let home = Home::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut proxy = home.vibepit();
    let ran = Ran::of(proxy.args(["proxy", "--http", &address]));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&address), "{ran:?}");
    let left = fs::read_dir(home.runtime().join("vibepit")).expect("the runtime directory");
    assert_eq!(left.count(), 0);
}

/// What every command says of a runtime directory that cannot be used.
#[track_caller]
fn unusable(home: &Home, hint: &str) {
    let path = home.runtime().join("vibepit");
    let before = fs::symlink_metadata(&path)
        .expect("it is there")
        .permissions();
    for arguments in [
        &["sessions"][..],
        &["rules"],
        &["proxy", "--http", "127.0.0.1:0"],
    ] {
        let ran = home.cli(arguments);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(1), ""),
            "{arguments:?}: {ran:?}"
        );
        assert!(
            ran.stderr.contains(path.to_str().expect("UTF-8")),
            "{ran:?}"
        );
        assert!(ran.stderr.contains(hint), "{hint}: {ran:?}");
    }
    // Never repaired in silence.
    assert_eq!(
        fs::symlink_metadata(&path)
            .expect("it is there")
            .permissions(),
        before
    );
}

#[test]
fn a_runtime_directory_that_others_can_enter_is_an_error() {
    for mode in [0o755, 0o750, 0o701, 0o777] {
        let home = Home::new();
        let path = home.runtime().join("vibepit");
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("a directory");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("its mode");
        unusable(&home, "chmod 700");
    }
}

#[test]
fn a_runtime_directory_that_is_a_link_or_a_file_is_an_error() {
    let home = Home::new();
    let path = home.runtime().join("vibepit");
    let real = home.home().join("real");
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&real)
        .expect("a directory");
    symlink(&real, &path).expect("a link");
    unusable(&home, "symbolic link");
    assert_eq!(fs::read_dir(&real).expect("the directory").count(), 0);
    fs::remove_file(&path).expect("the link");
    fs::write(&path, "").expect("a file");
    unusable(&home, "not a directory");
}

#[test]
fn a_runtime_directory_of_somebody_else_is_an_error() {
    if !require("root") {
        return;
    }
    let home = Home::new();
    let path = home.runtime().join("vibepit");
    fs::DirBuilder::new()
        .mode(0o700)
        .create(&path)
        .expect("a directory");
    chown(&path, Some(12_345), Some(12_345)).expect("root gives it away");
    unusable(&home, "12345");
}

/// A session made, spoken to over both transports, and ended, in some environment.
fn works_end_to_end(vibepit: impl Fn() -> Command) {
    let mut session = Running::spawn(vibepit().args(["proxy", "--http", "127.0.0.1:0"]));
    let id = announced(&session.warns(|line| announced(line).is_some())).expect("its id");
    let does = |arguments: &[&str]| Ran::of(vibepit().args(arguments)).ok();
    assert!(does(&["sessions"]).contains(&id));
    assert!(does(&["allow", "a.test"]).contains("a.test"));
    assert!(does(&["rules", "--tcp"]).contains("a.test"));
    let said = Ran::of(vibepit().args(["rules", "-v"]));
    assert!(said.stderr.contains("over Unix"), "{said:?}");
    session.signal(Signal::SIGTERM);
    assert!(session.wait().success());
    let none: Value = serde_json::from_str(&does(&["sessions", "--json"])).expect("JSON");
    assert_eq!(none, json!({"sessions": []}));
}

#[test]
fn a_runtime_directory_deeper_than_a_socket_address_holds_works_end_to_end() {
    let home = Home::new();
    let long = home.home().join("d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&long).expect("directories");
    assert!(long.as_os_str().len() > 200);
    works_end_to_end(|| {
        let mut command = home.vibepit();
        command.env("XDG_RUNTIME_DIR", &long);
        command
    });
}

#[test]
fn without_xdg_runtime_dir_there_is_a_place_of_our_own_in_tmpdir() {
    let uid = Uid::effective().as_raw();
    if Path::new(&format!("/run/user/{uid}")).exists() {
        // There it would be this machine's own sessions that are seen.
        require("a machine without /run/user/UID");
        return;
    }
    let home = Home::new();
    let tmp = home.home().join("tmp");
    fs::create_dir(&tmp).expect("a directory");
    fs::set_permissions(&tmp, fs::Permissions::from_mode(0o1777)).expect("its mode");
    works_end_to_end(|| {
        let mut command = home.vibepit();
        command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &tmp);
        command
    });
    let own = tmp.join(format!("vibepit-{uid}"));
    let mode = |path: &Path| {
        fs::symlink_metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
    };
    for path in [&own, &own.join("vibepit")] {
        assert_eq!(mode(path) & 0o7777, 0o700, "{}", path.display());
    }
}

/// `vibepit sessions --watch --json`, line by line.
struct Watching(Running);

impl Watching {
    fn start(home: &Home) -> Self {
        let mut command = home.vibepit();
        Self(Running::spawn(
            command.args(["sessions", "--watch", "--json"]),
        ))
    }

    /// What changed, and of which session.
    #[track_caller]
    fn next(&mut self) -> (String, String) {
        let line: Value = serde_json::from_str(&self.0.line()).expect("JSON on one line");
        let id = line["id"]
            .as_str()
            .or_else(|| line["session"]["id"].as_str());
        let change = line["change"].as_str().expect("a change").to_owned();
        (change, id.expect("an id").to_owned())
    }
}

#[test]
fn whoever_watches_is_told_of_each_session_that_comes_and_goes() {
    let home = Home::new();
    // Not even the directory around the runtime directory is there.
    fs::remove_dir(home.runtime()).expect("it is empty");
    let mut watching = Watching::start(&home);
    let told = |change: &str, id: &str| (change.to_owned(), id.to_owned());
    let mut one = Launch::new("").home(&home).start();
    assert_eq!(watching.next(), told("appeared", one.id()));
    let two = Launch::new("").home(&home).start();
    assert_eq!(watching.next(), told("appeared", two.id()));
    one.signal(Signal::SIGTERM);
    one.wait();
    assert_eq!(watching.next(), told("gone", one.id()));
    // Killed, its directory stays; it is gone all the same.
    two.signal(Signal::SIGKILL);
    assert_eq!(watching.next(), told("gone", two.id()));
    // Who comes later is told first of those that are there.
    let three = Launch::new("").home(&home).start();
    assert_eq!(watching.next(), told("appeared", three.id()));
    assert_eq!(Watching::start(&home).next(), told("appeared", three.id()));
    // All of it goes, and comes anew.
    drop(three);
    let (change, _) = watching.next();
    assert_eq!(change, "gone");
    fs::remove_dir_all(home.runtime()).expect("it is removed");
    let four = Launch::new("").home(&home).start();
    assert_eq!(watching.next(), told("appeared", four.id()));
}

#[test]
fn among_a_thousand_directories_the_live_ones_are_found() {
    let home = Home::new();
    let web = project(&home, "web");
    let runtime = runtime(&home);
    for number in 0..998 {
        let dir = SessionDir::create(&runtime, &SessionId::random().unwrap()).unwrap();
        let dead = std::os::unix::net::UnixListener::bind(dir.control_socket());
        drop(dead.expect("a socket that nobody listens on"));
        dir.announce(&record(&dir, &format!("dead-{number}"), Some(&web)))
            .unwrap();
    }
    let (one, two) = (
        Launched::start(&home, "one", Some(&web)),
        Launched::start(&home, "two", None),
    );
    assert_eq!(
        fs::read_dir(home.runtime().join("vibepit"))
            .expect("it")
            .count(),
        1000
    );
    assert_eq!(meant(&home, &web, &[]), Ok(one.id()));
    assert_eq!(
        meant(&home, &home.home(), &["--session", "two"]),
        Ok(two.id())
    );
    assert_eq!(
        meant(&home, &home.home(), &["--session", &two.id()]),
        Ok(two.id())
    );
    let mut live = [one.id(), two.id()];
    let mut found = listed(&home);
    live.sort();
    found.sort();
    assert_eq!(found, live);
    let (code, _) = meant(&home, &home.home(), &["--session", "dead-7"]).expect_err("it is dead");
    assert_eq!(code, Some(3));
}
