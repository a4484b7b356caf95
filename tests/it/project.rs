//! A project that is out to get vibepit: what stands in place of its files, what they are called,
//! and what is put in its own place while a session starts. On every runtime there is.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::docker::NO_NAMES;
use crate::support::{Bench, Deed, Middleman, Ran, require};

/// A way to run a sandbox.
pub(crate) struct Runtime {
    needs: &'static [&'static str],
    pub(crate) options: &'static [&'static str],
}

/// The bench asks an engine what is left, also of sandboxes that no engine made.
const RUNTIMES: &[Runtime] = &[
    Runtime {
        needs: &["docker"],
        options: &["--runtime", "docker"],
    },
    Runtime {
        needs: &["docker", "user-namespaces"],
        options: &["--runtime", "local"],
    },
];

/// Those that this machine has.
pub(crate) fn runtimes() -> impl Iterator<Item = &'static Runtime> {
    let is_here = |runtime: &&Runtime| runtime.needs.iter().all(|need| require(need));
    RUNTIMES.iter().filter(is_here)
}

/// `vibepit run PATH -- sh -c SCRIPT`.
fn run_at(bench: &Bench, runtime: &Runtime, path: &Path, script: &str) -> Ran {
    let mut vibepit = bench.vibepit();
    vibepit.arg("run").args(runtime.options).arg(path);
    Ran::of(vibepit.args(["--", "sh", "-c", script]))
}

/// Nothing in it could steer a terminal, or show a text in another order than it has.
#[track_caller]
fn is_harmless(text: &str) {
    let hostile = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(hostile), "{text:?}");
}

/// CTL-018.
#[test]
fn whatever_stands_in_place_of_the_projects_settings_is_refused_by_name_and_not_touched() {
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let own = bench.home.config().join("vibepit");
        let secret = bench.home.home().join("secret");
        mkfifo(&secret, Mode::S_IRWXU).expect("who reads it waits for ever");
        let settings = bench.project().join(".vibepit");
        let before = fs::read_dir(&own).expect("its entries").count();
        let link = |to: &Path| symlink(to, &settings).expect("a link");
        let stands_there: [(&str, &dyn Fn()); 7] = [
            ("symbolic link", &|| link(&own)),
            ("symbolic link", &|| link(&secret)),
            ("symbolic link", &|| link(Path::new("nowhere"))),
            ("symbolic link", &|| link(Path::new("."))),
            ("file", &|| {
                fs::write(&settings, "allow = [\"*\"]").expect("a file")
            }),
            ("named pipe", &|| {
                mkfifo(&settings, Mode::S_IRWXU).expect("a pipe")
            }),
            ("socket", &|| {
                drop(UnixListener::bind(&settings).expect("a socket"))
            }),
        ];
        for (what, put) in stands_there {
            put();
            let ran = bench.run(runtime.options, "echo started");
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
            let named = format!("{} is a {what}", settings.display());
            assert!(ran.stderr.contains(&named), "{ran:?}");
            assert!(ran.stderr.contains("remove it"), "{ran:?}");
            fs::remove_file(&settings).expect("it is as it was");
            bench.is_clean();
        }
        assert_eq!(fs::read_dir(&own).expect("its entries").count(), before);
        assert_eq!(bench.run(runtime.options, "echo started").ok(), "started\n");
    }
}

#[test]
fn a_link_on_the_way_is_gone_from_the_path_of_the_project() {
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let link = bench.home.home().join("link");
        symlink(bench.project(), &link).expect("a link");
        let deep = bench.project().join("deep");
        fs::create_dir(&deep).expect("a directory");
        for (path, here) in [(&link, bench.project()), (&link.join("deep"), &*deep)] {
            let ran = run_at(&bench, runtime, path, "pwd");
            assert_eq!(ran.ok(), format!("{}\n", here.display()));
        }
        bench.forget_volumes(&deep);
        bench.is_clean();
    }
}

#[test]
fn a_project_is_known_by_any_name_or_refused_and_its_name_steers_no_terminal() {
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let base = bench.home.home().join("names");
        let long = "l".repeat(255);
        let deep: PathBuf = [long.as_str(); 6].iter().collect();
        let good = [
            "with blank".as_bytes(),
            "co:lon,comma=\"quote\"'\\".as_bytes(),
            "gr\u{fc}n".as_bytes(),
            "abc\u{202e}cba".as_bytes(),
            "$(touch /tmp/run) `x` ; %s".as_bytes(),
            deep.as_os_str().as_bytes(),
        ];
        let bad = [
            &b"new\nline"[..],
            b"\x1b]0;owned\x07",
            b"\xff\xfe",
            b"tab\tbed",
        ];
        for (names, code) in [(&good[..], 0), (&bad[..], 2)] {
            for name in names {
                let path = base.join(OsStr::from_bytes(name));
                fs::create_dir_all(&path).expect("a directory");
                let ran = run_at(&bench, runtime, &path, "pwd");
                assert_eq!(ran.code, Some(code), "{ran:?}");
                is_harmless(&ran.stderr);
                let pwd = format!("{}\n", path.display());
                let printed = if code == 0 { &*pwd } else { "" };
                assert_eq!(ran.stdout, printed);
                assert!(
                    ran.stderr
                        .contains(if code == 0 { "project" } else { "rename it" })
                );
                bench.is_clean();
                bench.forget_volumes(&path);
            }
        }
    }
}

#[test]
fn nothing_in_a_project_makes_a_session_wait_or_read_outside_of_it() {
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let outside = bench.home.home().join("outside");
        fs::create_dir_all(outside.join("hooks")).expect("a directory");
        for pipe in ["config", "commondir", "hooks/pre-commit"] {
            mkfifo(&outside.join(pipe), Mode::S_IRWXU).expect("who reads it waits for ever");
        }
        let at = |path: &str| bench.project().join(path);
        let link = |to: &Path, path: &str| symlink(to, at(path)).expect("a link");
        let empty = || {
            for entry in fs::read_dir(bench.project()).expect("entries") {
                let path = entry.expect("an entry").path();
                let directory = path.symlink_metadata().expect("its kind").is_dir();
                let gone = if directory {
                    fs::remove_dir_all
                } else {
                    fs::remove_file
                };
                gone(&path).expect("it is gone");
            }
        };
        let pointer = format!("gitdir: {}\n", outside.display());
        let makes: [&dyn Fn(); 6] = [
            &|| link(&outside, ".git"),
            &|| fs::write(at(".git"), &pointer).expect("a file"),
            &|| mkfifo(&at(".git"), Mode::S_IRWXU).expect("a pipe"),
            &|| {
                let endless = fs::File::create(at(".git")).expect("a file");
                endless.set_len(1 << 40).expect("its size");
            },
            &|| {
                fs::create_dir(at(".git")).expect("a directory");
                link(&outside.join("config"), ".git/config");
                link(&outside.join("hooks"), ".git/hooks");
                link(Path::new("/dev/zero"), ".envrc");
                link(Path::new("loop"), "loop");
                link(Path::new("../loop/.."), ".git/modules");
            },
            &|| {
                fs::create_dir_all(at(".git/hooks")).expect("a directory");
                mkfifo(&at(".git/config"), Mode::S_IRWXU).expect("a pipe");
                mkfifo(&at(".git/hooks/pre-commit"), Mode::S_IRWXU).expect("a pipe");
                fs::create_dir(at(".envrc")).expect("a directory");
                for name in [&b"\x1b[2J"[..], b"\xff", b"a\nb"] {
                    fs::write(at(".git/hooks").join(OsStr::from_bytes(name)), "x").expect("a file");
                }
            },
        ];
        for make in makes {
            make();
            let ran = bench.run(runtime.options, "echo started");
            assert_eq!(
                ran.stderr.matches("while the session ran").count(),
                0,
                "{ran:?}"
            );
            is_harmless(&ran.stderr);
            assert_eq!(ran.ok(), "started\n");
            empty();
        }
        bench.is_clean();
    }
}

/// A project, and a directory of the person's that is put in its place.
#[derive(Clone)]
struct Swap {
    project: PathBuf,
    aside: PathBuf,
    victim: PathBuf,
}

impl Swap {
    fn of(bench: &Bench) -> Self {
        let victim = bench.home.home().join("victim");
        fs::create_dir(&victim).expect("a directory");
        fs::write(victim.join("secret"), "the person's own\n").expect("a file");
        Self {
            project: bench.project().to_owned(),
            aside: bench.home.home().join("aside"),
            victim,
        }
    }

    fn by_link(&self) {
        fs::rename(&self.project, &self.aside).expect("it is moved away");
        symlink(&self.victim, &self.project).expect("a link");
    }

    fn by_directory(&self) {
        fs::rename(&self.project, &self.aside).expect("it is moved away");
        fs::rename(&self.victim, &self.project).expect("another one is there");
    }

    fn back(&self) {
        if self
            .project
            .symlink_metadata()
            .is_ok_and(|found| found.is_symlink())
        {
            fs::remove_file(&self.project).expect("the link is gone");
        } else {
            fs::rename(&self.project, &self.victim).expect("it is moved back");
        }
        fs::rename(&self.aside, &self.project).expect("it is moved back");
    }
}

fn nothing(_: &Swap) {}

/// The engine mounts by path: this is what it could be made to mount.
#[test]
fn a_project_that_is_replaced_while_its_session_starts_is_not_the_sandboxs() {
    if !require("docker") {
        return;
    }
    const CREATE: &str = "-sandbox&platform=";
    // Then it is mounted, and the sandbox has that mount.
    const MOUNT: &str = "-holder/start";
    type Do = fn(&Swap);
    let cases: [(&str, Do, Do, &str); 7] = [
        (
            CREATE,
            Swap::by_link,
            nothing,
            "leads through something else",
        ),
        (CREATE, Swap::by_directory, nothing, "another directory"),
        // Only at the moment of the mount: before and after, all is as it should be.
        (MOUNT, Swap::by_link, Swap::back, "another directory"),
        (MOUNT, Swap::by_directory, Swap::back, "another directory"),
        (
            CREATE,
            |swap| fs::rename(&swap.project, &swap.aside).expect("moved"),
            nothing,
            "gone",
        ),
        (
            CREATE,
            |swap| fs::create_dir(swap.project.join(".vibepit")).expect("settings"),
            nothing,
            "there was none",
        ),
        (
            CREATE,
            |swap| symlink(&swap.victim, swap.project.join(".vibepit")).expect("a link"),
            nothing,
            "symbolic link",
        ),
    ];
    for (request, before, after, now) in cases {
        let bench = Bench::new(NO_NAMES);
        let swap = Swap::of(&bench);
        let (first, second) = (swap.clone(), swap.clone());
        let middleman = Middleman::new(
            &bench.home.runtime().join("engine.sock"),
            Deed {
                request,
                before: Box::new(move || before(&first)),
                after: Box::new(move || after(&second)),
            },
        );
        let script = "echo began > mark; cat secret; echo started; exec sleep 20";
        let ran = Ran::of(
            bench
                .vibepit()
                .env("DOCKER_HOST", middleman.host())
                .args(["run", "--", "sh", "-c", script]),
        );
        assert!(middleman.is_done(), "{now}: {ran:?}");
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (Some(1), ""),
            "{now}: {ran:?}"
        );
        let named = ran.stderr.contains(&swap.project.display().to_string());
        assert!(named && ran.stderr.contains(now), "{now}: {ran:?}");
        // Not even for a moment.
        for place in [&swap.project, &swap.aside, &swap.victim] {
            assert!(!place.join("mark").exists(), "{now}: {ran:?}");
        }
        bench.is_clean();
    }
}

#[test]
fn a_command_has_the_project_that_was_checked_whatever_is_at_its_path_when_it_starts() {
    if !require("docker") {
        return;
    }
    for replace in [Swap::by_link, Swap::by_directory] {
        let bench = Bench::new(NO_NAMES);
        let swap = Swap::of(&bench);
        fs::write(swap.project.join("own"), "of the project\n").expect("a file");
        let (first, second) = (swap.clone(), swap.clone());
        let middleman = Middleman::new(
            &bench.home.runtime().join("engine.sock"),
            Deed {
                request: "-sandbox/start",
                before: Box::new(move || replace(&first)),
                after: Box::new(move || second.back()),
            },
        );
        let ran = Ran::of(bench.vibepit().env("DOCKER_HOST", middleman.host()).args([
            "run",
            "--",
            "sh",
            "-c",
            "echo began > mark; cat own; ls",
        ]));
        assert!(middleman.is_done(), "{ran:?}");
        assert_eq!(ran.ok(), "of the project\nmark\nown\n");
        assert!(swap.project.join("mark").exists());
        assert!(!swap.victim.join("mark").exists());
        bench.is_clean();
    }
}

#[test]
fn a_session_starts_through_somebody_who_hands_everything_on() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    let deed = Deed {
        request: "-sandbox/start",
        before: Box::new(|| ()),
        after: Box::new(|| ()),
    };
    let middleman = Middleman::new(&bench.home.runtime().join("engine.sock"), deed);
    let ran = Ran::of(
        bench
            .vibepit()
            .env("DOCKER_HOST", middleman.host())
            .args(["run", "--", "echo", "started"]),
    );
    assert!(middleman.is_done());
    assert_eq!(ran.ok(), "started\n");
    bench.is_clean();
}

#[test]
fn a_work_tree_whose_repository_is_elsewhere_is_told_so_and_can_be_given_it() {
    for runtime in runtimes() {
        if !require("git") {
            return;
        }
        let bench = Bench::new(NO_NAMES);
        let main = bench.home.home().join("main tree");
        let git = |directory: &Path, arguments: &[&str]| {
            let mut git = bench.home.command("git");
            Ran::of(git.arg("-C").arg(directory).args(arguments)).ok()
        };
        fs::create_dir(&main).expect("a directory");
        git(&main, &["init", "-q"]);
        let user = ["-c", "user.name=a", "-c", "user.email=a@b"];
        git(
            &main,
            &[&user[..], &["commit", "-q", "--allow-empty", "-m", "first"]].concat(),
        );
        let project = bench.project().to_str().expect("UTF-8");
        git(&main, &["worktree", "add", "-q", project]);
        let script = "git log --format=%s";
        let ran = bench.run(runtime.options, script);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(128), ""), "{ran:?}");
        let volume = format!("{0}:{0}", main.join(".git").display());
        let told = format!("--volume '{}/.git':'{0}/.git'", main.display());
        assert!(
            ran.stderr.contains("git will not work in the sandbox"),
            "{ran:?}"
        );
        assert!(ran.stderr.contains(&told), "{ran:?}");
        let options = [runtime.options, &["--volume", &volume]].concat();
        assert_eq!(bench.run(&options, script).ok(), "first\n");
        bench.is_clean();
    }
}

/// What a system is installed or built in has the host's own view of itself mounted.
#[test]
fn a_project_with_the_kernels_own_files_or_an_engines_socket_mounted_in_it_is_refused() {
    for runtime in runtimes() {
        if !require("root") || !require("mount") {
            return;
        }
        let bench = Bench::new(NO_NAMES);
        let chroot = bench.project().join("chroot");
        for (mounts, named) in [
            (&["-t", "proc", "proc"][..], "processes or devices"),
            (&["--bind", "/dev"], "processes or devices"),
            (&["--bind", "/run"], ".sock"),
        ] {
            fs::create_dir(&chroot).expect("a directory");
            let mounted = Mounted::new(mounts, &chroot);
            let ran = bench.run(runtime.options, "echo started");
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
            assert!(ran.stderr.contains(named), "{ran:?}");
            let volume = format!("{}:/srv/x:ro", bench.project().display());
            let elsewhere = bench.another_project();
            let mut vibepit = bench.vibepit();
            vibepit.arg("run").args(runtime.options).arg(&elsewhere);
            let ran = Ran::of(vibepit.args(["--volume", &volume, "--", "echo", "started"]));
            assert_ne!(ran.code, Some(0), "{ran:?}");
            assert!(ran.stderr.contains(named), "{ran:?}");
            drop(mounted);
            fs::remove_dir(&chroot).expect("it is empty");
            fs::remove_dir(elsewhere).expect("it is empty");
        }
        bench.is_clean();
    }
}

/// Something mounted for a test.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    #[track_caller]
    fn new(what: &[&str], at: &'a Path) -> Self {
        let done = Command::new("mount").args(what).arg(at).status();
        assert!(done.expect("mount runs").success());
        Self(at)
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let done = Command::new("umount").arg(self.0).status();
        assert!(done.expect("umount runs").success());
    }
}
