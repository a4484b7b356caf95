//! Networks of this kernel's that nobody else is in, and a bad cable between two of them.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::process;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use super::{Home, Ran, Running, require};

/// A network namespace with a loopback. It is there for as long as this is, and what was made in it.
pub(crate) struct Network(File);

impl Network {
    fn new() -> Self {
        let made = thread::spawn(|| {
            // This thread's alone.
            unshare(CloneFlags::CLONE_NEWNET).expect("root makes a network");
            let mut up = process::Command::new("ip");
            Ran::of(up.args(["link", "set", "lo", "up"])).ok();
            File::open("/proc/thread-self/ns/net").expect("the namespace")
        });
        Self(made.join().expect("a thread"))
    }

    /// Does something in it: sockets, threads and processes that are made there stay there.
    pub(crate) fn within<T: Send>(&self, does: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("root joins a network");
                does()
            });
            inside.join().expect("it is done")
        })
    }

    /// Its setting of TCP's for how often a packet is sent again before a connection is given up:
    /// fewer than the usual 15, which are a quarter of an hour.
    pub(crate) fn gives_up_after(&self, retries: u8) {
        self.within(|| {
            let setting = "/proc/sys/net/ipv4/tcp_retries2";
            fs::write(setting, retries.to_string()).expect("a setting");
        });
    }
}

/// A cable between two networks, which loses, delays and reorders packets.
pub(crate) struct Cable {
    pub(crate) near: Network,
    pub(crate) far: Network,
    process: Running,
}

/// The address at the far end.
pub(crate) const FAR: &str = "10.111.0.2";

impl Cable {
    /// One that loses nothing yet; `None` where there can be none.
    pub(crate) fn new(home: &Home) -> Option<Self> {
        if !(require("root") && require("ip") && require("python3") && require("tun")) {
            return None;
        }
        let (near, far) = (Network::new(), Network::new());
        let namespace = format!("/proc/{}/fd/{}", process::id(), far.0.as_raw_fd());
        let mut command = home.command("python3");
        command.args(["-c", include_str!("cable.py"), &namespace]);
        command.args(["10.111.0.1", FAR]);
        let mut process = near.within(|| Running::spawn(&mut command));
        assert_eq!(process.line(), "ready");
        Some(Self { near, far, process })
    }

    /// From now on it loses this share of the packets.
    pub(crate) fn loses(&mut self, share: f64) {
        self.told(&format!("loss {share}"));
    }

    /// From now on nothing passes, and nobody is told.
    pub(crate) fn cut(&mut self) {
        self.told("cut");
    }

    fn told(&mut self, line: &str) {
        self.process.tell(line);
        assert_eq!(self.process.line(), line);
    }
}
