//! Taking away what dead sessions left. Removes the names that vibepit makes and nothing else,
//! and never follows a symbolic link.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::dir::{
    FILTER, GIT_CONFIG, KEEPER_SOCKET, LOCK, PROGRAM, RECORD, RECORD_IN_WRITING, RESOLV_CONF,
    SOCKET_DIR, SSH_CONFIG, hold_back_reapers, try_lock,
};
use super::discovery::{ids, is_answering};
use super::layout::{LayoutError, RuntimeDir, open_private};
use super::{SessionId, credentials};

/// What a reaping did.
#[derive(Debug, Default)]
pub struct Reaped {
    /// The sessions whose directories are gone.
    pub removed: Vec<SessionId>,
    /// The ones that are dead but could not be removed, and why.
    pub failed: Vec<(SessionId, LayoutError)>,
}

/// Removes the directory of every session whose control plane does not answer and whose lock is
/// free. A session that is starting holds its lock, and is left alone.
///
/// # Errors
///
/// When the runtime directory cannot be locked. A directory that resists is told in
/// [`Reaped::failed`], and does not keep the others.
pub async fn reap(runtime: &RuntimeDir) -> Result<Reaped, LayoutError> {
    let mut dead = Vec::new();
    for id in ids(runtime) {
        if !is_answering(runtime, id).await {
            dead.push(id);
        }
    }
    let mut reaped = Reaped::default();
    if dead.is_empty() {
        return Ok(reaped);
    }
    let _no_creator = hold_back_reapers(runtime)?;
    for id in dead {
        match remove_if_unlocked(runtime, id) {
            Ok(true) => reaped.removed.push(id),
            Ok(false) => {}
            Err(error) => reaped.failed.push((id, error)),
        }
    }
    Ok(reaped)
}

fn remove_if_unlocked(runtime: &RuntimeDir, id: SessionId) -> Result<bool, LayoutError> {
    let path = runtime.path().join(id.as_str());
    let directory = match open_private(runtime.directory(), id.as_str().as_ref(), &path) {
        Ok(directory) => directory,
        Err(error) if error.is_missing() => return Ok(false),
        Err(error) => return Err(error),
    };
    let held = try_lock(&directory, LOCK.as_ref(), FlockArg::LockExclusiveNonblock)
        .map_err(|error| LayoutError::io("lock", &path, error))?;
    let Some(_lock) = held else { return Ok(false) };
    clear(runtime.directory(), id, &directory, &path)?;
    Ok(true)
}

/// Removes a session's directory. To be called with its lock held.
pub(super) fn clear(
    parent: impl AsFd,
    id: SessionId,
    directory: &File,
    path: &Path,
) -> Result<(), LayoutError> {
    // First what announces it, last what says that it is being removed.
    for name in [
        RECORD,
        RECORD_IN_WRITING,
        RESOLV_CONF,
        GIT_CONFIG,
        SSH_CONFIG,
        PROGRAM,
        FILTER,
        KEEPER_SOCKET,
    ]
    .into_iter()
    .chain(credentials::FILES)
    {
        remove(
            directory,
            name,
            UnlinkatFlags::NoRemoveDir,
            &path.join(name),
        )?;
    }
    clear_sockets(directory, &path.join(SOCKET_DIR))?;
    remove(
        directory,
        LOCK,
        UnlinkatFlags::NoRemoveDir,
        &path.join(LOCK),
    )?;
    remove(parent, id.as_str(), UnlinkatFlags::RemoveDir, path)
}

fn clear_sockets(session: &File, path: &Path) -> Result<(), LayoutError> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let directory = match openat(session, SOCKET_DIR, flags, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::ENOENT) => return Ok(()),
        Err(error) => return Err(LayoutError::io("open", path, error)),
    };
    let listed = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    let entries = fs::read_dir(listed).map_err(|error| LayoutError::io("list", path, error))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let found = fstatat(&directory, name.as_os_str(), AtFlags::AT_SYMLINK_NOFOLLOW);
        let is_socket = found.is_ok_and(|found| {
            SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT == SFlag::S_IFSOCK
        });
        if is_socket {
            let path = path.join(&name);
            remove(
                &directory,
                name.as_os_str(),
                UnlinkatFlags::NoRemoveDir,
                &path,
            )?;
        }
    }
    remove(session, SOCKET_DIR, UnlinkatFlags::RemoveDir, path)
}

fn remove(
    directory: impl AsFd,
    name: impl AsRef<std::ffi::OsStr>,
    what: UnlinkatFlags,
    path: &Path,
) -> Result<(), LayoutError> {
    match unlinkat(directory, name.as_ref(), what) {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => Err(LayoutError::io(
            "remove (it holds something that vibepit did not put there)",
            path,
            io::Error::from(Errno::ENOTEMPTY),
        )),
        Err(error) => Err(LayoutError::io("remove", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::discover;
    use super::super::testing::Home;
    use super::*;
    use std::os::unix::fs::symlink;

    #[tokio::test]
    async fn only_what_is_dead_and_unlocked_is_removed() {
        let home = Home::new();
        let live = home.live("live", None);
        let starting = home.starting();
        let dead = home.stale("dead", None);
        let crashed = home.starting();
        let crashed_id = crashed.id();
        drop(crashed);

        let mut reaped = reap(&home.runtime).await.unwrap();
        reaped.removed.sort();
        let mut expected = [dead, crashed_id];
        expected.sort();
        assert_eq!(reaped.removed, expected);
        assert!(reaped.failed.is_empty(), "{:?}", reaped.failed);
        assert!(live.dir.path().exists() && starting.path().exists());
        assert!(!home.runtime.path().join(dead.as_str()).exists());
        assert_eq!(discover(&home.runtime).len(), 1);
    }

    #[tokio::test]
    async fn a_proxy_that_outlives_its_launcher_is_left_alone() {
        let home = Home::new();
        let live = home.live("web", None);
        let id = live.dir.id();
        let (dir, _listener) = live.apart();
        drop(dir);
        assert!(reap(&home.runtime).await.unwrap().removed.is_empty());
        assert!(home.runtime.path().join(id.as_str()).exists());
    }

    #[tokio::test]
    async fn a_directory_that_was_made_but_never_locked_is_removed() {
        let home = Home::new();
        let id = SessionId::random().unwrap();
        let path = home.runtime.path().join(id.as_str());
        nix::unistd::mkdir(&path, Mode::S_IRWXU).unwrap();
        assert_eq!(reap(&home.runtime).await.unwrap().removed, [id]);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_is_not_vibepits_stays_and_does_not_keep_the_others() {
        let home = Home::new();
        let outside = home.dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("session.json"), "precious").unwrap();
        symlink(&outside, home.runtime.path().join("aaaaaaaaaaaaaaaa")).unwrap();
        let guarded = home.stale("guarded", None);
        let precious = home.runtime.path().join(guarded.as_str()).join("precious");
        fs::write(&precious, "").unwrap();
        let plain = home.stale("plain", None);

        let reaped = reap(&home.runtime).await.unwrap();
        assert_eq!(reaped.removed, [plain]);
        assert_eq!(reaped.failed.len(), 2, "{:?}", reaped.failed);
        assert!(precious.exists());
        assert!(outside.join("session.json").exists());
    }

    #[tokio::test]
    async fn nothing_that_is_being_made_is_reaped() {
        let home = Home::new();
        let path = home.runtime.path().to_owned();
        let maker = tokio::task::spawn_blocking(move || {
            let runtime = RuntimeDir::open_or_create_at(&path).unwrap();
            let make = || super::super::SessionDir::create(&runtime, &SessionId::random().unwrap());
            (0..200).map(|_| make().unwrap()).collect::<Vec<_>>()
        });
        while !maker.is_finished() {
            let reaped = reap(&home.runtime).await.unwrap();
            assert!(reaped.removed.is_empty(), "{:?}", reaped.removed);
            tokio::task::yield_now().await;
        }
        for made in maker.await.unwrap() {
            assert!(made.path().join(LOCK).exists());
        }
    }
}
