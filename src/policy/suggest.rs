//! The wider pattern that a person is offered beside the host that was asked for.

use super::entry::Entry;
use super::host::Host;

/// One label wider than the host: `*.example.com` for `api.example.com`. None for an address, and
/// where that would cover names of many owners, as [`Entry`] refuses them.
pub fn suggested_pattern(host: &Host) -> Option<String> {
    let Host::Name(name) = host else { return None };
    let (_, parent) = name.as_str().split_once('.')?;
    let pattern = format!("*.{parent}");
    pattern.parse::<Entry>().is_ok().then_some(pattern)
}

/// The part of a host that somebody registered, by which a list of many is grouped: `example.com`
/// for `a.b.example.com`. An address, and a name that is a public suffix itself, is its own group.
pub fn registrable(host: &Host) -> String {
    let whole = host.to_string();
    match host {
        Host::Name(_) => psl::domain_str(&whole).map(str::to_owned).unwrap_or(whole),
        Host::Ip(_) => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::super::cases::rows;
    use super::*;

    #[test]
    fn every_suggestion_of_the_table_is_made_and_no_other() {
        for row in rows("suggestions.csv") {
            let host = Host::from_text(&row[0]).or_else(|_| {
                // The table writes IPv6 without brackets.
                Host::from_text(&format!("[{}]", row[0]))
            });
            let expected = (!row[1].is_empty()).then(|| row[1].clone());
            let host = host.unwrap_or_else(|error| panic!("{}: {error}", row[0]));
            assert_eq!(suggested_pattern(&host), expected, "{}", row[0]);
        }
    }
}
