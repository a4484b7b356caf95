//! What vibepit itself puts into a sandbox, read-only, so that git and ssh find their way out: its
//! executable, whose `nc` they connect with, and settings of theirs that name it. None of it gives
//! the sandbox anything that its doors do not.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::super::image::Parts;
use super::super::mounts::Bind;
use super::super::session::Launch;
use super::Inside;
use crate::api::enclosure::{OWN_DIRECTORY, OWN_EXECUTABLE};
use crate::config::tools::GitIdentity;

/// Git reads it in the place of the system's (git-config(1), GIT_CONFIG_SYSTEM).
pub(in crate::launcher) const GIT_CONFIG: &str = "/run/vibepit/gitconfig";

/// The settings of ssh that a sandbox with the host's programs has: none of the host's own.
const SSH_CONFIG: &str = "/etc/ssh/ssh_config";
/// Where the settings of an image's ssh take others in, as distributions have it.
const SSH_CONFIG_OF_IMAGE: &str = "/etc/ssh/ssh_config.d/vibepit.conf";

/// What ssh connects with (ssh_config(5), ProxyCommand).
const PROXY_COMMAND: &str = "/run/vibepit/vibepit nc %h %p";

/// The text of git's settings: the person's name and address, the way out, and what the system
/// within says. A repository and the sandbox's own home are read after it, and outrank it.
pub(in crate::launcher) fn git_config(identity: &GitIdentity) -> String {
    let mut text = String::from("[include]\n\tpath = /etc/gitconfig\n");
    text.push_str(&format!(
        "[core]\n\tsshCommand = {}\n",
        git_value(&format!("ssh -o 'ProxyCommand={PROXY_COMMAND}'"))
    ));
    let said = [("name", &identity.name), ("email", &identity.email)];
    let said = said.map(|(key, value)| value.as_ref().map(|value| (key, git_value(value))));
    if said.iter().any(Option::is_some) {
        text.push_str("[user]\n");
    }
    for (key, value) in said.into_iter().flatten() {
        text.push_str(&format!("\t{key} = {value}\n"));
    }
    text
}

/// A value as git reads it back, whatever is in it. A control character is left out: git itself
/// takes them out of names.
fn git_value(value: &str) -> String {
    let mut quoted = String::from("\"");
    for c in value.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// The text of ssh's settings. What the sandbox runs itself is reached without a proxy.
fn ssh_config() -> String {
    format!("Host * !localhost !127.0.0.1 !::1\n    ProxyCommand {PROXY_COMMAND}\n")
}

/// Files of a sandbox without an engine, with their text. Its executable is there already.
pub(in crate::launcher) fn files(
    inside: &Inside,
    identity: &GitIdentity,
) -> Vec<(PathBuf, String)> {
    let mut files = vec![(PathBuf::from(GIT_CONFIG), git_config(identity))];
    if is_free(inside, SSH_CONFIG) {
        files.push((PathBuf::from(SSH_CONFIG), ssh_config()));
    }
    files
}

/// Mounts of a container whose engine is on this machine. What is written for it is in the session's
/// directory, and goes with that.
pub(super) fn binds(launch: &Launch<'_>, inside: &Inside) -> Result<Vec<Bind>> {
    let directory = launch.directory;
    let mut binds = executable(launch, inside)?;
    let git = written(
        directory.git_config(),
        0o644,
        &git_config(&launch.request.git),
    )?;
    binds.push(Bind::read_only(git, GIT_CONFIG));
    let place = match inside.userland {
        Some(_) => SSH_CONFIG,
        None => SSH_CONFIG_OF_IMAGE,
    };
    if is_free(inside, place) {
        let ssh = written(directory.ssh_config(), 0o644, &ssh_config())?;
        binds.push(Bind::read_only(ssh, place));
    }
    Ok(binds)
}

/// The running executable. Among the host's programs it finds its libraries where it has them on the
/// host; in an image they come along, and a script starts it with them.
fn executable(launch: &Launch<'_>, inside: &Inside) -> Result<Vec<Bind>> {
    let parts = Parts::of_this_process().context(
        "the running vibepit's files cannot be read; start vibepit again if it was updated",
    )?;
    let program = std::fs::read_link("/proc/self/exe")
        .context("the running vibepit does not find its own executable")?;
    let own = |name: &str| Path::new(OWN_DIRECTORY).join(name);
    let (Some(interpreter), None) = (&parts.interpreter, &inside.userland) else {
        return Ok(vec![Bind::read_only(program, OWN_EXECUTABLE)]);
    };
    let (loader, libraries, real) = (own("loader"), own("lib"), own("program"));
    let script = format!(
        "#!/bin/sh\nexec {} --library-path {} {} \"$@\"\n",
        loader.display(),
        libraries.display(),
        real.display()
    );
    let script = written(launch.directory.program(), 0o755, &script)?;
    let mut binds = vec![
        Bind::read_only(script, OWN_EXECUTABLE),
        Bind::read_only(program, real),
        // A link on most systems, which an engine would have to follow.
        Bind::read_only(interpreter.canonicalize()?, loader),
    ];
    for object in &parts.objects {
        let name = object.file_name().unwrap_or_default();
        binds.push(Bind::read_only(object, libraries.join(name)));
    }
    Ok(binds)
}

/// Whether nothing of the person's is mounted there, or above it: it would be written to.
fn is_free(inside: &Inside, place: &str) -> bool {
    let mut volumes = inside.volumes.iter();
    !volumes.any(|volume| Path::new(place).starts_with(&volume.target))
}

/// Writes a file of the session's directory that is mounted.
fn written(path: PathBuf, mode: u32, text: &str) -> Result<PathBuf> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("{} could not be written", path.display()))?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// What git reads of a text.
    fn read(text: &str, key: &str) -> Option<String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config");
        std::fs::write(&file, text).unwrap();
        let ran = Command::new("git")
            .args(["config", "--file"])
            .arg(file)
            .args(["--get", key])
            .output()
            .unwrap();
        let said = String::from_utf8(ran.stdout).unwrap();
        ran.status
            .success()
            .then(|| said.trim_end_matches('\n').to_owned())
    }

    #[test]
    fn git_reads_a_name_back_as_it_is_whatever_it_holds() {
        for name in [
            "A Person",
            "Quote \" and \\ backslash; # no comment",
            " blanks at both ends ",
            "Zoë [x]\\n",
        ] {
            let identity = GitIdentity {
                name: Some(name.to_owned()),
                email: None,
            };
            let text = git_config(&identity);
            assert_eq!(read(&text, "user.name").as_deref(), Some(name));
            assert_eq!(read(&text, "user.email"), None);
        }
    }

    #[test]
    fn a_name_cannot_add_settings() {
        let identity = GitIdentity {
            name: Some("x\"\n[core]\n\tpager = reboot\n".to_owned()),
            email: Some("a@b.test\r\n[alias]".to_owned()),
        };
        let text = git_config(&identity);
        assert_eq!(read(&text, "core.pager"), None);
        assert_eq!(
            read(&text, "user.email").as_deref(),
            Some("a@b.test[alias]")
        );
        let command = read(&text, "core.sshCommand").unwrap();
        assert_eq!(
            command,
            "ssh -o 'ProxyCommand=/run/vibepit/vibepit nc %h %p'"
        );
    }
}
