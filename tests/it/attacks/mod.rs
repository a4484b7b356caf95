//! The table of attacks (tests/cases/attacks.csv) against the running proxy: the bytes of a row
//! are sent as they stand, or the row has a test of its own, or it is run in every place that
//! sessions run in (tests/it/everywhere). A row that is in no list, or is in two, fails
//! [`every_row_is_run_or_says_where_it_is`].

mod bench;
mod dns;
mod framing;
mod limits;
mod llhttp;
mod names;
mod places;
mod requests;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::everywhere;
use crate::support::csv;

use self::bench::Expect;
use self::places::{ELSEWHERE, LATER, OWN_TESTS};

/// A row of the table.
pub(crate) struct Row {
    id: String,
    class: String,
    vector: String,
    input: String,
    outcome: String,
}

fn rows() -> Vec<Row> {
    let rows = csv::rows("attacks.csv").into_iter();
    let row = |cells: Vec<String>| {
        let [id, class, vector, input, outcome] = cells.try_into().expect("five columns");
        Row {
            id,
            class,
            vector,
            input,
            outcome,
        }
    };
    rows.map(row).collect()
}

impl Row {
    /// What is to come of the input, where it is a whole request that can be sent as it stands.
    fn as_it_stands(&self) -> Option<Expect> {
        let whole = self.vector.starts_with("HTTP ") && self.input.ends_with(r"\r\n\r\n");
        let begins = |starts: &[&str]| starts.iter().any(|start| self.outcome.starts_with(start));
        if !whole
            || OWN_TESTS
                .iter()
                .any(|(ids, _)| ids.contains(&self.id.as_str()))
        {
            None
        } else if begins(&["reject", "400"]) {
            Some(Expect::Malformed)
        } else if begins(&["deny (403 reason=non-public-ip)", "deny without prompt"]) {
            Some(Expect::Screened)
        } else if begins(&["deny", "hold/deny"]) {
            Some(Expect::Denied)
        } else if begins(&["allow"]) {
            Some(Expect::Allowed)
        } else {
            None
        }
    }
}

#[test]
fn every_row_is_run_or_says_where_it_is() {
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    let own = OWN_TESTS.iter().flat_map(|(ids, _)| *ids);
    let elsewhere = ELSEWHERE.iter().flat_map(|(_, _, ids)| *ids);
    let later = LATER.iter().flat_map(|(_, ids)| *ids);
    let others = own.chain(elsewhere).chain(later).copied();
    for id in others.chain(everywhere::rows()) {
        *places.entry(id).or_default() += 1;
    }
    let rows = rows();
    for row in &rows {
        let sent = usize::from(row.as_it_stands().is_some());
        let places = sent + places.remove(row.id.as_str()).unwrap_or(0);
        assert_eq!(places, 1, "{} has {places} places", row.id);
    }
    assert!(places.is_empty(), "not in the table: {places:?}");
}

/// The classes of what a sandbox is parted off from, which must hold whatever parts it off.
const EVERYWHERE: [&str; 4] = [
    "container-isolation",
    "control-plane-from-sandbox",
    "runtime-dir",
    "unix-socket-peercred",
];

#[test]
fn every_row_about_the_walls_is_run_in_every_place_and_no_other_is() {
    let bound: BTreeSet<String> = everywhere::rows().map(str::to_owned).collect();
    let mut rows = rows();
    rows.retain(|row| EVERYWHERE.contains(&row.class.as_str()));
    let about_walls: BTreeSet<String> = rows.into_iter().map(|row| row.id).collect();
    assert_eq!(bound, about_walls);
}

#[test]
fn a_test_that_is_said_to_run_rows_is_where_it_is_said_to_be() {
    for (file, test, ids) in ELSEWHERE {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
        let source = fs::read_to_string(path).unwrap_or_default();
        let found = source.contains(&format!("fn {test}("));
        assert!(found, "{file} has no {test}: where are {ids:?} now?");
    }
}
