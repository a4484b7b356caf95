//! The arguments of whoever decides: rules, and answers to requests that wait.

use clap::Args;

use super::Reach;
use crate::policy::{Scope, Size};

#[derive(Debug, Args)]
pub(in crate::cli) struct AddArgs {
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// What: host, host:port, *.host, an address, a network.
    ///
    /// Without a port it means 80 and 443; `:*` is every port. `*` stands for one label, `**` for
    /// one or more; neither covers the name behind it.
    #[arg(required = true, value_name = "ENTRY")]
    pub(in crate::cli) entries: Vec<String>,
    /// For how long: 90s, 10m, 2h, 1d. Without it: until the session ends.
    #[arg(long = "for", value_name = "TIME")]
    pub(in crate::cli) ttl: Option<String>,
    /// How much may be sent there: 10MB, 64KiB; all connections together, counted from now on.
    ///
    /// Every byte counts, heads of requests too, and names under a wildcard. What does not fit is not
    /// sent: its connection is closed, and nothing more is admitted. The same entry again counts
    /// anew. Of several rules that cover a host the one that decides is charged, see
    /// `vibepit explain`: one said live before those of files, the more specific before the others.
    #[arg(long, value_name = "SIZE")]
    pub(in crate::cli) max_upload: Option<Size>,
    /// How far it reaches: session, project (every session of this project), global (every
    /// session).
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub(in crate::cli) scope: Option<Scope>,
    /// Save it for every session of this project: --scope project.
    #[arg(long, conflicts_with = "scope")]
    pub(in crate::cli) save: bool,
    /// Accept a wildcard over a public suffix, such as *.github.io.
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DenyArgs {
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// What: an entry as with allow, or a request that waits: its id, the start of one, its host.
    #[arg(required_unless_present = "all", value_name = "ENTRY|REQUEST")]
    pub(in crate::cli) entries: Vec<String>,
    /// All requests that wait now.
    #[arg(long, conflicts_with = "entries")]
    pub(in crate::cli) all: bool,
    /// What the sandbox is told, of requests that wait.
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// For how long: 90s, 10m, 2h, 1d. Without it: until the session ends.
    #[arg(long = "for", value_name = "TIME")]
    pub(in crate::cli) ttl: Option<String>,
    /// How far it reaches: once (of a request), session, project (every session of this project),
    /// global (every session).
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub(in crate::cli) scope: Option<Scope>,
    /// Save it for every session of this project: --scope project.
    #[arg(long, conflicts_with = "scope")]
    pub(in crate::cli) save: bool,
    /// Accept a wildcard over a public suffix, such as *.github.io.
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

impl DenyArgs {
    fn scope(&self) -> Option<Scope> {
        self.scope.or_else(|| self.save.then_some(Scope::Project))
    }

    /// The same as a decision about requests that wait.
    pub(in crate::cli) fn into_decision(self) -> DecideArgs {
        let scope = self.scope();
        DecideArgs {
            reach: self.reach,
            requests: self.entries,
            all: self.all,
            scope,
            pattern: None,
            preset: None,
            ttl: self.ttl,
            reason: self.reason,
            yes: false,
            force: self.force,
        }
    }

    /// The same as rules.
    pub(in crate::cli) fn into_rules(self) -> AddArgs {
        AddArgs {
            scope: self.scope(),
            reach: self.reach,
            entries: self.entries,
            ttl: self.ttl,
            max_upload: None,
            save: false,
            force: self.force,
        }
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PendingArgs {
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// Go on, and show each request that comes, changes or goes.
    #[arg(long, short)]
    pub(in crate::cli) watch: bool,
    /// Also what was refused because nobody decided in time.
    #[arg(long)]
    pub(in crate::cli) missed: bool,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DecideArgs {
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// Which: an id, the start of one, a host, or host:port.
    #[arg(required_unless_present = "all", value_name = "REQUEST")]
    pub(in crate::cli) requests: Vec<String>,
    /// All that wait now.
    #[arg(long, conflicts_with = "requests")]
    pub(in crate::cli) all: bool,
    /// How far it reaches: once, session, project (every session of this project), global (every
    /// session).
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub(in crate::cli) scope: Option<Scope>,
    /// A pattern that covers the host, such as *.example.com, in its place.
    #[arg(long, value_name = "PATTERN")]
    pub(in crate::cli) pattern: Option<String>,
    /// All of a preset, in its place; `vibepit pending` says which it belongs to.
    ///
    /// A preset of your own tools (cargo, pip, npm, apt) remembers a host that it did not have.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["pattern", "all"])]
    pub(in crate::cli) preset: Option<String>,
    /// For how long: 90s, 10m, 2h, 1d; with scope session.
    #[arg(long = "for", value_name = "TIME")]
    pub(in crate::cli) ttl: Option<String>,
    /// What the sandbox is told of a denial.
    #[arg(long, value_name = "TEXT", hide = true)]
    pub(in crate::cli) reason: Option<String>,
    /// Do not ask whether a wildcard that is to be saved is meant.
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
    /// Accept a wildcard over a public suffix, such as *.github.io.
    #[arg(long)]
    pub(in crate::cli) force: bool,
}

fn scope(text: &str) -> Result<Scope, String> {
    match text {
        "once" => Ok(Scope::Once),
        "session" => Ok(Scope::Session),
        "project" => Ok(Scope::Project),
        "global" => Ok(Scope::Global),
        _ => Err("it is one of once, session, project, global".to_owned()),
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct RevokeArgs {
    #[command(flatten)]
    pub(in crate::cli) reach: Reach,
    /// The entries, as `vibepit rules` shows them.
    #[arg(required = true, value_name = "ENTRY")]
    pub(in crate::cli) entries: Vec<String>,
}
