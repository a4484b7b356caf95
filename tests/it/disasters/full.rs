//! A full disk, where sessions live and where their state is.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::docker::NO_NAMES;
use crate::project::runtimes;
use crate::support::{Bench, require};

/// A small disk in the place of a directory, until it is dropped. An engine has to see it too.
struct Small(PathBuf);

impl Small {
    fn over(directory: &Path) -> Self {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256k,mode=700", "small"])
            .arg(directory)
            .status();
        assert!(mounted.expect("mount runs").success());
        Self(directory.to_owned())
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Leaves no room on it.
    fn fill(&self) {
        let mut filler = fs::File::create(self.filler()).expect("a file");
        loop {
            match filler.write(&[b'x'; 4096]) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("the filler goes");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn disks() -> bool {
    require("root") && require("mount")
}

#[test]
fn on_a_full_runtime_directory_no_session_starts_and_the_one_that_runs_goes_on() {
    if !disks() {
        return;
    }
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let disk = Small::over(&bench.home.runtime());
        let starts_not = |options: &[&str]| {
            let options = [runtime.options, options].concat();
            let ran = bench.run(&options, "echo started");
            assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
            let place = bench.runtime_dir().display().to_string();
            for part in ["No space left on device", &place] {
                assert!(ran.stderr.contains(part), "{ran:?}");
            }
        };
        disk.fill();
        starts_not(&[]);
        bench.is_clean();
        bench.cli(&["down"]).ok();
        disk.make_room();

        bench.cli(&[&["up"], runtime.options].concat()).ok();
        disk.fill();
        starts_not(&["--new"]);
        assert_eq!(
            bench.directories().len(),
            1,
            "that of the session that runs"
        );
        assert_eq!(
            bench.cli(&["exec", "--", "echo", "goes on"]).ok(),
            "goes on\n"
        );
        bench.cli(&["allow", "a.test"]).ok();
        assert!(bench.cli(&["rules"]).ok().contains("a.test"));
        bench.cli(&["down"]).ok();
        bench.is_clean();
        bench.cli(&["prune"]).ok();
    }
}

#[test]
fn on_a_full_disk_of_state_nothing_is_lost_in_silence_and_nothing_is_left() {
    if !disks() || !require("curl") {
        return;
    }
    for runtime in runtimes() {
        let bench = Bench::new(NO_NAMES);
        let disk = Small::over(&bench.home.state());
        disk.fill();
        // What has to be written down is not what keeps anybody from working.
        bench.cli(&[&["up"], runtime.options].concat()).ok();
        let ask = "curl -s -o /dev/null -w '%{http_code}' -m 50 http://unlisted.test/";
        let asked = bench.cli(&["exec", "--", "sh", "-c", ask]);
        assert_eq!(asked.ok(), "403");
        let saving = bench.cli(&["allow", "--scope", "project", "a.test"]);
        assert_eq!(saving.code, Some(1), "{saving:?}");
        let place = bench.home.state().join("vibepit/decisions");
        for part in ["for this session only", &place.display().to_string()] {
            assert!(saving.stderr.contains(part), "{saving:?}");
        }
        let status = bench.cli(&["status"]);
        assert!(status.stderr.contains("audit lines are lost"), "{status:?}");
        bench.cli(&["down"]).ok();
        bench.is_clean();
        disk.make_room();
        assert_eq!(bench.run(runtime.options, "echo started").ok(), "started\n");
        bench.is_clean();
    }
}
