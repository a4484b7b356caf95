//! An environment of its own for the binary under test: nothing of the machine's configuration,
//! sessions or variables reaches it.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

/// A home, a runtime directory, a place for configuration and one for state. Clones share them;
/// the last one removes them.
#[derive(Clone)]
pub(crate) struct Home(Arc<Inner>);

struct Inner {
    base: TempDir,
    configs: AtomicUsize,
}

/// What a command did.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        let base = TempDir::with_prefix("vibepit-it-").expect("a directory for the test");
        let home = Self(Arc::new(Inner {
            base,
            configs: AtomicUsize::new(0),
        }));
        for directory in [home.home(), home.config(), home.state(), home.runtime()] {
            fs::create_dir(&directory).expect("a directory of the environment");
            fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).expect("its mode");
        }
        home
    }

    /// What `HOME` is.
    pub(crate) fn home(&self) -> PathBuf {
        self.0.base.path().join("home")
    }

    /// What `XDG_CONFIG_HOME` is.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.base.path().join("config")
    }

    /// What `XDG_STATE_HOME` is.
    pub(crate) fn state(&self) -> PathBuf {
        self.0.base.path().join("state")
    }

    /// Every file below vibepit's own directory of state, by its path in there.
    pub(crate) fn state_files(&self) -> BTreeSet<String> {
        let base = self.state().join("vibepit");
        let (mut files, mut directories) = (BTreeSet::new(), vec![base.clone()]);
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).expect("a directory") {
                let entry = entry.expect("an entry");
                let path = entry.path();
                if entry.file_type().expect("its type").is_dir() {
                    directories.push(path);
                } else {
                    let name = path.strip_prefix(&base).expect("it is in it");
                    files.insert(name.display().to_string());
                }
            }
        }
        files
    }

    /// What `XDG_RUNTIME_DIR` is. vibepit's own directory in it is `vibepit`.
    pub(crate) fn runtime(&self) -> PathBuf {
        self.0.base.path().join("run")
    }

    /// Writes a configuration file that no other one of this home has the name of.
    pub(crate) fn write_config(&self, text: &str) -> PathBuf {
        let number = self.0.configs.fetch_add(1, Ordering::Relaxed);
        let path = self.config().join(format!("config-{number}.toml"));
        fs::write(&path, text).expect("the configuration");
        path
    }

    /// Writes the person's own configuration, where vibepit looks for it.
    pub(crate) fn write_own_config(&self, text: &str) -> PathBuf {
        let directory = self.config().join("vibepit");
        fs::create_dir_all(&directory).expect("the configuration's directory");
        let path = directory.join("config.toml");
        fs::write(&path, super::proxy::rejecting(text.to_owned())).expect("the configuration");
        path
    }

    /// A program in this environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("XDG_CONFIG_HOME", self.config())
            .env("XDG_STATE_HOME", self.state())
            .env("XDG_RUNTIME_DIR", self.runtime())
            .env("LC_ALL", "C.UTF-8")
            // It would make every session wait; tests/it/self_test.rs has it on.
            .env("VIBEPIT_NO_SELF_TEST", "1")
            .current_dir(self.home())
            .stdin(Stdio::null());
        command
    }

    /// The binary under test in this environment.
    pub(crate) fn vibepit(&self) -> Command {
        self.command(binary())
    }

    /// Runs the binary under test to its end.
    pub(crate) fn cli<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Ran {
        Ran::of(self.vibepit().args(arguments))
    }
}

/// The binary under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_vibepit"))
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command
            .output()
            .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        output.into()
    }

    /// What it printed, where it did what it was asked to.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.stdout
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}
