//! Rows of the table of attacks about the directories that sessions live in, and about a socket
//! that is not where it should be.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use super::Place;
use crate::support::{Ran, require, sessions_in};

/// No session starts, and this is why.
#[track_caller]
fn does_not_start(place: &dyn Place, why: &str) {
    let ran = place.run(&[], "echo started");
    assert_eq!(ran.stdout, "", "{ran:?}");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(why), "{ran:?}");
}

fn mode(path: &Path) -> u32 {
    let found = fs::symlink_metadata(path).expect("it is there");
    found.permissions().mode() & 0o7777
}

/// FS-001, UDS-011.
pub(super) fn nobody_else_gets_into_them(place: &dyn Place) {
    place.run(&[], "true").ok();
    for variable in ["XDG_RUNTIME_DIR", "XDG_STATE_HOME"] {
        let directory = place.directory(variable).join("vibepit");
        assert_eq!(mode(&directory), 0o700);
        fs::set_permissions(&directory, Permissions::from_mode(0o755)).expect("its mode");
        does_not_start(place, "chmod 700");
        assert_eq!(mode(&directory), 0o755, "nothing is mended in silence");
        fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("its mode");
    }
    if !require("root") {
        return;
    }
    let directory = place.directory("XDG_RUNTIME_DIR").join("vibepit");
    chown(&directory, Some(54_321), None).expect("root gives it away");
    // Whoever sat there first leaves it open.
    fs::set_permissions(&directory, Permissions::from_mode(0o777)).expect("its mode");
    does_not_start(place, "54321");
    fs::set_permissions(&directory, Permissions::from_mode(0o700)).expect("its mode");
    chown(&directory, Some(place.uid()), None).expect("root gives it back");
}

/// FS-002.
pub(super) fn in_tmp_it_is_ours_alone(place: &dyn Place) {
    let uid = place.uid();
    if Path::new(&format!("/run/user/{uid}")).exists() {
        require("a machine without /run/user/UID");
        return;
    }
    let tmp = place.home().join("tmp");
    place.person("mkdir ~/tmp ~/elsewhere && chmod 700 ~/elsewhere");
    let run = || {
        let mut command = place.vibepit();
        command.env_remove("XDG_RUNTIME_DIR").env("TMPDIR", &tmp);
        Ran::of(command.args(["run", "--", "echo", "started"]))
    };
    let own = tmp.join(format!("vibepit-{uid}"));
    let elsewhere = place.home().join("elsewhere");
    symlink(&elsewhere, &own).expect("a link");
    let ran = run();
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
    assert!(ran.stderr.contains("symbolic link"), "{ran:?}");
    assert_eq!(fs::read_dir(&elsewhere).expect("its entries").count(), 0);

    fs::remove_file(&own).expect("the link");
    assert_eq!(run().ok(), "started\n");
    for directory in [&own, &own.join("vibepit")] {
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    assert_eq!(sessions_in(&own.join("vibepit")), [""; 0]);
    for directory in [tmp, elsewhere] {
        fs::remove_dir_all(directory).expect("it goes");
    }
}

/// FS-004.
pub(super) fn a_session_is_no_path(place: &dyn Place) {
    let shell = place.shell(&[]);
    for asked in ["../../etc", "..", "/", "", "../vibepit"] {
        let ran = place.cli(&["rules", "--session", asked]);
        assert_eq!(ran.code, Some(3), "{asked:?}: {ran:?}");
    }
    assert_eq!(shell.end().0, Some(0));
}

/// FS-007. That it is bounded is a test of its own: tests/it/audit.rs.
pub(super) fn the_audit_log_is_its_owners_alone(place: &dyn Place) {
    place.run(&[], "true").ok();
    let mut directories = vec![place.directory("XDG_STATE_HOME").join("vibepit/audit")];
    let mut files = 0;
    while let Some(directory) = directories.pop() {
        assert_eq!(mode(&directory), 0o700, "{}", directory.display());
        for entry in fs::read_dir(directory).expect("a directory") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("its kind");
            if kind.is_dir() {
                directories.push(entry.path());
            } else if kind.is_file() {
                files += 1;
                assert_eq!(mode(&entry.path()), 0o600, "{}", entry.path().display());
            }
        }
    }
    assert!(files > 0, "a session leaves its log");
}

/// FS-005, UDS-016, UDS-017.
pub(super) fn where_no_socket_can_be_reached_there_is_the_port(place: &dyn Place) {
    let shell = place.shell(&[]);
    let session = place.session();
    let socket = session["control"]["socket"].as_str().expect("a socket");
    let socket = PathBuf::from(socket);
    let says_how = |how: &str| {
        let ran = place.cli(&["-v", "rules"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(ran.stderr.contains(how), "{ran:?}");
    };
    says_how("over Unix");
    // FS-005, UDS-017: as where a socket cannot be, or does not lead across.
    let aside = socket.with_file_name("aside");
    fs::rename(&socket, &aside).expect("it is moved away");
    says_how("over Tls");
    // UDS-016: a link to somebody who listens.
    let engine = place.home().join("engine.sock");
    let listener = UnixListener::bind(&engine).expect("a socket");
    fs::set_permissions(&engine, Permissions::from_mode(0o777)).expect("its mode");
    symlink(&engine, &socket).expect("a link");
    says_how("over Tls");
    // Whether anybody listens is asked by connecting: nothing is ever said there.
    listener.set_nonblocking(true).expect("a mode");
    while let Ok((mut stream, _)) = listener.accept() {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).expect("its end");
        assert_eq!(said, b"", "a link was followed");
    }
    fs::remove_file(&socket).expect("the link");
    fs::rename(&aside, &socket).expect("it is back");
    says_how("over Unix");
    fs::remove_file(engine).expect("the other socket");
    assert_eq!(shell.end().0, Some(0));
}
