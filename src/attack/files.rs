//! Files: of the system, which must not be writable; of the host, which must not be there; and the
//! project's own settings, which are covered.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use super::tally::{Tally, errno, name_of};
use crate::api::{Hidden, Targets};

pub(super) fn tries(targets: &Targets) -> Vec<Tally> {
    let mut tallies = vec![system(&targets.system)];
    tallies.extend(targets.covered.as_deref().map(covered));
    tallies.extend(targets.hidden.iter().map(hidden));
    tallies
}

/// A name of this process's own, in a place that it may write to.
pub(super) fn scratch(what: &str) -> PathBuf {
    std::env::temp_dir().join(format!(".vibepit-{}-{what}", std::process::id()))
}

/// Where something is mounted: the fifth field of mountinfo in proc(5), with blanks in octal. What
/// is mounted over a file is another one than the directory around it says.
pub(super) fn mount_points() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    points
        .map(|point| PathBuf::from(point.replace("\\040", " ").replace("\\011", "\t")))
        .collect()
}

fn system(paths: &[PathBuf]) -> Tally {
    let mut tally = Tally::new(
        "system-files",
        "writing to the system's directories and files",
    );
    for path in paths {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                let file = path.join(format!(".vibepit-{}", std::process::id()));
                let made = OpenOptions::new().write(true).create_new(true).open(&file);
                if made.is_ok() {
                    let _ = fs::remove_file(&file);
                }
                let made = made.map_err(|error| errno(&error));
                tally.tried(&format!("a file was made in {}", path.display()), made);
            }
            Ok(_) => {
                let opened = OpenOptions::new().append(true).open(path);
                let opened = opened.map_err(|error| errno(&error));
                tally.tried(&format!("{} can be written", path.display()), opened);
            }
            Err(error) => tally.held(name_of(&error)),
        }
    }
    tally
}

/// `.vibepit` is there on the host with a file in it. Here it is to be empty, and to stay.
fn covered(meta: &Path) -> Tally {
    let mut tally = Tally::new(
        "project-settings",
        "the project's .vibepit: reading, writing, replacing it",
    );
    match fs::read_dir(meta) {
        Ok(mut entries) => match entries.next() {
            Some(_) => tally.open("what is in it can be read"),
            None => tally.held("empty"),
        },
        Err(error) => tally.held(name_of(&error)),
    }
    let config = meta.join("config.toml");
    let written = OpenOptions::new().append(true).create(true).open(&config);
    tally.tried(
        "config.toml can be written",
        written.map_err(|error| errno(&error)),
    );
    let aside = meta.with_file_name(format!(".vibepit-{}", std::process::id()));
    let moved = fs::rename(meta, &aside);
    if moved.is_ok() {
        let _ = fs::rename(&aside, meta);
    }
    tally.tried("it can be moved away", moved.map_err(|error| errno(&error)));
    tally
}

fn hidden(line: &Hidden) -> Tally {
    let mut tally = Tally::new(&line.name, &line.what);
    for path in &line.paths {
        let found = fs::symlink_metadata(path).map_err(|error| errno(&error));
        tally.tried(&format!("{} is there", path.display()), found);
    }
    tally
}
