//! The directories that sessions live in, and the clock that their certificates are dated by.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::statfs::{FUSE_SUPER_MAGIC, FsType, NFS_SUPER_MAGIC, SMB_SUPER_MAGIC, statfs};
use nix::unistd::geteuid;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{Check, Group};
use crate::config;
use crate::session::{RuntimeDir, SessionId};

const DIRECTORIES: Group = Group("directories");

pub(super) fn look() -> Vec<Check> {
    vec![runtime(), state(), configuration(), clock()]
}

fn runtime() -> Check {
    let name = "runtime-directory";
    match RuntimeDir::open() {
        Ok(None) => DIRECTORIES.ok(name, "there is none yet: the first session makes it"),
        Ok(Some(directory)) => sockets(name, directory.path()),
        Err(error) => DIRECTORIES.problem(
            name,
            error.to_string(),
            "no session starts and none is found before that",
        ),
    }
}

/// Unix sockets do not work on every file system. FS-005.
fn sockets(name: &'static str, directory: &Path) -> Check {
    let place = directory.display();
    match tried(directory) {
        Ok(()) => match over_a_network(directory) {
            None => DIRECTORIES.ok(name, format!("{place} is yours alone, and sockets work in it")),
            Some(kind) => DIRECTORIES.warning(
                name,
                format!(
                    "{place} is on {kind}: sockets work in it on this machine alone, and where they \
                     do not, commands speak to the control port over TCP with mTLS"
                ),
                "set XDG_RUNTIME_DIR to a directory of this machine",
            ),
        },
        Err(error) => DIRECTORIES.warning(
            name,
            format!(
                "sockets do not work in {place} ({error}): commands speak to the control port over \
                 TCP with mTLS instead"
            ),
            "set XDG_RUNTIME_DIR to a directory of this machine",
        ),
    }
}

/// Listens and connects, under a name that no session has.
fn tried(directory: &Path) -> io::Result<()> {
    let path = directory.join(format!("doctor-{}", SessionId::random()?));
    let listener = UnixListener::bind(&path);
    let outcome = listener.and_then(|listener| {
        let _near = UnixStream::connect(&path)?;
        listener.accept().map(drop)
    });
    let _ = fs::remove_file(&path);
    match outcome {
        // A longer path than a socket may have: sessions go by another way then.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        outcome => outcome,
    }
}

fn over_a_network(directory: &Path) -> Option<&'static str> {
    let kind = statfs(directory).ok()?.filesystem_type();
    [
        (NFS_SUPER_MAGIC, "NFS"),
        (SMB_SUPER_MAGIC, "SMB"),
        // The kernel's magic.h, which has more than the library.
        (FsType(0xff53_4d42), "CIFS"),
        (FsType(0xfe53_4d42), "SMB"),
        (FsType(0x0102_1997), "9p"),
        (FUSE_SUPER_MAGIC, "FUSE"),
    ]
    .into_iter()
    .find_map(|(magic, name)| (kind == magic).then_some(name))
}

fn state() -> Check {
    let name = "state-directory";
    let directory = match config::state_dir() {
        Ok(directory) => directory,
        Err(error) => {
            return DIRECTORIES.problem(name, error.to_string(), "no session starts before that");
        }
    };
    closed(name, &directory, 0o077, "decisions and audit logs")
}

fn configuration() -> Check {
    let name = "configuration";
    let directory = config::config_file()
        .ok()
        .and_then(|file| file.parent().map(Path::to_owned));
    match directory {
        // Others may read it, and must not write it.
        Some(directory) => closed(name, &directory, 0o022, "the rules of every session"),
        None => DIRECTORIES.problem(
            name,
            "there is no place for the configuration",
            "set HOME, or XDG_CONFIG_HOME, to an absolute path",
        ),
    }
}

/// Whether a directory is ours, and closed to others as far as it must be.
fn closed(name: &'static str, directory: &Path, must_not: u32, holds: &str) -> Check {
    let place = directory.display();
    let found = match fs::symlink_metadata(directory) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return DIRECTORIES.ok(name, format!("{place} is not there yet"));
        }
        Err(error) => {
            return DIRECTORIES.problem(
                name,
                format!("{place} cannot be looked at: {error}"),
                "make sure that you may read it",
            );
        }
    };
    let mode = found.mode() & 0o7777;
    if found.uid() != geteuid().as_raw() {
        return DIRECTORIES.problem(
            name,
            format!(
                "{place}, with {holds}, belongs to uid {} and not to you",
                found.uid()
            ),
            format!("move it away, or run: sudo chown $USER {place}"),
        );
    }
    match mode & must_not {
        0 => DIRECTORIES.ok(name, format!("{place} is yours, mode {mode:04o}")),
        _ => DIRECTORIES.problem(
            name,
            format!("{place}, with {holds}, has mode {mode:04o}, so that others get into it"),
            format!("make sure that nothing in it is theirs, then run: chmod 700 {place}"),
        ),
    }
}

/// How far the clock may be behind a file: less than a certificate's life, more than any drift.
const BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate is made for now, and refused by whoever has another time. A clock that has lost its
/// battery is behind what the machine itself has written.
fn clock() -> Check {
    let name = "clock";
    let now = SystemTime::now();
    let mut files = vec![
        PathBuf::from("/etc/ld.so.cache"),
        PathBuf::from("/proc/self/exe"),
    ];
    files.extend(config::state_dir());
    files.extend(config::state_dir().map(|state| state.join("audit")));
    let newest = files
        .iter()
        .filter_map(|file| Some((fs::metadata(file).ok()?.modified().ok()?, file)))
        .max();
    match newest {
        Some((then, file)) if then > now + BEHIND => DIRECTORIES.problem(
            name,
            format!(
                "the clock says {}, and {} was changed at {}: the certificates of sessions would be \
                 of no use after it is set right",
                shown(now),
                file.display(),
                shown(then)
            ),
            "set the clock: sudo timedatectl set-ntp true",
        ),
        _ => DIRECTORIES.ok(
            name,
            format!("the clock says {}, and no file is of a later time", shown(now)),
        ),
    }
}

fn shown(time: SystemTime) -> String {
    OffsetDateTime::from(time)
        .replace_nanosecond(0)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::State;
    use super::*;

    #[test]
    fn a_directory_that_others_get_into_is_a_problem_with_the_command_that_mends_it() {
        let guard = tempfile::tempdir().unwrap();
        let directory = guard.path().join("vibepit");
        assert_eq!(closed("n", &directory, 0o077, "x").state, State::Ok);
        fs::create_dir(&directory).unwrap();
        for (mode, state) in [
            (0o700, State::Ok),
            (0o755, State::Problem),
            (0o710, State::Problem),
        ] {
            fs::set_permissions(&directory, Permissions::from_mode(mode)).unwrap();
            let check = closed("n", &directory, 0o077, "x");
            assert_eq!(check.state, state, "{check:?}");
            assert_eq!(
                check.todo.is_some_and(|todo| todo.contains("chmod 700")),
                state != State::Ok
            );
        }
    }

    #[test]
    fn sockets_are_tried_and_nothing_of_that_stays() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(sockets("n", directory.path()).state, State::Ok);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        // Where nothing can be made, TCP is what is left, and it is said. FS-005.
        let check = sockets("n", &directory.path().join("missing"));
        assert_eq!(check.state, State::Warning);
        assert!(check.says.contains("TCP with mTLS"), "{check:?}");
    }
}
