//! Where things lie that run on the host by themselves: data.

use std::path::{Path, PathBuf};

use super::super::project::{META, Project};
use super::super::repository::{GIT, elsewhere, within};
use super::gitconfig;
use super::look;

/// What in a repository's directory makes git run something, or read its settings elsewhere.
pub(super) const GIT_FILES: [&str; 7] = [
    "config",
    "config.worktree",
    "commondir",
    "gitdir",
    "info/attributes",
    "rebase-merge/git-rebase-todo",
    "sequencer/todo",
];

const GIT_RUNS: &str = "git may run what it names on this machine";

const HOOKS: &str = "git may run it on this machine";
const DIRENV: &str = "direnv may run it on this machine";
const EDITOR: &str = "an editor may run what it names on this machine";
const AGENT: &str = "an agent outside a sandbox may run what it names on this machine";
const TOOLS: &str = "mise may run what it names on this machine";
const OURS: &str = "the next session's settings would be in it, where vibepit did not hide it";

/// Files at the root of the project, or in a directory of it.
const FILES: &[(&str, &str)] = &[
    (".gitattributes", GIT_RUNS),
    (".gitmodules", GIT_RUNS),
    (".pre-commit-config.yaml", GIT_RUNS),
    ("lefthook.yml", GIT_RUNS),
    (".envrc", DIRENV),
    ("mise.toml", TOOLS),
    (".mise.toml", TOOLS),
    (".vscode/settings.json", EDITOR),
    (".vscode/tasks.json", EDITOR),
    (".vscode/launch.json", EDITOR),
    (".zed/settings.json", EDITOR),
    (".zed/tasks.json", EDITOR),
    (".devcontainer.json", EDITOR),
    (".devcontainer/devcontainer.json", EDITOR),
    (".exrc", EDITOR),
    (".nvimrc", EDITOR),
    (".nvim.lua", EDITOR),
    (".dir-locals.el", EDITOR),
    (".claude/settings.json", AGENT),
    (".claude/settings.local.json", AGENT),
    (".cursor/mcp.json", AGENT),
    (".cursor/hooks.json", AGENT),
    (".mcp.json", AGENT),
];

/// Directories all of whose files count, to a depth of two.
const TREES: &[(&str, &str)] = &[
    (".husky", HOOKS),
    (".githooks", HOOKS),
    (".idea", EDITOR),
    (".run", EDITOR),
];

/// The places to look at in one project.
pub(super) struct Places {
    pub(super) files: Vec<(PathBuf, &'static str)>,
    pub(super) trees: Vec<(PathBuf, &'static str)>,
    /// Directories of repositories: `.git`, and where it leads within the project.
    pub(super) repositories: Vec<PathBuf>,
    /// Only whether it is there.
    pub(super) meta: Option<PathBuf>,
}

impl Places {
    /// The known ones, and those that this project's git is set up to use.
    pub(super) fn of(project: &Project) -> Self {
        let owned = |list: &[(&'static str, &'static str)]| {
            list.iter()
                .map(|(path, who)| (PathBuf::from(path), *who))
                .collect()
        };
        let mut places = Self {
            files: owned(FILES),
            trees: owned(TREES),
            repositories: vec![PathBuf::from(GIT)],
            // It is hidden from the sandbox otherwise, and out of its reach.
            meta: project.meta().is_none().then(|| PathBuf::from(META)),
        };
        let root = project.path();
        if let Some(store) = elsewhere(project) {
            places.repositories.extend(within(root, root, &store));
        }
        for repository in places.repositories.clone() {
            let config = repository.join("config");
            let text = look::read(project.directory(), &config).unwrap_or_default();
            for (key, value) in gitconfig::entries(&text) {
                let value = Path::new(&value);
                if key == "core.hookspath" {
                    let hooks = within(root, root, value);
                    places.trees.extend(hooks.map(|hooks| (hooks, HOOKS)));
                } else if key == "include.path"
                    || (key.starts_with("includeif.") && key.ends_with(".path"))
                {
                    let included = within(root, &root.join(&repository), value);
                    let included = included.map(|included| (included, GIT_RUNS));
                    places.files.extend(included);
                }
            }
        }
        places
    }

    /// What acts on the file at this path.
    pub(super) fn who(&self, path: &Path) -> &'static str {
        if self.meta.as_deref() == Some(path) {
            return OURS;
        }
        if self.repositories.iter().any(|git| path.starts_with(git)) {
            let hook = path.iter().any(|step| step == "hooks");
            return if hook { HOOKS } else { GIT_RUNS };
        }
        let listed = self.files.iter().chain(&self.trees);
        // A link in the place of `.vscode` stands for the files in it.
        let about = |place: &&(PathBuf, _)| path.starts_with(&place.0) || place.0.starts_with(path);
        listed
            .filter(about)
            .map(|(_, who)| *who)
            .next()
            .unwrap_or(GIT_RUNS)
    }

    /// Whether this is a part of a repository, and not of the work tree.
    pub(super) fn is_gits(&self, path: &Path) -> bool {
        let included = |file: &&(PathBuf, &'static str)| {
            file.1 == GIT_RUNS && !FILES.iter().any(|(known, _)| file.0 == Path::new(known))
        };
        self.repositories.iter().any(|git| path.starts_with(git))
            || self
                .files
                .iter()
                .filter(included)
                .any(|file| file.0 == path)
    }
}
