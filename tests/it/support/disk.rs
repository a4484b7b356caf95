//! A small disk for one directory of a proxy's, which can be filled and made read-only. It is
//! mounted where the proxy alone sees it, and goes when the proxy does. Needs `root`.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::Command;

use super::{Home, Launch, Proxy, require};

/// What mounts it and becomes the proxy. `$0` is the directory.
const MOUNT: &str = "umask 077 && mkdir -p \"$0\" && \
    mount -t tmpfs -o size=256k,mode=700 small \"$0\" && exec \"$@\"";

/// The disk.
pub(crate) struct Disk {
    /// Where the proxy sees it.
    place: PathBuf,
    /// Where this process does.
    root: PathBuf,
    pid: u32,
}

/// Whether a test can have one.
pub(crate) fn disks() -> bool {
    ["root", "unshare", "nsenter", "mount"]
        .into_iter()
        .all(require)
}

impl Disk {
    /// Starts a proxy that has one in this directory of vibepit's state.
    #[track_caller]
    pub(crate) fn under(directory: &str, config: &str, home: &Home) -> (Self, Proxy) {
        let place = home.state().join("vibepit").join(directory);
        let wrapper = ["unshare", "-m", "sh", "-c", MOUNT].map(Into::into);
        let wrapper = [&wrapper[..], &[place.clone().into_os_string()]].concat();
        let proxy = Launch::new(config).home(home).through(&wrapper).start();
        let pid = proxy.pid();
        let disk = Self {
            root: PathBuf::from(format!("/proc/{pid}/root{}", place.display())),
            place,
            pid,
        };
        (disk, proxy)
    }

    /// A file's path, for this process.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Everything that is on it, the directories' content included.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut directories = vec![self.root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                let name = path.strip_prefix(&self.root).expect("it is in it");
                names.push(name.display().to_string());
                if path.is_dir() {
                    directories.push(path);
                }
            }
        }
        names.sort();
        names
    }

    /// Leaves no room on it.
    #[track_caller]
    pub(crate) fn fill(&self) {
        let mut filler = fs::File::create(self.path("filler")).expect("a file");
        for size in [4096, 1] {
            loop {
                match filler.write(&vec![b'x'; size]) {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }

    /// Gives the room back.
    pub(crate) fn make_room(&self) {
        fs::remove_file(self.path("filler")).expect("the filler goes");
    }

    /// `ro` or `rw`.
    #[track_caller]
    pub(crate) fn remount(&self, how: &str) {
        let mut mount = self.command();
        mount.args(["mount", "-o", &format!("remount,{how}")]);
        let status = mount.arg(&self.place).status().expect("nsenter runs");
        assert!(status.success(), "{status}");
    }

    /// What runs a program where the disk is seen.
    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.pid.to_string(), "-m"]);
        command
    }
}
