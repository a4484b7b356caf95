//! Where a project's git repository lies: read from the files themselves, without asking git, which
//! runs what a repository names.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use super::command_line::quoted;
use super::nofollow::Entry;
use super::project::Project;

/// The repository's own directory, or the file or link that says where that is.
pub(crate) const GIT: &str = ".git";

/// Where `.git` leads, if it is a link or one of git's pointers: a path as it is written there.
pub(crate) fn elsewhere(project: &Project) -> Option<PathBuf> {
    match project.directory().entry(GIT.as_ref()).ok()? {
        Entry::Link(to) => Some(PathBuf::from(to)),
        Entry::File(file) => {
            let text = file.read(4096).ok()??;
            let to = text.strip_prefix(b"gitdir:")?.trim_ascii();
            Some(PathBuf::from(std::str::from_utf8(to).ok()?))
        }
        Entry::Directory(_) | Entry::Special(_) => None,
    }
}

/// `path` as it is read in the directory `base`, relative to the project at `root`; nothing if it
/// is outside. No link is looked at: whoever opens it follows none.
pub(crate) fn within(root: &Path, base: &Path, path: &Path) -> Option<PathBuf> {
    let clean = clean(base, path);
    let inside = clean.strip_prefix(root).ok()?;
    (inside != Path::new("")).then(|| inside.to_owned())
}

fn clean(base: &Path, path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for step in base.join(path).components() {
        match step {
            Component::ParentDir => drop(clean.pop()),
            Component::CurDir => {}
            step => clean.push(step),
        }
    }
    clean
}

/// What to tell a person whose project has its repository outside of it, where the sandbox does
/// not have it: a work tree of `git worktree`, or a submodule.
pub(crate) fn missing(project: &Project) -> Option<String> {
    let root = project.path();
    let elsewhere = elsewhere(project)?;
    if within(root, root, &elsewhere).is_some() {
        return None;
    }
    let elsewhere = clean(root, &elsewhere);
    // The part of it that git cannot do without is the main repository's.
    let whole = elsewhere
        .ancestors()
        .find(|above| above.file_name() == Some(OsStr::new(GIT)))
        .unwrap_or(&elsewhere);
    let path = whole.display();
    let quoted = quoted(whole);
    Some(format!(
        "git will not work in the sandbox: the repository of {} is {path}, outside of the project; \
         if the sandbox is to have it, run with --volume {quoted}:{quoted} (its hooks are then not \
         compared at the end)",
        root.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::fs::{create_dir, write};
    use std::os::unix::fs::symlink;

    use super::super::offlimits::OffLimits;
    use super::*;

    #[test]
    fn a_repository_that_the_sandbox_will_not_have_is_told_with_a_way_to_give_it() {
        let guard = tempfile::tempdir().unwrap();
        let root = guard.path().canonicalize().unwrap().join("app");
        create_dir(&root).unwrap();
        let said = |text: &str| {
            write(root.join(".git"), text).unwrap();
            missing(&Project::find(&root, None, &OffLimits::default()).unwrap())
        };
        assert_eq!(said("gitdir: store/app.git"), None);
        assert_eq!(said("gitdir: ../app/store"), None);
        assert_eq!(said("nothing of git's"), None);
        let work_tree = said("gitdir: /srv/main tree/.git/worktrees/app\n").unwrap();
        let volume = "--volume '/srv/main tree/.git':'/srv/main tree/.git'";
        assert!(work_tree.contains(volume), "{work_tree}");
        let submodule = said("gitdir: ../.git/modules/app").unwrap();
        let main = root.with_file_name(".git");
        assert!(submodule.contains(main.to_str().unwrap()), "{submodule}");
        std::fs::remove_file(root.join(".git")).unwrap();
        symlink("/srv/app.git", root.join(".git")).unwrap();
        let project = Project::find(&root, None, &OffLimits::default()).unwrap();
        assert!(missing(&project).unwrap().contains("is /srv/app.git,"));
    }
}
