//! A project's own settings: shown, trusted as they are, and not honoured when they have changed.
//! And `config init` and `config show`.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::PathBuf;

use serde_json::Value;

use crate::cli_terminal::Terminal;
use crate::support::local::Local;
use crate::support::{Home, Ran, require};

struct Place {
    home: Home,
    project: PathBuf,
}

impl Place {
    fn new(settings: &str) -> Self {
        let home = Home::new();
        let project = home.home().join("project");
        fs::create_dir_all(project.join(".vibepit")).expect("the project");
        let place = Self { home, project };
        place.says(settings);
        place
    }

    fn says(&self, settings: &str) {
        fs::write(self.file(), settings).expect("its settings");
    }

    fn file(&self) -> PathBuf {
        self.project.join(".vibepit/config.toml")
    }

    fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(
            self.home
                .vibepit()
                .args(arguments)
                .current_dir(&self.project),
        )
    }

    /// What holds, as `key value origin`.
    fn effective(&self) -> Vec<String> {
        let shown = self.cli(&["config", "show", "--effective", "--json"]).ok();
        let shown: Value = serde_json::from_str(&shown).expect("JSON");
        let lines = shown["lines"].as_array().expect("lines").iter();
        let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
        let line = |line: &Value| {
            let preset = text(line, "preset");
            let origin = format!("{} {preset}", text(line, "origin"));
            format!(
                "{} {} {}",
                text(line, "key"),
                text(line, "value"),
                origin.trim()
            )
        };
        lines.map(line).collect()
    }
}

const ALLOWS: &str = "allow a.test repository";

#[test]
fn a_projects_settings_hold_once_they_are_trusted_and_no_longer_when_they_have_changed() {
    let place = Place::new("allow = [\"a.test\"]\ndeny = [\"b.test\"]\npresets = [\"hex\"]\n");
    assert!(!place.effective().iter().any(|line| line == ALLOWS));
    // Nobody can be asked here.
    let ran = place.cli(&["trust"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("--yes"), "{ran:?}");
    let shown = place.cli(&["trust", "--yes"]).ok();
    assert!(shown.contains("\n+ allow = [\"a.test\"]\n"), "{shown}");
    assert!(
        shown.contains("preset hex opens repo.hex.pm:443, builds.hex.pm:443"),
        "{shown}"
    );
    let held = place.effective();
    for line in [
        ALLOWS,
        "deny b.test repository",
        "allow repo.hex.pm:443 preset hex",
    ] {
        assert!(held.iter().any(|one| one == line), "{line}: {held:?}");
    }
    place.says("allow = [\"a.test\", \"wide.test\"]\ndeny = [\"b.test\"]\npresets = [\"hex\"]\n");
    let held = place.effective();
    assert!(
        !held.iter().any(|line| line.contains("repository")),
        "{held:?}"
    );
    let shown = place.cli(&["trust", "--show"]);
    for part in [
        "beside what was trusted last",
        "\n- allow = [\"a.test\"]\n",
        "\n+ allow = [\"a.test\", \"wide.test\"]\n",
        "\n  deny = [\"b.test\"]\n",
    ] {
        assert!(shown.stdout.contains(part), "{part}: {shown:?}");
    }
    assert!(
        !place.effective().iter().any(|line| line == ALLOWS),
        "shown is not trusted"
    );
    place.cli(&["trust", "--yes"]).ok();
    assert!(
        place
            .effective()
            .iter()
            .any(|line| line == "allow wide.test repository")
    );
    place.cli(&["trust", "--revoke"]).ok();
    assert!(!place.effective().iter().any(|line| line == ALLOWS));
    // Another project of the same content is another project.
    let other = place.home.home().join("other");
    fs::create_dir_all(other.join(".vibepit")).expect("a project");
    fs::copy(place.file(), other.join(".vibepit/config.toml")).expect("a copy");
    place.cli(&["trust", "--yes"]).ok();
    let shown = Ran::of(
        place
            .home
            .vibepit()
            .args(["trust", "--show"])
            .current_dir(&other),
    );
    assert!(shown.stdout.contains("never trusted"), "{shown:?}");
}

#[test]
fn what_opens_the_machine_is_not_trusted_and_nothing_in_the_file_steers_a_terminal() {
    for (key, value) in [
        ("allow_cidr", "[\"10.0.0.0/8\"]"),
        ("allow_host_ports", "[5432]"),
        ("notify_command", "[\"x\"]"),
        ("upstream_dns", "[\"192.0.2.1\"]"),
        ("image", "\"x\""),
    ] {
        let place = Place::new(&format!("allow = [\"a.test\"]\n{key} = {value}\n"));
        let ran = place.cli(&["trust", "--yes"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(
            ran.stderr.contains(key) && ran.stderr.contains("config.toml:2:1: "),
            "{ran:?}"
        );
        assert!(!place.effective().iter().any(|line| line == ALLOWS));
    }
    let place = Place::new("allow = [\"a.test\"] # \u{202e}\nallow = [\"\u{1b}]0;x\u{7}\"]\n");
    let ran = place.cli(&["trust", "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said}");
}

#[test]
fn settings_behind_a_link_are_not_read() {
    let place = Place::new("");
    let elsewhere = place.home.home().join("elsewhere.toml");
    fs::write(&elsewhere, "allow = [\"a.test\"]\n").expect("a file");
    fs::remove_file(place.file()).expect("it goes");
    symlink(&elsewhere, place.file()).expect("a link");
    let ran = place.cli(&["trust", "--yes"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("symbolic link"), "{ran:?}");
    fs::remove_dir_all(place.project.join(".vibepit")).expect("it goes");
    let directory = place.home.home().join("meta");
    fs::create_dir(&directory).expect("a directory");
    fs::copy(&elsewhere, directory.join("config.toml")).expect("a copy");
    symlink(&directory, place.project.join(".vibepit")).expect("a link");
    let ran = place.cli(&["trust", "--yes"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("symbolic link"), "{ran:?}");
    fs::remove_file(place.project.join(".vibepit")).expect("it goes");
    let ran = place.cli(&["trust"]);
    assert!(ran.stderr.contains("nothing to trust"), "{ran:?}");
}

#[test]
fn a_person_at_a_terminal_is_asked_and_a_yes_is_a_yes() {
    let place = Place::new("allow = [\"a.test\"]\n");
    for (answer, code) in [("n\r", 1), ("y\r", 0)] {
        let mut terminal = Terminal::new();
        let mut child = place
            .home
            .vibepit()
            .args(["trust"])
            .current_dir(&place.project)
            .stdin(terminal.stdio())
            .stdout(terminal.stdio())
            .stderr(terminal.stdio())
            .spawn()
            .expect("vibepit runs");
        let shown = terminal.shows("[y/N] ");
        assert!(shown.contains("+ allow = [\"a.test\"]"), "{shown}");
        terminal.types(answer);
        assert_eq!(child.wait().expect("its end").code(), Some(code));
    }
    assert!(place.effective().iter().any(|line| line == ALLOWS));
}

#[test]
fn a_session_has_what_a_trusted_project_says_and_names_what_is_not_trusted() {
    if !require("user-namespaces") {
        return;
    }
    let bench = Local::new("", None);
    fs::create_dir(bench.project().join(".vibepit")).expect("a directory");
    let file = bench.project().join(".vibepit/config.toml");
    fs::write(&file, "allow = [\"a.test\"]\n").expect("its settings");
    let ran = bench.run(&[], "true");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let named = |line: &&str| line.contains("is not trusted") && line.contains("vibepit trust");
    assert_eq!(ran.stderr.lines().filter(named).count(), 1, "{ran:?}");
    bench.cli(&["trust", "--yes"]).ok();
    let shell = bench.shell(&[]);
    let rules: Value = serde_json::from_str(&bench.cli(&["rules", "--json"]).ok()).expect("JSON");
    let rule = &rules["rules"][0];
    assert_eq!(
        (&rule["entry"], &rule["origin"]),
        (&"a.test".into(), &"repository".into())
    );
    drop(shell);
    fs::write(&file, "allow = [\"b.test\"]\n").expect("its settings");
    let ran = bench.run(&[], "true");
    assert!(
        ran.stderr.contains("has changed since it was trusted"),
        "{ran:?}"
    );
}

#[test]
fn config_init_writes_a_file_that_can_be_used_and_never_over_one() {
    let home = Home::new();
    let file = home.cli(&["config", "init"]).ok();
    let file = PathBuf::from(file.trim_end());
    assert_eq!(file, home.config().join("vibepit/config.toml"));
    home.cli(&["config", "check"]).ok();
    fs::write(&file, "allow = [\"mine.test\"]\n").expect("a file");
    let ran = home.cli(&["config", "init"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("is there already"), "{ran:?}");
    assert_eq!(
        fs::read_to_string(&file).expect("it"),
        "allow = [\"mine.test\"]\n"
    );
}

#[test]
fn every_line_that_holds_is_shown_with_where_it_comes_from() {
    let place = Place::new("allow = [\"theirs.test\"]\napproval_timeout = \"9m\"\n");
    place.cli(&["trust", "--yes"]).ok();
    let own = "allow = [\"own.test\"]\npresets = [\"hex\"]\napproval_timeout = \"2m\"\n\
               allow_host_ports = [5432]\nunlisted_domain_behavior = \"request_approval\"\n";
    place.home.write_own_config(own);
    let decisions = place.home.state().join("vibepit/decisions");
    let made = fs::DirBuilder::new().mode(0o700).create(&decisions);
    made.expect("the directory of decisions");
    fs::write(decisions.join("global.toml"), "deny = [\"saved.test\"]\n").expect("a decision");
    let expected = [
        "allow own.test config",
        "presets hex config",
        "allow_host_ports 5432 config",
        "unlisted_domain_behavior request_approval config",
        "approval_timeout 120s config",
        "allow theirs.test repository",
        "allow repo.hex.pm:443 preset hex",
        "allow builds.hex.pm:443 preset hex",
        "deny saved.test decision",
        "unattended_timeout 120s default",
    ];
    assert_eq!(place.effective(), expected);
    let table = place.cli(&["config", "show"]).ok();
    assert!(
        table.contains("theirs.test") && !table.contains("hex.pm"),
        "{table}"
    );
}
