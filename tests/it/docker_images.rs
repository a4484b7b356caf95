//! `vibepit run --image`: images that are here, that are pulled, and that cannot be had.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use tempfile::TempDir;

use crate::docker::NO_NAMES;
use crate::support::{Bench, closed_port, engine, require};

/// An image with nothing but a shell, taken away at the end.
pub(crate) struct Busybox(pub(crate) String);

impl Busybox {
    /// `None` where there is no static busybox to make it of.
    pub(crate) fn import() -> Option<Self> {
        Self::with(&["sh", "cat", "ls", "wget", "id", "sleep"], &[])
    }

    /// The same with what the laws of every place are asked with: more of busybox, and curl.
    pub(crate) fn for_laws() -> Option<Self> {
        let curl = "/usr/bin/curl";
        let ldd = Command::new("ldd").arg(curl).output().expect("ldd runs");
        let libraries = String::from_utf8(ldd.stdout).expect("UTF-8");
        let words = libraries.split_whitespace();
        let paths: Vec<&str> = words.filter(|word| word.starts_with('/')).collect();
        let applets = [
            "sh", "cat", "ls", "wget", "id", "grep", "find", "test", "sleep", "touch", "stty",
            "echo", "true",
        ];
        Self::with(&applets, &[&[curl], &paths[..]].concat())
    }

    /// With these programs of busybox's, and these files of this machine.
    fn with(applets: &[&str], files: &[&str]) -> Option<Self> {
        let program = fs::read("/bin/busybox").ok()?;
        // Each is an image of its own, so that taking one away takes no other's.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let own = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let root = tempfile::tempdir().expect("a directory");
        let bin = root.path().join("bin");
        fs::create_dir(&bin).expect("a directory");
        fs::write(bin.join("busybox"), program).expect("the program");
        fs::write(root.path().join("bin/.own"), &own).expect("its number");
        fs::set_permissions(bin.join("busybox"), fs::Permissions::from_mode(0o755)).expect("mode");
        for name in applets {
            symlink("busybox", bin.join(name)).expect("a link");
        }
        for file in files {
            let place = root.path().join(file.trim_start_matches('/'));
            fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
            fs::copy(file, place).expect("a copy");
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-c", "."])
            .output();
        let name = format!("vibepit-it-busybox-{own}");
        let path = format!("/images/create?fromSrc=-&repo={name}&tag=1");
        let made = engine::call("POST", &path, &tar.expect("tar runs").stdout);
        assert_eq!(made.status(), 200, "{}", made.text());
        Some(Self(format!("{name}:1")))
    }
}

impl Busybox {
    /// Puts it into a registry under this name, and takes it out of the engine.
    #[track_caller]
    fn push(self, name: &str) {
        let (repository, tag) = name.rsplit_once(':').expect("a tag");
        let path = format!("/images/{}/tag?repo={repository}&tag={tag}", self.0);
        assert_eq!(engine::call("POST", &path, b"").status(), 201);
        let pushed = engine::call("POST", &format!("/images/{repository}/push?tag={tag}"), b"");
        assert_eq!(pushed.status(), 200);
        assert!(!pushed.text().contains("\"error\""), "{}", pushed.text());
        forget(name);
    }
}

fn forget(image: &str) {
    engine::call("DELETE", &format!("/images/{image}?force=1"), b"");
}

/// A registry on the loopback, which engines use without TLS.
struct Registry {
    child: Child,
    port: u16,
    _files: TempDir,
}

impl Registry {
    fn start() -> Self {
        let files = tempfile::tempdir().expect("a directory");
        let port = closed_port();
        let config = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: \
             127.0.0.1:{port}\n",
            files.path().display()
        );
        let path = files.path().join("config.yml");
        fs::write(&path, config).expect("its configuration");
        let mut child = Command::new("docker-registry")
            .arg("serve")
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the registry starts");
        let mut said = BufReader::new(child.stderr.take().expect("its log")).lines();
        let listens = |line: &std::io::Result<String>| {
            line.as_ref().expect("a line").contains("listening on")
        };
        assert!(said.any(|line| listens(&line)), "it listens");
        // Its log is read on, lest it wait for a reader.
        thread::spawn(move || said.count());
        Self {
            child,
            port,
            _files: files,
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn an_image_that_is_not_here_is_pulled() {
    if !require("docker") || !require("busybox") || !require("docker-registry") {
        return;
    }
    let Some(image) = Busybox::import() else {
        return;
    };
    let registry = Registry::start();
    let name = format!("127.0.0.1:{}/team/tool:1", registry.port);
    image.push(&name);
    let bench = Bench::new(NO_NAMES);
    let ran = bench.run(&["--image", &name], "ls /bin/busybox");
    assert_eq!(
        (ran.code, &*ran.stdout),
        (Some(0), "/bin/busybox\n"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains(&format!("pulling {name}")), "{ran:?}");
    // It is here now: the registry is not asked again.
    drop(registry);
    assert_eq!(
        bench.run(&["--image", &name], "ls /bin/sh").ok(),
        "/bin/sh\n"
    );
    forget(&name);
    bench.is_clean();
}

impl Drop for Busybox {
    fn drop(&mut self) {
        engine::call("DELETE", &format!("/images/{}?force=1", self.0), b"");
    }
}

#[test]
fn an_image_takes_the_place_of_the_hosts_programs() {
    if !require("docker") || !require("busybox") {
        return;
    }
    let Some(image) = Busybox::import() else {
        return;
    };
    let bench = Bench::new(NO_NAMES);
    let script = "ls /usr 2>&1; ls /bin; echo kept >~/kept; cat ~/kept; echo made >made";
    let ran = bench.run(&["--image", &image.0], script);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stdout
            .ends_with("busybox\ncat\nid\nls\nsh\nsleep\nwget\nkept\n"),
        "{ran:?}"
    );
    assert!(bench.project().join("made").exists());
    bench.is_clean();
}

#[test]
fn an_image_that_cannot_be_had_is_an_error_that_says_what_to_do() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    // A registry at this machine at which nobody listens.
    let image = format!("127.0.0.1:{}/none/such:1", closed_port());
    let ran = bench.run(&["--image", &image], "true");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for part in [image.as_str(), "could not be pulled", "docker pull"] {
        assert!(ran.stderr.contains(part), "{ran:?}");
    }
    bench.is_clean();
}
