//! A copy as it is now, brought to a directory of our own in which nothing has a name of its
//! choosing.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use futures_util::StreamExt;
use tar::{Archive, EntryType};
use tokio::sync::mpsc;

use super::super::container;
use super::super::engine::Engine;
use super::super::image;
use super::super::labels;
use super::super::mounts::volume;
use super::snapshot::{Hashing, Item};
use super::{BYTES_MAX, Copied, META};

/// What is there, and where its content was put.
pub(super) struct Fetched {
    pub(super) items: BTreeMap<String, (Item, Option<PathBuf>)>,
    pub(super) staging: Staging,
}

/// A directory that goes with its value.
pub(super) struct Staging(pub(super) PathBuf);

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Fetches what is in the copy: by a container that never runs.
pub(super) async fn fetch(
    engine: &Engine,
    copied: &Copied,
    project: &Path,
    staging: &Path,
) -> Result<Fetched> {
    DirBuilder::new()
        .mode(0o700)
        .create(staging)
        .with_context(|| format!("{} cannot be made", staging.display()))?;
    let staging = Staging(staging.to_owned());
    let name = format!("vibepit-{}-pull", copied.session);
    container::remove(engine, &name).await?;
    let fetched = container::create_from(
        || image::of_this_process(&engine.docker),
        async |executable| {
            let body = ContainerCreateBody {
                image: Some(executable.image.0),
                cmd: Some(vec!["/nothing".to_owned()]),
                labels: Some(labels::ours("pull")),
                host_config: Some(HostConfig {
                    network_mode: Some("none".to_owned()),
                    mounts: Some(vec![volume(Some(&copied.volume), project)]),
                    ..container::hardened(engine.facts())
                }),
                ..ContainerCreateBody::default()
            };
            container::create(engine, &name, body).await
        },
    )
    .await
    .context("the copy cannot be looked at");
    let unpacked = match fetched {
        Ok(()) => download(engine, &name, project, &staging.0).await,
        Err(error) => Err(error),
    };
    container::remove(engine, &name).await?;
    Ok(Fetched {
        items: unpacked?,
        staging,
    })
}

type Items = BTreeMap<String, (Item, Option<PathBuf>)>;

async fn download(engine: &Engine, name: &str, project: &Path, staging: &Path) -> Result<Items> {
    let options = DownloadFromContainerOptionsBuilder::default()
        .path(&project.to_string_lossy())
        .build();
    let mut pieces = engine.docker.download_from_container(name, Some(options));
    let (sender, receiver) = mpsc::channel::<Bytes>(8);
    let staging = staging.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || unpack(Stream::new(receiver), &staging));
    while let Some(piece) = pieces.next().await {
        let piece = piece.context("the copy could not be fetched")?;
        if sender.send(piece).await.is_err() {
            break;
        }
    }
    drop(sender);
    unpacking.await?
}

/// Everything in the archive, below its one directory.
fn unpack(archive: impl Read, staging: &Path) -> Result<Items> {
    let mut archive = Archive::new(archive);
    let mut items = Items::new();
    let mut bytes = 0;
    for (number, entry) in archive.entries()?.enumerate() {
        let mut entry = entry?;
        let Some(path) = inside(&entry.path()?) else {
            continue;
        };
        let mode = entry.header().mode()?;
        let item = match entry.header().entry_type() {
            EntryType::Directory => (Item::Directory, None),
            EntryType::Symlink => {
                let target = entry.link_name()?.context("a link without a target")?;
                (Item::Link(target.to_string_lossy().into_owned()), None)
            }
            EntryType::Link => {
                let target = entry.link_name()?.context("a link without a target")?;
                let known = inside(&target).and_then(|target| items.get(&target).cloned());
                known.context("a hard link leads out of the copy")?
            }
            EntryType::Regular => {
                bytes += entry.size();
                if bytes > BYTES_MAX {
                    bail!(
                        "the copy has grown beyond {} MiB; fetch what you need of it by hand",
                        BYTES_MAX >> 20
                    );
                }
                let place = staging.join(number.to_string());
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(&place)?;
                let mut content = Hashing::new(&mut entry);
                io::copy(&mut content, &mut file)?;
                (Item::file(mode, content), Some(place))
            }
            _ => continue,
        };
        items.insert(path, item);
    }
    Ok(items)
}

/// A path in the project: nothing that leads out of it, and not its settings.
fn inside(path: &Path) -> Option<String> {
    let mut parts = path.components().filter(|part| *part != Component::CurDir);
    parts.next()?;
    let rest: PathBuf = parts
        .map(|part| match part {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let empty = rest.as_os_str().is_empty();
    if empty || rest.starts_with(META) {
        return None;
    }
    rest.to_str().map(str::to_owned)
}

/// Reads what comes over a channel.
struct Stream {
    pieces: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Stream {
    fn new(pieces: mpsc::Receiver<Bytes>) -> Self {
        Self {
            pieces,
            piece: Bytes::new(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_of_the_copy_or_to_its_settings_is_none() {
        assert_eq!(inside(Path::new("app/src/x")).as_deref(), Some("src/x"));
        assert_eq!(inside(Path::new("./app/x")).as_deref(), Some("x"));
        for path in ["app", "app/", "app/../x", "app/.vibepit/config.toml", ""] {
            assert_eq!(inside(Path::new(path)), None, "{path}");
        }
    }
}
