//! What works on this machine, what does not, and what to do: looked at, and nothing changed. Each
//! check says one sentence; who prints it is not known here.

mod directories;
mod engines;
mod escapes;
mod kernel;
mod sessions;
mod version;

use serde::Serialize;

use super::endpoint::Surroundings;
use super::engine::Engine;

/// What came of looking at one thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What it is about: `engine`, `kernel`, `directories`, `sessions`.
    pub group: &'static str,
    /// Its name, which stays the same from version to version.
    pub name: &'static str,
    /// How it stands.
    pub state: State,
    /// One sentence, or a clause.
    pub says: String,
    /// What to do about it, if there is anything to do.
    pub todo: Option<String>,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As it should be.
    Ok,
    /// A session starts all the same.
    Warning,
    /// Something does not work, or is not safe.
    Problem,
    /// It is not about this machine or this user.
    NotApplicable,
}

/// Everything that was looked at.
#[derive(Debug)]
pub struct Checkup {
    /// In the order in which it is told.
    pub checks: Vec<Check>,
    /// The engine that a session would use.
    pub engine: Option<Engine>,
    /// Somebody named an engine, and it is of no use: nothing else takes its place.
    pub engine_is_missed: bool,
    /// This machine's kernel parts a sandbox off.
    pub local: bool,
}

/// Looks at everything.
pub async fn look(around: &Surroundings) -> Checkup {
    let engines = engines::look(around).await;
    let mut checks = engines.checks;
    let (local, sandbox) = kernel::sandbox().await;
    checks.push(sandbox);
    checks.extend(kernel::look());
    checks.extend(directories::look());
    checks.extend(sessions::look().await);
    Checkup {
        checks,
        engine: engines.first,
        engine_is_missed: engines.missed,
        local,
    }
}

/// Makes the checks of one group.
#[derive(Clone, Copy)]
struct Group(&'static str);

impl Group {
    fn check(self, name: &'static str, state: State, says: impl Into<String>) -> Check {
        Check {
            group: self.0,
            name,
            state,
            says: says.into(),
            todo: None,
        }
    }

    fn ok(self, name: &'static str, says: impl Into<String>) -> Check {
        self.check(name, State::Ok, says)
    }

    fn none(self, name: &'static str, says: impl Into<String>) -> Check {
        self.check(name, State::NotApplicable, says)
    }

    fn warning(
        self,
        name: &'static str,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Check {
        self.check(name, State::Warning, says).todo(todo)
    }

    fn problem(
        self,
        name: &'static str,
        says: impl Into<String>,
        todo: impl Into<String>,
    ) -> Check {
        self.check(name, State::Problem, says).todo(todo)
    }
}

impl Check {
    fn todo(mut self, todo: impl Into<String>) -> Self {
        self.todo = Some(todo.into());
        self
    }
}
