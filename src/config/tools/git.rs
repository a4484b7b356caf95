//! Who the person is to git: name and address, and nothing else of its configuration.

use super::Surroundings;

/// What commits are made under. Nothing where the person has not said it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct GitIdentity {
    /// `user.name`.
    pub name: Option<String>,
    /// `user.email`.
    pub email: Option<String>,
}

impl GitIdentity {
    /// Asks git for the person's own configuration, with what that includes. A machine without git,
    /// or a configuration that git cannot read, has no identity: git says so itself when it commits.
    pub fn of_person(around: &Surroundings) -> Self {
        let Some(git) = around.find("git") else {
            return Self::default();
        };
        let words = [
            "config",
            "--global",
            "--includes",
            "--null",
            "--get-regexp",
            r"^user\.(name|email)$",
        ];
        around
            .run(&git, &words)
            .map(|said| read(&said))
            .unwrap_or_default()
    }
}

/// Reads `KEY\nVALUE\0`, of which the last one counts (git-config(1)).
fn read(said: &str) -> GitIdentity {
    let mut identity = GitIdentity::default();
    for entry in said.split_terminator('\0') {
        let value = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        match entry.split_once('\n') {
            Some(("user.name", name)) => identity.name = value(name),
            Some(("user.email", email)) => identity.email = value(email),
            _ => {}
        }
    }
    identity
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::program::tests::around;
    use super::*;

    #[test]
    fn the_last_name_counts_and_nothing_else_is_taken() {
        let said = "user.name\nOne\0user.email\na@b.test\0user.name\nTwo \"2\"\nlines\0";
        let identity = read(said);
        assert_eq!(identity.name.as_deref(), Some("Two \"2\"\nlines"));
        assert_eq!(identity.email.as_deref(), Some("a@b.test"));
        assert_eq!(read("user.name\n\0other.key\nx\0"), GitIdentity::default());
    }

    #[test]
    fn git_tells_what_the_persons_own_file_includes_and_no_projects() {
        let guard = tempfile::tempdir().unwrap();
        let home = guard.path().canonicalize().unwrap();
        std::fs::write(
            home.join(".gitconfig"),
            "[user]\nname = A Person\n[include]\npath = more\n[credential]\nhelper = store\n",
        )
        .unwrap();
        std::fs::write(home.join("more"), "[user]\nemail = a@person.test\n").unwrap();
        let around = around(
            &[("HOME", &home), ("PATH", Path::new("/usr/bin:/bin"))],
            None,
        );
        let identity = GitIdentity::of_person(&around);
        assert_eq!(identity.name.as_deref(), Some("A Person"));
        assert_eq!(identity.email.as_deref(), Some("a@person.test"));
    }
}
