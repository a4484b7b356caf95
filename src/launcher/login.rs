//! Files of the person's home by which an agent is signed in: mounted into its sandbox, or copied
//! into the sandbox's home. Neither here nor there is a symbolic link followed: an earlier sandbox
//! may have put one into the home that it shares with this one.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, UploadToContainerOptionsBuilder,
};
use nix::errno::Errno;
use tar::{Builder, EntryType, Header};

use super::engine::Engine;
use super::image::is_missing;
use super::nofollow::{Directory, Entry, Plain};
use super::request::Request;
use super::sandbox::VolumeSpec;
use crate::config::agents::LoginFile;

/// What signs somebody in is small.
const BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Nobody else's business.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// A file that the person gives to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// Which one.
    pub file: LoginFile,
    /// The sandbox has the file itself, and not a copy.
    pub shared: bool,
}

/// Why a file is not given to an agent.
#[derive(Debug, thiserror::Error)]
#[error("{} is not given to a sandbox: {why}", .path.display())]
pub struct LoginError {
    /// The file.
    pub path: PathBuf,
    /// Why not.
    pub why: String,
}

impl Login {
    /// Whether a home has this file: a plain one, at no link's end.
    ///
    /// # Errors
    /// When something else is there, or on the way.
    pub fn is_there(home: &Path, file: &LoginFile) -> Result<bool, LoginError> {
        look(home, file).map(|found| found.is_some())
    }
}

/// The file in the person's home, if it is there, by a path without links.
fn look(home: &Path, file: &LoginFile) -> Result<Option<(PathBuf, Plain)>, LoginError> {
    let error = |why: String| LoginError {
        path: home.join(file.path()),
        why,
    };
    let found = || -> io::Result<(PathBuf, Entry)> {
        // What is above the home is not the home's own.
        let home = home.canonicalize()?;
        let (above, name) = Directory::at(&home)?.above(file.path())?;
        Ok((home.join(file.path()), above.entry(name)?))
    };
    match found() {
        Ok((path, Entry::File(plain))) => Ok(Some((path, plain))),
        Ok((_, Entry::Link(_))) => Err(error("it is a symbolic link".to_owned())),
        Ok((_, Entry::Directory(_))) => Err(error("it is a directory".to_owned())),
        Ok((_, Entry::Special(what))) => Err(error(format!("it is a {what}"))),
        Err(problem) if problem.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(error(of_way(&problem))),
    }
}

/// What keeps a path from being walked.
fn of_way(problem: &io::Error) -> String {
    match problem.raw_os_error().map(Errno::from_raw) {
        // O_NOFOLLOW with O_DIRECTORY (open(2)).
        Some(Errno::ENOTDIR | Errno::ELOOP) => {
            "a file or a symbolic link is on the way to it".to_owned()
        }
        _ => problem.to_string(),
    }
}

/// The files that a sandbox is to have themselves, at their place in its home.
pub(super) fn shared(request: &Request, inside: &Path) -> Result<Vec<VolumeSpec>> {
    let mut specs = Vec::new();
    let Some(home) = &request.home else {
        return Ok(specs);
    };
    for login in request.login.iter().filter(|login| login.shared) {
        if let Some((source, _)) = look(home, &login.file)? {
            specs.push(VolumeSpec::writable(source, inside.join(login.file.path())));
        }
    }
    Ok(specs)
}

/// The files that a sandbox is to have copies of, with what is in them.
fn copied(request: &Request) -> Result<Vec<(&LoginFile, Vec<u8>)>> {
    let mut copies = Vec::new();
    let Some(home) = &request.home else {
        return Ok(copies);
    };
    for login in request.login.iter().filter(|login| !login.shared) {
        let Some((path, plain)) = look(home, &login.file)? else {
            continue;
        };
        let bytes = plain
            .read(BYTES_MAX)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let bytes = bytes.ok_or_else(|| LoginError {
            path,
            why: format!("it has more than {} MiB", BYTES_MAX >> 20),
        })?;
        copies.push((&login.file, bytes));
    }
    Ok(copies)
}

/// Copies what is to be copied into a home of this machine, where it is not there yet.
pub(super) fn put(request: &Request, home: &Path) -> Result<()> {
    let copies = copied(request)?;
    if copies.is_empty() {
        return Ok(());
    }
    let top = Directory::at(home).with_context(|| format!("the home {}", home.display()))?;
    for (file, bytes) in copies {
        put_one(&top, file, &bytes).map_err(|problem| {
            anyhow::anyhow!(
                "{} cannot be copied into the sandbox's home {}: {}; take out of that home what is \
                 in its place, or answer no: vibepit agents login",
                file,
                home.display(),
                of_way(&problem)
            )
        })?;
    }
    Ok(())
}

fn put_one(top: &Directory, file: &LoginFile, bytes: &[u8]) -> io::Result<()> {
    let mut above = top.below(Path::new(""))?;
    let path = file.path();
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    for step in path.parent().into_iter().flat_map(Path::components) {
        let step = step.as_os_str();
        match above.make_directory(step) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        above = above.below(Path::new(step))?;
    }
    match above.make_file(name, FILE_MODE) {
        Ok(mut made) => made.write_all(bytes),
        // It is the sandbox's own by now, whatever it is.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// The same for a container that has not started: the engine puts it into the home volume, and
/// follows no link out of the container. Directories that files are mounted in become the person's,
/// too; an engine would make them as root.
pub(super) async fn put_into(
    engine: &Engine,
    container: &str,
    request: &Request,
    home: &Path,
) -> Result<()> {
    let mut copies = Vec::new();
    for (file, bytes) in copied(request)? {
        let place = home.join(file.path());
        let options = ContainerArchiveInfoOptionsBuilder::default()
            .path(&place.to_string_lossy())
            .build();
        let info = engine
            .docker
            .get_container_archive_info(container, Some(options));
        match info.await {
            Ok(_) => {}
            Err(error) if is_missing(&error) => copies.push((file, bytes)),
            Err(error) => {
                return Err(error).context("the engine does not tell what the sandbox's home has");
            }
        }
    }
    let mounted = request.login.iter().filter(|login| login.shared);
    let mounted: Vec<&LoginFile> = mounted.map(|login| &login.file).collect();
    if copies.is_empty() && mounted.is_empty() {
        return Ok(());
    }
    let archive = pack(&copies, &mounted, engine.facts().user())?;
    let options = UploadToContainerOptionsBuilder::default()
        .path(&home.to_string_lossy())
        .build();
    let body = bollard::body_full(archive.into());
    let put = engine
        .docker
        .upload_to_container(container, Some(options), body);
    put.await
        .context("what signs the agent in could not be copied into the sandbox's home")
}

fn pack(
    copies: &[(&LoginFile, Vec<u8>)],
    mounted: &[&LoginFile],
    owner: (u32, u32),
) -> io::Result<Vec<u8>> {
    let header = |kind, mode, size: usize| {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(owner.0.into());
        header.set_gid(owner.1.into());
        header.set_size(size as u64);
        header
    };
    let mut archive = Builder::new(Vec::new());
    let mut made: Vec<&Path> = Vec::new();
    let files = copies
        .iter()
        .map(|(file, _)| *file)
        .chain(mounted.iter().copied());
    for file in files {
        let above: Vec<&Path> = file.path().ancestors().skip(1).collect();
        for directory in above.into_iter().rev() {
            if directory != Path::new("") && !made.contains(&directory) {
                let mut header = header(EntryType::Directory, DIRECTORY_MODE, 0);
                archive.append_data(&mut header, directory, io::empty())?;
                made.push(directory);
            }
        }
    }
    for (file, bytes) in copies {
        let mut header = header(EntryType::Regular, FILE_MODE, bytes.len());
        archive.append_data(&mut header, file.path(), bytes.as_slice())?;
    }
    archive.into_inner()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn file(path: &str) -> LoginFile {
        path.parse().unwrap()
    }

    fn home() -> (tempfile::TempDir, PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let path = guard.path().canonicalize().unwrap();
        (guard, path)
    }

    #[test]
    fn only_a_plain_file_behind_no_link_is_given() {
        let (_guard, home) = home();
        fs::create_dir_all(home.join(".tool/dir")).unwrap();
        fs::write(home.join(".tool/auth"), "x").unwrap();
        symlink(home.join(".tool"), home.join(".link")).unwrap();
        symlink("/etc/passwd", home.join(".tool/passwd")).unwrap();
        let there = |path| Login::is_there(&home, &file(path));
        assert!(there(".tool/auth").unwrap());
        assert!(!there(".tool/nothing").unwrap());
        assert!(!there(".nothing/auth").unwrap());
        for hostile in [".link/auth", ".tool/passwd", ".tool/dir", ".tool/auth/x"] {
            assert!(there(hostile).is_err(), "{hostile}");
        }
    }

    #[test]
    fn a_copy_is_made_once_and_through_no_link() {
        let (_guard, home) = home();
        let top = Directory::at(&home).unwrap();
        put_one(&top, &file(".a/b/auth"), b"one").unwrap();
        put_one(&top, &file(".a/b/auth"), b"two").unwrap();
        let made = home.join(".a/b/auth");
        assert_eq!(fs::read_to_string(&made).unwrap(), "one");
        let mode = fs::metadata(&made).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, FILE_MODE);

        let (_elsewhere_guard, elsewhere) = self::home();
        symlink(&elsewhere, home.join(".link")).unwrap();
        symlink(elsewhere.join("made"), home.join(".a/planted")).unwrap();
        assert!(put_one(&top, &file(".link/auth"), b"x").is_err());
        // What is there is left as it is, and not written through.
        put_one(&top, &file(".a/planted"), b"x").unwrap();
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}
