//! The copy, made: a volume, and the project in it.

use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use bollard::models::VolumeCreateRequest;
use bollard::query_parameters::UploadToContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::stream;
use nix::sys::stat::FileStat;
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc;

use super::super::docker::Containers;
use super::super::engine::Engine;
use super::super::nofollow::{Directory, Entry};
use super::super::project::Project;
use super::super::undo::Undo;
use super::super::volumes;
use super::snapshot::{Hashing, Item, Snapshot, paths};
use super::{BYTES_MAX, manifest};
use crate::session::SessionId;

/// Pieces that wait for the engine.
const PIECES: usize = 8;
const PIECE: usize = 64 * 1024;

/// A volume that goes with a start that fails, and stays otherwise.
pub(crate) struct Kept(Arc<AtomicBool>);

impl Kept {
    /// What the command does in it from now on is the person's work.
    pub(crate) fn keep(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Makes the volume.
pub(crate) async fn make_volume(
    containers: &Containers<'_>,
    name: &str,
    undo: &mut Undo,
) -> Result<Kept> {
    let engine = containers.engine;
    let kept = Arc::new(AtomicBool::new(false));
    {
        let (engine, name, kept) = (engine.clone(), name.to_owned(), Arc::clone(&kept));
        undo.push("the copy of the project", move || async move {
            match kept.load(Ordering::Relaxed) {
                true => Ok(()),
                false => volumes::remove(&engine, &name).await,
            }
        });
    }
    let request = VolumeCreateRequest {
        name: Some(name.to_owned()),
        labels: Some(containers.names.labels("project")),
        ..VolumeCreateRequest::default()
    };
    volumes::create(engine, request).await?;
    Ok(Kept(kept))
}

/// Copies the project into the container, where the volume is mounted, and remembers what it
/// copied.
pub(crate) async fn upload(
    engine: &Engine,
    container: &str,
    project: &Project,
    session: SessionId,
) -> Result<()> {
    let root = Arc::clone(project.directory());
    let looking = {
        let root = Arc::clone(&root);
        tokio::task::spawn_blocking(move || sized(&root))
    };
    let (paths, bytes) = looking.await?.context("the project cannot be read")?;
    if bytes > BYTES_MAX {
        bail!(
            "the project is too large to be copied to {} ({} MiB, and {} MiB are copied at most); \
             put it on that machine and name it: --remote-path DIR",
            engine.facts().endpoint,
            bytes >> 20,
            BYTES_MAX >> 20
        );
    }
    let owner = engine.facts().user();
    let (pieces, taken) = mpsc::channel(PIECES);
    let options = UploadToContainerOptionsBuilder::default()
        .path(&project.path().to_string_lossy())
        .build();
    let packing = tokio::task::spawn_blocking(move || pack(&root, &paths, owner, pieces));
    let body = stream::unfold(taken, |mut taken| async move {
        let piece = taken.recv().await?;
        Some((piece, taken))
    });
    let uploaded = engine
        .docker
        .upload_to_container(container, Some(options), bollard::body_stream(body))
        .await;
    let packed = packing.await?;
    uploaded.context("the project could not be copied to the engine's machine")?;
    let snapshot = packed.context("the project could not be read")?;
    snapshot.save(&manifest(&session)?)
}

fn sized(root: &Directory) -> io::Result<(Vec<String>, u64)> {
    let paths = paths(root)?;
    let size = |path: &String| -> io::Result<u64> {
        let (_, status) = look(root, path)?;
        Ok(u64::try_from(status.st_size).unwrap_or(0))
    };
    let bytes = paths.iter().map(size).sum::<io::Result<u64>>()?;
    Ok((paths, bytes))
}

fn look(root: &Directory, path: &str) -> io::Result<(Entry, FileStat)> {
    let (above, name) = root.above(Path::new(path))?;
    above.look(name)
}

fn pack(
    root: &Directory,
    paths: &[String],
    owner: (u32, u32),
    pieces: mpsc::Sender<Bytes>,
) -> io::Result<Snapshot> {
    let writer = io::BufWriter::with_capacity(PIECE, Pieces(pieces));
    let mut archive = Builder::new(writer);
    let mut snapshot = Snapshot::default();
    let mut top = header(&root.status()?, EntryType::Directory, owner);
    archive.append_data(&mut top, "./", io::empty())?;
    for path in paths {
        let (entry, status) = look(root, path)?;
        let item = match entry {
            Entry::Directory(_) => {
                let mut header = header(&status, EntryType::Directory, owner);
                archive.append_data(&mut header, path, io::empty())?;
                Item::Directory
            }
            Entry::Link(target) => {
                let mut header = header(&status, EntryType::Symlink, owner);
                archive.append_link(&mut header, path, &target)?;
                Item::Link(target.to_string_lossy().into_owned())
            }
            Entry::File(file) => {
                // As long as it is now: it may have changed since it was listed.
                let size = u64::try_from(status.st_size).unwrap_or(0);
                let mut header = header(&status, EntryType::Regular, owner);
                header.set_size(size);
                let mut content = Hashing::new(file.open()?.take(size));
                archive.append_data(&mut header, path, &mut content)?;
                Item::file(status.st_mode, content)
            }
            Entry::Special(_) => continue,
        };
        snapshot.0.insert(path.clone(), item);
    }
    archive.into_inner()?.flush()?;
    Ok(snapshot)
}

fn header(status: &FileStat, kind: EntryType, owner: (u32, u32)) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(status.st_mode & 0o777);
    header.set_mtime(u64::try_from(status.st_mtime).unwrap_or(0));
    header.set_uid(owner.0.into());
    header.set_gid(owner.1.into());
    header.set_size(0);
    header
}

/// Hands what is written to whoever sends it.
struct Pieces(mpsc::Sender<Bytes>);

impl Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        let gone = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.0
            .blocking_send(Bytes::copy_from_slice(piece))
            .map_err(gone)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
