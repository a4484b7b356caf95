//! Where pip's packages come from: its settings, and where they say nothing, what it does by itself.

use super::{Surroundings, Told};

pub(super) fn ask(around: &Surroundings) -> Told {
    let Some(pip) = around.find("pip").or_else(|| around.find("pip3")) else {
        return Told::missing("pip");
    };
    let mut told = Told::default();
    match around.run(&pip, &["config", "list"]) {
        Ok(said) => {
            if !settings(&said, &mut told) {
                match around.run(&pip, &["install", "--help"]) {
                    Ok(said) => default(&said, &mut told),
                    Err(why) => told.fault(why),
                }
            }
        }
        Err(why) => told.fault(why),
    }
    told
}

/// Reads `pip config list`, a line a setting: `global.index-url='https://mirror.test/simple'`. Says
/// whether the index itself is among them.
fn settings(said: &str, told: &mut Told) -> bool {
    let mut has_index = false;
    for line in said.lines() {
        let Some((name, value)) = line.split_once('=') else {
            continue;
        };
        let (_, setting) = name.rsplit_once('.').unwrap_or(("", name));
        if !["index-url", "extra-index-url", "find-links"].contains(&setting) {
            continue;
        }
        has_index |= setting == "index-url";
        // A list is as long as it likes: Python writes its line ends like this.
        let value = value.trim_matches(['\'', '"']).replace("\\n", " ");
        for url in value.split_whitespace() {
            told.add(url, format!("pip's setting {name}"));
        }
    }
    has_index
}

/// Reads the index from `pip install --help`, which says what it is without a setting.
fn default(said: &str, told: &mut Told) {
    let words: Vec<&str> = said.split_whitespace().collect();
    let about = words.iter().position(|word| *word == "--index-url");
    let default = about.and_then(|at| {
        let mut words = words[at..].iter().skip_while(|word| **word != "(default");
        words.nth(1)
    });
    match default {
        Some(url) => told.add(url.trim_end_matches(['.', ')']), "pip's own default"),
        None => told.fault("pip install --help does not say where packages come from"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(told: &Told) -> Vec<String> {
        told.entries().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn settings_of_files_and_of_the_environment_are_read() {
        let mut told = Told::default();
        let said = ":env:.extra-index-url='https://one.test/x https://two.test/'\n\
                    global.cert='/etc/ssl/certs/ca-certificates.crt'\n\
                    global.index-url='https://me:secret@pip.mirror.test:8443/simple'\n\
                    install.find-links='\\nhttps://three.test/\\n/opt/wheels'\n\
                    global.proxy='http://proxy.test:3128'\n";
        assert!(settings(said, &mut told));
        let expected = [
            "one.test:443",
            "two.test:443",
            "pip.mirror.test:8443",
            "three.test:443",
        ];
        assert_eq!(entries(&told), expected);
        assert!(!format!("{told:?}").contains("secret"));
        assert!(!settings("global.cert='/x'\n", &mut told));
    }

    #[test]
    fn the_default_is_read_from_the_help() {
        let mut told = Told::default();
        let said = "Package Index Options:\n  -i, --index-url <url>       Base URL of the Python\n\
                    \x20  Package Index (default\n   https://pip.mirror.test/simple). This should\n";
        default(said, &mut told);
        assert_eq!(entries(&told), ["pip.mirror.test:443"]);
        default("", &mut told);
        assert_eq!(told.faults.len(), 1);
    }
}
