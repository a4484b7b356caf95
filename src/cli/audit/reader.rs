//! Reads audit files, also while they are written: every line once, in order, across the moments
//! at which a file is put aside and the next one begun. Knows nothing of what is shown.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::OFlag;
use serde_json::{Map, Value};

use crate::api::{AUDIT_OLDER, audit_file_name};
use crate::session::SessionId;

/// An event as it was written down.
pub(in crate::cli) type Line = Map<String, Value>;

/// Reads what was written since it read last.
pub(in crate::cli) struct Reader {
    /// The sessions' directories are in it.
    directory: PathBuf,
    /// The start of a session's id.
    session: Option<String>,
    /// How far each session's log has been read.
    read: BTreeMap<SessionId, Place>,
    /// What was said already.
    said: BTreeSet<String>,
}

/// What is new.
#[derive(Default)]
pub(in crate::cli) struct News {
    /// Lines, in the order of each session.
    pub(in crate::cli) lines: Vec<Line>,
    /// What a person should know of what is not there, a sentence each, each once.
    pub(in crate::cli) notes: Vec<String>,
}

/// A place in a log: a file, and the bytes of it that have been read.
struct Place {
    file: Identity,
    at: u64,
}

/// Device and inode, and when it came to be: an inode is soon used again.
type Identity = (u64, u64, Option<SystemTime>);

impl Reader {
    /// Has read nothing yet.
    pub(in crate::cli) fn new(directory: PathBuf, session: Option<String>) -> Self {
        Self {
            directory,
            session,
            read: BTreeMap::new(),
            said: BTreeSet::new(),
        }
    }

    /// The lines that are wanted of those that came since.
    ///
    /// # Errors
    /// When the directory of the logs cannot be read. Not being there, it has none.
    pub(in crate::cli) fn next(&mut self, wanted: impl Fn(&Line) -> bool) -> io::Result<News> {
        let mut news = News::default();
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(news),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // The links beside the directories lead into them.
            let id = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(id) = id
                && self.is_meant(id)
                && entry.file_type()?.is_dir()
            {
                self.log(id, &entry.path(), &wanted, &mut news);
            }
        }
        news.notes.retain(|note| self.said.insert(note.clone()));
        Ok(news)
    }

    fn is_meant(&self, id: SessionId) -> bool {
        let start = self.session.as_ref();
        start.is_none_or(|start| id.as_str().starts_with(start))
    }

    fn log(
        &mut self,
        id: SessionId,
        directory: &Path,
        wanted: &impl Fn(&Line) -> bool,
        news: &mut News,
    ) {
        let known = self.read.get(&id);
        let newest = fs::symlink_metadata(directory.join(audit_file_name(0)));
        if let (Some(known), Ok(newest)) = (known, newest)
            && known.file == identity(&newest)
            && known.at == newest.len()
        {
            return;
        }
        let files = files(directory, &mut news.notes);
        let begin = known.map(|known| files.iter().position(|file| file.0 == known.file));
        let (unread, mut at) = match (begin, known) {
            (Some(Some(age)), Some(known)) => (&files[..=age], known.at),
            (None, _) => (&files[..], 0),
            _ => {
                news.notes.push(format!(
                    "some of what session {id} wrote is gone: more came than is kept, before it \
                     was read"
                ));
                (&files[..], 0)
            }
        };
        for (file, open) in unread.iter().rev() {
            match lines(open, at, wanted, &mut news.lines) {
                Ok(end) => {
                    let file = *file;
                    self.read.insert(id, Place { file, at: end });
                }
                Err(error) => news.notes.push(format!(
                    "the audit log in {} cannot be read to its end: {error}",
                    directory.display()
                )),
            }
            at = 0;
        }
    }
}

/// Bytes of each file that are looked at for its newest lines.
const TAIL: u64 = 512 * 1024;

/// The newest lines of one session's log, oldest first, at most so many.
///
/// # Errors
/// One sentence, when a file of it cannot be read.
pub(in crate::cli) fn newest(
    directory: &Path,
    session: SessionId,
    most: usize,
) -> Result<Vec<Line>, String> {
    let directory = directory.join(session.as_str());
    let mut notes = Vec::new();
    let mut all = Vec::new();
    for (_, file) in files(&directory, &mut notes) {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        let mut of_this = Vec::new();
        // Where that is in the middle of a line, the rest of it is no object, and left out.
        lines(&file, length.saturating_sub(TAIL), |_| true, &mut of_this)
            .map_err(|error| format!("{} cannot be read: {error}", directory.display()))?;
        of_this.append(&mut all);
        all = of_this;
        if all.len() >= most {
            break;
        }
    }
    match notes.into_iter().next() {
        Some(note) => Err(note),
        None => Ok(all.split_off(all.len().saturating_sub(most))),
    }
}

/// How often files are listed anew that are put aside meanwhile. Each time that takes a whole file
/// of lines, so that only a log that somebody plays with comes to its end.
const LISTINGS: usize = 10;

/// The files of a log as they stood at one moment, the youngest first.
fn files(directory: &Path, notes: &mut Vec<String>) -> Vec<(Identity, File)> {
    let paths: Vec<_> = (0..=AUDIT_OLDER)
        .map(|age| directory.join(audit_file_name(age)))
        .collect();
    let mut opened: Vec<io::Result<(Identity, File)>> = Vec::new();
    for _ in 0..LISTINGS {
        opened = paths.iter().map(|path| open(path)).collect();
        let stood_still = opened.iter().zip(&paths).all(|(opened, path)| {
            let now = fs::symlink_metadata(path).map(|found| identity(&found));
            match (opened, now) {
                (Ok((then, _)), Ok(now)) => *then == now,
                (Ok(_), Err(_)) => false,
                (Err(then), now) => now.is_ok() != (then.kind() == io::ErrorKind::NotFound),
            }
        });
        if stood_still {
            break;
        }
    }
    let mut files: Vec<(Identity, File)> = Vec::new();
    for (opened, path) in opened.into_iter().zip(&paths) {
        match opened {
            Ok(file) if files.iter().any(|met| met.0 == file.0) => {}
            Ok(file) => files.push(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => notes.push(format!("{} is not read: {error}", path.display())),
        }
    }
    files
}

/// Opens a plain file; a link is not followed.
fn open(path: &Path) -> io::Result<(Identity, File)> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits() | OFlag::O_NONBLOCK.bits())
        .open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a plain file"));
    }
    Ok((identity(&metadata), file))
}

fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino(), metadata.created().ok())
}

/// Adds the wanted lines behind `at`, and says where the last whole one ends. What is no JSON
/// object is left out: a disk that was full may have cut a line.
fn lines(
    mut file: &File,
    at: u64,
    wanted: impl Fn(&Line) -> bool,
    into: &mut Vec<Line>,
) -> io::Result<u64> {
    file.seek(SeekFrom::Start(at))?;
    let mut file = BufReader::with_capacity(64 * 1024, file);
    let (mut end, mut line) = (at, Vec::new());
    loop {
        line.clear();
        let length = file.read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Ok(end);
        }
        end += length as u64;
        into.extend(serde_json::from_slice(&line).ok().filter(&wanted));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::thread;

    use super::*;

    const ID: &str = "0123456789abcdef";

    /// The files of a session, as its proxy would treat them.
    struct Log(tempfile::TempDir);

    impl Log {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join(ID)).unwrap();
            Self(directory)
        }

        fn path(&self, age: usize) -> PathBuf {
            self.0.path().join(ID).join(audit_file_name(age))
        }

        fn append(&self, text: &str) {
            let mut options = OpenOptions::new();
            let mut file = options
                .append(true)
                .create(true)
                .open(self.path(0))
                .unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn write(&self, numbers: std::ops::Range<u64>) {
            for number in numbers {
                self.append(&format!("{{\"number\":{number}}}\n"));
            }
        }

        fn put_aside(&self) {
            for age in (0..AUDIT_OLDER).rev() {
                let _ = fs::rename(self.path(age), self.path(age + 1));
            }
        }

        fn reader(&self) -> Reader {
            Reader::new(self.0.path().to_owned(), None)
        }
    }

    fn numbers(news: &News) -> Vec<u64> {
        let lines = news.lines.iter();
        lines.map(|line| line["number"].as_u64().unwrap()).collect()
    }

    fn read(reader: &mut Reader) -> Vec<u64> {
        let news = reader.next(|_| true).unwrap();
        assert_eq!(news.notes, [""; 0]);
        numbers(&news)
    }

    #[test]
    fn all_files_of_a_session_are_read_the_oldest_first() {
        let log = Log::new();
        for from in [0, 2, 4] {
            log.put_aside();
            log.write(from..from + 2);
        }
        assert_eq!(read(&mut log.reader()), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn who_reads_along_gets_every_line_once_when_files_are_put_aside() {
        let log = Log::new();
        let mut reader = log.reader();
        log.write(0..2);
        assert_eq!(read(&mut reader), [0, 1]);
        assert_eq!(read(&mut reader), [0; 0]);
        // Some more in this one, a whole one, and the beginning of the next.
        log.write(2..4);
        log.put_aside();
        log.write(4..6);
        log.put_aside();
        log.write(6..7);
        assert_eq!(read(&mut reader), [2, 3, 4, 5, 6]);
        // Between two steps of putting aside there is no file of that name.
        log.write(7..8);
        log.put_aside();
        assert_eq!(read(&mut reader), [7]);
        log.write(8..9);
        assert_eq!(read(&mut reader), [8]);
    }

    #[test]
    fn files_that_are_put_aside_under_the_readers_eyes_lose_nothing() {
        const EACH: u64 = 10;
        let log = Log::new();
        let (mut all, mut notes) = (Vec::new(), Vec::new());
        let read = AtomicU64::new(0);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for from in (0..200 * EACH).step_by(EACH as usize) {
                    // No further ahead than files are kept.
                    while read.load(Relaxed) + EACH < from {
                        thread::yield_now();
                    }
                    log.write(from..from + EACH);
                    log.put_aside();
                }
            });
            let mut reader = log.reader();
            let mut ended = false;
            while !ended {
                ended = writer.is_finished();
                let news = reader.next(|_| true).unwrap();
                all.extend(numbers(&news));
                notes.extend(news.notes);
                read.store(all.last().map_or(0, |last| last + 1), Relaxed);
            }
        });
        assert_eq!(notes, [""; 0]);
        assert_eq!(all, (0..200 * EACH).collect::<Vec<_>>());
    }

    #[test]
    fn what_went_before_it_was_read_is_told_once() {
        let log = Log::new();
        let mut reader = log.reader();
        log.write(0..1);
        assert_eq!(read(&mut reader), [0]);
        for number in 1..=AUDIT_OLDER as u64 + 2 {
            log.put_aside();
            log.write(number..number + 1);
        }
        let news = reader.next(|_| true).unwrap();
        assert_eq!(numbers(&news), [2, 3, 4, 5]);
        assert_eq!(news.notes.len(), 1);
        assert!(news.notes[0].contains(ID), "{:?}", news.notes);
    }

    #[test]
    fn the_newest_lines_are_read_across_the_moment_at_which_a_file_was_put_aside() {
        let log = Log::new();
        log.write(0..3);
        log.put_aside();
        log.write(3..5);
        let newest = |most| {
            let lines = newest(log.0.path(), ID.parse().unwrap(), most).unwrap();
            let numbers = lines.iter().map(|line| line["number"].as_u64().unwrap());
            numbers.collect::<Vec<_>>()
        };
        assert_eq!(newest(9), [0, 1, 2, 3, 4]);
        assert_eq!(newest(3), [2, 3, 4]);
        assert_eq!(newest(1), [4]);
        let other = "fedcba9876543210".parse().unwrap();
        assert_eq!(super::newest(log.0.path(), other, 9).unwrap(), []);
    }

    #[test]
    fn a_line_is_read_once_it_is_whole_and_what_is_no_object_is_left_out() {
        let log = Log::new();
        let mut reader = log.reader();
        log.append("{\"number\":0}\n{\"number\":\n[]\n\n{\"numb");
        assert_eq!(read(&mut reader), [0]);
        log.append("er\":1}\n");
        assert_eq!(read(&mut reader), [1]);
    }

    #[test]
    fn only_what_is_meant_is_read_and_no_link_is_followed() {
        let log = Log::new();
        log.write(0..2);
        let other = "fedcba9876543210";
        let directory = log.0.path();
        fs::create_dir(directory.join(other)).unwrap();
        let link = directory.join(other).join(audit_file_name(0));
        std::os::unix::fs::symlink(log.path(0), &link).unwrap();
        std::os::unix::fs::symlink(log.path(0), directory.join(format!("{other}.jsonl"))).unwrap();
        fs::create_dir(directory.join("notes")).unwrap();

        let mut reader = log.reader();
        let news = reader.next(|line| line["number"] == 1).unwrap();
        assert_eq!(numbers(&news), [1]);
        assert_eq!(news.notes.len(), 1, "{:?}", news.notes);
        assert!(news.notes[0].starts_with(&link.display().to_string()));
        assert!(reader.next(|_| true).unwrap().notes.is_empty());

        let start = Some(other[..4].to_owned());
        let mut reader = Reader::new(directory.to_owned(), start);
        assert_eq!(numbers(&reader.next(|_| true).unwrap()), [0; 0]);
    }
}
