//! What a tool said last. npm and pip take seconds to say it, which nobody waits for at every start:
//! it is kept for a day, and for as long as the tool and its settings are the same.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Place, Surroundings, Told};
use crate::config::BYTES_MAX;
use crate::config::paths::kept_dir;
use crate::kept;
use crate::policy::{Entry, Tool};

/// How long it holds.
const DAY: Duration = Duration::from_secs(24 * 3600);

#[derive(Serialize, Deserialize)]
struct Answer {
    /// The tool and its settings.
    of: String,
    places: Vec<(Entry, String)>,
}

/// What it said, if that still holds.
pub(super) fn kept(tool: Tool, around: &Surroundings) -> Option<Told> {
    let path = file(tool)?;
    let age = fs::symlink_metadata(&path).ok()?.modified().ok()?.elapsed();
    // From the future: the clock was set.
    age.ok().filter(|age| *age < DAY)?;
    let answer: Answer = serde_json::from_str(&kept::read(&path, BYTES_MAX).ok()??).ok()?;
    let place = |(entry, source)| Place { entry, source };
    (answer.of == fingerprint(tool, around)).then(|| Told {
        places: answer.places.into_iter().map(place).collect(),
        faults: Vec::new(),
    })
}

/// Keeps it, unless something was amiss. That it cannot be kept costs a second the next time.
pub(super) fn keep(tool: Tool, around: &Surroundings, told: &Told) {
    if !told.faults.is_empty() {
        return;
    }
    let places = told.places.iter().cloned();
    let answer = Answer {
        of: fingerprint(tool, around),
        places: places.map(|place| (place.entry, place.source)).collect(),
    };
    if let (Some(path), Ok(text)) = (file(tool), serde_json::to_string(&answer)) {
        let _ = kept::replace(&path, text.as_bytes());
    }
}

fn file(tool: Tool) -> Option<PathBuf> {
    let name = format!("{tool:?}.json").to_lowercase();
    Some(kept_dir("tools").ok()?.join(name))
}

/// Another one, when the environment, the program or one of its usual files is another one.
fn fingerprint(tool: Tool, around: &Surroundings) -> String {
    let home = around.home().unwrap_or_default();
    let named = |name: &str| around.variable(name).map(PathBuf::from);
    let configuration = named("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    let (program, files) = match tool {
        Tool::Npm => (
            "npm",
            vec![
                home.join(".npmrc"),
                PathBuf::from("/etc/npmrc"),
                PathBuf::from("/usr/etc/npmrc"),
                PathBuf::from("/usr/local/etc/npmrc"),
            ],
        ),
        _ => (
            "pip",
            vec![
                home.join(".pip/pip.conf"),
                configuration.join("pip/pip.conf"),
                PathBuf::from("/etc/pip.conf"),
                PathBuf::from("/etc/xdg/pip/pip.conf"),
            ],
        ),
    };
    let mut hash = Sha256::new();
    for (name, value) in around.variables() {
        add(&mut hash, name.as_bytes());
        add(&mut hash, value.as_bytes());
        // Some name a file.
        stat(&mut hash, Path::new(value));
    }
    for path in around.find(program).into_iter().chain(files) {
        add(&mut hash, path.as_os_str().as_bytes());
        stat(&mut hash, &path);
    }
    let hash = hash.finalize();
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update(bytes.len().to_le_bytes());
    hash.update(bytes);
}

fn stat(hash: &mut Sha256, path: &Path) {
    if let Ok(found) = fs::metadata(path)
        && found.is_file()
    {
        for number in [
            found.mtime(),
            found.mtime_nsec(),
            found.size().cast_signed(),
        ] {
            hash.update(number.to_le_bytes());
        }
    }
}
