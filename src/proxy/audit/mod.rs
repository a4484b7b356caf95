//! The audit log of a session: one JSON object a line, whole or not at all.
//!
//! Every value is written by the JSON encoder, which escapes control characters, so that one
//! event is one line whatever the sandbox sends. Knows nothing of what is audited.

mod files;

use std::io;
use std::path::PathBuf;

use serde::Serialize;
use tokio::sync::mpsc;

use self::files::{Cut, Files};
use crate::api::{AUDIT_FILE_MAX, AUDIT_OLDER, AuditPlace, audit_file_name};

pub(super) use self::files::Bounds;

impl Bounds {
    /// Of a session.
    pub(super) const USUAL: Self = Self {
        bytes: AUDIT_FILE_MAX,
        older: AUDIT_OLDER,
    };
}

/// A line: what every one has, and what this one tells.
#[derive(Serialize)]
struct Line<'a, T> {
    time: &'a str,
    session: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<&'a str>,
    #[serde(flatten)]
    fields: &'a T,
    /// Lines that should stand before it and could not be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    lost: Option<u64>,
}

/// An open audit log, and the lines that wait for the next write.
pub(super) struct Audit {
    /// The file that is written, as the person sees it.
    shown: PathBuf,
    sink: Sink,
    session: String,
    project: Option<String>,
    pending: Vec<u8>,
    lost: u64,
    /// Those of them that no line tells of yet.
    untold: u64,
    fault: Option<String>,
}

/// Where the lines go.
enum Sink {
    Files(Files),
    /// To whoever writes them in our place.
    Told(mpsc::Sender<String>),
}

impl Audit {
    /// Hands its lines to somebody else.
    pub(super) fn told(
        to: mpsc::Sender<String>,
        session: String,
        project: Option<PathBuf>,
    ) -> Self {
        Self::with(
            Sink::Told(to),
            PathBuf::from("the audit log"),
            session,
            project,
        )
    }

    /// Opens it for appending.
    ///
    /// # Errors
    /// When a file cannot be opened, is something else (a link, a pipe), or others may read it.
    pub(super) fn open(
        place: &AuditPlace,
        bounds: Bounds,
        session: String,
        project: Option<PathBuf>,
    ) -> io::Result<Self> {
        Ok(Self::with(
            Sink::Files(Files::open(&place.directory, bounds)?),
            place.shown.join(audit_file_name(0)),
            session,
            project,
        ))
    }

    fn with(sink: Sink, shown: PathBuf, session: String, project: Option<PathBuf>) -> Self {
        Self {
            shown,
            sink,
            session,
            project: project.map(|project| project.to_string_lossy().into_owned()),
            pending: Vec::new(),
            lost: 0,
            untold: 0,
            fault: None,
        }
    }

    /// Adds a line to the next write. `fields` serialises as an object.
    pub(super) fn write(&mut self, time: &str, fields: &impl Serialize) {
        let line = Line {
            time,
            session: &self.session,
            project: self.project.as_deref(),
            fields,
            lost: Some(self.untold).filter(|lost| *lost > 0 && self.pending.is_empty()),
        };
        // Writing JSON into memory does not fail.
        let _ = serde_json::to_writer(&mut self.pending, &line);
        self.pending.push(b'\n');
    }

    /// Writes what waits, and says whether there was something. What cannot be written is counted
    /// and said, and the session goes on: a full disk must not decide what the sandbox may reach.
    pub(super) fn flush(&mut self) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        let (outcome, replaced) = match &mut self.sink {
            Sink::Files(files) => (files.append(&self.pending), files.was_replaced()),
            Sink::Told(to) => (tell(to, &self.pending), false),
        };
        let written = outcome
            .as_ref()
            .map_or_else(|cut| cut.written, |()| self.pending.len());
        let rest = self.pending[written..].iter();
        let lost = rest.filter(|byte| **byte == b'\n').count() as u64;
        if written > 0 {
            // The first of these lines told of them.
            self.untold = 0;
        }
        self.untold += lost;
        self.lost += lost;
        let shown = self.shown.display();
        self.fault = match outcome {
            Ok(()) if replaced => Some(format!(
                "{shown} was taken away or replaced while the session wrote to it: what stood \
                 there is missing from the audit log"
            )),
            Ok(()) => None,
            Err(cut) => Some(format!(
                "{} audit lines are lost: {shown} cannot be written: {}",
                self.lost, cut.error
            )),
        };
        self.pending.clear();
        self.pending.shrink_to(64 * 1024);
        true
    }

    /// Lines that could not be written.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// What is wrong, if the last write failed or lines that were written are gone.
    pub(super) fn fault(&self) -> Option<&str> {
        self.fault.as_deref()
    }
}

/// Does not wait: what is not taken now is lost, and counted.
fn tell(to: &mpsc::Sender<String>, lines: &[u8]) -> Result<(), Cut> {
    let lines = String::from_utf8_lossy(lines).into_owned();
    to.try_send(lines).map_err(|_| Cut {
        written: 0,
        error: io::Error::other("the launcher does not take it"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use serde_json::{Value, json};

    use super::*;

    const SMALL: Bounds = Bounds {
        bytes: 1000,
        older: 3,
    };

    /// A directory as a session has it, and the log in it.
    fn audit() -> (tempfile::TempDir, Audit) {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o700)).unwrap();
        let audit = open(directory.path()).unwrap();
        (directory, audit)
    }

    fn open(directory: &Path) -> io::Result<Audit> {
        let place = AuditPlace {
            directory: directory.to_owned(),
            shown: directory.to_owned(),
        };
        Audit::open(&place, SMALL, "0123456789abcdef".to_owned(), None)
    }

    fn tell(audit: &mut Audit, numbers: std::ops::Range<usize>) {
        for number in numbers {
            audit.write("2026-01-01T00:00:00Z", &json!({ "number": number }));
        }
        assert!(audit.flush());
    }

    fn path(directory: &tempfile::TempDir, age: usize) -> PathBuf {
        directory.path().join(audit_file_name(age))
    }

    /// Every line of all files, the oldest first.
    fn lines(directory: &tempfile::TempDir) -> Vec<Value> {
        let files = (0..=SMALL.older).rev().map(|age| path(directory, age));
        let text: String = files
            .map(|file| fs::read_to_string(file).unwrap_or_default())
            .collect();
        let line = |line: &str| serde_json::from_str(line).expect("an object a line");
        text.lines().map(line).collect()
    }

    fn numbers(directory: &tempfile::TempDir) -> Vec<u64> {
        let lines = lines(directory);
        lines
            .iter()
            .map(|line| line["number"].as_u64().unwrap())
            .collect()
    }

    #[test]
    fn a_full_file_is_put_aside_and_no_line_is_lost_or_cut() {
        let (directory, mut audit) = audit();
        // One at a time, and more at once than a file has room for.
        for number in 0..10 {
            tell(&mut audit, number..number + 1);
        }
        tell(&mut audit, 10..40);
        assert_eq!(numbers(&directory), (0..40).collect::<Vec<_>>());
        assert!(path(&directory, 3).exists());
        for age in 0..=3 {
            let file = fs::metadata(path(&directory, age)).unwrap();
            assert!(file.len() <= SMALL.bytes, "{age}: {}", file.len());
            assert_eq!(file.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_session_that_says_much_keeps_its_newest_lines_in_a_bounded_space() {
        let (directory, mut audit) = audit();
        tell(&mut audit, 0..1000);
        let kept = numbers(&directory);
        assert_eq!(kept.last(), Some(&999));
        assert!(kept.windows(2).all(|pair| pair[1] == pair[0] + 1));
        let files = fs::read_dir(directory.path()).unwrap();
        let sizes = files.map(|file| file.unwrap().metadata().unwrap().len());
        assert!(sizes.sum::<u64>() <= 4 * SMALL.bytes);
        assert_eq!((audit.lost(), audit.fault()), (0, None));
    }

    #[test]
    fn a_line_that_is_longer_than_a_file_gets_one_of_its_own() {
        let (directory, mut audit) = audit();
        tell(&mut audit, 0..1);
        let long = json!({"number": 1, "domain": "x".repeat(3000)});
        audit.write("2026-01-01T00:00:00Z", &long);
        tell(&mut audit, 2..3);
        assert_eq!(numbers(&directory), [0, 1, 2]);
        assert!(path(&directory, 2).exists());
    }

    #[test]
    fn a_line_that_a_crash_cut_is_ended_before_the_next() {
        let (directory, audit) = audit();
        drop(audit);
        let mut file = OpenOptions::new()
            .append(true)
            .open(path(&directory, 0))
            .unwrap();
        file.write_all(b"{\"number\":").unwrap();
        let mut audit = open(directory.path()).unwrap();
        tell(&mut audit, 7..9);
        let text = fs::read_to_string(path(&directory, 0)).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!((lines.len(), lines[0]), (3, "{\"number\":"));
        assert!(lines[1].contains("\"number\":7"), "{text}");
    }

    #[test]
    fn what_stands_in_the_place_of_the_file_is_not_written_to_and_told() {
        let (directory, mut audit) = audit();
        tell(&mut audit, 0..1);
        let (file, elsewhere) = (path(&directory, 0), directory.path().join("elsewhere"));
        fs::write(&elsewhere, "").unwrap();
        fs::set_permissions(&elsewhere, Permissions::from_mode(0o600)).unwrap();
        fs::remove_file(&file).unwrap();
        symlink(&elsewhere, &file).unwrap();
        tell(&mut audit, 1..3);
        let fault = audit.fault().unwrap();
        for part in ["2 audit lines are lost", "audit.jsonl", "a link"] {
            assert!(fault.contains(part), "{fault}");
        }
        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "");
        assert!(open(directory.path()).is_err());

        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        tell(&mut audit, 3..4);
        assert_eq!(audit.lost(), 3);

        // Once there is room, it goes on, and the first line says what is missing.
        fs::remove_dir(&file).unwrap();
        tell(&mut audit, 4..6);
        let lines = lines(&directory);
        assert_eq!(
            (&lines[0]["number"], &lines[0]["lost"]),
            (&json!(4), &json!(3))
        );
        assert_eq!(lines[1].get("lost"), None);
        assert!(audit.fault().unwrap().contains("taken away or replaced"));
    }

    #[test]
    fn a_file_that_is_taken_away_is_begun_anew_and_told() {
        let (directory, mut audit) = audit();
        tell(&mut audit, 0..1);
        fs::remove_file(path(&directory, 0)).unwrap();
        tell(&mut audit, 1..2);
        assert_eq!(numbers(&directory), [1]);
        let mode = fs::metadata(path(&directory, 0)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(audit.fault().unwrap().contains("taken away"));
        assert_eq!(audit.lost(), 0);
    }

    #[test]
    fn a_full_file_that_cannot_be_put_aside_does_not_grow() {
        let (directory, mut audit) = audit();
        for age in 1..=SMALL.older {
            fs::create_dir(path(&directory, age)).unwrap();
            fs::write(path(&directory, age).join("in the way"), "").unwrap();
        }
        tell(&mut audit, 0..100);
        let fault = audit.fault().unwrap().to_owned();
        assert!(fault.contains("audit lines are lost"), "{fault}");
        let kept = fs::metadata(path(&directory, 0)).map_or(0, |file| file.len());
        assert!(kept <= SMALL.bytes);
        assert!(audit.lost() > 0);
    }

    #[test]
    fn files_that_others_may_read_are_not_written() {
        let (directory, audit) = audit();
        drop(audit);
        fs::set_permissions(path(&directory, 0), Permissions::from_mode(0o640)).unwrap();
        assert!(open(directory.path()).is_err());
        fs::set_permissions(path(&directory, 0), Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o750)).unwrap();
        assert!(open(directory.path()).is_err());
    }

    #[test]
    fn an_event_is_one_line_whatever_it_names() {
        let (directory, mut audit) = audit();
        let hostile = "a\r\nb\u{2028}\0\u{1b}[2J\u{202e}\"}";
        audit.write("2026-01-01T00:00:00Z", &json!({ "domain": hostile }));
        audit.flush();
        let text = fs::read_to_string(path(&directory, 0)).unwrap();
        assert_eq!(text.matches('\n').count(), 1);
        assert_eq!(lines(&directory)[0]["domain"], hostile);
    }
}
