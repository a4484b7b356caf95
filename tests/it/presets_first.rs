//! The first start in a project: what it looks as if it needed, what each would open, and the choice.

use std::fs;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::cli_terminal::Terminal;
use crate::support::local::Local;
use crate::support::{Ran, require};

/// A project that looks like two things, and one of cargo's whose settings name a mirror.
fn project() -> Option<Local> {
    if !require("user-namespaces") {
        return None;
    }
    let bench = Local::new("", None);
    for name in ["go.mod", "mix.exs", "Cargo.toml"] {
        fs::write(bench.project().join(name), "").expect("a file");
    }
    let cargo = bench.home.home().join(".cargo");
    fs::create_dir(&cargo).expect("a directory");
    let settings = "[source.x]\nregistry = \"https://cargo.mirror.test/\"\n";
    fs::write(cargo.join("config.toml"), settings).expect("its settings");
    Some(bench)
}

fn starting(bench: &Local, terminal: &Terminal) -> Child {
    let mut command = bench.vibepit(&[]);
    command
        .args(["--", "echo", "ran"])
        .env("NO_COLOR", "1")
        .stdin(terminal.stdio())
        .stdout(Stdio::piped())
        .stderr(terminal.stdio());
    command.spawn().expect("vibepit runs")
}

/// The presets that hold in the project by choice.
fn chosen(bench: &Local) -> Vec<String> {
    let shown = bench.cli(&["config", "show", "--effective", "--json"]).ok();
    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    let lines = shown["lines"].as_array().expect("lines").iter();
    let chosen = lines.filter(|line| line["origin"] == "chosen");
    chosen
        .map(|line| line["value"].as_str().expect("a name").to_owned())
        .collect()
}

#[test]
fn a_person_is_shown_what_each_preset_opens_and_the_choice_is_remembered() {
    let Some(bench) = project() else { return };
    let mut terminal = Terminal::new();
    let mut child = starting(&bench, &terminal);
    let asked = terminal.shows("\n> ");
    for part in [
        "[x]  1  cargo ",
        "opens cargo.mirror.test:443",
        "[x]  2  go ",
        "opens proxy.golang.org:443 sum.golang.org:443",
        "[x]  3  hex ",
    ] {
        assert!(asked.contains(part), "{part}: {asked}");
    }
    let wide = asked
        .lines()
        .filter(|line| line.trim_end().chars().count() > 80);
    // The project's path is as long as it is.
    assert_eq!(
        wide.filter(|line| !line.contains("First start")).count(),
        0,
        "{asked}"
    );
    assert!(!asked.contains('\u{1b}'), "{asked}");
    terminal.types("2 nuget\r");
    let asked = terminal.shows("\n> ");
    assert!(
        asked.contains("[ ]  2  go ") && asked.contains("[x]  4  nuget "),
        "{asked}"
    );
    terminal.types("nosuch 9\r");
    let asked = terminal.shows("\n> ");
    assert!(
        asked.contains("no preset \"nosuch\"") && asked.contains("no number 9"),
        "{asked}"
    );
    terminal.types("\r");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    assert_eq!(chosen(&bench), ["cargo", "hex", "nuget"]);

    // The second time nobody is asked.
    let mut child = starting(&bench, &terminal);
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    let left = fs::read_dir(bench.project()).expect("the project").count();
    assert_eq!(left, 3, "nothing is written to the project");
    bench.is_clean();
}

#[test]
fn none_is_an_answer_and_whoever_quits_or_interrupts_starts_nothing() {
    let Some(bench) = project() else { return };
    for typed in ["quit\r", "\u{4}", "\u{3}"] {
        let mut terminal = Terminal::new();
        let mut child = match typed {
            // Only a terminal of its own sends a signal.
            "\u{3}" if !require("setsid") => continue,
            "\u{3}" => {
                // Whoever runs the tests may have been started with the signal ignored, which is
                // handed on (signal(7)).
                let mut command = bench.command("env");
                command
                    .args(["--default-signal=INT", "setsid", "--ctty", "--wait"])
                    .arg(crate::support::binary())
                    .args(["run", "--runtime", "local", "--", "echo", "ran"])
                    .stdin(terminal.stdio())
                    .stdout(Stdio::piped())
                    .stderr(terminal.stdio());
                command.spawn().expect("setsid runs")
            }
            _ => starting(&bench, &terminal),
        };
        terminal.shows("\n> ");
        terminal.types(typed);
        assert_ne!(child.wait().expect("its end").code(), Some(0), "{typed:?}");
        assert_eq!(chosen(&bench), [""; 0]);
        let file = bench.home.state().join("vibepit/chosen");
        let kept = fs::read_dir(file).map_or(0, Iterator::count);
        assert_eq!(kept, 0, "{typed:?} is remembered");
        bench.is_clean();
    }
    let mut terminal = Terminal::new();
    let mut child = starting(&bench, &terminal);
    terminal.shows("\n> ");
    terminal.types("none\r");
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    assert_eq!(chosen(&bench), [""; 0]);
    let mut child = starting(&bench, &terminal);
    assert_eq!(
        child.wait().expect("its end").code(),
        Some(0),
        "none is remembered"
    );
}

#[test]
fn off_a_terminal_it_is_said_and_nothing_is_opened() {
    let Some(bench) = project() else { return };
    let ran = bench.run(&[], "true");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.stderr
            .contains("--preset cargo --preset go --preset hex"),
        "{ran:?}"
    );
    assert_eq!(chosen(&bench), [""; 0]);
    for options in [&["--no-presets"][..], &["--preset", "hex"]] {
        let ran = bench.run(options, "true");
        assert!(!ran.stderr.contains("looks as if"), "{ran:?}");
    }
    bench.home.write_own_config("presets = []\n");
    let ran = bench.run(&[], "true");
    assert!(!ran.stderr.contains("looks as if"), "{ran:?}");
    let up = bench.cli(&["up", "--runtime", "local", "--preset", "hex"]);
    assert_eq!(up.code, Some(0), "{up:?}");
    let rules: Value = serde_json::from_str(&bench.cli(&["rules", "--json"]).ok()).expect("JSON");
    assert_eq!(rules["rules"][0]["preset"], json!("hex"));
    bench.cli(&["down"]).ok();
    let _: Ran = up;
}
