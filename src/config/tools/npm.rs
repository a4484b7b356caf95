//! Where npm's packages come from: the registry, and those of scopes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Surroundings, Told};

pub(super) fn ask(around: &Surroundings) -> Told {
    let Some(npm) = around.find("npm") else {
        return Told::missing("npm");
    };
    let mut told = Told::default();
    match around.run(&npm, &["config", "list", "--json"]) {
        Ok(said) => read(&said, &mut told),
        Err(why) => told.fault(why),
    }
    told
}

/// Reads `npm config list --json`: every setting with its value, defaults too, but for secrets.
fn read(said: &str, told: &mut Told) {
    let Ok(settings) = serde_json::from_str::<BTreeMap<String, Value>>(said) else {
        return told.fault("npm config list --json printed what is no JSON");
    };
    for (name, value) in settings {
        if (name == "registry" || name.ends_with(":registry"))
            && let Some(url) = value.as_str()
        {
            told.add(url, format!("npm's setting {name}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_and_those_of_scopes_are_read_and_nothing_else() {
        let mut told = Told::default();
        let said = r#"{"registry": "https://npm.mirror.test/", "@corp:registry":
            "https://npm.corp.test:8443/x/", "replace-registry-host": "npmjs", "proxy": null,
            "https-proxy": "http://proxy.test:3128", "@odd:registry": 7}"#;
        read(said, &mut told);
        let entries: Vec<_> = told.entries().iter().map(ToString::to_string).collect();
        assert_eq!(entries, ["npm.corp.test:8443", "npm.mirror.test:443"]);
        assert_eq!(told.places[0].source, "npm's setting @corp:registry");
        read("npm error", &mut told);
        assert_eq!(told.faults.len(), 1);
    }
}
