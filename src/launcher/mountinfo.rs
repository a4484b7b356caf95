//! What is mounted where in this process's view, from `/proc/self/mountinfo` (proc(5)).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MountPoint {
    pub(crate) path: PathBuf,
    /// The file system, as `major:minor`.
    device: String,
    /// The directory (or file) of the file system that is seen there.
    root: PathBuf,
    /// The kind of file system.
    pub(crate) kind: String,
}

/// A place in a file system, whatever is mounted where: two paths that lead to the same place have
/// the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    device: String,
    path: PathBuf,
}

impl Location {
    /// Whether `other` is this place or lies in it.
    pub(crate) fn holds(&self, other: &Self) -> bool {
        self.device == other.device && other.path.starts_with(&self.path)
    }
}

impl MountPoint {
    /// What is seen at the mount point itself.
    pub(crate) fn location(&self) -> Location {
        self.place(Path::new(""))
    }

    fn place(&self, inside: &Path) -> Location {
        Location {
            device: self.device.clone(),
            path: self.root.join(inside),
        }
    }
}

/// Every mount, those below others after them; an unreadable table counts as empty.
pub(crate) fn read() -> Vec<MountPoint> {
    parse(&std::fs::read("/proc/self/mountinfo").unwrap_or_default())
}

/// The third field is the device, the fourth the root, the fifth the mount point; the kind is the
/// first one after a lone dash.
pub(crate) fn parse(table: &[u8]) -> Vec<MountPoint> {
    let points = table.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut fields = line.split(|byte| *byte == b' ').skip(2);
        let device = String::from_utf8_lossy(fields.next()?).into_owned();
        let root = path(fields.next()?);
        let at = path(fields.next()?);
        let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
        Some(MountPoint {
            path: at,
            device,
            root,
            kind: String::from_utf8_lossy(kind).into_owned(),
        })
    });
    let mut points: Vec<MountPoint> = points.collect();
    // What was mounted later on the same path stays after what it hides.
    points.sort_by(|one, other| one.path.cmp(&other.path));
    points
}

/// Where a path without links leads.
pub(crate) fn location(mounts: &[MountPoint], path: &Path) -> Option<Location> {
    let mounts = mounts.iter().filter_map(|mount| {
        let inside = path.strip_prefix(&mount.path).ok()?;
        Some((mount.path.components().count(), mount, inside))
    });
    // The last one of the deepest.
    let (_, mount, inside) = mounts.max_by_key(|(depth, ..)| *depth)?;
    Some(mount.place(inside))
}

/// Blanks and backslashes are in octal.
fn path(field: &[u8]) -> PathBuf {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, tail)) = rest.split_first() {
        let octal = (*first == b'\\')
            .then(|| std::str::from_utf8(tail.get(..3)?).ok())
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match octal {
            Some(byte) => {
                out.push(byte);
                rest = &tail[3..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 8:1 / / rw - ext4 /dev/a rw\n\
        23 22 8:2 / /home rw shared:1 master:2 - xfs /dev/b rw\n\
        24 22 8:2 /u/app /srv/a\\040b rw - xfs /dev/b rw\n\
        25 22 0:5 / /srv/app/proc rw - proc proc rw\n\
        26 22 8:9 / /srv/app rw - ext4 /dev/hidden rw\n\
        27 22 8:1 /data /srv/app rw - ext4 /dev/a rw\n";

    #[test]
    fn mounts_are_read_with_what_they_show() {
        let mounts = parse(TABLE);
        let kinds: Vec<_> = mounts
            .iter()
            .map(|mount| (mount.path.to_str().unwrap(), mount.kind.as_str()))
            .collect();
        assert_eq!(
            kinds,
            [
                ("/", "ext4"),
                ("/home", "xfs"),
                ("/srv/a b", "xfs"),
                ("/srv/app", "ext4"),
                ("/srv/app", "ext4"),
                ("/srv/app/proc", "proc"),
            ]
        );
    }

    #[test]
    fn the_same_place_is_known_under_each_of_its_paths() {
        let mounts = parse(TABLE);
        let at = |path: &str| location(&mounts, Path::new(path)).unwrap();
        assert_eq!(at("/home/u/app/src"), at("/srv/a b/src"));
        assert_eq!(at("/data/x"), at("/srv/app/x"));
        assert_ne!(at("/srv"), at("/data"));
        assert!(at("/home/u").holds(&at("/srv/a b")));
        assert!(!at("/home/u/app/src").holds(&at("/srv/a b")));
        assert!(!at("/").holds(&at("/home")), "it is another file system");
    }

    #[test]
    fn a_truncated_escape_is_taken_as_it_stands() {
        assert_eq!(path(b"a\\0"), Path::new("a\\0"));
        assert_eq!(path(b"\\134\\012"), Path::new("\\\n"));
    }
}
