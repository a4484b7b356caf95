//! The person's own tools, as they are set up in their home: where their packages come from is what
//! their presets open. The mirrors are names that lead nowhere; no tool connects to anything.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::support::{Home, Ran, require};

fn shown(command: &mut Command, preset: &str) -> (Vec<String>, Value) {
    let ran = Ran::of(command.args(["presets", "show", preset, "--json"]));
    let shown: Value = serde_json::from_str(&ran.ok()).expect("JSON");
    let entries = shown["entries"].as_array().expect("a list").iter();
    let entries = entries.map(|one| one["entry"].as_str().expect("an entry").to_owned());
    (entries.collect(), shown)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("its directory");
    fs::write(path, text).expect("a file");
}

#[test]
fn npms_own_registry_and_those_of_scopes_are_what_its_preset_opens() {
    if !require("npm") {
        return;
    }
    let home = Home::new();
    let npmrc = "registry=https://npm.mirror.test/\n@corp:registry=https://corp.test:8443/x/\n\
                 //corp.test:8443/x/:_authToken=secret\n";
    write(&home.home().join(".npmrc"), npmrc);
    // A project's own file has no say.
    let project = home.home().join("project");
    write(&project.join(".npmrc"), "registry=https://evil.test/\n");
    write(&project.join("package.json"), "{}");
    let (entries, all) = shown(home.vibepit().current_dir(&project), "npm");
    assert_eq!(entries, ["corp.test:8443", "npm.mirror.test:443"]);
    assert!(!all.to_string().contains("secret"), "{all}");
    // And again, when the setting is another one.
    write(
        &home.home().join(".npmrc"),
        "registry=https://other.test/npm/\n",
    );
    let (entries, _) = shown(home.vibepit().current_dir(&project), "npm");
    assert_eq!(entries, ["other.test:443"]);
}

#[test]
fn pips_index_of_its_files_and_of_the_environment_is_what_its_preset_opens() {
    if !require("pip") {
        return;
    }
    let home = Home::new();
    let pip = "[global]\nindex-url = https://me:secret@pip.mirror.test:8443/simple\n\
               extra-index-url = https://one.test/x\n    https://two.test/y\n";
    write(&home.config().join("pip/pip.conf"), pip);
    let (entries, all) = shown(&mut home.vibepit(), "pip");
    assert_eq!(entries.len(), 3, "{all}");
    for entry in ["pip.mirror.test:8443", "one.test:443", "two.test:443"] {
        assert!(entries.iter().any(|one| one == entry), "{entry}: {all}");
    }
    assert!(!all.to_string().contains("secret"), "{all}");
    let bare = Home::new();
    let mut command = bare.vibepit();
    command.env("PIP_INDEX_URL", "https://env.test/simple");
    let (entries, all) = shown(&mut command, "pip");
    assert_eq!(entries, ["env.test:443"], "{all}");
    // Without any setting, pip itself knows one.
    let (entries, all) = shown(&mut bare.vibepit(), "pip");
    assert_eq!((entries.len(), &all["faults"]), (1, &serde_json::json!([])));
}

#[test]
fn cargos_settings_and_what_it_has_used_are_what_its_preset_opens() {
    let home = Home::new();
    let cargo = home.home().join(".cargo");
    let settings = "[source.mirror]\nregistry = \"sparse+https://cargo.mirror.test/index/\"\n";
    write(&cargo.join("config.toml"), settings);
    let index = cargo.join("registry/index/index.test-0123456789abcdef");
    write(
        &index.join("config.json"),
        r#"{"dl":"https://files.test/x"}"#,
    );
    let (entries, _) = shown(&mut home.vibepit(), "cargo");
    assert_eq!(
        entries,
        ["cargo.mirror.test:443", "index.test:443", "files.test:443"]
    );
    write(&cargo.join("config.toml"), "[source\n");
    let ran = home.cli(&["presets", "show", "cargo"]);
    assert!(ran.stderr.contains("config.toml"), "{ran:?}");
}

#[test]
fn apts_sources_are_what_its_preset_opens() {
    if !require("apt") {
        return;
    }
    let home = Home::new();
    let etc = home.home().join("apt");
    write(
        &etc.join("sources.list"),
        "deb http://one.mirror.test/debian stable main\n",
    );
    let stanza = "Types: deb\nURIs: https://two.mirror.test/debian\nSuites: stable\n";
    write(&etc.join("sources.list.d/x.sources"), stanza);
    let config = home.home().join("apt.conf");
    write(&config, &format!("Dir::Etc \"{}\";\n", etc.display()));
    let (entries, all) = shown(home.vibepit().env("APT_CONFIG", config), "apt");
    assert_eq!(
        entries,
        ["one.mirror.test:80", "two.mirror.test:443"],
        "{all}"
    );
}

#[test]
fn a_program_in_the_project_is_not_run_even_where_the_path_leads_there() {
    let home = Home::new();
    let project = home.home().join("project");
    let planted = project.join("bin/npm");
    let ran = home.home().join("ran");
    write(&planted, &format!("#!/bin/sh\ntouch {}\n", ran.display()));
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&planted, executable).expect("its mode");
    let path = format!("{}:./bin", project.join("bin").display());
    let mut command = home.vibepit();
    let (entries, all) = shown(command.current_dir(&project).env("PATH", path), "npm");
    assert_eq!(entries, [""; 0]);
    let fault = all["faults"][0].as_str().expect("a fault");
    assert!(fault.contains("npm is not installed"), "{fault}");
    assert!(!ran.exists());
}

#[test]
fn every_preset_is_listed_and_can_be_shown_and_one_that_is_none_is_told() {
    let home = Home::new();
    let listed: Value = serde_json::from_str(&home.cli(&["presets", "--json"]).ok()).expect("JSON");
    let listed = listed["presets"].as_array().expect("a list");
    assert!(listed.len() > 20, "{listed:?}");
    let (entries, all) = shown(&mut home.vibepit(), "homebrew");
    assert!(entries.iter().any(|entry| entry == "ghcr.io:443"), "{all}");
    let first = &all["entries"][0];
    assert!(
        first["source"]
            .as_str()
            .expect("a source")
            .starts_with("https://")
    );
    let ran = home.cli(&["presets", "show", "\u{1b}[2Jgithub"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(!ran.stderr.contains('\u{1b}'), "{ran:?}");
}
