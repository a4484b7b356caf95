//! What comes of all that files, presets and people say, a line each, with where it came from.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use crate::config::{Config, Unlisted};
use crate::policy::Entry;

use super::failure::Failure;
use super::policy::{self, Gathered};
use super::saved;

/// One line.
#[derive(Debug, Serialize)]
pub(super) struct Line {
    key: &'static str,
    value: String,
    /// `config`, `repository`, `preset`, `chosen`, `decision` or `default`.
    origin: &'static str,
    /// The preset, where it came with one.
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<String>,
}

impl Line {
    fn new(key: &'static str, value: impl ToString, origin: &'static str) -> Self {
        Self {
            key,
            value: value.to_string(),
            origin,
            preset: None,
        }
    }

    /// As a row of a table.
    pub(super) fn row(&self) -> Vec<String> {
        let origin = match &self.preset {
            Some(preset) => format!("{} {preset}", self.origin),
            None => self.origin.to_owned(),
        };
        vec![self.key.to_owned(), self.value.clone(), origin]
    }
}

/// What the files say.
pub(super) fn of_files(gathered: &Gathered) -> Vec<Line> {
    let mut lines = of(&gathered.config, "config");
    lines.extend(of(&gathered.repository, "repository"));
    lines
}

/// What holds in a session of the project that is started without options: files, presets, saved
/// decisions, and what nobody has said otherwise.
pub(super) fn all(gathered: &Gathered, project: Option<&Path>) -> Result<Vec<Line>, Failure> {
    let mut lines = of(&gathered.config, "config");
    let theirs = of(&gathered.repository, "repository").into_iter();
    // The person's own word outranks the project's, where there can be but one.
    let one = |key: &str| ["allow", "deny", "presets"].iter().all(|list| *list != key);
    let said: Vec<&str> = lines.iter().map(|line| line.key).collect();
    let theirs: Vec<_> = theirs
        .filter(|line| !(one(line.key) && said.contains(&line.key)))
        .collect();
    lines.extend(theirs);
    for opened in &gathered.opened {
        if opened.by == "chosen" {
            lines.push(Line::new("presets", opened.name, "chosen"));
        }
        lines.extend(opened.entries.iter().map(|entry| Line {
            preset: Some(opened.name.to_string()),
            ..Line::new("allow", entry, "preset")
        }));
    }
    if let Some(project) = project {
        for (saved, _) in saved::all(Some(project))? {
            let key = match saved.verdict {
                crate::policy::Verdict::Allow => "allow",
                crate::policy::Verdict::Deny => "deny",
            };
            lines.push(Line::new(key, saved.entry, "decision"));
        }
    }
    let mut merged = gathered.config.clone();
    let theirs = &gathered.repository;
    merged.approval_timeout = merged.approval_timeout.or(theirs.approval_timeout);
    let asking = policy::asking(&merged);
    let seconds = |seconds: u32| format!("{seconds}s");
    for (key, value) in [
        ("unlisted_domain_behavior", shown(Unlisted::default())),
        ("approval_timeout", seconds(asking.approval_timeout)),
        ("unattended_timeout", seconds(asking.unattended_timeout)),
    ] {
        if lines.iter().all(|line| line.key != key) {
            lines.push(Line::new(key, value, "default"));
        }
    }
    Ok(lines)
}

fn of(config: &Config, origin: &'static str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut put = |key, value: String| lines.push(Line::new(key, value, origin));
    let mut entries = |key, entries: &[Entry]| {
        entries.iter().for_each(|entry| put(key, entry.to_string()));
    };
    entries("allow", &config.allow);
    entries("deny", &config.deny);
    for preset in config.presets.iter().flatten() {
        put("presets", preset.to_string());
    }
    for network in &config.allow_cidr {
        put("allow_cidr", network.to_string());
    }
    for port in &config.allow_host_ports {
        put("allow_host_ports", port.to_string());
    }
    for address in &config.upstream_dns {
        put("upstream_dns", address.to_string());
    }
    if let Some(image) = &config.image {
        put("image", image.clone());
    }
    if let Some(command) = &config.notify_command {
        put("notify_command", command.join(" "));
    }
    if let Some(unlisted) = config.unlisted {
        put("unlisted_domain_behavior", shown(unlisted));
    }
    let seconds = |time: Duration| format!("{}s", time.as_secs());
    if let Some(time) = config.approval_timeout {
        put("approval_timeout", seconds(time));
    }
    if let Some(time) = config.unattended_timeout {
        put("unattended_timeout", seconds(time));
    }
    lines
}

fn shown(unlisted: Unlisted) -> String {
    match unlisted {
        Unlisted::RequestApproval => "request_approval",
        Unlisted::Reject => "reject",
    }
    .to_owned()
}
