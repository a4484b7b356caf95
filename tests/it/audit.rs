//! The audit log: whose it is, how much of a disk it takes, and how it is read while it is
//! written.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Disk, Home, Proxy, Running, disks};

/// Bytes of a file, and files beside the one that is written (`api::audit`).
const FILE: u64 = 16 * 1024 * 1024;
const OLDER: usize = 3;

/// Has a request refused, which is a line.
#[track_caller]
fn refused(proxy: &Proxy, number: usize) {
    let url = format!("http://r{number}.test/");
    assert_eq!(proxy.fetch(&url).status(), 403);
    proxy.logged();
}

/// Lines until the file has room for none of the proxy's.
fn fill(proxy: &Proxy) {
    let mut options = fs::OpenOptions::new();
    let mut file = options.append(true).open(proxy.audit_file()).expect("it");
    let used = file.metadata().expect("its size").len();
    let line = format!(
        "{{\"event\":\"filler\",\"x\":\"{}\"}}\n",
        "x".repeat(99_000)
    );
    let mut lines = line.repeat((FILE as usize).div_ceil(line.len()));
    lines.truncate((FILE - used) as usize - 1);
    lines.push('\n');
    file.write_all(lines.as_bytes()).expect("room");
}

fn mode(path: &std::path::Path) -> u32 {
    let metadata = fs::metadata(path).expect("it is there");
    metadata.permissions().mode() & 0o777
}

/// FS-007.
#[test]
fn an_audit_log_is_its_owners_alone_and_bounded_and_who_follows_it_misses_nothing() {
    let mut proxy = Proxy::start("");
    let home = proxy.home.clone();
    let directory = home.state().join("vibepit/audit").join(proxy.id());
    refused(&proxy, 0);
    let arguments = ["audit", "--follow", "--json", "--event", "connect"];
    let mut follower = Running::spawn(home.vibepit().args(arguments));
    let mut follows = |number: usize| {
        let line: Value = serde_json::from_str(&follower.line()).expect("JSON");
        assert_eq!(line["domain"], format!("r{number}.test"));
    };
    follows(0);
    const LAST: usize = OLDER + 2;
    for number in 1..=LAST {
        fill(&proxy);
        // Behind what does not fit any more.
        refused(&proxy, number);
        follows(number);
    }
    follower.signal(Signal::SIGTERM);
    follower.is_silent();

    assert_eq!(mode(&directory), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).expect("the directory") {
        let entry = entry.expect("an entry");
        assert_eq!(mode(&entry.path()), 0o600);
        assert!(entry.metadata().expect("its size").len() <= FILE);
        names.push(entry.file_name().into_string().expect("UTF-8"));
    }
    names.sort();
    let expected = [
        "audit.1.jsonl",
        "audit.2.jsonl",
        "audit.3.jsonl",
        "audit.jsonl",
    ];
    assert_eq!(names, expected);
    // One path leads to the newest lines.
    let newest = fs::read_to_string(proxy.audit_file()).expect("the audit file");
    assert!(newest.contains(&format!("r{LAST}.test")), "{newest}");

    proxy.signal(Signal::SIGKILL);
    proxy.wait();
    let kept = home.cli(&["audit", "--json", "--event", "connect"]).ok();
    let domains: Vec<_> = kept
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["domain"].clone())
        .collect();
    let expected = (LAST - OLDER..=LAST).map(|number| format!("r{number}.test"));
    assert_eq!(domains, expected.collect::<Vec<_>>());
}

#[test]
fn on_a_full_disk_audit_lines_are_lost_and_told_and_the_session_goes_on() {
    if !disks() {
        return;
    }
    let (disk, proxy) = Disk::under("audit", "", &Home::new());
    let warnings = || proxy.read("/session")["warnings"].clone();
    disk.fill();
    let mut asked = 0;
    // What is left of the file's last block takes some lines.
    while warnings() == serde_json::json!([]) {
        refused(&proxy, asked);
        asked += 1;
        assert!(asked < 1000, "the disk is full");
    }
    for _ in 0..10 {
        refused(&proxy, asked);
        asked += 1;
    }
    let said = warnings();
    assert_eq!(said.as_array().map(Vec::len), Some(1), "{said}");
    let said = said[0].as_str().expect("a sentence");
    let path = proxy.audit_file().with_extension("").join("audit.jsonl");
    for part in [
        "11 audit lines are lost",
        path.to_str().expect("UTF-8"),
        "space",
    ] {
        assert!(said.contains(part), "{said}");
    }
    disk.make_room();
    refused(&proxy, asked);
    asked += 1;
    assert_eq!(warnings(), serde_json::json!([]));

    let text = fs::read_to_string(disk.path(&format!("{}/audit.jsonl", proxy.id())));
    let text = text.expect("the audit file");
    let (lines, torn): (Vec<_>, Vec<_>) = text
        .lines()
        .map(serde_json::from_str::<Value>)
        .partition(Result::is_ok);
    assert!(torn.len() <= 1, "{text}");
    let lines: Vec<Value> = lines.into_iter().flatten().collect();
    let connects = lines.iter().filter(|line| line["event"] == "connect");
    assert_eq!(connects.count() + 11, asked);
    let last = lines.last().expect("a line");
    assert_eq!(last["lost"], 11, "it says what is missing before it");
}
