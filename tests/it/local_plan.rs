//! What the inside of a sandbox does when its places are not what they were when they were looked at:
//! the test is the launcher, and changes them in between.

use std::fs;
use std::io::{BufRead, BufReader, pipe};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use vibepit::transport::passing;

use crate::support::local::{Local, each};
use crate::support::{Proxy, require};

/// The inside of a sandbox, and the launcher's end of its channel.
struct Inside {
    process: Child,
    channel: UnixStream,
    said: BufReader<UnixStream>,
}

impl Inside {
    /// With its doors open and its plan told.
    fn new(bench: &Local, plan: &Value) -> Self {
        let (channel, theirs) = UnixStream::pair().expect("a channel");
        let process = bench
            .command(crate::support::binary())
            .args(["inside", "enclosure"])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let said = BufReader::new(channel.try_clone().expect("a second handle"));
        let mut inside = Self {
            process,
            channel,
            said,
        };
        assert_eq!(inside.line(), json!("doors"));
        inside.tell(&json!({ "plan": plan }));
        inside
    }

    fn tell(&self, line: &Value) {
        passing::send(&self.channel, line.to_string().into_bytes(), &[]).expect("it is told");
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// A command to its end: its exit code and its output.
    fn run(&mut self, words: &[&str]) -> (Value, String) {
        let (input, _) = pipe().expect("a pipe");
        let (mut output, end) = pipe().expect("a pipe");
        let command = json!({
            "words": words, "env": ["PATH=/usr/bin:/bin"], "directory": "/", "terminal": null,
        });
        let line = json!({ "run": { "job": 1, "command": command } }).to_string();
        let theirs = [input.as_fd(), end.as_fd(), end.as_fd()];
        passing::send(&self.channel, line.into_bytes(), &theirs).expect("it is told");
        drop((input, end));
        assert_eq!(self.line(), json!({ "started": { "job": 1 } }));
        let mut said = String::new();
        std::io::Read::read_to_string(&mut output, &mut said).expect("its output");
        (self.line()["ended"]["exit_code"].clone(), said)
    }

    /// It does not start, and says why.
    #[track_caller]
    fn refuses(mut self) -> String {
        let said = self.line();
        let why = said["failed"].as_str();
        why.unwrap_or_else(|| panic!("{said}")).to_owned()
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = self.channel.shutdown(std::net::Shutdown::Both);
        let _ = self.process.wait();
    }
}

fn plan(mounts: &[Value]) -> Value {
    json!({
        "mounts": mounts, "links": [], "files": [], "allow_userns": false, "processes": null,
        "scratch_percent": 1,
    })
}

fn host(source: &Path, target: impl AsRef<Path>, identity: Value) -> Value {
    let what = json!({ "source": source, "identity": identity, "read_only": false });
    json!({ "target": target.as_ref(), "what": { "host": what } })
}

fn scratch(target: impl AsRef<Path>) -> Value {
    json!({ "target": target.as_ref(), "what": "scratch" })
}

fn identity(path: &Path) -> Value {
    let found = fs::symlink_metadata(path).expect("it is there");
    json!([found.dev(), found.ino()])
}

#[test]
fn a_project_that_is_another_directory_by_the_time_it_is_mounted_is_refused() {
    each("", |bench| {
        let project = bench.project();
        let looked_at = identity(project);
        let aside = bench.home.home().join("aside");
        fs::rename(project, &aside).expect("it is moved");
        fs::create_dir(project).expect("another one");
        bench.give(project);
        let mount = host(project, project, looked_at.clone());
        let why = Inside::new(bench, &plan(&[mount])).refuses();
        assert!(why.contains("another directory"), "{why}");
        fs::remove_dir(project).expect("it is empty");
        symlink(&aside, project).expect("a link");
        let mount = host(project, project, looked_at);
        let why = Inside::new(bench, &plan(&[mount])).refuses();
        assert!(why.contains("symbolic link"), "{why}");
    });
}

#[test]
fn a_link_on_the_way_to_a_source_is_refused() {
    each("", |bench| {
        let home = bench.home.home();
        fs::create_dir_all(home.join("real/data")).expect("a directory");
        symlink("real", home.join("link")).expect("a link");
        bench.give(&home);
        let mount = host(&home.join("link/data"), "/data", Value::Null);
        let why = Inside::new(bench, &plan(&[mount])).refuses();
        assert!(
            why.contains("symbolic link") && why.contains("link/data"),
            "{why}"
        );
    });
}

#[test]
fn no_link_in_a_project_leads_a_mount_anywhere_or_has_anything_made() {
    each("", |bench| {
        let (project, outside) = (bench.project(), bench.home.home().join("outside"));
        fs::create_dir(&outside).expect("a directory");
        symlink(&outside, project.join("link")).expect("a link");
        symlink(&outside, project.join(".vibepit")).expect("a link");
        symlink(outside.join("made"), project.join("dangling")).expect("a link");
        bench.give(&bench.home.home());
        let own = host(project, "/project", identity(project));
        let cover = json!({ "target": "/project/.vibepit", "what": "cover" });
        let file = host(Path::new("/etc/passwd"), "/project/dangling", Value::Null);
        for mount in [
            scratch("/project/link"),
            scratch("/project/link/below"),
            scratch("/project/dangling/below"),
            cover,
            file,
        ] {
            let why = Inside::new(bench, &plan(&[own.clone(), mount])).refuses();
            assert!(why.contains("symbolic link"), "{why}");
            assert_eq!(fs::read_dir(&outside).expect("a directory").count(), 0);
        }
        let why = Inside::new(bench, &plan(&[scratch("/project/../x")])).refuses();
        assert!(why.contains("no place"), "{why}");
    });
}

#[test]
fn an_inside_that_is_told_nonsense_ends() {
    each("", |bench| {
        for line in [json!({ "plan": plan(&[]) }), json!("no word of ours")] {
            let mut inside = Inside::new(bench, &plan(&[]));
            assert_eq!(inside.line(), json!("ready"));
            inside.tell(&line);
            let mut rest = String::new();
            inside.said.read_line(&mut rest).expect("its end");
            assert_eq!(rest, "");
            let ended = inside.process.wait().expect("its end");
            assert_eq!(ended.code(), Some(1));
        }
    });
}

/// The wall behind the one that hides the socket: the sandbox has its owner's uid.
#[test]
fn a_peer_in_a_sandbox_is_refused_by_the_control_plane_even_if_it_sees_the_socket() {
    if !require("user-namespaces") || !require("curl") {
        return;
    }
    let proxy = Proxy::start("");
    let bench = Local::new("", None);
    let socket = proxy.socket();
    let directory = socket.parent().expect("a directory");
    let mut mounts = vec![host(directory, "/socket", Value::Null)];
    for tree in ["/usr", "/etc"] {
        mounts.push(host(Path::new(tree), tree, Value::Null));
    }
    let mut plan = plan(&mounts);
    let links = ["bin", "lib", "lib64"].into_iter().filter_map(|name| {
        let says = fs::read_link(Path::new("/").join(name)).ok()?;
        Some(json!([format!("/{name}"), says]))
    });
    plan["links"] = links.collect();
    let mut inside = Inside::new(&bench, &plan);
    assert_eq!(inside.line(), json!("ready"));
    let name = format!("/socket/{}", socket.file_name().expect("a name").display());
    let tried = [
        "curl",
        "-s",
        "-m",
        "60",
        "--unix-socket",
        &name,
        "http://vibepit/rules",
    ];
    let (code, said) = inside.run(&tried);
    assert_eq!(said, "", "no byte of an answer");
    // 7: it was over before curl had looked.
    assert!([7, 52, 55, 56].map(Value::from).contains(&code), "{code}");
    let audit = proxy.audit();
    let refused: Vec<_> = audit
        .iter()
        .filter(|line| line["event"] == "peer_refused")
        .collect();
    assert_eq!(refused.len(), 1, "{audit:?}");
    assert!(
        refused[0]["detail"].to_string().contains("user namespace"),
        "{refused:?}"
    );
    // Closed to all but its owner, and it is there all the same.
    let mode = fs::metadata(&socket)
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}
