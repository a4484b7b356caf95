//! Whether this machine's kernel parts a sandbox off for us, and if not, which setting keeps it from
//! doing so and what to do about that.

use std::fs;
use std::path::Path;

use nix::unistd::geteuid;

use super::enclosure::{Enclosure, Process};
use crate::api::enclosure::Plan;

/// Why there can be no sandbox without an engine here.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// A setting of the kernel's forbids it.
    #[error(
        "this machine cannot part off a sandbox: {setting} ({file}) is {value}, which {means}; \
         {remedy}, or use a container engine: --runtime docker"
    )]
    Forbidden {
        /// The setting's name, as sysctl(8) has it.
        setting: &'static str,
        /// Where it is.
        file: &'static str,
        /// What it says.
        value: String,
        /// What that means.
        means: &'static str,
        /// What to do.
        remedy: &'static str,
    },
    /// It did not work, and no setting says why.
    #[error(
        "this machine cannot part off a sandbox: {0}; within a container that takes docker run \
         --security-opt seccomp=unconfined --security-opt systempaths=unconfined, and elsewhere \
         there is --runtime docker"
    )]
    Refused(String),
}

/// What the local runtime finds here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalFacts {
    /// The kernel's release, such as 6.1.0.
    pub kernel: String,
}

/// Tries, with a sandbox that has nothing in it. It takes some milliseconds.
///
/// # Errors
///
/// When there can be none, with the setting that forbids it where one does.
pub async fn possible() -> Result<LocalFacts, LocalError> {
    let process = Process::default();
    let tried = async {
        let (mut enclosure, _doors) = Enclosure::start_process(process.clone(), &[]).await?;
        enclosure.tell(&nothing()).await?;
        enclosure.ready().await
    };
    let tried = tried.await;
    let _ = process.end().await;
    match tried {
        Ok(()) => Ok(LocalFacts {
            kernel: text("/proc/sys/kernel/osrelease").unwrap_or_default(),
        }),
        Err(error) => Err(error
            .downcast()
            .unwrap_or_else(|error| LocalError::Refused(format!("{error:#}")))),
    }
}

fn nothing() -> Plan {
    Plan {
        mounts: Vec::new(),
        links: Vec::new(),
        files: Vec::new(),
        allow_userns: false,
        processes: None,
        scratch_percent: 1,
    }
}

/// What a refusal of the kernel's is to a person: the setting that is behind it, if there is one.
pub(super) fn refused(why: String) -> LocalError {
    forbidden(Path::new("/"), geteuid().is_root()).unwrap_or(LocalError::Refused(why))
}

/// A setting that forbids user namespaces to whoever asks. The first that does is named: the next
/// try names the next.
fn forbidden(root: &Path, privileged: bool) -> Option<LocalError> {
    let value = |file: &str| text(root.join(file.trim_start_matches('/')));
    let settings = [
        (
            "user.max_user_namespaces",
            "/proc/sys/user/max_user_namespaces",
            "0",
            "allows no user namespace at all",
            "set it with: sudo sysctl -w user.max_user_namespaces=15000",
        ),
        (
            "kernel.unprivileged_userns_clone",
            "/proc/sys/kernel/unprivileged_userns_clone",
            "0",
            "keeps user namespaces for root",
            "set it with: sudo sysctl -w kernel.unprivileged_userns_clone=1",
        ),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "keeps user namespaces for programs that AppArmor has a profile for",
            "give vibepit a profile that says `userns,`, or set it with: sudo sysctl -w \
             kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    ];
    settings
        .into_iter()
        // Whoever is root is asked for the first alone.
        .take(if privileged { 1 } else { settings.len() })
        .find(|(_, file, bad, ..)| value(file).as_deref() == Some(bad))
        .map(
            |(setting, file, value, means, remedy)| LocalError::Forbidden {
                setting,
                file,
                value: value.to_owned(),
                means,
                remedy,
            },
        )
}

fn text(file: impl AsRef<Path>) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_setting_that_forbids_is_named_with_its_file_and_the_remedy() {
        let root = tempfile::tempdir().unwrap();
        assert!(forbidden(root.path(), false).is_none());
        for (file, good, bad) in [
            ("user/max_user_namespaces", "15000", "0"),
            ("kernel/unprivileged_userns_clone", "1", "0"),
            ("kernel/apparmor_restrict_unprivileged_userns", "0", "1"),
        ] {
            let path = root.path().join("proc/sys").join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, format!("{bad}\n")).unwrap();
            let error = forbidden(root.path(), false).unwrap().to_string();
            let setting = file.replace('/', ".");
            for part in [
                &setting,
                &format!("/proc/sys/{file}"),
                "sysctl -w",
                "--runtime",
            ] {
                assert!(error.contains(part), "{error}");
            }
            let of_all = setting.starts_with("user.");
            assert_eq!(forbidden(root.path(), true).is_some(), of_all, "{setting}");
            fs::write(&path, good).unwrap();
            assert!(forbidden(root.path(), false).is_none());
        }
    }
}
