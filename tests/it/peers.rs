//! Who may speak over the socket: its owner, and nobody else. To let others get as far as the
//! socket at all, these tests open directories that vibepit keeps closed, on purpose: what is
//! tested here is the wall behind that one.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Uid;
use serde_json::Value;

use crate::support::{Home, Launch, Proxy, Ran, require};

const STRANGER: u32 = 12_345;
const OVERFLOW: u32 = 65_534;

/// A proxy that runs as a user of its own.
struct Owned {
    proxy: Proxy,
    uid: u32,
}

impl Owned {
    fn by(uid: u32) -> Self {
        let home = Home::new();
        open(home.home().parent().expect("the environment"));
        for directory in [home.home(), home.config(), home.state(), home.runtime()] {
            chown(directory, Some(uid), Some(uid)).expect("root gives it away");
        }
        let proxy = Launch::new("").home(&home).through(&as_user(uid)).start();
        open_up(&home, &proxy.socket());
        Self { proxy, uid }
    }

    fn curl_as(&self, uid: u32) -> Ran {
        curl_as(&self.proxy.home, uid, &self.proxy.socket())
    }

    /// Ends it, and reads what its audit file says of refused peers.
    fn refusals(mut self) -> Vec<Value> {
        self.proxy.signal(Signal::SIGTERM);
        assert!(self.proxy.wait().success());
        refusals(self.proxy.audit_so_far())
    }
}

fn refusals(mut audit: Vec<Value>) -> Vec<Value> {
    audit.retain(|line| line["event"] == "peer_refused");
    audit
}

fn open(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755)).expect("its mode");
}

/// Takes away every wall before the one that is tested.
fn open_up(home: &Home, socket: &Path) {
    let base = home.home();
    let base = base.parent().expect("the environment");
    for directory in socket.ancestors().skip(1).take_while(|path| *path != base) {
        open(directory);
    }
    open(base);
    fs::set_permissions(socket, fs::Permissions::from_mode(0o666)).expect("its mode");
}

/// What a command begins with that a user is to run.
fn as_user(uid: u32) -> [String; 7] {
    let id = uid.to_string();
    [
        "setpriv",
        "--reuid",
        &id,
        "--regid",
        &id,
        "--clear-groups",
        "--",
    ]
    .map(str::to_owned)
}

/// Tries to change a rule, which nobody but the owner may.
fn tries(mut command: Command, socket: &Path) -> Ran {
    command.args([
        "--silent",
        "--max-time",
        "60",
        "--data-raw",
        r#"{"entries":["a.test"]}"#,
    ]);
    command
        .arg("--unix-socket")
        .arg(socket)
        .arg("http://vibepit/allow");
    Ran::of(&mut command)
}

fn curl_as(home: &Home, uid: u32, socket: &Path) -> Ran {
    let [program, arguments @ ..] = as_user(uid);
    let mut command = home.command(program);
    command.args(arguments).arg("curl");
    tries(command, socket)
}

#[track_caller]
fn assert_refused(ran: &Ran) {
    // 7: it was over before curl had looked; 52: an empty reply; 55, 56: it broke off. Whatever
    // curl saw, it saw no byte of an answer. (That it got there at all, the audit line tells.)
    assert!(matches!(ran.code, Some(7 | 52 | 55 | 56)), "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
}

fn tools() -> bool {
    ["root", "curl", "setpriv"].into_iter().all(require)
}

#[test]
fn another_user_is_closed_unread_and_leaves_one_line_while_the_owner_is_answered() {
    if !tools() {
        return;
    }
    let proxy = Proxy::start("");
    open_up(&proxy.home, &proxy.socket());
    assert_refused(&curl_as(&proxy.home, STRANGER, &proxy.socket()));
    let refused = refusals(proxy.audit());
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["actor"], format!("uid:{STRANGER}"));
    assert_eq!(
        proxy.read("/rules")["rules"],
        Value::Array(vec![]),
        "it was read"
    );
    let owner = curl_as(&proxy.home, 0, &proxy.socket()).ok();
    assert!(owner.contains("\"added\":[\"a.test\"]"), "{owner}");
    assert_eq!(refusals(proxy.audit()), refused);
    let metrics = proxy.get("/metrics").text();
    assert!(
        metrics.contains("vibepit_peers_refused_total 1\n"),
        "{metrics}"
    );
}

#[test]
fn root_is_refused_by_the_proxy_of_an_ordinary_user() {
    if !tools() {
        return;
    }
    let proxy = Owned::by(STRANGER);
    assert!(proxy.curl_as(proxy.uid).ok().contains("a.test"));
    assert_refused(&proxy.curl_as(0));
    assert_refused(&proxy.curl_as(STRANGER + 1));
    let actors: Vec<_> = proxy
        .refusals()
        .iter()
        .map(|line| line["actor"].clone())
        .collect();
    assert_eq!(
        actors,
        ["uid:0".to_owned(), format!("uid:{}", STRANGER + 1)]
    );
}

#[test]
fn the_overflow_uid_is_refused_even_by_a_proxy_that_has_it() {
    if !tools() {
        return;
    }
    let proxy = Owned::by(OVERFLOW);
    assert_refused(&proxy.curl_as(OVERFLOW));
    let refused = proxy.refusals();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(refused[0]["actor"], "uid:65534");
}

#[test]
fn our_own_uid_in_another_user_namespace_is_refused() {
    if !require("curl") || !require("unshare") {
        return;
    }
    let proxy = Proxy::start("");
    for flags in ["-U", "-Ur", "-Urm", "-Urpf"] {
        let unshared = || {
            let mut command = proxy.home.command("unshare");
            command.args([flags, "--"]);
            command
        };
        if !unshared()
            .arg("true")
            .status()
            .is_ok_and(|status| status.success())
        {
            require("user-namespaces");
            return;
        }
        let before = refusals(proxy.audit()).len();
        let mut command = unshared();
        command.arg("curl");
        assert_refused(&tries(command, &proxy.socket()));
        let refused = refusals(proxy.audit());
        assert_eq!(refused.len(), before + 1, "{flags}: {refused:?}");
        let last = refused.last().expect("a line");
        assert_eq!(
            last["actor"],
            format!("uid:{}", Uid::effective()),
            "{flags}"
        );
        assert!(
            last["detail"].to_string().contains("user namespace"),
            "{last}"
        );
    }
    assert_eq!(proxy.read("/rules")["rules"], Value::Array(vec![]));
}

#[test]
fn to_look_whether_a_session_lives_is_no_refusal() {
    let proxy = Proxy::start("");
    // The look takes less time than the proxy takes to look at who it was.
    for _ in 0..50 {
        proxy.cli(&["sessions"]).ok();
    }
    assert_eq!(refusals(proxy.audit()), Vec::<Value>::new());
}

#[test]
fn there_is_no_socket_in_the_abstract_namespace() {
    let proxy = Proxy::start("");
    let files = fs::read_dir(format!("/proc/{}/fd", proxy.pid())).expect("its descriptors");
    let inodes: HashSet<String> = files
        .flatten()
        .filter_map(|file| fs::read_link(file.path()).ok())
        .filter_map(|link| {
            Some(
                link.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    let table = fs::read_to_string("/proc/net/unix").expect("the table of sockets");
    // Num RefCount Protocol Flags Type St Inode Path
    let own = table
        .lines()
        .map(|line| line.split_ascii_whitespace().collect::<Vec<_>>());
    let named: Vec<_> = own
        .filter(|fields| fields.get(6).is_some_and(|inode| inodes.contains(*inode)))
        .filter_map(|fields| fields.get(7).map(|path| (*path).to_owned()))
        .collect();
    // (Waiting connections share the listener's name.)
    assert!(
        named.iter().all(|path| Path::new(path) == proxy.socket()),
        "{named:?}"
    );
    assert!(!named.is_empty(), "the control socket is in the table");
}
