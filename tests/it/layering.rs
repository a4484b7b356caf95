//! The law of the house (design 11): which room may name which, and who owns a heavy crate. The
//! sources are read as text, so that an import that nobody meant does not wait for a reviewer.

use std::fs;
use std::path::{Path, PathBuf};

/// A room of `src/`, the rooms it may name, and why no others.
struct Room {
    name: &'static str,
    may_name: &'static [&'static str],
    why: &'static str,
}

const ROOMS: &[Room] = &[
    Room {
        name: "policy",
        may_name: &[],
        why: "it is pure: what may be reached is decided without knowing who asks",
    },
    Room {
        name: "kept",
        may_name: &[],
        why: "it reads and replaces files, whatever is in them",
    },
    Room {
        name: "transport",
        may_name: &[],
        why: "it connects two ends and knows not a word of what is said",
    },
    Room {
        name: "api",
        may_name: &["policy"],
        why: "it is the words that the processes share, and opens nothing",
    },
    Room {
        name: "session",
        may_name: &["transport"],
        why: "it finds sessions, and does not speak their language",
    },
    Room {
        name: "client",
        may_name: &["transport", "api", "policy"],
        why: "it is one typed call for each action; who calls brings the rest",
    },
    Room {
        name: "config",
        may_name: &["kept", "policy"],
        why: "it reads files; what is done with them is for others",
    },
    Room {
        name: "proxy",
        may_name: &["kept", "policy", "api", "transport"],
        why: "it runs next to the sandbox: what runs on the host shares api with it, and no more",
    },
    Room {
        name: "inside",
        may_name: &["api", "transport"],
        why: "it runs within the sandbox's namespaces: the launcher shares api with it, and no more",
    },
    Room {
        name: "attack",
        may_name: &["api"],
        why: "it runs in the sandbox that it attacks, and knows nothing of the host but what it is told",
    },
    Room {
        name: "launcher",
        may_name: &[
            "kept",
            "session",
            "config",
            "client",
            "policy",
            "api",
            "transport",
        ],
        why: "it runs on the host: what runs next to the sandbox shares api with it, and no more \
              (over transport, descriptors go to the proxy and to the inside of a sandbox)",
    },
    Room {
        name: "overview",
        may_name: &["client", "session", "api", "policy"],
        why: "it is what the monitor and the web page show, and starts and decides nothing",
    },
    Room {
        name: "ui",
        may_name: &["client", "session", "api", "overview", "policy"],
        why: "it is a client of the sessions like any other, for one more kind of screen",
    },
    Room {
        name: "monitor",
        may_name: &["overview", "client", "session", "api", "policy"],
        why: "it is a client like any other, which shows what overview tells",
    },
    Room {
        name: "cli",
        may_name: &[
            "kept",
            "policy",
            "transport",
            "api",
            "session",
            "client",
            "config",
            "proxy",
            "attack",
            "launcher",
            "inside",
            "overview",
            "ui",
            "monitor",
        ],
        why: "nothing is above it but main",
    },
    Room {
        name: "lib",
        may_name: &[],
        why: "it lists the modules",
    },
    Room {
        name: "main",
        may_name: &["cli"],
        why: "it is nothing but the call into the command line",
    },
];

/// Crates that one room answers for, so that a new version is one room's work.
const OWNERS: &[(&str, &str)] = &[
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("clap_mangen", "cli"),
    ("indicatif", "cli"),
    ("ratatui", "monitor"),
    ("crossterm", "monitor"),
    ("bollard", "launcher"),
    ("rcgen", "launcher"),
    ("tar", "launcher"),
    ("rustls", "transport"),
    ("tokio_rustls", "transport"),
    ("hickory_proto", "proxy"),
    ("hickory_resolver", "proxy"),
    ("notify", "session"),
    ("notify", "proxy"),
    ("toml_parser", "config"),
    ("toml", "config"),
    ("toml", "proxy"),
    ("landlock", "inside"),
    ("seccompiler", "inside"),
    ("idna", "policy"),
    ("psl", "policy"),
];

/// Types that are handed through rooms which do not look into them.
const HANDED_ON: &[(&str, &str)] = &[("rustls", "ClientConfig"), ("rustls", "ServerConfig")];

/// What a file names, and is not to.
fn offences(room: &str, depth: usize, source: &str) -> Vec<String> {
    let Some(rule) = ROOMS.iter().find(|rule| rule.name == room) else {
        return vec![format!("src/{room} has no rule: say what it may name")];
    };
    let tokens = tokens(source);
    let mut offences = Vec::new();
    let mut named = |other: &str| {
        if other != room && !rule.may_name.contains(&other) {
            offences.push(format!("{room} names {other}, and may not: {}", rule.why));
        }
    };
    // Modules that are written within the file, by the depth of their braces.
    let (mut braces, mut inline) = (0, Vec::new());
    for at in 0..tokens.len() {
        let rest: Vec<&str> = tokens[at..].iter().take(3).map(String::as_str).collect();
        match rest.as_slice() {
            ["mod", _, "{"] => inline.push(braces),
            ["{", ..] => braces += 1,
            ["}", ..] => {
                braces -= 1;
                inline.pop_if(|opened| *opened == braces);
            }
            ["crate" | "vibepit", "::", "{"] => {
                group(&tokens[at + 3..]).into_iter().for_each(&mut named);
            }
            ["crate" | "vibepit", "::", other] => named(other),
            // Neither a path nor a visibility: another name for the root would hide the rest.
            ["crate", "as" | ";", ..] => named("everything"),
            ["super", "::", _] if at == 0 || tokens[at - 1] != "::" => {
                let steps = tokens[at..]
                    .chunks(2)
                    .take_while(|two| two[0] == "super")
                    .count();
                if steps >= depth + inline.len() {
                    named("the root by way of super");
                }
            }
            _ => {}
        }
    }
    offences.extend(foreign(room, &tokens));
    offences
}

/// The first names of a group of imports, whose `{` is behind us.
fn group(tokens: &[String]) -> Vec<&str> {
    let (mut depth, mut begins, mut names) = (0, true, Vec::new());
    for token in tokens.iter().map(String::as_str) {
        match token {
            "}" if depth == 0 => break,
            "}" => depth -= 1,
            "{" => depth += 1,
            "," if depth == 0 => begins = true,
            name if begins => {
                names.push(name);
                begins = false;
            }
            _ => {}
        }
    }
    names
}

/// Heavy crates that belong to another room.
fn foreign(room: &str, tokens: &[String]) -> Vec<String> {
    let mut offences = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let owners = OWNERS.iter().filter(|(name, _)| name == token);
        let owners: Vec<_> = owners.map(|(_, owner)| *owner).collect();
        if owners.is_empty() || owners.contains(&room) {
            continue;
        }
        let path = tokens.get(at + 1).is_some_and(|next| next == "::");
        let begins = at == 0 || tokens[at - 1] != "::" && tokens[at - 1] != ".";
        let item = tokens.get(at + 2).map_or("", String::as_str);
        if path && begins && !HANDED_ON.contains(&(token.as_str(), item)) {
            let owners = owners.join("'s and ");
            offences.push(format!("{room} uses {token}, which is {owners}'s"));
        }
    }
    offences
}

/// The words and signs of a source, without comments and without what texts hold.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = text(rest) {
            length
        } else if c.is_alphanumeric() || c == '_' {
            let length = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a comment, which may hold others.
fn block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        let here = &rest[at..];
        match here {
            _ if here.starts_with("/*") => (depth, at) = (depth + 1, at + 2),
            _ if here.starts_with("*/") => (depth, at) = (depth - 1, at + 2),
            _ => match here.chars().next() {
                Some(c) => at += c.len_utf8(),
                None => return at,
            },
        }
        if depth == 0 {
            return at;
        }
    }
}

/// The length of a literal text or character, if one begins here.
fn text(rest: &str) -> Option<usize> {
    let plain = rest.trim_start_matches(['b', 'c']);
    let before = rest.len() - plain.len();
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.len() - raw.trim_start_matches('#').len();
        let open = raw[hashes..].strip_prefix('"')?;
        let close = format!("\"{}", "#".repeat(hashes));
        let length = open.find(&close)? + close.len();
        return (before < 2).then_some(before + 1 + hashes + 1 + length);
    }
    let quote = plain.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let mut characters = plain.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => drop(characters.next()),
            c if c == quote => return Some(before + at + 1),
            // A lifetime is no character.
            _ if quote == '\'' && !plain[at + c.len_utf8()..].starts_with('\'') => {
                return (plain.as_bytes().get(1) != Some(&b'\\')).then_some(before + 1);
            }
            _ => {}
        }
    }
    None
}

/// Every source, with its room and how deep its module lies below the root.
fn sources() -> Vec<(PathBuf, String, usize)> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    let place = |path: PathBuf| {
        let inner = path
            .strip_prefix(&root)
            .expect("below src")
            .with_extension("");
        let mut steps: Vec<_> = inner
            .iter()
            .map(|s| s.to_string_lossy().into_owned())
            .collect();
        steps.pop_if(|last| last == "mod");
        (path, steps[0].clone(), steps.len())
    };
    found.into_iter().map(place).collect()
}

#[test]
fn no_room_names_what_it_must_not() {
    let sources = sources();
    assert!(sources.len() > 50, "{sources:?}");
    let mut all = Vec::new();
    for (path, room, depth) in sources {
        let source = fs::read_to_string(&path).expect("a source");
        let offences = offences(&room, depth, &source).into_iter();
        all.extend(offences.map(|offence| format!("{}: {offence}", path.display())));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn a_forbidden_import_is_found_however_it_is_written() {
    for source in [
        "use crate::launcher::pki;",
        "use crate::{policy::Name, launcher};",
        "use crate::{policy::{Name, Host}, launcher::pki::mint};",
        "fn f() { crate::launcher::run(); }",
        "use crate as root;",
        "use super::super::launcher;",
        "mod tests { use super::super::super::launcher; }",
        "use crate /* really */ ::launcher;",
        "const A: &str = \"{\"; use crate::launcher;",
        "const B: char = '\"'; use crate::launcher; const C: char = '\"';",
        "use rcgen::KeyPair;",
        "fn f(a: bollard::Docker) {}",
        "use rustls::pki_types;",
        "use crate::monitor;",
    ] {
        assert_eq!(offences("proxy", 2, source).len(), 1, "{source}");
    }
    assert_eq!(offences("client", 1, "use super::cli;").len(), 1);
    assert_eq!(offences("cellar", 1, "").len(), 1);
}

#[test]
fn what_is_no_import_is_not_taken_for_one() {
    for source in [
        "// use crate::launcher;\n/* crate::launcher /* crate::cli */ crate::launcher */",
        "//! [`crate::launcher`]",
        "const A: &str = \"use crate::launcher;\"; const B: &str = r#\"crate::\"launcher\"#;",
        "pub(crate) fn f<'a>(a: &'a str) {} pub(in crate::proxy) struct S;",
        "mod tests { use super::super::gate; }",
        "use crate::{policy::{Name, launcher}, api};",
        "use super::{launcher, x};",
        "fn f(c: Arc<rustls::ClientConfig>) { c.notify::<u8>(); }",
    ] {
        assert_eq!(offences("proxy", 2, source), [""; 0], "{source}");
    }
}

#[test]
fn no_file_of_tests_is_forgotten() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let main = fs::read_to_string(root.join("main.rs")).expect("main.rs");
    for entry in fs::read_dir(root).expect("a directory") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().expect("a name").to_string_lossy();
        let listed = main.contains(&format!("\nmod {name};\n"));
        assert!(listed || name == "main", "main.rs has no mod {name}");
    }
}
