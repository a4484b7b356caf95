//! Agents by name: what each is started with, what of the person's it is given, and what it is not.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli_terminal::Terminal;
use crate::docker::NO_NAMES;
use crate::support::local::{Local, each};
use crate::support::{Bench, Home, Ran, Running, binary, require};

/// What stands in a project of somebody who starts agents: a home, and vibepit as they call it.
struct Person<'a> {
    home: &'a Home,
    vibepit: Box<dyn Fn() -> Command + 'a>,
}

impl<'a> Person<'a> {
    fn local(bench: &'a Local) -> Self {
        let person = Self {
            home: &bench.home,
            vibepit: Box::new(|| {
                let mut command = bench.command(binary());
                command.env("VIBEPIT_RUNTIME", "local");
                command
            }),
        };
        person.install();
        person
    }

    fn docker(bench: &'a Bench) -> Self {
        let person = Self {
            home: &bench.home,
            vibepit: Box::new(|| bench.vibepit()),
        };
        person.install();
        person
    }

    /// A claude that runs its arguments, where its installer puts it.
    fn install(&self) {
        let bin = self.bin();
        fs::create_dir_all(&bin).expect("a directory");
        fs::copy("/usr/bin/env", bin.join("claude")).expect("a program");
        let login = self.home.home().join(".claude");
        fs::create_dir_all(&login).expect("a directory");
        fs::write(login.join(".credentials.json"), "outside").expect("a file");
        fs::write(self.home.home().join(".claude.json"), "settings").expect("a file");
    }

    fn bin(&self) -> PathBuf {
        self.home.home().join(".local/bin")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = (self.vibepit)();
        let path = std::env::var("PATH").expect("a PATH");
        command
            .env("PATH", format!("{}:{path}", self.bin().display()))
            .args(arguments);
        command
    }

    fn cli(&self, arguments: &[&str]) -> Ran {
        Ran::of(&mut self.command(arguments))
    }

    /// A script in claude's sandbox.
    fn claude(&self, script: &str) -> Ran {
        self.cli(&["claude", "--", "sh", "-c", script])
    }

    fn credentials(&self) -> String {
        let path = self.home.home().join(".claude/.credentials.json");
        fs::read_to_string(path).expect("the credentials")
    }
}

/// What holds on every runtime.
fn is_given_what_was_answered(person: &Person<'_>) {
    let look = "cat ~/.claude/.credentials.json ~/.claude.json 2>/dev/null; echo .";
    let ran = person.claude(look);
    assert_eq!(ran.stdout, ".\n", "nobody has answered: {ran:?}");
    let hint = "vibepit agents login claude --share .claude/.credentials.json";
    assert!(ran.stderr.contains(hint), "{ran:?}");

    let share = [
        "--share",
        ".claude/.credentials.json",
        "--copy",
        "~/.claude.json",
    ];
    person
        .cli(&[&["agents", "login", "claude"][..], &share].concat())
        .ok();
    let ran = person.claude(
        "cat ~/.claude/.credentials.json ~/.claude.json; echo inside >~/.claude/.credentials.json; \
         echo changed >~/.claude.json; touch ~/.claude/beside",
    );
    assert_eq!(ran.stdout, "outsidesettings", "{ran:?}");
    assert_eq!(person.credentials(), "inside\n");
    let own = fs::read_to_string(person.home.home().join(".claude.json"));
    assert_eq!(own.expect("a file"), "settings", "a copy is a copy");
    let ran = person.claude("cat ~/.claude/.credentials.json ~/.claude.json");
    assert_eq!(
        ran.stdout, "inside\nchanged\n",
        "a copy is made once: {ran:?}"
    );

    // Neither another agent nor a command of the project has any of it.
    let others = "ls -a ~ | grep claude; echo .";
    assert_eq!(person.cli(&["shell", "--", "sh", "-c", others]).ok(), ".\n");
    assert_eq!(person.cli(&["run", "--", "sh", "-c", others]).ok(), ".\n");
    person
        .cli(&[
            "agents",
            "login",
            "claude",
            "--no",
            ".claude/.credentials.json",
        ])
        .ok();
    let ran = person.claude("test -s ~/.claude/.credentials.json || echo none");
    assert_eq!(ran.stdout, "none\n", "{ran:?}");
}

#[test]
fn an_agent_is_given_what_was_answered_and_no_other_one_is() {
    each(NO_NAMES, |bench| {
        let person = Person::local(bench);
        bench.give(&bench.home.home());
        is_given_what_was_answered(&person);
        bench.is_clean();
    });
}

#[test]
fn an_agent_in_a_container_is_given_what_was_answered() {
    if !require("docker") {
        return;
    }
    let bench = Bench::new(NO_NAMES);
    is_given_what_was_answered(&Person::docker(&bench));
}

#[test]
fn an_agent_has_its_command_its_presets_and_the_variables_it_names() {
    if !require("user-namespaces") {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    let person = Person::local(&bench);
    let mut started = person.command(&["claude", "--", "sh"]);
    started
        .env("ANTHROPIC_API_KEY", "of the person's")
        .env("OTHER_TOKEN", "secret");
    let mut shell = Running::spawn(&mut started);
    shell.tell("echo \"$ANTHROPIC_API_KEY,$ANTHROPIC_MODEL,$OTHER_TOKEN.\"");
    assert_eq!(shell.line(), "of the person's,,.");
    let rules: Value = serde_json::from_str(&bench.cli(&["rules", "--json"]).ok()).expect("JSON");
    let rules = rules["rules"].as_array().expect("rules");
    let of_preset: Vec<&str> = rules
        .iter()
        .filter(|rule| rule["preset"] == "anthropic")
        .filter_map(|rule| rule["entry"].as_str())
        .collect();
    assert!(of_preset.contains(&"api.anthropic.com:443"), "{rules:?}");
    assert_eq!(of_preset.len(), rules.len(), "{rules:?}");
    assert_eq!(shell.end().0, Some(0));

    let mut given = person.command(&["claude", "--env", "ANTHROPIC_API_KEY=mine", "--", "sh"]);
    given.args(["-c", "echo $ANTHROPIC_API_KEY"]);
    given.env("ANTHROPIC_API_KEY", "of the person's");
    assert_eq!(Ran::of(&mut given).ok(), "mine\n");
    bench.is_clean();
}

#[test]
fn a_program_that_is_not_here_is_told_with_how_to_have_it() {
    if !require("user-namespaces") {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    let person = Person::local(&bench);
    let program = person.bin().join("claude");
    // A script has parts elsewhere, which the sandbox would not see.
    fs::write(&program, "#!/bin/sh\n").expect("a program");
    let ran = person.claude("true");
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("more than one file"), "{ran:?}");
    fs::remove_file(program).expect("a program");
    let ran = person.claude("true");
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr
            .contains("claude is not installed on this machine"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("npm install"), "{ran:?}");
    let shown = bench.cli(&["agents", "show", "claude"]).ok();
    assert!(
        shown.contains("not on this machine: npm install"),
        "{shown}"
    );
    bench.is_clean();
}

#[test]
fn links_in_either_home_are_not_followed() {
    if !require("user-namespaces") {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    let person = Person::local(&bench);
    let home = bench.home.home();
    let elsewhere = home.join("elsewhere");
    fs::create_dir(&elsewhere).expect("a directory");
    let files = [".claude/.credentials.json", ".claude.json"];
    let [share, copy] = files.map(|file| home.join(file));
    person
        .cli(&[
            "agents", "login", "claude", "--share", files[0], "--copy", files[1],
        ])
        .ok();
    for file in [&share, &copy] {
        fs::remove_file(file).expect("a file");
        fs::write(elsewhere.join("secret"), "secret").expect("a file");
        symlink(elsewhere.join("secret"), file).expect("a link");
        let ran = person.claude("true");
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("is a symbolic link"), "{ran:?}");
        fs::remove_file(file).expect("a link");
        fs::write(file, "plain").expect("a file");
    }
    // What an agent planted in its own home does not lead a later copy out of it.
    person
        .cli(&[
            "agents", "login", "claude", "--copy", files[0], "--copy", files[1],
        ])
        .ok();
    let plant = format!(
        "rm -rf ~/.claude ~/.claude.json; ln -s {0} ~/.claude",
        elsewhere.display()
    );
    person.claude(&plant).ok();
    let ran = person.claude("echo ran");
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
    assert!(
        ran.stderr.contains("symbolic link is on the way"),
        "{ran:?}"
    );
    let there = fs::read_dir(&elsewhere).expect("a directory").count();
    assert_eq!(there, 1, "nothing was written there");
    bench.is_clean();
}

#[test]
fn each_file_is_asked_about_once_on_a_terminal() {
    if !require("user-namespaces") {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    let person = Person::local(&bench);
    let mut terminal = Terminal::new();
    let start = |terminal: &Terminal| {
        let mut command = person.command(&["claude", "--", "cat"]);
        command
            .arg("/home/vibepit/.claude.json")
            .stdin(terminal.stdio())
            .stdout(Stdio::piped())
            .stderr(terminal.stdio());
        command.spawn().expect("vibepit runs")
    };
    let child = start(&terminal);
    let asked = terminal.shows("[s/c/n] > ");
    assert!(
        asked.contains("signed in by ~/.claude/.credentials.json"),
        "{asked}"
    );
    terminal.types("x\n");
    terminal.shows("[s/c/n] > ");
    terminal.types("n\n");
    let asked = terminal.shows("[s/c/n] > ");
    assert!(asked.contains("~/.claude.json"), "{asked}");
    terminal.types("c\n");
    let ran = Ran::from(child.wait_with_output().expect("its end"));
    assert_eq!(ran.stdout, "settings");
    let kept = fs::read_to_string(bench.home.config().join("vibepit/agents.toml"));
    let kept = kept.expect("the answers");
    assert!(
        kept.contains("[claude]\n\".claude.json\" = \"copy\"\n"),
        "{kept}"
    );
    // The second time nobody is asked.
    let ran = Ran::from(start(&terminal).wait_with_output().expect("its end"));
    assert_eq!(ran.stdout, "settings");
    let shown = bench.cli(&["agents", "show", "claude"]).ok();
    assert!(shown.contains("~/.claude/.credentials.json: no"), "{shown}");
    bench.is_clean();
}

fn write_agent(directory: &Path, name: &str, text: &str) {
    fs::create_dir_all(directory).expect("a directory");
    fs::write(directory.join(name), text).expect("an agent");
}

#[test]
fn agents_are_the_persons_and_never_a_projects() {
    if !require("user-namespaces") {
        return;
    }
    let bench = Local::new(NO_NAMES, None);
    let own = bench.home.config().join("vibepit/agents");
    let evil = "description = \"evil\"\ncommand = [\"sh\", \"-c\", \"echo evil\"]\n";
    write_agent(
        &bench.project().join(".vibepit/agents"),
        "claude.toml",
        evil,
    );
    write_agent(&bench.project().join(".vibepit/agents"), "evil.toml", evil);
    write_agent(
        &own,
        "mine.toml",
        "description = \"my own\"\ncommand = [\"echo\", \"mine\"]\n",
    );
    let listed: Value = serde_json::from_str(&bench.cli(&["agents", "--json"]).ok()).expect("JSON");
    let names: Vec<&str> = listed["agents"]
        .as_array()
        .expect("agents")
        .iter()
        .filter_map(|agent| agent["name"].as_str())
        .collect();
    let expected = [
        "aider", "claude", "codex", "gemini", "mine", "opencode", "shell",
    ];
    assert_eq!(names, expected);
    let mut mine = bench.command(binary());
    mine.args(["mine", "--runtime", "local", "--", "too"]);
    assert_eq!(Ran::of(&mut mine).ok(), "mine too\n");

    write_agent(
        &own,
        "broken.toml",
        "description = \"x\"\ncommand = [\"x\"]\nlogin = [\"../x\"]\n",
    );
    let ran = bench.cli(&["agents"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("agents/broken.toml:3:10: "), "{ran:?}");
    fs::remove_file(own.join("broken.toml")).expect("an agent");
    // A directory by an agent's name goes behind `run`.
    fs::create_dir(bench.project().join("mine")).expect("a directory");
    let mut run = bench.command(binary());
    run.args(["run", "--runtime", "local", "mine", "--", "pwd"]);
    let there = format!("{}\n", bench.project().join("mine").display());
    assert_eq!(Ran::of(&mut run).ok(), there);
    assert_eq!(bench.cli(&["agents", "show", "nobody"]).code, Some(2));
    bench.is_clean();
}
