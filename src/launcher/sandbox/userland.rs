//! What of the host's own system a sandbox without an image sees, read-only.
//!
//! The programs are whole trees. Of `/etc` it is a list of what programs need to run (accounts,
//! name service, certificates, alternatives, linker cache, settings of interpreters), and of
//! those only what everybody may read. Inside the sandbox the kernel judges file modes again, by
//! the person's uid; but a session that root starts *is* root there, and a group that may read a
//! key is still that group: so whatever is not open to all is covered, whoever starts it.

use std::fs::{self, Metadata};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::super::mounts::Bind;
use super::super::project;

/// Trees of programs. Of `/nix` not the whole: `/nix/var/nix/daemon-socket` is a way out.
const TREES: [&str; 4] = ["/usr", "/opt", "/nix/store", "/nix/var/nix/profiles"];

/// Links into `/usr` on a merged system, directories of their own on others.
const MERGED: [&str; 5] = ["bin", "lib", "lib32", "lib64", "libx32"];

/// Entries of `/etc`, by exact name.
const ETC: [&str; 45] = [
    "alternatives",
    "bash.bashrc",
    "bash_completion.d",
    "bashrc",
    "ca-certificates",
    "ca-certificates.conf",
    "chromium.d",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "ld-musl-x86_64.path",
    "ld-musl-aarch64.path",
    "locale.alias",
    "locale.conf",
    "localtime",
    "login.defs",
    "lsb-release",
    "magic",
    "magic.mime",
    "manpath.config",
    "mime.types",
    "networks",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "perl",
    "pki",
    "profile",
    "profile.d",
    "protocols",
    "rpc",
    "services",
    "shells",
    "skel",
    "ssl",
    "static",
    "terminfo",
    "timezone",
];

/// Entries of `/etc` that carry a version in their name.
const ETC_PREFIXES: [&str; 5] = ["java", "python", "perl5", "lua", "php"];

/// Where people put programs by hand, and now and then a key beside them. The rest of the trees
/// is packages: open to all, and too many files to look at.
const BY_HAND: [&str; 2] = ["/opt", "/usr/local"];

/// How deep those are searched for what is closed: it stands near the top (`/opt/x/keys`).
const BY_HAND_DEPTH: usize = 2;

/// No tree of settings is this deep; a loop of mounts could be.
const ETC_DEPTH: usize = 12;

/// The host's system as a sandbox sees it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Userland {
    /// Read-only mounts, at the same path as on the host.
    pub(crate) binds: Vec<Bind>,
    /// Directories within them that are covered with nothing.
    pub(crate) covered: Vec<PathBuf>,
    /// Links of the root directory, as (path, what it says): they are part of the base image.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
}

impl Userland {
    /// Looks at the running system.
    pub(crate) fn of_host() -> Self {
        Self::under(Path::new("/"))
    }

    /// Looks at a system below `root`. The result's targets are below `/`.
    fn under(root: &Path) -> Self {
        let mut userland = Self::default();
        for tree in TREES {
            userland.add(root, Path::new(tree));
        }
        for place in BY_HAND.map(Path::new) {
            userland.cover_closed(&below(root, place), place, BY_HAND_DEPTH);
        }
        for name in MERGED {
            let path = root.join(name);
            match fs::read_link(&path) {
                Ok(target) => userland.links.push((Path::new("/").join(name), target)),
                Err(_) => {
                    userland.add(root, &Path::new("/").join(name));
                }
            }
        }
        userland.add_sbin(root);
        for name in etc_names(root) {
            let path = Path::new("/etc").join(name);
            if let Some(source) = userland.add(root, &path) {
                userland.cover_closed(&source, &path, ETC_DEPTH);
            }
        }
        userland.binds.sort();
        userland.covered.sort();
        userland.links.sort();
        userland
    }

    /// `/sbin` is a directory of links, because the engine puts its init there: a link or a bind
    /// in its place would leave no room. (`ldconfig -p` by its old path is what Python asks.)
    fn add_sbin(&mut self, root: &Path) {
        let merged = fs::read_link(root.join("sbin"));
        let home = match &merged {
            Ok(target) => Path::new("/").join(target),
            Err(_) => {
                self.binds
                    .push(Bind::read_only(root.join("sbin"), SBIN_ELSEWHERE));
                PathBuf::from(SBIN_ELSEWHERE)
            }
        };
        let Ok(entries) = fs::read_dir(root.join("sbin")) else {
            return;
        };
        for name in entries.flatten().map(|entry| entry.file_name()) {
            if name != "docker-init" {
                self.links
                    .push((Path::new("/sbin").join(&name), home.join(&name)));
            }
        }
    }

    /// Adds one path if it is there and open to all, and says what it really is.
    fn add(&mut self, root: &Path, path: &Path) -> Option<PathBuf> {
        // A link is followed: what it leads to appears at the link's own place.
        let source = below(root, path).canonicalize().ok()?;
        let metadata = fs::metadata(&source).ok()?;
        if !is_open(&metadata) || project::unmountable(&source).is_some() {
            return None;
        }
        self.binds.push(Bind::read_only(&source, path));
        Some(source)
    }

    /// Covers what is closed in a directory; in anything else there is nothing.
    fn cover_closed(&mut self, directory: &Path, target: &Path, depth: usize) {
        let Ok(entries) = fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            // Of the entry itself: a link leads to something that is judged at its own place.
            let Ok(metadata) = entry.metadata() else {
                continue;
            };
            let target = target.join(entry.file_name());
            match (metadata.is_dir(), is_open(&metadata)) {
                (true, true) if depth > 0 => self.cover_closed(&entry.path(), &target, depth - 1),
                (true, false) => self.covered.push(target),
                (false, false) if metadata.is_file() => {
                    self.binds.push(Bind::read_only("/dev/null", target));
                }
                _ => {}
            }
        }
    }
}

/// An absolute path of the system that is looked at.
fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Where an `/sbin` that is a real directory on the host is mounted.
const SBIN_ELSEWHERE: &str = "/.host-sbin";

/// Everybody may read it, and enter it if it is a directory.
fn is_open(metadata: &Metadata) -> bool {
    let needed = if metadata.is_dir() { 0o005 } else { 0o004 };
    metadata.is_symlink() || metadata.permissions().mode() & needed == needed
}

fn etc_names(root: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(root.join("etc")) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| {
            ETC.contains(&name.as_str())
                || ETC_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir_all, set_permissions, write};
    use std::os::unix::fs::symlink;

    use super::*;

    /// A small system; the guard keeps it.
    fn system() -> (tempfile::TempDir, PathBuf) {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap();
        for directory in [
            "usr/bin",
            "usr/sbin",
            "etc/ssl/private",
            "etc/ssl/certs",
            "etc/ssh",
        ] {
            create_dir_all(root.join(directory)).unwrap();
        }
        symlink("usr/bin", root.join("bin")).unwrap();
        symlink("usr/sbin", root.join("sbin")).unwrap();
        for file in [
            "usr/sbin/ldconfig",
            "usr/sbin/docker-init",
            "etc/passwd",
            "etc/shadow",
        ] {
            write(root.join(file), "").unwrap();
        }
        (guard, root)
    }

    fn close(path: PathBuf, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn targets(userland: &Userland) -> Vec<&str> {
        userland
            .binds
            .iter()
            .filter_map(|bind| bind.target.to_str())
            .collect()
    }

    #[test]
    fn programs_and_the_listed_settings_are_seen_and_nothing_else() {
        let (_guard, root) = system();
        let userland = Userland::under(&root);
        assert_eq!(targets(&userland), ["/etc/passwd", "/etc/ssl", "/usr"]);
        assert!(userland.binds.iter().all(|bind| bind.read_only));
    }

    #[test]
    fn links_of_a_merged_system_are_kept_and_sbin_leaves_room_for_an_init() {
        let (_guard, root) = system();
        let links = Userland::under(&root).links;
        let link = |path: &str, target: &str| (PathBuf::from(path), PathBuf::from(target));
        assert_eq!(
            links,
            [
                link("/bin", "usr/bin"),
                link("/sbin/ldconfig", "/usr/sbin/ldconfig")
            ]
        );
    }

    #[test]
    fn directories_of_an_unmerged_system_are_mounted() {
        let (_guard, root) = system();
        fs::remove_file(root.join("bin")).unwrap();
        fs::remove_file(root.join("sbin")).unwrap();
        create_dir_all(root.join("bin")).unwrap();
        create_dir_all(root.join("sbin")).unwrap();
        write(root.join("sbin/ip"), "").unwrap();
        let userland = Userland::under(&root);
        assert!(targets(&userland).contains(&"/bin"));
        assert_eq!(
            userland.links,
            [(PathBuf::from("/sbin/ip"), PathBuf::from("/.host-sbin/ip"))]
        );
    }

    #[test]
    fn what_is_not_open_to_everybody_is_left_out_or_covered() {
        let (_guard, root) = system();
        close(root.join("etc/ssl/private"), 0o710);
        write(root.join("etc/ssl/certs/key.pem"), "").unwrap();
        close(root.join("etc/ssl/certs/key.pem"), 0o640);
        close(root.join("etc/passwd"), 0o600);
        let userland = Userland::under(&root);
        assert_eq!(userland.covered, [PathBuf::from("/etc/ssl/private")]);
        assert!(
            userland
                .binds
                .contains(&Bind::read_only("/dev/null", "/etc/ssl/certs/key.pem")),
            "{userland:?}"
        );
        assert!(!targets(&userland).contains(&"/etc/passwd"));
    }

    #[test]
    fn a_link_in_etc_appears_as_what_it_leads_to() {
        let (_guard, root) = system();
        create_dir_all(root.join("usr/share/zoneinfo")).unwrap();
        write(root.join("usr/share/zoneinfo/UTC"), "").unwrap();
        symlink("../usr/share/zoneinfo/UTC", root.join("etc/localtime")).unwrap();
        let userland = Userland::under(&root);
        let zone = Bind::read_only(root.join("usr/share/zoneinfo/UTC"), "/etc/localtime");
        assert!(userland.binds.contains(&zone), "{userland:?}");
    }
}
