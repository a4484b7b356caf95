//! What a program in a sandbox tries in order to get out: one list of attempts for every runtime.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::Shell;

/// Answers a list of attempts, one line each: `NAME: what came of it`.
const PROBE: &str = r#"
import ctypes, errno, json, socket, struct, sys
from concurrent.futures import ThreadPoolExecutor

def tried(attempt, *arguments):
    try:
        return attempt(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno, type(error).__name__)

def tcp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(5)
        connection.connect((host, port))
        return "connected"

def udp(host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.sendto(b"secret", (host, port))
        return "sent"

def around(host, port):
    # Past the routing table: by every interface there is, to whoever is on its link.
    came = set()
    for _, name in socket.if_nameindex():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_DONTROUTE, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, name.encode())
            came.add(tried(connection.sendto, b"secret", (host, port)))
    return " ".join(map(str, came))

def named(host, port):
    socket.getaddrinfo(host, port)
    return "resolved"

def kind(family, kind, protocol):
    socket.socket(family, kind, protocol).close()
    return "opened"

def ask(server, port, name, over):
    question = struct.pack(">HHHHHH", 7, 0x100, 1, 0, 0, 0)
    for label in name.split("."):
        question += bytes([len(label)]) + label.encode()
    question += struct.pack(">BHH", 0, 1, 1)
    if over == "tcp":
        connection = socket.create_connection((server, port), 5)
        connection.settimeout(5)
        connection.sendall(struct.pack(">H", len(question)) + question)
        answer = connection.recv(4096)[2:]
    else:
        connection = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        connection.settimeout(5)
        # Connected, so that a refusal is told (udp(7)).
        connection.connect((server, port))
        connection.send(question)
        answer = connection.recv(4096)
    return "rcode %d answers %d" % (answer[3] & 15, struct.unpack(">H", answer[6:8])[0])

def call(number, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syscall(number, *arguments) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"

def mount():
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", b"/mnt", b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"

ways = dict(tcp=tcp, udp=udp, around=around, named=named, kind=kind, ask=ask, call=call, mount=mount)
def attempt(one):
    name, way, arguments = one
    return name + ": " + tried(ways[way], *arguments)

# A namespace that a thread got would be that thread's own.
with ThreadPoolExecutor(32) as attempts:
    print(*attempts.map(attempt, json.load(sys.stdin)), sep="\n")
"#;

/// The variables of a sandboxed command that nobody passes anything on to; engines add their own.
pub(crate) const VARIABLES: [&str; 12] = [
    "ALL_PROXY",
    "GIT_CONFIG_SYSTEM",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "PATH",
    "VIBEPIT_SOCKS5",
    "all_proxy",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// The names in an environment as /proc tells it, without engines' own.
pub(crate) fn variables(environment: &str) -> Vec<&str> {
    let mut names: Vec<_> = environment
        .lines()
        .filter_map(|line| line.split('=').next())
        .filter(|name| !["HOSTNAME", "TERM", "container"].contains(name))
        .collect();
    names.sort_unstable();
    names
}

/// Prints every socket and every file of vibepit's that is in view. The machine's own programs,
/// which are a hundred thousand files to read from a disk, are what they are outside.
pub(crate) const WHATEVER_SPEAKS: &str = "find / \\( -path /proc -o -path /sys -o -path /usr \\) \
     -prune -o \\( -type s -o -name control.sock -o -name docker.sock -o -name client-key.pem \
     -o -name session.json \\) -print 2>/dev/null; true";

/// Makes attempts in a sandbox that has this project, and says what came of each.
pub(crate) fn attempt(
    project: &Path,
    shell: &mut Shell,
    attempts: &[(&str, &str, Value)],
) -> Vec<(String, String)> {
    let attempts: Vec<_> = attempts
        .iter()
        .map(|(name, way, how)| json!([name, way, how]))
        .collect();
    fs::write(project.join("probe.py"), PROBE).expect("the probe");
    let list = json!(attempts).to_string();
    fs::write(project.join("attempts.json"), list).expect("the attempts");
    let said = shell.ask("/usr/bin/python3 probe.py < attempts.json");
    let outcomes: Vec<_> = said
        .lines()
        .map(|line| line.rsplit_once(": ").unwrap_or_else(|| panic!("{said}")))
        .map(|(name, outcome)| (name.to_owned(), outcome.to_owned()))
        .collect();
    assert_eq!(outcomes.len(), attempts.len(), "{said}");
    outcomes
}

/// Nothing came of any of these.
#[track_caller]
pub(crate) fn all(outcomes: &[(String, String)], allowed: &[&str]) {
    for (name, outcome) in outcomes {
        assert!(allowed.contains(&outcome.as_str()), "{name}: {outcome}");
    }
}
