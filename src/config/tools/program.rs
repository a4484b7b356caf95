//! Running a program of the person's, with the person's settings and without a project's.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

/// How long a program may take. npm and pip take one to two seconds on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of output that are read.
const OUTPUT: u64 = 1024 * 1024;

/// Variables by which the tools are set up, by the start of their name. What makes an interpreter
/// load something else (PYTHONPATH, NODE_OPTIONS, LD_PRELOAD) is not among them.
const VARIABLES: [&str; 14] = [
    "HOME",
    "USER",
    "LOGNAME",
    "XDG_",
    "PIP_",
    "NPM_CONFIG_",
    "CARGO_",
    "APT_CONFIG",
    "PYENV_",
    "NVM_",
    "VOLTA_",
    "ASDF_",
    "MISE_",
    "RUSTUP_",
];

/// The person's environment, as far as tools are asked with it.
#[derive(Debug, Clone)]
pub struct Surroundings {
    path: Vec<PathBuf>,
    variables: Vec<(OsString, OsString)>,
    /// Nothing in here is run, or read because a variable says so.
    project: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process, for a session of this project.
    pub fn of_this_process(project: Option<&Path>) -> Self {
        Self::new(env::vars_os(), project)
    }

    fn new(variables: impl Iterator<Item = (OsString, OsString)>, project: Option<&Path>) -> Self {
        let mut around = Self {
            path: Vec::new(),
            variables: Vec::new(),
            project: project.map(Path::to_owned),
        };
        for (name, value) in variables {
            if name == "PATH" {
                let directories = env::split_paths(&value);
                let ours = |directory: &PathBuf| !around.is_of_project(directory);
                around.path = directories.filter(ours).collect();
            } else if is_a_setting(&name) && !around.is_of_project(Path::new(&value)) {
                around.variables.push((name, value));
            }
        }
        around
    }

    /// Whether a path is, or leads, into the project. A relative one depends on where one stands, and
    /// that is the project.
    fn is_of_project(&self, path: &Path) -> bool {
        let Some(project) = &self.project else {
            return false;
        };
        let lies_in = |path: &Path| path.starts_with(project);
        let text = path.to_string_lossy();
        let relative = path.is_relative() && text.contains('/') && !text.contains("://");
        relative || lies_in(path) || path.canonicalize().is_ok_and(|path| lies_in(&path))
    }

    /// A variable's value, where it has one.
    pub(super) fn variable(&self, name: &str) -> Option<&OsStr> {
        let same = |(other, value): &&(OsString, OsString)| other == name && !value.is_empty();
        let found = self.variables.iter().find(same);
        found.map(|(_, value)| value.as_os_str())
    }

    /// All of them, for whoever compares.
    pub(super) fn variables(&self) -> &[(OsString, OsString)] {
        &self.variables
    }

    /// The person's home directory.
    pub(super) fn home(&self) -> Option<PathBuf> {
        let home = PathBuf::from(self.variable("HOME")?);
        home.is_absolute().then_some(home)
    }

    /// Where a program is: a file that can be run, and is not the project's.
    pub(super) fn find(&self, program: &str) -> Option<PathBuf> {
        let runs = |path: &PathBuf| {
            let executable = nix::unistd::access(path, nix::unistd::AccessFlags::X_OK);
            path.is_absolute() && executable.is_ok() && path.is_file() && !self.is_of_project(path)
        };
        let places = self.path.iter().map(|directory| directory.join(program));
        places.into_iter().find(runs)
    }

    /// What a program prints. An error is one sentence.
    pub(super) fn run(&self, program: &Path, arguments: &[&str]) -> Result<String, String> {
        let called = || format!("{} {}", program.display(), arguments.join(" "));
        let path = env::join_paths(&self.path).unwrap_or_default();
        let mut child = Command::new(program)
            .args(arguments)
            .env_clear()
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env("PATH", path)
            .env("LC_ALL", "C.UTF-8")
            // Nothing is broken over lines, and nobody looks for newer versions of themselves.
            .env("COLUMNS", "10000")
            .env("NO_UPDATE_NOTIFIER", "1")
            .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
            // Tools look for settings from where they stand upwards.
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(|error| format!("{} cannot be run: {error}", called()))?;
        let group = i32::try_from(child.id()).ok().map(Pid::from_raw);
        let stdout = child.stdout.take();
        let (ended, end) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            let read: io::Result<_> = match stdout {
                Some(stdout) => stdout.take(OUTPUT).read_to_string(&mut text),
                None => Ok(0),
            };
            let status = child.wait();
            let _ = ended.send(());
            (read, text, status)
        });
        let in_time = end.recv_timeout(PATIENCE).is_ok();
        // What it has left running, too.
        if let Some(group) = group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        if !in_time {
            return Err(format!(
                "{} did not answer within {} s",
                called(),
                PATIENCE.as_secs()
            ));
        }
        match reader.join() {
            Ok((Ok(_), text, Ok(status))) if status.success() => Ok(text),
            Ok((_, _, Ok(status))) => Err(format!("{} failed ({status})", called())),
            Ok((_, _, Err(error))) => Err(format!("{}: {error}", called())),
            Err(_) => Err(format!("{} could not be read", called())),
        }
    }
}

fn is_a_setting(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_uppercase();
    VARIABLES.iter().any(|start| match start.ends_with('_') {
        true => name.starts_with(start),
        false => name == *start,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    /// An environment with one directory of programs.
    pub(in super::super) fn around(
        variables: &[(&str, &Path)],
        project: Option<&Path>,
    ) -> Surroundings {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), value.as_os_str().to_owned()));
        Surroundings::new(variables, project)
    }

    pub(in super::super) fn program(path: &Path, script: &str) {
        fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn nothing_of_a_project_is_run_or_pointed_to() {
        let guard = tempfile::tempdir().unwrap();
        let base = guard.path().canonicalize().unwrap();
        let (project, own) = (base.join("project"), base.join("own"));
        fs::create_dir_all(project.join("bin")).unwrap();
        fs::create_dir(&own).unwrap();
        program(&project.join("bin/npm"), "echo planted");
        symlink(project.join("bin"), base.join("link")).unwrap();
        symlink(project.join("bin/npm"), own.join("pip")).unwrap();
        let path = env::join_paths([
            project.join("bin"),
            base.join("link"),
            PathBuf::from("./bin"),
            own.clone(),
        ]);
        let path = PathBuf::from(path.unwrap());
        let config = project.join("pip.conf");
        let variables = [
            ("PATH", path.as_path()),
            ("PIP_CONFIG_FILE", config.as_path()),
        ];
        let around = around(&variables, Some(&project));
        assert_eq!(around.path, [own.as_path()]);
        assert_eq!((around.find("npm"), around.find("pip")), (None, None));
        assert_eq!(around.variable("PIP_CONFIG_FILE"), None);
    }

    #[test]
    fn a_program_gets_the_persons_settings_and_what_makes_it_load_others_stays_away() {
        let guard = tempfile::tempdir().unwrap();
        let base = guard.path().canonicalize().unwrap();
        program(&base.join("tool"), "/usr/bin/env; pwd");
        let here = Path::new("/somewhere");
        let variables = [
            ("PATH", base.as_path()),
            ("PIP_INDEX_URL", Path::new("https://mirror.test/")),
            ("npm_config_registry", Path::new("https://mirror.test/")),
            ("PYTHONPATH", here),
            ("NODE_OPTIONS", here),
            ("LD_PRELOAD", here),
            ("TOKEN", here),
        ];
        let around = around(&variables, Some(Path::new("/elsewhere")));
        let tool = around.find("tool").unwrap();
        let said = around.run(&tool, &[]).unwrap();
        assert!(
            said.contains("PIP_INDEX_URL=https://mirror.test/\n"),
            "{said}"
        );
        assert!(said.contains("npm_config_registry="), "{said}");
        assert!(!said.contains("/somewhere"), "{said}");
        assert!(said.ends_with("\n/\n"), "{said}");
        program(&base.join("tool"), "exit 3");
        let error = around.run(&tool, &["x"]).unwrap_err();
        assert!(
            error.contains("tool x failed") && error.contains('3'),
            "{error}"
        );
    }
}
