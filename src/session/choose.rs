//! Which session a command means.

use std::path::{Path, PathBuf};

use super::discovery::{Found, find, live};
use super::layout::RuntimeDir;

/// Why there is no session to speak to.
#[derive(Debug, thiserror::Error)]
pub enum ChooseError {
    /// Nothing live goes by what was asked for.
    #[error("no session `{asked}` is running; `vibepit sessions` lists those that are")]
    NoSuchSession {
        /// What was asked for.
        asked: String,
    },
    /// No session is live.
    #[error("no session is running; `vibepit run` starts one")]
    NoSession,
    /// Several are live, and the working directory does not tell which is meant.
    #[error(
        "several sessions are running; say which with --session: {}",
        listed(sessions)
    )]
    Several {
        /// The live sessions, in the order in which to show them.
        sessions: Vec<Found>,
    },
    /// What was asked for fits several.
    #[error(
        "`{asked}` fits several sessions; give more of the id: {}",
        listed(sessions)
    )]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// The live sessions that it fits, in the order in which to show them.
        sessions: Vec<Found>,
    },
}

fn listed(sessions: &[Found]) -> String {
    let each = |found: &Found| format!("{} ({})", found.record.id, found.record.name);
    sessions.iter().map(each).collect::<Vec<_>>().join(", ")
}

/// Chooses a live session. With a selector: the one whose id it is, else whose name, else the one
/// whose id begins with it, else the one of the project at that path. Without: the one whose
/// project is the nearest ancestor of `cwd` (an absolute path), else the only one.
///
/// # Errors
///
/// [`ChooseError`] when that is none, or more than one.
pub async fn choose(
    runtime: &RuntimeDir,
    selector: Option<&str>,
    cwd: &Path,
) -> Result<Found, ChooseError> {
    // The one that is named by its id alone is found without a look at the others.
    if let Some(asked) = selector
        && let Ok(id) = asked.parse()
        && let Some(found) = find(runtime, id)
        && found.is_live().await
    {
        return Ok(found);
    }
    among(live(runtime).await, selector, cwd)
}

/// As [`choose`], among these.
///
/// # Errors
///
/// [`ChooseError`] when it is none of them, or more than one.
pub fn among(
    sessions: Vec<Found>,
    selector: Option<&str>,
    cwd: &Path,
) -> Result<Found, ChooseError> {
    let all = in_order(sessions);
    match selector {
        Some(asked) => by_selector(&all, asked, cwd),
        None => by_directory(all, cwd),
    }
}

fn by_selector(all: &[Found], asked: &str, cwd: &Path) -> Result<Found, ChooseError> {
    let none = || ChooseError::NoSuchSession {
        asked: asked.to_owned(),
    };
    if asked.is_empty() {
        return Err(none());
    }
    let project = resolved(&cwd.join(asked));
    let is_named = |found: &&Found| found.record.name == asked;
    let is_begun = |found: &&Found| found.record.id.as_str().starts_with(asked);
    let is_project = |found: &&Found| found.record.project_dir.as_ref() == Some(&project);
    let ways: [&dyn Fn(&&Found) -> bool; 3] = [&is_named, &is_begun, &is_project];
    for way in ways {
        let mut fits: Vec<_> = all.iter().filter(way).cloned().collect();
        if fits.len() > 1 {
            return Err(ChooseError::Ambiguous {
                asked: asked.to_owned(),
                sessions: fits,
            });
        }
        if let Some(found) = fits.pop() {
            return Ok(found);
        }
    }
    Err(none())
}

fn by_directory(all: Vec<Found>, cwd: &Path) -> Result<Found, ChooseError> {
    for ancestor in resolved(cwd).ancestors() {
        let here = |found: &&Found| found.record.project_dir.as_deref() == Some(ancestor);
        if let Some(chosen) = only(all.iter().filter(here).cloned().collect())? {
            return Ok(chosen);
        }
    }
    only(all)?.ok_or(ChooseError::NoSession)
}

fn only(mut live: Vec<Found>) -> Result<Option<Found>, ChooseError> {
    if live.len() > 1 {
        return Err(ChooseError::Several { sessions: live });
    }
    Ok(live.pop())
}

fn in_order(mut live: Vec<Found>) -> Vec<Found> {
    live.sort_by(|a, b| (&a.record.created, a.record.id).cmp(&(&b.record.created, b.record.id)));
    live
}

/// The path without symbolic links, or as it is when it leads nowhere (a project directory may
/// have been removed while its session runs).
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Home, Live};
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn project(home: &Home, name: &str) -> PathBuf {
        let path = home.dir.path().canonicalize().unwrap().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    async fn chosen(
        home: &Home,
        selector: Option<&str>,
        cwd: &Path,
    ) -> Result<String, ChooseError> {
        choose(&home.runtime, selector, cwd)
            .await
            .map(|found| found.record.name)
    }

    #[tokio::test]
    async fn a_session_goes_by_its_id_a_prefix_of_it_its_name_and_its_project() {
        let home = Home::new();
        let path = project(&home, "web");
        let web = home.live("the web", Some(&path));
        let _other = home.live("other", Some(&project(&home, "other")));
        home.stale("the web", Some(&path));
        let id = web.dir.id().to_string();
        let relative = project(&home, "elsewhere");
        for (selector, cwd) in [
            (id.as_str(), "/"),
            (&id[..15], "/"),
            ("the web", "/"),
            (path.to_str().unwrap(), "/"),
            ("../web", relative.to_str().unwrap()),
            (".", path.to_str().unwrap()),
        ] {
            let found = chosen(&home, Some(selector), Path::new(cwd)).await;
            assert_eq!(found.unwrap(), "the web", "{selector}");
        }
    }

    #[tokio::test]
    async fn what_fits_nothing_live_is_no_session() {
        let home = Home::new();
        let stale = home.stale("gone", Some(&project(&home, "gone")));
        let _live = home.live("live", None);
        for selector in [
            "../../etc",
            "/",
            "",
            "gon",
            "gone",
            stale.as_str(),
            "\u{1b}[2J",
            "live\0",
            "LIVE",
        ] {
            let error = chosen(&home, Some(selector), Path::new("/"))
                .await
                .unwrap_err();
            let ChooseError::NoSuchSession { asked } = &error else {
                panic!("{selector}: {error}")
            };
            assert_eq!(asked, selector);
        }
    }

    #[tokio::test]
    async fn a_prefix_of_several_ids_is_ambiguous() {
        let home = Home::new();
        // Seventeen ids and sixteen digits: two begin alike.
        let sessions: Vec<_> = (0..17).map(|_| home.live("web", None)).collect();
        let begins = |live: &Live, digit: &str| live.dir.id().as_str().starts_with(digit);
        let count = |digit: &str| sessions.iter().filter(|live| begins(live, digit)).count();
        let mut digits = "0123456789abcdef".split_terminator("").skip(1);
        let shared = digits.find(|digit| count(digit) > 1).unwrap();
        match choose(&home.runtime, Some(shared), Path::new("/")).await {
            Err(ChooseError::Ambiguous { asked, sessions }) => {
                assert_eq!(asked, shared);
                assert_eq!(sessions.len(), count(shared));
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_name_outranks_a_prefix() {
        let home = Home::new();
        let first = home.live("first", None);
        let digit = first.dir.id().to_string()[..1].to_owned();
        let _second = home.live(&digit, None);
        assert_eq!(
            chosen(&home, Some(&digit), Path::new("/")).await.unwrap(),
            digit
        );
    }

    #[tokio::test]
    async fn two_sessions_of_one_name_are_ambiguous_and_both_are_listed() {
        let home = Home::new();
        let (one, two) = (home.live("web", None), home.live("web", None));
        let error = chosen(&home, Some("web"), Path::new("/"))
            .await
            .unwrap_err();
        for live in [&one, &two] {
            assert!(
                error.to_string().contains(live.dir.id().as_str()),
                "{error}"
            );
        }
        assert!(matches!(error, ChooseError::Ambiguous { sessions, .. } if sessions.len() == 2));
    }

    #[tokio::test]
    async fn without_a_word_the_nearest_project_above_is_meant() {
        let home = Home::new();
        let _outer = home.live("outer", Some(&project(&home, "a")));
        let inner = home.live("inner", Some(&project(&home, "a/b/c")));
        let _beside = home.live("beside", Some(&project(&home, "a/b/cc")));
        for (cwd, expected) in [
            ("a", "outer"),
            ("a/b", "outer"),
            ("a/b/c", "inner"),
            ("a/b/c/d/e", "inner"),
            ("a/b/cc/d", "beside"),
        ] {
            let cwd = project(&home, cwd);
            assert_eq!(
                chosen(&home, None, &cwd).await.unwrap(),
                expected,
                "{}",
                cwd.display()
            );
        }
        let link = home.dir.path().join("link");
        symlink(project(&home, "a/b/c/d"), &link).unwrap();
        assert_eq!(chosen(&home, None, &link).await.unwrap(), "inner");
        drop(inner);
        let below = project(&home, "a/b/c/d");
        assert_eq!(chosen(&home, None, &below).await.unwrap(), "outer");
    }

    #[tokio::test]
    async fn without_a_project_above_the_only_live_session_is_meant() {
        let home = Home::new();
        assert!(matches!(
            chosen(&home, None, Path::new("/")).await,
            Err(ChooseError::NoSession)
        ));
        home.stale("dead", Some(Path::new("/")));
        assert!(matches!(
            chosen(&home, None, Path::new("/")).await,
            Err(ChooseError::NoSession)
        ));
        let _one = home.live("one", Some(&project(&home, "a")));
        assert_eq!(chosen(&home, None, Path::new("/")).await.unwrap(), "one");
        let _two = home.live("two", None);
        match chosen(&home, None, Path::new("/")).await {
            Err(ChooseError::Several { sessions }) => assert_eq!(sessions.len(), 2),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn two_sessions_of_one_project_are_several() {
        let home = Home::new();
        let path = project(&home, "a");
        let _sessions = [home.live("one", Some(&path)), home.live("two", Some(&path))];
        let _other = home.live("other", None);
        match choose(&home.runtime, None, &path).await {
            Err(ChooseError::Several { sessions }) => assert_eq!(sessions.len(), 2),
            other => panic!("{other:?}"),
        }
    }
}
