//! What the tables must be, whoever adds to them.

use super::super::{Pattern, registrable};
use super::*;

#[test]
fn every_entry_can_be_read_stands_once_and_says_where_it_is_from() {
    for name in PresetName::all() {
        let preset = name.preset();
        assert_eq!(name.entries().len(), preset.entries.len(), "{name}");
        for (at, one) in preset.entries.iter().enumerate() {
            // Not forced: no preset covers a whole public suffix.
            let entry: Entry = one.entry.parse().unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(entry.to_string(), one.entry, "{name}: as it is shown");
            let elsewhere = &preset.entries[..at];
            assert!(elsewhere.iter().all(|other| other.entry != one.entry));
            assert!(one.source.starts_with("https://"), "{name}: {}", one.entry);
        }
        assert!(
            !preset.description.is_empty() && preset.description.len() < 60,
            "{name}"
        );
    }
}

#[test]
fn names_are_unique_and_can_be_typed() {
    for name in PresetName::all() {
        assert_eq!(name.to_string().parse::<PresetName>().unwrap(), name);
        let plain = |c: char| c.is_ascii_lowercase() || c == '-';
        assert!(name.preset().name.chars().all(plain), "{name}");
    }
    assert!(ALL.len() <= usize::from(u8::MAX));
}

#[test]
fn what_is_included_is_there_and_no_preset_includes_itself() {
    for name in PresetName::all() {
        for included in name.preset().includes {
            let included: PresetName = included.parse().unwrap_or_else(|error| panic!("{error}"));
            assert!(
                !included.with_included().contains(&name),
                "{name} and {included}"
            );
        }
    }
    let homebrew: PresetName = "homebrew".parse().unwrap();
    assert!(homebrew.with_included().len() > 1);
}

#[test]
fn a_preset_whose_tool_says_what_it_opens_holds_no_host() {
    let of_tools: Vec<_> = PresetName::all()
        .filter(|name| name.preset().tool.is_some())
        .inspect(|name| assert!(name.entries().is_empty() && name.preset().includes.is_empty()))
        .map(|name| name.preset().name)
        .collect();
    assert_eq!(of_tools, ["cargo", "pip", "npm", "apt"]);
}

/// PIV-006.
#[test]
fn no_preset_opens_a_service_that_fetches_for_others_or_a_store_that_anybody_rents() {
    let relays = [
        "translate.goog",
        "archive.org",
        "googleusercontent.com",
        "storage.googleapis.com",
        "s3.amazonaws.com",
        "blob.core.windows.net",
        "cloudfront.net",
        "workers.dev",
        "pages.dev",
        "herokuapp.com",
        "ngrok.io",
        "webhook.site",
        "gist.github.com",
    ];
    for name in PresetName::all() {
        for entry in name.entries() {
            let text = entry.pattern().to_string();
            let relay = relays.iter().find(|relay| text.ends_with(*relay));
            assert_eq!(relay, None, "{name}: {entry}");
            assert!(!matches!(entry.pattern(), Pattern::Ip(_) | Pattern::Net(_)));
        }
    }
}

#[test]
fn a_wildcard_is_below_what_one_owner_registered() {
    for name in PresetName::all() {
        for entry in name.entries() {
            let Pattern::Wildcard(wildcard) = entry.pattern() else {
                continue;
            };
            let suffix = super::super::Host::from_text(wildcard.suffix()).unwrap();
            assert!(
                suffix.to_string().ends_with(&registrable(&suffix)),
                "{entry}"
            );
            assert!(psl::domain_str(wildcard.suffix()).is_some(), "{entry}");
        }
    }
}

#[test]
fn a_project_is_known_by_what_lies_in_it() {
    let detected = |names: &[&str]| {
        let found = PresetName::all().filter(|name| name.is_detected_in(names));
        found.map(|name| name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(detected(&["README.md", "src"]), [""; 0]);
    assert_eq!(
        detected(&["package.json", "pyproject.toml"]),
        ["pip", "npm"]
    );
    assert_eq!(detected(&["app.csproj"]), ["nuget"]);
    assert_eq!(detected(&[".csproj", "cargo.toml"]), [""; 0]);
}

#[test]
fn a_name_that_is_none_is_told_with_the_nearest() {
    let error = "gihub".parse::<PresetName>().unwrap_err().to_string();
    assert!(
        error.contains("\"gihub\"") && error.ends_with("; github?"),
        "{error}"
    );
    let error = "\u{1b}[2J".parse::<PresetName>().unwrap_err().to_string();
    assert!(!error.contains('\u{1b}') && !error.contains("?"), "{error}");
}
