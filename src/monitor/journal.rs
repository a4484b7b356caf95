//! The decisions of all sessions in one log: repeated ones are one line with a count.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::api::LogEntry;
use crate::policy::shown_target;
use crate::session::SessionId;

/// Lines that are kept.
pub(super) const LINES_MAX: usize = 10_000;

/// Names a line: its session, and its first entry there.
pub(super) type LineKey = (SessionId, u64);

/// What happened once, or several times in a row.
pub(super) struct Line {
    pub(super) key: LineKey,
    /// The session's name, which outlives the session here.
    pub(super) name: Arc<str>,
    /// The last one.
    pub(super) entry: LogEntry,
    pub(super) count: u64,
}

impl Line {
    /// What was asked for, escaped.
    pub(super) fn target(&self) -> String {
        target(&self.entry)
    }

    /// Whether a filter, in lower case, lets it be seen.
    pub(super) fn has(&self, filter: &str) -> bool {
        let entry = &self.entry;
        entry.domain.to_lowercase().contains(filter)
            || self.target().contains(filter)
            || entry.verdict.to_string().contains(filter)
            || entry.reason.as_str().contains(filter)
            || self.name.to_lowercase().contains(filter)
    }

    /// The part of the time that orders lines: digits that compare as text, of any precision.
    fn time(&self) -> &str {
        self.entry.time.trim_end_matches('Z')
    }
}

/// What an entry is about, escaped.
pub(super) fn target(entry: &LogEntry) -> String {
    match entry.port {
        Some(port) => shown_target(&entry.domain, port),
        None => crate::policy::printable(&entry.domain).into_owned(),
    }
}

/// Lines, oldest first.
#[derive(Default)]
pub(super) struct Journal(VecDeque<Line>);

impl Journal {
    pub(super) fn lines(&self) -> &VecDeque<Line> {
        &self.0
    }

    /// Takes in what a session told at once. Sessions that were found one after the other have
    /// happened at the same time.
    pub(super) fn extend(&mut self, session: SessionId, name: &Arc<str>, entries: &[LogEntry]) {
        for entry in entries {
            self.push(session, name, entry);
        }
        if !entries.is_empty() {
            let lines = self.0.make_contiguous();
            lines.sort_by(|one, other| one.time().cmp(other.time()));
        }
    }

    pub(super) fn push(&mut self, session: SessionId, name: &Arc<str>, entry: &LogEntry) {
        if let Some(last) = self.0.back_mut()
            && last.key.0 == session
            && is_again(&last.entry, entry)
        {
            last.entry = entry.clone();
            last.count += 1;
            return;
        }
        if self.0.len() == LINES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(Line {
            key: (session, entry.id),
            name: Arc::clone(name),
            entry: entry.clone(),
            count: 1,
        });
    }
}

/// Whether the same happened again.
fn is_again(one: &LogEntry, other: &LogEntry) -> bool {
    let what = |entry: &LogEntry| (entry.verdict, entry.reason, entry.port, entry.door);
    what(one) == what(other)
        && one.domain == other.domain
        && one.rule == other.rule
        && one.detail == other.detail
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(id: u64, time: &str, domain: &str) -> LogEntry {
        serde_json::from_value(json!({
            "id": id, "time": time, "verdict": "deny", "reason": "unlisted", "domain": domain,
            "port": 443, "door": "connect", "rule": null
        }))
        .unwrap()
    }

    #[test]
    fn the_same_in_a_row_is_one_line_which_keeps_its_key() {
        let session = serde_json::from_value(json!("0123456789abcdef")).unwrap();
        let name = Arc::from("web");
        let mut journal = Journal::default();
        for (id, domain) in [(1, "a.test"), (2, "a.test"), (3, "b.test"), (4, "a.test")] {
            journal.push(session, &name, &entry(id, "2026-01-01T00:00:00Z", domain));
        }
        let lines: Vec<_> = journal
            .lines()
            .iter()
            .map(|line| (line.key.1, line.entry.id, line.count))
            .collect();
        assert_eq!(lines, [(1, 2, 2), (3, 3, 1), (4, 4, 1)]);
    }

    #[test]
    fn what_sessions_told_one_after_the_other_is_in_the_order_in_which_it_happened() {
        let session = |id: &str| serde_json::from_value(json!(id)).unwrap();
        let name = Arc::from("web");
        let mut journal = Journal::default();
        let late = [entry(1, "2026-01-01T00:00:01.5Z", "c.test")];
        journal.extend(session("0123456789abcdef"), &name, &late);
        let early = [
            entry(1, "2026-01-01T00:00:01Z", "a.test"),
            entry(2, "2026-01-01T00:00:01.25Z", "b.test"),
        ];
        journal.extend(session("1123456789abcdef"), &name, &early);
        let order: Vec<_> = journal.lines().iter().map(|line| line.target()).collect();
        assert_eq!(order, ["a.test:443", "b.test:443", "c.test:443"]);
    }

    #[test]
    fn no_more_than_the_last_lines_are_kept() {
        let session = serde_json::from_value(json!("0123456789abcdef")).unwrap();
        let name = Arc::from("web");
        let mut journal = Journal::default();
        for id in 0..LINES_MAX as u64 + 5 {
            let domain = format!("{id}.test");
            journal.push(session, &name, &entry(id, "2026-01-01T00:00:00Z", &domain));
        }
        assert_eq!(journal.lines().len(), LINES_MAX);
        assert_eq!(journal.lines()[0].key.1, 5);
    }
}
