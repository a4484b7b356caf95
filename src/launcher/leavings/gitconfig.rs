//! Just enough of git's configuration files: which keys they set, for a sentence, and which parts
//! of them git itself writes all the time, and harmlessly.

use std::collections::BTreeSet;

/// So many keys are told.
const MOST_KEYS: usize = 6;

/// Longer keys are cut.
const LONGEST_KEY: usize = 60;

/// What a file sets: keys as `git config --list` writes them, in lower case, and values without
/// comments. What git would not accept is skipped.
pub(super) fn entries(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text)
        .replace("\r\n", "\n")
        .replace("\\\n", "");
    let mut entries = Vec::new();
    let mut section = String::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let mut line = line.trim();
        if let Some(rest) = line.strip_prefix('[') {
            let Some(end) = end_of_header(rest) else {
                continue;
            };
            section = section_name(&rest[..end]);
            line = rest[end + 1..].trim();
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, "true"));
        let key = format!("{section}.{}", key.trim().to_lowercase());
        entries.push((key, unquoted(value.trim())));
    }
    entries
}

/// Where a header ends: a bracket within quotes does not end it.
fn end_of_header(rest: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in rest.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ']' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// `core`, or `branch.main` of `branch "main"`.
fn section_name(header: &str) -> String {
    match header.split_once('"') {
        Some((section, name)) => {
            let section = section.trim().to_lowercase();
            format!("{section}.{}", name.trim_end().trim_end_matches('"'))
        }
        None => header.trim().to_lowercase(),
    }
}

/// A value without its quotes and its comment.
fn unquoted(value: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let mut out = String::new();
    for c in value.chars() {
        match c {
            c if escaped => {
                out.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            '#' | ';' if !quoted => break,
            c => out.push(c),
        }
    }
    out.trim_end().to_owned()
}

/// The keys of which there is another value now, or one more, or none.
pub(super) fn differing(was: &[(String, String)], is: &[(String, String)]) -> Vec<String> {
    let only = |one: &[(String, String)], other: &[(String, String)]| {
        let other: BTreeSet<_> = other.iter().collect();
        let keys = one.iter().filter(|entry| !other.contains(entry));
        keys.map(|(key, _)| cut(key)).collect::<BTreeSet<_>>()
    };
    let mut keys = only(is, was);
    keys.extend(only(was, is));
    let more = keys.len().saturating_sub(MOST_KEYS);
    let mut told: Vec<String> = keys.into_iter().take(MOST_KEYS).collect();
    if more > 0 {
        told.push(format!("{more} more"));
    }
    told
}

fn cut(key: &str) -> String {
    match key.char_indices().nth(LONGEST_KEY) {
        Some((at, _)) => format!("{}…", &key[..at]),
        None => key.to_owned(),
    }
}

/// The file without what says which branch follows which. Git writes that whenever a branch is
/// made, and a warning each time would soon not be read.
///
/// Only whole sections go whose every line is one that git writes: read in another way than git
/// reads it, a file could hide something here.
pub(super) fn without_branches(text: &[u8]) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::with_capacity(text.len());
    let mut sections: Vec<Vec<&[u8]>> = vec![Vec::new()];
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if line.trim_ascii_start().starts_with(b"[") {
            sections.push(Vec::new());
        }
        if let Some(section) = sections.last_mut() {
            section.push(line);
        }
    }
    for section in sections {
        let continued = kept.ends_with(b"\\\n");
        if continued || !is_plain_branch(&section) {
            kept.extend(section.concat());
        }
    }
    kept
}

fn is_plain_branch(section: &[&[u8]]) -> bool {
    let Some((header, lines)) = section.split_first() else {
        return false;
    };
    let name = header.strip_prefix(b"[branch \"");
    let name = name.and_then(|rest| rest.strip_suffix(b"\"]\n"));
    name.is_some_and(is_plain_name)
        && lines.iter().all(|line| {
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let merge = line.strip_prefix(b"\tmerge = refs/heads/");
            // A remote may be an address; its name has no slash.
            let remote = line
                .strip_prefix(b"\tremote = ")
                .filter(|name| !name.contains(&b'/'));
            merge.or(remote).is_some_and(is_plain_name)
        })
}

fn is_plain_name(name: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-".contains(byte);
    !name.is_empty() && !name.starts_with(b"-") && name.iter().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn keys_and_values_are_read_as_git_reads_them() {
        let text = b"# first\n[core]\n\thooksPath = \"a b\" ; why\n\tbare\n[Include] path=x\\\ny\n\
            [remote \"o]r\"]url = u#c\n[includeIf \"gitdir:/x/\"]\r\n\tpath = z\r\n";
        assert_eq!(
            entries(text),
            pairs(&[
                ("core.hookspath", "a b"),
                ("core.bare", "true"),
                ("include.path", "xy"),
                ("remote.o]r.url", "u"),
                ("includeif.gitdir:/x/.path", "z"),
            ])
        );
    }

    #[test]
    fn what_differs_is_told_by_its_keys_and_briefly() {
        let was = pairs(&[("core.bare", "false"), ("a.gone", "1"), ("a.same", "1")]);
        let is = pairs(&[("core.bare", "true"), ("core.pager", "x"), ("a.same", "1")]);
        assert_eq!(differing(&was, &is), ["a.gone", "core.bare", "core.pager"]);
        let many: Vec<_> = (0..9).map(|n| (format!("k.{n}"), String::new())).collect();
        assert_eq!(differing(&[], &many).last().unwrap(), "3 more");
        let long = [(format!("k.{}", "x".repeat(100)), String::new())];
        assert_eq!(differing(&[], &long)[0].chars().count(), LONGEST_KEY + 1);
    }

    #[test]
    fn a_branch_that_follows_another_one_is_no_news_and_anything_else_is() {
        let core = "[core]\n\tbare = false\n";
        let branch = "[branch \"feature/a\"]\n\tremote = origin\n\tmerge = refs/heads/feature/a\n";
        let same = |text: &str| without_branches(text.as_bytes()) == core.as_bytes();
        assert!(same(core));
        assert!(same(&format!("{core}{branch}")));
        assert!(same(&format!("{branch}{core}")));
        for more in [
            "[branch \"a\"]\n\tremote = ext::sh -c x\n",
            "[branch \"a\"]\n\tremote = ../other\n",
            "[branch \"a\"]\n\tremote = --upload-pack=x\n",
            "[branch \"a\"]\n\tremote = a\n[core]\n\tfsmonitor = x\n",
            "[branch \"a\"] remote = a\n",
            "[branch \"a\"]\n\tremote = a\\\n\tmerge = refs/heads/a\n",
            "[branch \"a\"]\n\tvscode-merge-base = a\n",
        ] {
            assert!(!same(&format!("{core}{more}")), "{more}");
        }
        // Put in the middle, it would take the rest of a section away.
        assert!(!same("[core]\n[branch \"a\"]\n\tbare = false\n"));
        // Continued, the line before would hide what follows.
        let continued = format!("[a]\n\tb = c\\\n{branch}");
        assert_eq!(without_branches(continued.as_bytes()), continued.as_bytes());
    }
}
