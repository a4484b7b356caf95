//! What is written about vibepit is true: the generated pages and scripts are those of this very
//! binary, every command that is shown can be typed, every file that is named is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::openapi_schema::Described;
use crate::support::{Home, Ran, require};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// File names and contents of the manual pages in a directory.
fn pages(dir: &Path) -> BTreeMap<String, String> {
    let files = fs::read_dir(dir).expect("the pages").map(|file| {
        let path = file.expect("a page").path();
        let name = path.file_name().expect("a name").to_string_lossy();
        (name.into_owned(), path)
    });
    files
        .filter(|(name, _)| [".1", ".5", ".7"].iter().any(|end| name.ends_with(end)))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("a page")))
        .collect()
}

#[test]
fn the_manual_pages_are_those_of_this_binary() {
    let home = Home::new();
    let made = home.home().join("man");
    home.cli(&["man", "--dir", &made.to_string_lossy()]).ok();
    let (made, committed) = (pages(&made), pages(&root().join("man")));
    let how = "to make them anew: rm man/*.[157] && cargo run -- man --dir man";
    assert!(made.keys().eq(committed.keys()), "{how}");
    for (name, page) in made {
        assert!(page == committed[&name], "man/{name} is out of date; {how}");
    }
}

#[test]
fn a_page_is_printed_by_its_name_and_each_is_put_where_man_looks_for_it() {
    let home = Home::new();
    let made = home.home().join("share");
    home.cli(&["man", "--manpath", &made.to_string_lossy()])
        .ok();
    for (name, file) in [
        ("config", "man1/vibepit-config.1"),
        ("config.5", "man5/vibepit-config.5"),
        ("vibepit-security", "man7/vibepit-security.7"),
    ] {
        let page = fs::read_to_string(made.join(file)).expect("the page");
        assert!(home.cli(&["man", name]).ok() == page, "{file}");
    }
    let ran = home.cli(&["man", "poetry"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("vibepit-api.7"), "{ran:?}");
}

#[test]
fn the_completions_are_those_of_this_binary() {
    let home = Home::new();
    for (shell, file) in [
        ("bash", "contrib/completions/vibepit.bash"),
        ("zsh", "contrib/completions/_vibepit"),
        ("fish", "contrib/completions/vibepit.fish"),
    ] {
        assert!(
            home.cli(&["completions", shell]).ok() == read(file),
            "{file} is out of date; to make it anew: cargo run -- completions {shell} > {file}"
        );
    }
}

#[test]
fn the_manual_pages_are_set_without_a_warning() {
    if !require("groff") {
        return;
    }
    let home = Home::new();
    for name in pages(&root().join("man")).keys() {
        let mut groff = home.command("groff");
        groff
            .args(["-man", "-Tutf8", "-ww", "-z"])
            .arg(root().join("man").join(name));
        let ran = Ran::of(&mut groff);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
    }
}

#[test]
fn every_command_that_the_readme_shows_can_be_typed() {
    let commands = commands(&fenced("console"));
    assert!(commands.len() > 15, "{commands:?}");
    can_be_typed(&commands);
}

#[test]
fn every_example_of_the_help_can_be_typed() {
    let home = Home::new();
    let mut pages: Vec<Vec<String>> = subcommands(&home.cli(&["--help"]).ok())
        .into_iter()
        .map(|name| vec![name])
        .collect();
    pages.push(vec![]);
    for page in ["config init", "config check", "config show", "presets show"] {
        pages.push(page.split(' ').map(str::to_owned).collect());
    }
    let help = |mut page: Vec<String>| {
        page.push("--help".to_owned());
        home.cli(&page).ok()
    };
    let text: String = pages.into_iter().map(help).collect();
    let examples: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("      vibepit "))
        .collect();
    assert!(examples.len() > 20, "{examples:?}");
    can_be_typed(&commands(&examples.join("\n")));
}

#[test]
fn the_configuration_that_the_readme_shows_can_be_used() {
    let home = Home::new();
    let shown = fenced("toml");
    // What is commented out is shown, too.
    for text in [shown.clone(), shown.replace("# image", "image")] {
        let file = home.write_config(&text);
        home.cli(&["config", "check", &file.to_string_lossy()]).ok();
    }
}

#[test]
fn the_manual_has_every_key_of_the_configuration_and_no_other() {
    let home = Home::new();
    let file = home.write_config("x = 1");
    let ran = home.cli(&["config", "check", &file.to_string_lossy()]);
    let list = ran
        .stderr
        .lines()
        .next()
        .and_then(|line| line.split_once("there are "));
    let (_, list) = list.unwrap_or_else(|| panic!("{ran:?}"));
    let known: BTreeSet<&str> = list.split(", ").collect();
    let page = read("man/vibepit-config.5.in");
    let described = page
        .lines()
        .filter_map(|line| line.strip_prefix(".BR ")?.split_once(" \" ("))
        .map(|(key, _)| key)
        .collect();
    assert_eq!(known, described);
}

#[test]
fn the_configuration_that_the_manual_shows_can_be_used() {
    let home = Home::new();
    let examples = section("man/vibepit-config.5.in", "EXAMPLES");
    let shown: String = unset(&examples)
        .filter(|line| !line.starts_with('.'))
        .map(|line| line + "\n")
        .collect();
    assert!(shown.contains("notify_command"), "{shown}");
    let file = home.write_config(&shown);
    home.cli(&["config", "check", &file.to_string_lossy()]).ok();
}

#[test]
fn the_manual_has_every_reason_and_no_other() {
    let described = Described::api();
    let known = described.schemas()["Reason"]["enum"].clone();
    let known: BTreeSet<String> = serde_json::from_value(known).expect("words");
    let section = section("man/vibepit.1.in", "REASONS");
    let names = section.split(".TP\n").skip(1).flat_map(|item| {
        let heading = item.lines().next().expect("a heading");
        let words = heading.split([' ', '"', ',']).skip(1);
        words.filter(|word| !word.is_empty()).map(str::to_owned)
    });
    assert_eq!(names.collect::<BTreeSet<_>>(), known);
}

#[test]
fn the_page_of_the_api_has_every_call_with_what_it_takes_and_no_other() {
    let described = Described::api();
    let calls = items("man/vibepit-api.7.in", "CALLS");
    let named: BTreeSet<(String, String)> = calls
        .keys()
        .filter_map(|call| call.split_once(' '))
        .map(|(method, path)| (method.to_owned(), path.to_owned()))
        .collect();
    assert_eq!(named, described.operations());
    for (call, text) in &calls {
        let (method, path) = call.split_once(' ').expect("a call");
        let words: BTreeSet<&str> = text
            .split(|c: char| !c.is_ascii_alphanumeric() && !"_-".contains(c))
            .collect();
        for name in described.words(method, path) {
            assert!(words.contains(name.as_str()), "{call} takes {name}");
        }
    }
}

#[test]
fn the_page_of_the_api_has_every_event_and_no_other() {
    let described = Described::api();
    let events = items("man/vibepit-api.7.in", "EVENTS");
    let named: BTreeSet<&str> = events.keys().map(String::as_str).collect();
    assert_eq!(named, described.events());
}

#[test]
fn every_promise_names_tests_that_are_there() {
    let page = "man/vibepit-security.7.in";
    let promises = section(page, "PROMISES");
    let promises: Vec<&str> = promises.split(".TP\n").skip(1).collect();
    assert!(promises.len() > 20, "{}", promises.len());
    for promise in promises {
        let tests: Vec<&str> = promise
            .lines()
            .filter(|line| line.starts_with("tests/"))
            .collect();
        assert!(!tests.is_empty(), "no test keeps: {promise}");
        for test in tests {
            let (file, name) = test.split_once(", ").expect("a file and a name");
            assert!(has_test(&read(file), name), "there is no {test}");
        }
    }
}

#[test]
fn a_test_is_one_only_if_it_is_marked_so() {
    let text =
        "#[test]\nfn one() {}\n\n#[test]\n#[cfg(unix)]\npub(super) fn two() {\n}\nfn three() {}";
    for (name, is_there) in [
        ("one", true),
        ("two", true),
        ("three", false),
        ("on", false),
    ] {
        assert_eq!(has_test(text, name), is_there, "{name}");
    }
}

#[test]
fn every_file_that_the_readme_names_is_there() {
    let readme = read("README.md");
    let marked = readme.split('`').skip(1).step_by(2);
    let linked = readme
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let folders = [
        "src/", "tests/", "contrib/", "fuzz/", "man/", "benches/", ".ci/",
    ];
    let is_ours = |path: &&str| {
        folders.iter().any(|folder| path.starts_with(folder)) && !path.contains(['*', ' '])
    };
    let mut named: Vec<&str> = marked.filter(is_ours).collect();
    named.extend(linked.filter(|link| !link.contains("://")));
    assert!(named.len() > 10, "{named:?}");
    for path in named {
        assert!(root().join(path).exists(), "{path}");
    }
}

#[test]
fn the_gate_runs_the_readmes_test_command_and_lets_no_test_be_skipped() {
    let gate = read(".ci/run");
    let shown = fenced("console");
    let test = shown
        .lines()
        .find_map(|line| line.strip_prefix("$ ").filter(|l| l.contains("cargo test")))
        .expect("a test command");
    assert!(gate.lines().any(|line| line == test));
    let required: Vec<&str> = gate
        .lines()
        .filter(|line| line.contains("VIBEPIT_TEST_REQUIRE="))
        .flat_map(|line| line.split([',', '=']))
        .collect();
    for name in needed(&root().join("tests/it")) {
        assert!(
            required.contains(&name.as_str()),
            "tests need {name}, and .ci/run does not require it"
        );
    }
}

/// What tests are skipped without, of that which a machine can be given: what has a space in it is
/// how a machine happens to be.
fn needed(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the tests");
    let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let mut names: Vec<String> = folders.iter().flat_map(|folder| needed(folder)).collect();
    for file in files {
        let text = fs::read_to_string(file).expect("a test");
        let calls = text.split("require(\"").skip(1);
        let asked = calls.filter_map(|rest| rest.split('"').next());
        names.extend(asked.filter(|name| !name.contains(' ')).map(str::to_owned));
    }
    names
}

/// A section of a page that is written by hand.
#[track_caller]
fn section(page: &str, heading: &str) -> String {
    let text = read(page);
    let sections = text.split(".SH ").skip(1);
    let mut headed =
        sections.filter_map(|section| section.strip_prefix(heading)?.strip_prefix('\n'));
    headed.next().expect("the section").to_owned()
}

/// The items of such a section: what each is about, and what is said of it.
#[track_caller]
fn items(page: &str, heading: &str) -> BTreeMap<String, String> {
    let section = unset(&section(page, heading))
        .collect::<Vec<_>>()
        .join("\n");
    let items = section.split(".TP\n.B ").skip(1);
    items
        .filter_map(|item| item.split_once('\n'))
        .map(|(about, text)| (about.to_owned(), text.to_owned()))
        .collect()
}

/// Lines of roff, with the characters in them that are escaped.
fn unset(roff: &str) -> impl Iterator<Item = String> {
    roff.lines().map(|line| line.replace("\\-", "-"))
}

/// Whether a test of this name is in a source.
fn has_test(source: &str, name: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        let above = lines[..at].iter().rev();
        line.split_once(&head)
            .is_some_and(|(before, _)| before.is_empty() || before.ends_with(' '))
            && above
                .take_while(|line| line.starts_with("#["))
                .any(|line| ["#[test]", "#[tokio::test]"].contains(line))
    })
}

/// The README's fenced blocks of one language, joined.
fn fenced(language: &str) -> String {
    let readme = read("README.md");
    let blocks = readme.split("```").skip(1).step_by(2);
    blocks
        .filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

/// The names under "Commands:" of a help.
fn subcommands(help: &str) -> Vec<String> {
    let list = help.split("Commands:\n").nth(1).expect("the commands");
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Lets the binary itself judge the arguments: it reads them in order, up to `--help`.
#[track_caller]
pub(crate) fn can_be_typed(commands: &[Vec<String>]) {
    let home = Home::new();
    for command in commands {
        let mut arguments = command.clone();
        let end = arguments.iter().position(|argument| argument == "--");
        arguments.insert(end.unwrap_or(arguments.len()), "--help".to_owned());
        let ran = home.cli(&arguments);
        assert_eq!(ran.code, Some(0), "vibepit {command:?}: {}", ran.stderr);
    }
}

/// The arguments of every `vibepit` in lines of shell, whether it is started by its name or by
/// `cargo run`.
pub(crate) fn commands(shell: &str) -> Vec<Vec<String>> {
    let started = |words: Vec<String>| {
        let at = words.iter().position(|word| word == "vibepit");
        let cargo = words.starts_with(&["cargo".to_owned(), "run".to_owned()]);
        match words.iter().position(|word| word == "--") {
            Some(end) if cargo => Some(words[end + 1..].to_vec()),
            _ if cargo => None,
            // Behind `sudo` or a variable at most: otherwise it is somebody else's argument.
            _ => at.filter(|at| *at <= 1).map(|at| words[at + 1..].to_vec()),
        }
    };
    let shell = shell.replace("\\\n", " ");
    shell
        .lines()
        .flat_map(simple_commands)
        .filter_map(started)
        .collect()
}

/// The simple commands of a line, as words. As much of the shell's grammar as is shown to people:
/// quotes, substitutions, pipes, redirections, comments.
fn simple_commands(line: &str) -> Vec<Vec<String>> {
    let mut commands = vec![vec![]];
    let mut word = String::new();
    let mut quoted = false;
    for c in line.strip_prefix("$ ").unwrap_or(line).chars() {
        match c {
            '\'' => quoted = !quoted,
            _ if quoted => word.push(c),
            '#' if word.is_empty() => break,
            ' ' | '|' | '&' | ';' | '<' | '>' | '(' | ')' => {
                let command = commands.last_mut().expect("never empty");
                if !word.is_empty() {
                    command.push(std::mem::take(&mut word));
                }
                if c != ' ' {
                    commands.push(vec![]);
                }
            }
            _ => word.push(c),
        }
    }
    commands.last_mut().expect("never empty").push(word);
    for command in &mut commands {
        command.retain(|word| !word.is_empty());
    }
    commands
}
