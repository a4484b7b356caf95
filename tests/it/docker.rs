//! `vibepit run`: the command's streams and exit code, what it sees of the machine, and what it
//! reaches once that is allowed.

use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use sha2::{Digest, Sha256};

use crate::support::{
    Bench, Message, Origin, Ran, Resolver, START, Says, Shell, engine, ok, require,
};

/// The address of the engine's bridge: the proxy reaches this machine there.
pub(crate) fn bridge() -> IpAddr {
    let network = engine::get("/networks/bridge");
    let interface = network["Options"]["com.docker.network.bridge.name"].as_str();
    let interface = interface.expect("the bridge has a name");
    own_addresses()
        .into_iter()
        .find_map(|(name, ip)| (name == interface && ip.is_ipv4()).then_some(ip))
        .expect("the bridge has an address")
}

/// Every address of this machine, with its interface.
pub(crate) fn own_addresses() -> Vec<(String, IpAddr)> {
    let interfaces = nix::ifaddrs::getifaddrs().expect("a list of interfaces");
    let address = |one: nix::ifaddrs::InterfaceAddress| {
        let address = one.address?;
        let ip = match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(v4), _) => v4.ip().into(),
            (_, Some(v6)) => v6.ip().into(),
            _ => return None,
        };
        Some((one.interface_name, ip))
    };
    interfaces.filter_map(address).collect()
}

/// A resolver that the proxy's container reaches and that knows this name at this machine, and
/// the configuration that lets a proxy use both.
pub(crate) fn reachable(name: &str) -> (Resolver, String) {
    let here = bridge();
    let resolver = Resolver::at(here, &[(name, Says::addresses([here]))]);
    let config = format!("{}allow_cidr = [\"{here}/32\"]\n", resolver.config());
    (resolver, config)
}

/// An origin that the proxy's container reaches: it answers with the request line.
pub(crate) fn origin() -> Origin {
    let answer = |request: &Message| ok(&request.start);
    Origin::answering_at((bridge(), 0).into(), answer).expect("a port of the bridge's address")
}

/// For sessions that reach nothing: they need a resolver that a container could reach.
pub(crate) const NO_NAMES: &str = "upstream_dns = [\"192.0.2.53:53\"]\n";

#[test]
fn the_exit_code_is_the_commands_own() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    for code in [0, 7, 125, 126, 127, 255] {
        let ran = bench.run(&[], &format!("exit {code}"));
        assert_eq!(ran.code, Some(code), "{ran:?}");
    }
    bench.is_clean();
}

#[test]
fn a_command_that_cannot_be_run_is_told_and_has_the_code_a_shell_gives_it() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    fs::write(bench.project().join("plain"), "no program").expect("a file");
    for (command, code) in [("no-such-program", 127), ("./plain", 126)] {
        let ran = bench.cli(&["run", "--", command]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        assert!(ran.stderr.contains(command), "{ran:?}");
        bench.is_clean();
    }
}

#[test]
fn input_goes_through_and_the_two_outputs_stay_apart() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let mut child = bench
        .vibepit()
        .args(["run", "--quiet", "--", "sh", "-c"])
        .arg("cat; echo to stderr >&2; echo to stdout")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut stdin = child.stdin.take().expect("its input");
    let input = vec![b'i'; 200_000];
    let writer = std::thread::spawn(move || stdin.write_all(&input).expect("it is read"));
    let output = child.wait_with_output().expect("its end");
    writer.join().expect("all was read");
    let stdout = [&vec![b'i'; 200_000][..], b"to stdout\n"].concat();
    assert!(output.stdout == stdout, "{} bytes", output.stdout.len());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "to stderr\n");
}

#[test]
fn a_large_output_arrives_whole() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let script = "head -c 10485760 /dev/urandom >/tmp/big; sha256sum </tmp/big >&2; cat /tmp/big";
    let output = bench
        .vibepit()
        .args(["run", "--quiet", "--", "sh", "-c", script])
        .output()
        .expect("the binary starts");
    let hash: String = Sha256::digest(&output.stdout)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(output.stdout.len(), 10_485_760);
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        format!("{hash}  -\n")
    );
}

#[test]
fn the_sandbox_has_the_project_and_its_own_home_and_nothing_else_of_the_persons() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let project = bench.project().display();
    fs::write(bench.home.home().join("private"), "mine").expect("a file");
    let settings = bench.project().join(".vibepit");
    fs::create_dir(&settings).expect("a directory");
    fs::write(settings.join("secret"), "hidden").expect("a file");
    fs::write(bench.project().join("source"), "text").expect("a file");
    let mut shell = bench.shell(&[]);

    assert_eq!(shell.ask("pwd; cat source"), format!("{project}\ntext"));
    shell.ask("mkdir made && echo inside > made/file");
    let made = fs::read_to_string(bench.project().join("made/file")).expect("the file");
    assert_eq!(made, "inside\n");
    assert_eq!(
        shell.ask("ls -A .vibepit; touch .vibepit/x || echo closed"),
        { "touch: cannot touch '.vibepit/x': Read-only file system\nclosed\n" }
    );
    let home = bench.home.home();
    let seen = shell.ask(&format!("ls -A {}; cat {0}/private", home.display()));
    assert!(seen.starts_with("project\ncat: "), "{seen}");
    assert_ne!(shell.ask("echo $HOME"), format!("{}\n", home.display()));
    assert_eq!(shell.ask("echo kept > ~/kept; cat ~/kept"), "kept\n");
    let tools = shell.ask("git --version; /usr/bin/python3 -c 'print(6*7)'; curl --version");
    assert!(
        tools.starts_with("git version") && tools.contains("\n42\ncurl "),
        "{tools}"
    );
    assert_eq!(shell.end().0, Some(0));

    // The home is the project's: the next session finds it, that of another project does not.
    assert_eq!(bench.run(&[], "cat ~/kept").ok(), "kept\n");
    let another = bench.another_project();
    let script = "test -e ~/kept || echo empty";
    let mut elsewhere = bench.vibepit();
    elsewhere
        .arg("run")
        .arg(another)
        .args(["--", "sh", "-c", script]);
    assert_eq!(Ran::of(&mut elsewhere).ok(), "empty\n");
    bench.is_clean();
}

#[test]
fn variables_and_volumes_are_those_the_person_names() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let (one, other) = (
        bench.home.home().join("one"),
        bench.home.home().join("other"),
    );
    for directory in [&one, &other] {
        fs::create_dir(directory).expect("a directory");
        fs::write(directory.join("file"), "outside\n").expect("a file");
    }
    let (ro, rw) = (
        format!("{}:/srv/ro:ro", one.display()),
        format!("{}:/srv/rw", other.display()),
    );
    let ran = Ran::of(
        bench
            .vibepit()
            .env("PASSED", "on")
            .env("NOT_PASSED", "secret")
            .args(["run", "--env", "SET=a b=c", "--env", "PASSED"])
            .args(["--volume", &ro, "--volume", &rw, "--", "sh", "-c"])
            .arg(
                "echo $SET/$PASSED/$NOT_PASSED; cat /srv/ro/file; echo in >/srv/rw/file; \
                 echo in >/srv/ro/file || echo closed",
            ),
    );
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, "a b=c/on/\noutside\nclosed\n");
    let read = |directory: &Path| fs::read_to_string(directory.join("file")).expect("a file");
    assert_eq!(
        (read(&one).as_str(), read(&other).as_str()),
        ("outside\n", "in\n")
    );
}

/// BOX-001, BOX-002, UDS-002.
#[test]
fn a_volume_that_holds_an_engines_socket_or_vibepits_own_files_is_refused() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let run = bench.home.home().join("run");
    fs::create_dir(&run).expect("a directory");
    let _listener = UnixListener::bind(run.join("docker.sock")).expect("a socket");
    symlink(&run, bench.home.home().join("link")).expect("a link");
    let runtime = bench.home.runtime();
    for (source, named) in [
        ("/var/run/docker.sock", "docker.sock"),
        ("/var/run", ".sock"),
        ("/run", ".sock"),
        (run.to_str().expect("UTF-8"), "docker.sock"),
        (
            bench.home.home().join("link").to_str().expect("UTF-8"),
            "docker.sock",
        ),
        (runtime.to_str().expect("UTF-8"), "vibepit"),
        ("/", ".sock"),
    ] {
        let ran = bench.run(
            &["--volume", &format!("{source}:/srv/r:ro")],
            "echo started",
        );
        assert_ne!(ran.code, Some(0), "{source}: {ran:?}");
        assert_eq!(ran.stdout, "", "{source}");
        assert!(ran.stderr.contains(named), "{source}: {ran:?}");
        bench.is_clean();
    }
}

#[test]
fn a_directory_that_is_no_project_is_refused_with_the_reason() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let home = bench.home.home();
    let link = bench.home.config().join("link");
    symlink(&home, &link).expect("a link");
    let above = home.parent().expect("a parent");
    for (path, why) in [
        (Path::new("/"), "the root of the whole system"),
        (&home, "your home directory"),
        (above, "above your home directory"),
        (&link, "your home directory"),
        (Path::new("/usr"), "a directory of the system"),
        (Path::new("/proc/self"), "a directory of the system"),
        (Path::new("/no/such/place"), "/no/such/place"),
    ] {
        let ran = Ran::of(bench.vibepit().arg("run").arg(path).args(["--", "true"]));
        assert_eq!(ran.code, Some(2), "{}: {ran:?}", path.display());
        assert!(ran.stderr.contains(why), "{}: {ran:?}", path.display());
    }
    bench.is_clean();
}

#[test]
fn a_signal_ends_the_command_and_takes_everything_away() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    for (signal, code) in [
        (Signal::SIGINT, 130),
        (Signal::SIGTERM, 143),
        (Signal::SIGHUP, 129),
    ] {
        let mut session = bench.start(&[], &["sh", "-c", "echo runs; exec sleep 1000"]);
        assert_eq!(session.line(), "runs");
        session.signal(signal);
        assert_eq!(session.wait().code(), Some(code), "{signal}");
        bench.is_clean();
    }
}

#[test]
fn a_start_that_is_called_off_leaves_nothing() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    for (what, role) in START {
        let mut happenings = engine::Happenings::of(&bench.label());
        let mut session = bench.start(&[], &["sh", "-c", "exec sleep 1000"]);
        happenings.until(what, role);
        session.signal(Signal::SIGTERM);
        assert_eq!(session.wait().code(), Some(143), "{what} {role}");
        bench.is_clean();
    }
}

#[test]
fn on_a_terminal_the_command_has_one_and_it_follows_the_size() {
    if !require("docker") || !require("script") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let inside = "tty; until [ \"$(stty size)\" = '31 97' ]; do :; done; echo first size; \
                  until [ \"$(stty size)\" = '40 120' ]; do :; done; echo second size; exit 9";
    let outside = format!(
        "tty; stty rows 31 cols 97; exec {} run --quiet -- sh -c '{}'",
        env!("CARGO_BIN_EXE_vibepit"),
        inside.replace('\'', "'\\''")
    );
    let mut command = bench.home.command("script");
    crate::support::with_engine(&mut command);
    command
        .env("TERM", "xterm")
        .env("SHELL", "/bin/sh")
        .current_dir(bench.project())
        .args(["-qec", &outside, "/dev/null"]);
    let mut session = Shell::spawn(&mut command);
    let terminal = session.line();
    assert!(terminal.starts_with("/dev/pts/"), "{terminal}");
    let own = session.line();
    assert!(own.starts_with("/dev/"), "{own}");
    assert_eq!(session.line(), "first size");
    let resized = Command::new("stty")
        .args(["-F", &terminal, "rows", "40", "cols", "120"])
        .status();
    assert!(resized.expect("stty runs").success());
    assert_eq!(session.line(), "second size");
    assert_eq!(session.end().0, Some(9));
    bench.is_clean();
}
