//! Which session a command means. Probes only those that it could mean, since there may be a
//! thousand dead ones beside them.

use std::path::{Path, PathBuf};

use super::discovery::{Found, discover, find};
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
    match selector {
        Some(asked) => by_selector(runtime, asked, cwd).await,
        None => by_directory(runtime, cwd).await,
    }
}

async fn by_selector(runtime: &RuntimeDir, asked: &str, cwd: &Path) -> Result<Found, ChooseError> {
    if let Ok(id) = asked.parse()
        && let Some(found) = find(runtime, id)
        && found.is_live().await
    {
        return Ok(found);
    }
    let all = discover(runtime);
    let project = resolved(&cwd.join(asked));
    let is_named = |found: &&Found| found.record.name == asked;
    let is_begun = |found: &&Found| found.record.id.as_str().starts_with(asked);
    let is_project = |found: &&Found| found.record.project_dir.as_ref() == Some(&project);
    let ways: [&dyn Fn(&&Found) -> bool; 3] = [&is_named, &is_begun, &is_project];
    for way in ways {
        let mut live = live(all.iter().filter(way)).await;
        if live.len() > 1 {
            return Err(ChooseError::Ambiguous {
                asked: asked.to_owned(),
                sessions: live,
            });
        }
        if let Some(found) = live.pop() {
            return Ok(found);
        }
    }
    Err(ChooseError::NoSuchSession {
        asked: asked.to_owned(),
    })
}

async fn by_directory(runtime: &RuntimeDir, cwd: &Path) -> Result<Found, ChooseError> {
    let all = discover(runtime);
    for ancestor in resolved(cwd).ancestors() {
        let here = |found: &&Found| found.record.project_dir.as_deref() == Some(ancestor);
        if let Some(chosen) = only(live(all.iter().filter(here)).await)? {
            return Ok(chosen);
        }
    }
    only(live(all.iter()).await)?.ok_or(ChooseError::NoSession)
}

fn only(mut live: Vec<Found>) -> Result<Option<Found>, ChooseError> {
    if live.len() > 1 {
        return Err(ChooseError::Several { sessions: live });
    }
    Ok(live.pop())
}

async fn live(candidates: impl Iterator<Item = &Found>) -> Vec<Found> {
    let mut live = Vec::new();
    for candidate in candidates {
        if candidate.is_live().await {
            live.push(candidate.clone());
        }
    }
    live.sort_by(|a, b| (&a.record.created, a.record.id).cmp(&(&b.record.created, b.record.id)));
    live
}

/// The path without symbolic links, or as it is when it leads nowhere (a project directory may
/// have been removed while its session runs).
fn resolved(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}
