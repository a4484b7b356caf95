//! Where apt's packages come from: its lists of sources, in both formats (sources.list(5)).

use std::path::{Path, PathBuf};

use super::{Surroundings, Told};

/// What apt is asked: its list, and the directory of further ones.
const ASKED: [&str; 5] = [
    "shell",
    "LIST",
    "Dir::Etc::sourcelist/f",
    "PARTS",
    "Dir::Etc::sourceparts/d",
];

pub(super) fn ask(around: &Surroundings) -> Told {
    let Some(apt) = around.find("apt-config") else {
        return Told::missing("apt");
    };
    let mut told = Told::default();
    match around.run(&apt, &ASKED) {
        Ok(said) => {
            for (name, path) in assignments(&said) {
                match name {
                    "LIST" => list(&path, &mut told),
                    _ => parts(&path, &mut told),
                }
            }
        }
        Err(why) => told.fault(why),
    }
    told
}

/// Reads lines such as `LIST='/etc/apt/sources.list'`.
fn assignments(said: &str) -> impl Iterator<Item = (&str, PathBuf)> {
    said.lines().filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let path = value.strip_prefix('\'')?.strip_suffix('\'')?;
        Some((name, PathBuf::from(path)))
    })
}

fn parts(directory: &Path, told: &mut Told) {
    let mut files: Vec<PathBuf> = match std::fs::read_dir(directory) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => return,
    };
    files.sort();
    for path in files {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("list") => list(&path, told),
            Some("sources") => stanzas(&path, told),
            _ => {}
        }
    }
}

/// The format of one line a source: `deb [options] URI suite component…`.
fn list(path: &Path, told: &mut Told) {
    let Some(text) = told.file(&path.to_owned()) else {
        return;
    };
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        if !matches!(words.next(), Some("deb" | "deb-src")) {
            continue;
        }
        let rest = line.trim_start().split_once(char::is_whitespace);
        let rest = rest.map_or("", |(_, rest)| rest.trim_start());
        let rest = match rest.strip_prefix('[') {
            Some(options) => options.split_once(']').map_or("", |(_, rest)| rest),
            None => rest,
        };
        if let Some(uri) = rest.split_whitespace().next() {
            told.add(uri, path.display().to_string());
        }
    }
}

/// The format of stanzas: `URIs:` has several, and goes on in lines that begin with a space.
fn stanzas(path: &Path, told: &mut Told) {
    let Some(text) = told.file(&path.to_owned()) else {
        return;
    };
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    for stanza in lines.split(|line| line.trim().is_empty()) {
        let mut field = "";
        let (mut enabled, mut uris) = (true, Vec::new());
        for line in stanza {
            let value = match line.split_once(':') {
                Some((name, value)) if !line.starts_with([' ', '\t']) => {
                    field = name.trim();
                    value
                }
                _ => line,
            };
            match field.to_ascii_lowercase().as_str() {
                "uris" => uris.extend(value.split_whitespace()),
                "enabled" => enabled = !["no", "false"].contains(&value.trim()),
                _ => {}
            }
        }
        for uri in uris.into_iter().filter(|_| enabled) {
            told.add(uri, path.display().to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::program::tests::{around, program};
    use super::*;

    #[test]
    fn both_formats_are_read_from_where_apt_says_they_are() {
        let guard = tempfile::tempdir().unwrap();
        let base = guard.path().canonicalize().unwrap();
        let write = |name: &str, text: &str| std::fs::write(base.join(name), text).unwrap();
        std::fs::create_dir(base.join("parts")).unwrap();
        write(
            "list",
            "# deb http://off.test x\n deb [arch=amd64 signed-by=/x] http://one.test/debian stable main\n\
             deb-src https://two.test:8443/ x y # deb http://off.test\ndeb cdrom:[Disc]/ stable\n",
        );
        write(
            "parts/three.sources",
            "Types: deb\nURIs: https://three.test/debian\n http://four.test\n# URIs: http://off.test\n\
             Suites: stable\n\nEnabled: no\nURIs: http://off.test\n\nURIs: http://five.test/\n",
        );
        write("parts/six.list", "deb http://six.test ./\n");
        write("parts/seven.save", "deb http://off.test ./\n");
        let script = format!(
            "echo \"LIST='{0}/list'\nPARTS='{0}/parts/'\"",
            base.display()
        );
        program(&base.join("apt-config"), &script);
        let told = ask(&around(&[("PATH", &base)], None));
        let entries: Vec<_> = told.entries().iter().map(ToString::to_string).collect();
        let expected = [
            "one.test:80",
            "two.test:8443",
            "six.test:80",
            "three.test:443",
            "four.test:80",
            "five.test:80",
        ];
        assert_eq!(entries, expected);
        assert_eq!(told.faults, [""; 0]);
        let none = ask(&around(&[("PATH", Path::new("/nowhere"))], None));
        assert!(none.faults[0].contains("not installed"), "{none:?}");
    }
}
