//! Rows of the table of attacks about who speaks over the socket. To let others get as far as the
//! socket at all, directories that vibepit keeps closed are opened, on purpose, and closed again.

use std::collections::HashSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::Place;
use crate::support::{Ran, Running, require};

/// Whoever has no account.
const STRANGER: u32 = 54_321;

/// What users without a mapping look like in a user namespace.
const OVERFLOW: u32 = 65_534;

fn socket_of(session: &Value) -> PathBuf {
    PathBuf::from(session["control"]["socket"].as_str().expect("a socket"))
}

/// The walls before the socket, while they are open.
struct Opened(Vec<(PathBuf, Permissions)>);

impl Opened {
    fn before(socket: &Path) -> Self {
        let above = socket
            .ancestors()
            .take_while(|path| *path != std::env::temp_dir());
        let mut walls = Vec::new();
        for path in above {
            let was = fs::metadata(path).expect("it is there").permissions();
            let open = if path == socket { 0o666 } else { 0o755 };
            fs::set_permissions(path, Permissions::from_mode(open)).expect("its mode");
            walls.push((path.to_owned(), was));
        }
        Self(walls)
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        for (path, was) in &self.0 {
            let _ = fs::set_permissions(path, was.clone());
        }
    }
}

/// Tries to change a rule.
fn tries(mut command: Command, socket: &Path) -> Ran {
    command
        .args(["--silent", "--max-time", "60", "--unix-socket"])
        .arg(socket)
        .args(["--data-raw", r#"{"entries":["a.test"]}"#])
        .arg("http://vibepit/allow");
    Ran::of(&mut command)
}

fn run_as(uid: u32) -> Command {
    let uid = uid.to_string();
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &uid, "--regid", &uid, "--clear-groups", "--"]);
    command
}

/// UDS-004, UDS-006, UDS-007, UDS-009.
pub(super) fn the_owner_alone(place: &dyn Place) {
    if !require("root") || !require("setpriv") || !require("unshare") {
        return;
    }
    let shell = place.shell(&[]);
    let socket = socket_of(&place.session());
    let asks = |path: &str| {
        let mut command = place.command("curl".as_ref());
        command.args(["-sS", "-m", "60", "--unix-socket"]);
        Ran::of(command.arg(&socket).arg(format!("http://vibepit{path}"))).ok()
    };
    let refused = || {
        let metrics = asks("/metrics");
        let mut lines = metrics.lines();
        let line = lines.find_map(|line| line.strip_prefix("vibepit_peers_refused_total "));
        line.expect("a count").parse::<u64>().expect("a number")
    };
    let plain = |uid| {
        let mut command = run_as(uid);
        command.arg("curl");
        command
    };
    // UDS-006: who says of themselves that they are root.
    let mut claiming = run_as(STRANGER);
    claiming.args(["unshare", "--user", "--map-root-user", "curl"]);
    // UDS-004: in a user namespace every stranger is the overflow user.
    let mut all = vec![plain(STRANGER), plain(OVERFLOW), claiming];
    if place.uid() != 0 {
        all.push(plain(0));
    }
    if place.runtime() == "local" {
        // UDS-007, UDS-009: who is the owner, elsewhere. A proxy in a container is not shown the
        // process, and its sandbox does not see the socket.
        let mut elsewhere = place.command("unshare".as_ref());
        elsewhere.args(["--user", "curl"]);
        all.push(elsewhere);
    }
    let opened = Opened::before(&socket);
    for command in all {
        let (before, who) = (refused(), format!("{command:?}"));
        let ran = tries(command, &socket);
        assert!(matches!(ran.code, Some(7 | 52 | 55 | 56)), "{who}: {ran:?}");
        assert_eq!(ran.stdout, "", "{who}");
        assert_eq!(refused(), before + 1, "{who}");
    }
    drop(opened);
    let rules: Value = serde_json::from_str(&asks("/rules")).expect("JSON");
    assert_eq!(rules["rules"], Value::Array(Vec::new()));
    assert_eq!(shell.end().0, Some(0));
}

/// UDS-010.
pub(super) fn no_socket_without_a_path(place: &dyn Place) {
    let mut shell = place.shell(&[]);
    let proxy = super::proxy_of(&place.session());
    let files = fs::read_dir(format!("/proc/{proxy}/fd")).expect("its descriptors");
    let inodes: HashSet<String> = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter_map(|link| {
            let inode = link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?;
            Some(inode.to_owned())
        })
        .collect();
    let table = fs::read_to_string(format!("/proc/{proxy}/net/unix")).expect("its sockets");
    // Num RefCount Protocol Flags Type St Inode Path
    let names: Vec<&str> = table
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.get(6).is_some_and(|inode| inodes.contains(*inode)))
        .filter_map(|fields| fields.get(7).copied())
        .collect();
    assert!(!names.is_empty(), "the control socket is one of them");
    assert!(!names.iter().any(|name| name.starts_with('@')), "{names:?}");
    let inside = shell.ask("awk 'NR > 1 && NF > 7' /proc/net/unix");
    assert_eq!(inside, "", "the sandbox sees none at all");
    assert_eq!(shell.end().0, Some(0));
}

/// UDS-018.
pub(super) fn no_page_speaks_to_it(place: &dyn Place) {
    let shell = place.shell(&[]);
    let socket = socket_of(&place.session());
    for header in ["Host: attacker.example", "Origin: https://attacker.example"] {
        let mut command = place.command("curl".as_ref());
        command.args(["-sSi", "-m", "60", "--header", header, "--unix-socket"]);
        let said = Ran::of(command.arg(&socket).arg("http://vibepit/events")).ok();
        assert!(said.starts_with("HTTP/1.1 403 "), "{header}: {said}");
        let fields = said.to_ascii_lowercase();
        assert!(!fields.contains("access-control-"), "{header}: {said}");
    }
    assert_eq!(shell.end().0, Some(0));
}

/// UDS-019.
pub(super) fn many_connections_are_bounded(place: &dyn Place) {
    const MANY: usize = 900;
    let script = format!(
        "import socket, sys\n\
         held = []\n\
         for _ in range({MANY}):\n\
         \x20   one = socket.socket(socket.AF_UNIX)\n\
         \x20   one.setblocking(False)\n\
         \x20   try: one.connect(sys.argv[1])\n\
         \x20   except BlockingIOError: pass\n\
         \x20   held.append(one)\n\
         print('open', flush=True)\n\
         sys.stdin.readline()\n"
    );
    let shell = place.shell(&[]);
    let session = place.session();
    let mut command = place.command("/usr/bin/python3".as_ref());
    command.args(["-c", &script]).arg(socket_of(&session));
    let mut flood = Running::spawn(&mut command);
    assert_eq!(flood.line(), "open");
    let held = fs::read_dir(format!("/proc/{}/fd", super::proxy_of(&session)));
    let held = held.expect("its descriptors").count();
    assert!(held < MANY / 2, "{held} descriptors");
    assert_eq!(flood.end().0, Some(0));
    place.cli(&["rules"]).ok();
    assert_eq!(shell.end().0, Some(0));
}
