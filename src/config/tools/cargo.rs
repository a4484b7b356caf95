//! Where cargo's packages come from: its own settings, and the registries that it has used. Those of
//! a project's `.cargo` are not read: whoever works on the project would choose what is opened.

use std::path::{Path, PathBuf};

use super::{Surroundings, Told};
use crate::policy::Entry;

pub(super) fn ask(around: &Surroundings) -> Told {
    let home = match around.variable("CARGO_HOME") {
        Some(home) => Some(PathBuf::from(home)),
        None => around.home().map(|home| home.join(".cargo")),
    };
    let home = home.filter(|home| home.is_dir());
    let mut told = match (around.find("cargo"), &home) {
        (None, None) => return Told::missing("cargo"),
        _ => Told::default(),
    };
    for (name, value) in around.variables() {
        let name = name.to_string_lossy();
        if name.starts_with("CARGO_REGISTRIES_") && name.ends_with("_INDEX") {
            told.add(&value.to_string_lossy(), format!("the variable {name}"));
        }
    }
    if let Some(home) = home {
        for name in ["config.toml", "config"] {
            settings(&home.join(name), &mut told);
        }
        used(&home.join("registry"), &mut told);
    }
    if told.places.is_empty() && told.faults.is_empty() {
        told.fault(
            "cargo names no registry in its settings and has used none yet, so it cannot say where \
             its packages come from",
        );
    }
    told
}

/// `[registries.NAME] index` and `[source.NAME] registry`.
fn settings(path: &Path, told: &mut Told) {
    let Some(text) = told.file(&path.to_owned()) else {
        return;
    };
    let table: toml::Table = match toml::from_str(&text) {
        Ok(table) => table,
        Err(error) => {
            return told.fault(format!("{}: {}", path.display(), error.message()));
        }
    };
    for (section, key) in [("registries", "index"), ("source", "registry")] {
        let named = table.get(section).and_then(toml::Value::as_table);
        for (name, one) in named.into_iter().flatten() {
            if let Some(url) = one.get(key).and_then(toml::Value::as_str) {
                told.add(url, format!("{section}.{name} in {}", path.display()));
            }
        }
    }
}

/// The registries whose index or packages cargo has: a directory each, called after its host and a
/// hash, and in that of an index a file that says where the packages are.
fn used(registry: &Path, told: &mut Told) {
    for kind in ["index", "cache"] {
        let directory = registry.join(kind);
        let Ok(entries) = std::fs::read_dir(&directory) else {
            continue;
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if let Some(entry) = host_of(&name) {
                told.put(entry, directory.display().to_string());
            }
            let config = path.join("config.json");
            let said = std::fs::read(&config).ok();
            let said = said.and_then(|said| serde_json::from_slice(&said).ok());
            let said: serde_json::Value = said.unwrap_or_default();
            if let Some(url) = said["dl"].as_str() {
                told.add(url, config.display().to_string());
            }
        }
    }
}

/// `mirror.test-0123456789abcdef` is of mirror.test. Its port is not in the name.
fn host_of(directory: &str) -> Option<Entry> {
    let (host, hash) = directory.rsplit_once('-')?;
    let is_hash = hash.len() == 16 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
    // A host of one label is a name that cargo has for what is no host.
    let is_host = is_hash && host.contains('.') && !host.contains('*');
    is_host.then(|| format!("{host}:443").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::super::program::tests::around;
    use super::*;

    #[test]
    fn settings_and_the_registries_that_were_used_are_read_and_a_projects_are_not() {
        let guard = tempfile::tempdir().unwrap();
        let base = guard.path().canonicalize().unwrap();
        let cargo = base.join(".cargo");
        for directory in [
            ".cargo/registry/index/used.test-0123456789abcdef",
            ".cargo/registry/cache/cached.test-0123456789abcdef",
            ".cargo/registry/cache/odd-0123456789abcdef",
            ".cargo/registry/cache/not.a.host",
            "project/.cargo",
        ] {
            std::fs::create_dir_all(base.join(directory)).unwrap();
        }
        let index = cargo.join("registry/index/used.test-0123456789abcdef/config.json");
        std::fs::write(
            index,
            r#"{"dl": "https://files.test/crates", "api": "https://off.test"}"#,
        )
        .unwrap();
        let settings = "[source.mirror]\nregistry = \"sparse+https://one.test/index/\"\n\
                        [source.local]\ndirectory = \"vendor\"\n\
                        [registries]\ncorp = { index = \"https://two.test:8443/git\" }\n\
                        [http]\nproxy = \"http://off.test\"\n";
        std::fs::write(cargo.join("config.toml"), settings).unwrap();
        let planted = "[registries.x]\nindex = \"https://off.test\"\n";
        std::fs::write(base.join("project/.cargo/config.toml"), planted).unwrap();
        let project = base.join("project");
        let around = around(&[("HOME", &base)], Some(&project));
        let told = ask(&around);
        let entries: Vec<_> = told.entries().iter().map(ToString::to_string).collect();
        let expected = [
            "two.test:8443",
            "one.test:443",
            "used.test:443",
            "files.test:443",
            "cached.test:443",
        ];
        assert_eq!(entries, expected);
        std::fs::remove_dir_all(&cargo).unwrap();
        assert!(ask(&around).faults[0].contains("not installed"));
        std::fs::create_dir(&cargo).unwrap();
        assert!(ask(&around).faults[0].contains("used none yet"));
    }
}
