//! What nobody decided: out of the audit logs and of what live sessions have missed, without what
//! was settled since.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::Group;
use crate::api::RuleView;
use crate::cli::args::Reach;
use crate::cli::audit::{Line, Reader, directory, moment, text};
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::{policy, reach, saved};
use crate::client::Client;
use crate::policy::{Entry, Host, Origin, Reason, Rule, RuleSet, Scope, Verdict, registrable};
use crate::session::{RuntimeDir, live};

/// Destinations that are kept; a person does not decide about more.
const MOST: usize = 2000;

/// A destination that was refused while nobody decided.
#[derive(Debug, Serialize)]
pub(super) struct Target {
    pub(super) domain: String,
    /// None where only the name was asked for.
    pub(super) port: Option<u16>,
    /// As a rule.
    pub(super) entry: String,
    pub(super) reason: String,
    pub(super) count: u64,
    pub(super) last: String,
}

/// What there is to review.
pub(super) struct Gathered {
    pub(super) groups: Vec<Group>,
    /// Refusals of destinations that are not kept.
    pub(super) more: u64,
    /// What could not be read, a sentence each.
    pub(super) notes: Vec<String>,
    pub(super) live: Vec<Live>,
}

/// A session that runs.
pub(super) struct Live {
    pub(super) project: Option<String>,
    pub(super) client: Client,
}

type Place = (Option<String>, String, Option<u16>);

struct Miss {
    reason: String,
    count: u64,
    last: OffsetDateTime,
}

/// A decision that somebody made.
struct Decided {
    at: OffsetDateTime,
    /// Every project, without one.
    project: Option<String>,
    entry: Entry,
}

#[derive(Default)]
struct Ledger {
    missed: BTreeMap<Place, Miss>,
    decided: Vec<Decided>,
    more: u64,
}

/// Gathers what came behind `from`, of the projects that are meant.
pub(super) async fn gather(
    from: impl Fn(Option<&str>) -> OffsetDateTime,
    is_meant: impl Fn(Option<&str>) -> bool,
    out: &Output,
) -> Result<Gathered, Failure> {
    let directory = directory()?;
    let ledger = RefCell::new(Ledger::default());
    let news = Reader::new(directory.clone(), None).next(|line| {
        let project = line.get("project").and_then(Value::as_str);
        if is_meant(project)
            && let Some(at) = moment(line)
            && at > from(project)
        {
            ledger.borrow_mut().enter(line, project, at);
        }
        false
    });
    let news = news.map_err(|error| {
        Failure::failed(format!("cannot read {}: {error}", directory.display()))
    })?;
    let mut ledger = ledger.into_inner();
    let mut rules: BTreeMap<Option<String>, Vec<Rule>> = BTreeMap::new();
    let mut sessions = Vec::new();
    let running = match RuntimeDir::open().map_err(Failure::failed)? {
        Some(runtime) => live(&runtime).await,
        None => Vec::new(),
    };
    for found in running {
        let project = found.record.project_dir.as_ref();
        let project = project.map(|path| path.to_string_lossy().into_owned());
        if !is_meant(project.as_deref()) {
            continue;
        }
        let client = reach::client_of(&found, &Reach::default(), out).await?;
        // One that ends this moment has its audit log.
        if let Ok(pending) = client.pending(true).await {
            for missed in pending.missed.into_iter().flatten() {
                if let Ok(at) = OffsetDateTime::parse(&missed.last, &Rfc3339)
                    && at > from(project.as_deref())
                {
                    let place = (project.clone(), missed.domain, Some(missed.port));
                    let reason = missed.reason.to_string();
                    ledger.miss(place, reason, (missed.attempts, true), at);
                }
            }
        }
        if let Ok(answer) = client.rules().await {
            let of_session = answer.rules.iter().filter_map(rule);
            rules.entry(project.clone()).or_default().extend(of_session);
        }
        sessions.push(Live { project, client });
    }
    let more = ledger.more;
    Ok(Gathered {
        groups: ledger.groups(rules)?,
        more,
        notes: news.notes,
        live: sessions,
    })
}

impl Ledger {
    fn enter(&mut self, line: &Line, project: Option<&str>, at: OffsetDateTime) {
        let port = line.get("port").and_then(Value::as_u64);
        let port = port.and_then(|port| u16::try_from(port).ok());
        let domain = text(line, "domain");
        let place = || (project.map(str::to_owned), domain.to_owned(), port);
        let reason = text(line, "reason");
        match text(line, "event") {
            "connect" if is_undecided(reason) => {
                self.miss(place(), reason.to_owned(), (1, false), at);
            }
            // Its client gave up before the time ran out: there is no line of a refusal.
            "domain_timeout" => {
                self.miss(place(), Reason::TimedOut.to_string(), (0, false), at);
            }
            "domain_approve" | "domain_deny" => {
                let target = port.map(|port| shown(domain, Some(port)));
                self.decide(target.as_deref(), project, at);
            }
            "rule_add" => {
                let everywhere = text(line, "scope") == Scope::Global.to_string();
                let project = project.filter(|_| !everywhere);
                self.decide(Some(text(line, "pattern")), project, at);
            }
            _ => {}
        }
    }

    fn decide(&mut self, entry: Option<&str>, project: Option<&str>, at: OffsetDateTime) {
        if let Some(Ok(entry)) = entry.map(Entry::parse_forced) {
            self.decided.push(Decided {
                at,
                project: project.map(str::to_owned),
                entry,
            });
        }
    }

    /// `whole`: a session counted them, and its audit log tells of the same.
    fn miss(
        &mut self,
        place: Place,
        reason: String,
        (count, whole): (u64, bool),
        at: OffsetDateTime,
    ) {
        let room = self.missed.len() < MOST;
        match self.missed.get_mut(&place) {
            Some(miss) => {
                miss.count = match whole {
                    true => miss.count.max(count),
                    false => miss.count + count,
                };
                if at >= miss.last {
                    (miss.last, miss.reason) = (at, reason);
                }
            }
            None if room => {
                let last = at;
                self.missed.insert(
                    place,
                    Miss {
                        reason,
                        count,
                        last,
                    },
                );
            }
            None => self.more += count.max(1),
        }
    }

    /// What is left of it, by project and by owner.
    fn groups(self, mut rules: BTreeMap<Option<String>, Vec<Rule>>) -> Result<Vec<Group>, Failure> {
        let mut sets: BTreeMap<Option<String>, RuleSet<Rule>> = BTreeMap::new();
        let mut groups: BTreeMap<(Option<String>, String), Vec<Target>> = BTreeMap::new();
        for ((project, domain, port), miss) in self.missed {
            let Ok(host) = Host::from_text(&domain) else {
                continue;
            };
            let asked = port.unwrap_or(443);
            let settled = self.decided.iter().any(|decided| {
                decided.at >= miss.last
                    && (decided.project.is_none() || decided.project == project)
                    && decided.entry.covers(&host, asked)
            });
            if !sets.contains_key(&project) {
                let mut all = rules.remove(&project).unwrap_or_default();
                all.extend(standing(project.as_deref())?);
                sets.insert(project.clone(), RuleSet::new(all));
            }
            let covered = sets
                .get(&project)
                .is_some_and(|set| set.decide(&host, asked, Instant::now()).is_some());
            if settled || covered {
                continue;
            }
            let target = Target {
                entry: shown(&domain, port),
                domain,
                port,
                reason: miss.reason,
                count: miss.count.max(1),
                last: miss.last.format(&Rfc3339).map_err(Failure::failed)?,
            };
            groups
                .entry((project, registrable(&host)))
                .or_default()
                .push(target);
        }
        let groups = groups.into_iter();
        Ok(groups
            .map(|((project, name), targets)| Group::new(project, name, targets))
            .collect())
    }
}

/// What files say for a project, whether a session runs or not.
fn standing(project: Option<&str>) -> Result<Vec<Rule>, Failure> {
    let project = project.map(Path::new);
    let files = policy::standing(project)?
        .rules
        .into_iter()
        .flat_map(|group| {
            let rule = move |entry| Rule::new(entry, group.verdict, group.origin, Scope::Global);
            group.entries.into_iter().map(rule)
        });
    let saved = saved::all(project).map_err(Failure::failed)?.into_iter();
    let saved = saved
        .map(|(saved, _)| Rule::new(saved.entry, saved.verdict, Origin::Decision, saved.scope));
    Ok(files.chain(saved).collect())
}

fn rule(view: &RuleView) -> Option<Rule> {
    let entry = Entry::parse_forced(&view.entry).ok()?;
    let verdict: Verdict = view.verdict;
    Some(Rule::new(entry, verdict, Origin::Session, view.scope))
}

fn is_undecided(reason: &str) -> bool {
    let open = [Reason::Unlisted, Reason::TimedOut, Reason::QueueFull];
    open.iter().any(|one| one.as_str() == reason)
}

fn shown(domain: &str, port: Option<u16>) -> String {
    let host = match domain.contains(':') {
        true => format!("[{domain}]"),
        false => domain.to_owned(),
    };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}
