//! The proxy's image: this very executable, with its ELF interpreter and the shared objects it
//! has mapped, each at its own path. So it needs no registry, and the proxy is always the
//! launcher's own version.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use bollard::Docker;

use super::tarball::Tarball;
use super::{Image, PROXY};

/// Where the executable lies in the image.
const PROGRAM: &str = "/vibepit";

/// A proxy's image and how it is started.
#[derive(Debug, Clone)]
pub(crate) struct Executable {
    pub(crate) image: Image,
    pub(crate) program: String,
    /// Directories of the shared objects, for `LD_LIBRARY_PATH`: there is no linker cache in the
    /// image. Empty for a static executable.
    pub(crate) library_path: String,
}

/// Makes sure that the engine has the image of this process.
pub(crate) async fn of_this_process(docker: &Docker) -> Result<Executable> {
    let parts = Parts::of_this_process().context(
        "the proxy's image is made from the running vibepit, but its files cannot be read; start \
         vibepit again if it was updated just now",
    )?;
    let library_path = parts.library_path();
    let tarball = tokio::task::spawn_blocking(move || parts.pack())
        .await
        .map_err(|error| anyhow!(error))
        .and_then(|packed| Ok(packed?))
        .context("the proxy's image could not be packed")?;
    let image = super::ensure(docker, PROXY, tarball).await?;
    Ok(Executable {
        image,
        program: PROGRAM.to_owned(),
        library_path,
    })
}

/// The files that a program needs to run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parts {
    /// As the kernel leads to it, whatever it is called by now.
    executable: PathBuf,
    pub(crate) interpreter: Option<PathBuf>,
    pub(crate) objects: BTreeSet<PathBuf>,
}

impl Parts {
    /// Those of the running program.
    pub(crate) fn of_this_process() -> io::Result<Self> {
        let executable = PathBuf::from("/proc/self/exe");
        let interpreter = interpreter(&mut File::open(&executable)?)?;
        let own = std::fs::read_link(&executable)?;
        let mut objects = mapped_objects(&std::fs::read_to_string("/proc/self/maps")?);
        objects.remove(&own);
        Ok(Self {
            executable,
            interpreter,
            objects,
        })
    }

    fn library_path(&self) -> String {
        let directories: BTreeSet<_> = self
            .objects
            .iter()
            .filter_map(|path| path.parent())
            .collect();
        let directories: Vec<_> = directories
            .iter()
            .map(|path| path.to_string_lossy())
            .collect();
        directories.join(":")
    }

    fn pack(&self) -> io::Result<Tarball> {
        let mut tarball = Tarball::new();
        // Where the engine and the launcher mount things.
        for directory in ["/dev", "/proc", "/sys", "/etc"] {
            tarball.directory(Path::new(directory))?;
        }
        let mut add = |path: &Path, place: &Path| {
            let file = File::open(path).map_err(|error| {
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })?;
            tarball.file(place, file.metadata()?.len(), file)
        };
        add(&self.executable, Path::new(PROGRAM))?;
        for object in &self.objects {
            add(object, object)?;
        }
        // The kernel looks for the interpreter under the very path the executable names, which is
        // often a link to the object that is mapped.
        if let Some(interpreter) = self
            .interpreter
            .as_ref()
            .filter(|i| !self.objects.contains(*i))
        {
            add(interpreter, interpreter)?;
        }
        Ok(tarball)
    }
}

/// Files that are mapped to be executed: `address perms offset dev inode path` (proc_pid_maps(5)).
fn mapped_objects(maps: &str) -> BTreeSet<PathBuf> {
    maps.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(6, ' ');
            let permissions = fields.nth(1)?;
            let path = fields.nth(3)?.trim_start();
            (permissions.contains('x') && path.starts_with('/')).then(|| PathBuf::from(path))
        })
        .collect()
}

const EI_CLASS: usize = 4;
const EI_DATA: usize = 5;
const PT_INTERP: u32 = 3;
/// PATH_MAX: no interpreter has a longer name.
const LONGEST_PATH: u64 = 4096;

/// The program interpreter an ELF file asks for (elf(5)): `None` when it is static. Only 64-bit
/// little-endian files are understood, because only they are built.
fn interpreter(file: &mut (impl Read + Seek)) -> io::Result<Option<PathBuf>> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, format!("ELF: {what}"));
    let mut head = [0; 64];
    file.read_exact(&mut head)?;
    if head[..4] != *b"\x7fELF" || head[EI_CLASS] != 2 || head[EI_DATA] != 1 {
        return Err(bad("not a 64-bit little-endian file"));
    }
    let table = u64_at(&head, 32);
    let (size, count) = (u16_at(&head, 54), u16_at(&head, 56));
    if size < 56 {
        return Err(bad("program headers are too short"));
    }
    for index in 0..u64::from(count) {
        let mut entry = [0; 56];
        file.seek(SeekFrom::Start(
            table.saturating_add(index * u64::from(size)),
        ))?;
        file.read_exact(&mut entry)?;
        if u32_at(&entry, 0) == PT_INTERP {
            let (offset, length) = (u64_at(&entry, 8), u64_at(&entry, 32));
            if length > LONGEST_PATH {
                return Err(bad("the interpreter's name is too long"));
            }
            let mut name = Vec::new();
            file.seek(SeekFrom::Start(offset))?;
            file.take(length).read_to_end(&mut name)?;
            let end = name
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(name.len());
            return Ok(Some(PathBuf::from(std::ffi::OsStr::from_bytes(
                &name[..end],
            ))));
        }
    }
    Ok(None)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn the_running_test_is_packed_with_what_it_needs() {
        let parts = Parts::of_this_process().unwrap();
        if let Some(interpreter) = &parts.interpreter {
            assert!(interpreter.is_absolute() && interpreter.exists());
            assert!(
                parts
                    .objects
                    .iter()
                    .any(|object| object.to_string_lossy().contains("libc"))
            );
            assert!(!parts.library_path().is_empty());
        }
        assert!(!parts.objects.contains(&std::env::current_exe().unwrap()));
        let bytes = parts.pack().unwrap().into_bytes();
        let mut archive = tar::Archive::new(&bytes[..]);
        let has = |path: &Path, archive: &mut tar::Archive<&[u8]>| {
            archive
                .entries()
                .unwrap()
                .any(|e| Path::new("/").join(e.unwrap().path().unwrap()) == path)
        };
        assert!(has(Path::new(PROGRAM), &mut archive));
    }

    #[test]
    fn only_files_that_are_mapped_to_be_executed_count() {
        let maps = "\
            5500-5501 r--p 00000000 08:01 17 /usr/bin/x\n\
            5501-5502 r-xp 00001000 08:01 17                      /usr/bin/x\n\
            7f00-7f01 r-xp 00001000 08:01 18                      /usr/lib/with blank/libc.so.6\n\
            7f02-7f03 r--p 00001000 08:01 19                      /usr/lib/locale/locale-archive\n\
            7f04-7f05 rwxp 00000000 00:00 0 \n\
            7ffd-7ffe r-xp 00000000 00:00 0                       [vdso]\n";
        let objects: Vec<_> = mapped_objects(maps).into_iter().collect();
        let expected = [
            PathBuf::from("/usr/bin/x"),
            PathBuf::from("/usr/lib/with blank/libc.so.6"),
        ];
        assert_eq!(objects, expected);
    }

    #[test]
    fn a_file_that_is_not_elf_or_is_cut_short_is_an_error() {
        for bytes in [&b"#!/bin/sh\n"[..], b"\x7fELF", &[0; 64]] {
            assert!(interpreter(&mut Cursor::new(bytes)).is_err());
        }
        let mut head = [0; 64];
        head[..6].copy_from_slice(b"\x7fELF\x02\x01");
        head[32] = 64;
        head[54] = 56;
        head[56] = 1;
        assert!(
            interpreter(&mut Cursor::new(&head)).is_err(),
            "its program header is missing"
        );
        head[56] = 0;
        assert_eq!(interpreter(&mut Cursor::new(&head)).unwrap(), None);
    }
}
